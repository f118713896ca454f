// A database that is only read, on the file system of the operating system and on threads.
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "bandb/db.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace bandb::test {

namespace {

// Every file with its bytes and the time of its last change, every directory with the time of its
// last.
std::map<std::string, std::string> Everything(const std::string& dir) {
  std::map<std::string, std::string> everything;
  const auto add = [&](const std::filesystem::directory_entry& entry) {
    std::ostringstream what;
    what << entry.last_write_time().time_since_epoch().count() << ' ';
    if (entry.is_regular_file()) what << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    everything[entry.path().string()] = what.str();
  };
  add(std::filesystem::directory_entry(dir));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir)) add(entry);
  return everything;
}

Options Small() {
  Options options;
  options.write_buffer_bytes = 64 << 10;
  options.table_bytes = 64 << 10;
  options.block_cache_bytes = 1 << 20;
  return options;
}

std::string KeyOf(int i) { return "key" + std::to_string(10'000 + i); }

// Tables, and a log with what is in none.
void Fill(Db* db) {
  for (int i = 0; i < 300; ++i) REQUIRE_OK(db->Put(KeyOf(i), std::string(1000, 'a')));
  REQUIRE_OK(db->CompactRange({}, {}));
  REQUIRE_OK(db->Put(KeyOf(0), "in the log"));
}

// What a process without rights has, for as long as it lives; one that has none is what it is.
class WithoutRights {
 public:
  WithoutRights() {
    if (root_) REQUIRE(::seteuid(65534) == 0);
  }
  ~WithoutRights() {
    if (root_) CHECK(::seteuid(0) == 0);
  }

 private:
  const bool root_ = ::geteuid() == 0;
};

}  // namespace

TEST_CASE("reading a database leaves every byte, name and time in its directory as it was") {
  const TempDir temp;
  const std::string dir = temp.File("db");
  {
    const auto db = Db::Open(dir, Small());
    REQUIRE_OK(db.status());
    Fill(db->get());
  }
  const auto before = Everything(dir);
  REQUIRE(before.size() > 8);
  {
    const auto reader = Db::OpenReadOnly(dir, Small());
    REQUIRE_OK(reader.status());
    CHECK((*reader)->Get(KeyOf(0)).value() == "in the log");
    for (int i = 1; i < 300; ++i) REQUIRE((*reader)->Get(KeyOf(i)).ok());
    CHECK_OK((*reader)->VerifyChecksums());
    CHECK_CODE((*reader)->Put("a", "b"), kFailedPrecondition);
    CHECK_CODE((*reader)->Flush(), kFailedPrecondition);
    // It has no lock that would keep anybody out: but a writer would change the directory.
    CHECK_OK(Db::OpenReadOnly(dir, Small()).status());
  }
  CHECK(Everything(dir) == before);
}

TEST_CASE("a directory in which nothing may be written is read, by whoever may read it") {
  const TempDir temp;
  const std::string dir = temp.File("db");
  {
    const auto db = Db::Open(dir, Small());
    REQUIRE_OK(db.status());
    Fill(db->get());
  }
  REQUIRE(::chmod(temp.path().c_str(), 0755) == 0);
  const auto everything = Everything(dir);
  for (const auto& [path, unused] : everything) {
    REQUIRE(::chmod(path.c_str(), std::filesystem::is_directory(path) ? 0555 : 0444) == 0);
  }
  {
    const WithoutRights nobody;
    CHECK_CODE(Db::Open(dir, Small()).status(), kPermissionDenied);
    const auto reader = Db::OpenReadOnly(dir, Small());
    REQUIRE_OK(reader.status());
    CHECK((*reader)->Get(KeyOf(0)).value() == "in the log");
    CHECK_OK((*reader)->VerifyChecksums());
  }
  CHECK(Everything(dir) == everything);
  for (const auto& [path, unused] : everything) ::chmod(path.c_str(), 0755);
}

TEST_CASE("threads read the last flush while the writer goes on, and each new reader sees a later one") {
  const TempDir temp;
  const std::string dir = temp.File("db");
  const auto writer = Db::Open(dir, Small());
  REQUIRE_OK(writer.status());
  Fill(writer->get());
  std::atomic<bool> end{false};
  std::atomic<int> wrong{0};
  const auto write_round = [&](int round) {
    // All of a round or none of it is in a table.
    WriteBatch batch;
    for (int i = 0; i < 300; i += 5) batch.Put(KeyOf(i), std::to_string(round));
    if (!(*writer)->Write(batch).ok() || !(*writer)->Flush().ok()) ++wrong;
    if (round % 4 == 3 && !(*writer)->CompactRange({}, {}).ok()) ++wrong;
  };
  write_round(0);
  std::thread writes([&]() {
    for (int round = 1; !end; ++round) write_round(round);
  });
  std::vector<std::thread> readers;
  for (int number = 0; number < 2; ++number) {
    readers.emplace_back([&dir, &wrong]() {
      int seen_before = -1;
      for (int i = 0; i < 10; ++i) {
        const auto reader = Db::OpenReadOnly(dir, Small());
        // It may have kept changing.
        if (!reader.ok()) {
          if (!absl::IsUnavailable(reader.status())) ++wrong;
          continue;
        }
        if (!(*reader)->GetStats().as_of_last_flush) ++wrong;
        const std::string seen = (*reader)->Get(KeyOf(0)).value_or("");
        for (int key = 0; key < 300; ++key) {
          const auto value = (*reader)->Get(KeyOf(key));
          if (!value.ok() || (key % 5 == 0 ? *value != seen : (*value)[0] != 'a')) ++wrong;
        }
        if (!(*reader)->VerifyChecksums().ok()) ++wrong;
        const int round = std::atoi(seen.c_str());
        if (round < seen_before) ++wrong;
        seen_before = round;
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  end = true;
  writes.join();
  CHECK(wrong == 0);
  CHECK_OK((*writer)->Close());
}

}  // namespace bandb::test
