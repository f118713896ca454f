// How many files a database has open, and what becomes of it when there may be no more.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/forwarding_file_system.h"
#include "base/status.h"
#include "base/thread_executor.h"
#include "storage/db.h"
#include "storage/table/open_files.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";

// Counts what is open for reading, and refuses more than may be, as a process without descriptors
// does.
class CountedFiles final : public base::ForwardingFileSystem {
 public:
  explicit CountedFiles(base::FileSystem* files)
      : base::ForwardingFileSystem(files), counts_(std::make_shared<Counts>()), open_max(counts_->open_max) {}

  absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> Open(const std::string& path) override {
    if (counts_->open.load() >= counts_->open_max.load()) {
      return base::Error(absl::StatusCode::kUnavailable, "{}: open: too many open files", path);
    }
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::RandomAccessFile> file, target().Open(path));
    ++counts_->opened;
    return std::unique_ptr<base::RandomAccessFile>(std::make_unique<Counted>(counts_, std::move(file)));
  }
  absl::StatusOr<std::unique_ptr<base::FileSystem>> Pin(const std::string& path) override {
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::FileSystem> pinned, target().Pin(path));
    return std::unique_ptr<base::FileSystem>(new CountedFiles(std::move(pinned), counts_));
  }

  uint64_t open() const { return counts_->open.load(); }
  uint64_t opened() const { return counts_->opened.load(); }

 private:
  struct Counts {
    std::atomic<uint64_t> open{0};
    std::atomic<uint64_t> opened{0};
    std::atomic<uint64_t> open_max{UINT64_MAX};
  };

  class Counted final : public base::RandomAccessFile {
   public:
    Counted(std::shared_ptr<Counts> counts, std::unique_ptr<base::RandomAccessFile> file)
        : counts_(std::move(counts)), file_(std::move(file)) {
      ++counts_->open;
    }
    ~Counted() override { --counts_->open; }
    absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> to) const override { return file_->Read(offset, to); }
    void Prefetch(uint64_t offset, uint64_t bytes) const override { file_->Prefetch(offset, bytes); }
    uint64_t Size() const override { return file_->Size(); }

   private:
    const std::shared_ptr<Counts> counts_;
    const std::unique_ptr<base::RandomAccessFile> file_;
  };

  CountedFiles(std::unique_ptr<base::FileSystem> files, std::shared_ptr<Counts> counts)
      : base::ForwardingFileSystem(files.get()),
        owned_(std::move(files)),
        counts_(std::move(counts)),
        open_max(counts_->open_max) {}

  const std::unique_ptr<base::FileSystem> owned_;
  // Shared with what was made of this one.
  const std::shared_ptr<Counts> counts_;

 public:
  std::atomic<uint64_t>& open_max;
};

// Twenty tables in level 0, no cache: each read goes to a file.
Options ManyTables() {
  Options options;
  options.block_cache_bytes = 0;
  options.level0_tables = 64;
  options.open_files_max = 8;
  return options;
}

std::string TableKey(int table) { return "key" + std::to_string(100 + table); }

void MakeTables(Db* db, int tables) {
  for (int table = 0; table < tables; ++table) {
    REQUIRE_OK(db->Put("key100", std::string(100, 'x')));
    REQUIRE_OK(db->Put(TableKey(table), "value" + std::to_string(table)));
    REQUIRE_OK(db->Put("key999", std::string(100, 'x')));
    REQUIRE_OK(db->Flush());
  }
}

}  // namespace

TEST_CASE("no more table files are open than may be, and reads of the rest open them again") {
  TestEnv env(1);
  CountedFiles files(&env.files());
  base::Env counted = env.env();
  counted.files = &files;
  auto db = storage::OpenDb(counted, kDir, ManyTables());
  REQUIRE_OK(db.status());
  MakeTables(db->get(), 20);
  for (int round = 0; round < 3; ++round) {
    for (int table = 1; table < 20; ++table) {
      CHECK(*(*db)->Get(TableKey(table)) == "value" + std::to_string(table));
      CHECK(files.open() <= 8);
      CHECK((*db)->GetStats().open_table_files <= 8);
    }
    const auto walk = (*db)->NewIterator();
    int keys = 0;
    for (walk->SeekToFirst(); walk->Valid(); walk->Next()) ++keys;
    CHECK_OK(walk->status());
    CHECK(keys == 21);
    CHECK(files.open() <= 8);
  }
  CHECK_OK((*db)->VerifyChecksums());
  CHECK_OK((*db)->CompactRange({}, {}));
  CHECK(files.open() <= 8);
  CHECK_OK((*db)->Close());
}

TEST_CASE("where the process has fewer descriptors than were planned, the database does with those") {
  TestEnv env(2);
  CountedFiles files(&env.files());
  base::Env counted = env.env();
  counted.files = &files;
  Options options = ManyTables();
  options.open_files_max = 100;
  auto db = storage::OpenDb(counted, kDir, options);
  REQUIRE_OK(db.status());
  MakeTables(db->get(), 20);
  for (int table = 1; table < 20; ++table) REQUIRE_OK((*db)->Get(TableKey(table)).status());
  CHECK(files.open() == 19);
  files.open_max = 3;
  for (int table = 1; table < 20; ++table) REQUIRE_OK((*db)->Get(TableKey(table)).status());
  REQUIRE_OK((*db)->CompactRange({}, {}));
  REQUIRE_OK((*db)->Put("key", "value"));
  files.open_max = UINT64_MAX;
}

TEST_CASE("a table that is open is not opened again, and one that was read goes after one that was not") {
  TestEnv env(3);
  CountedFiles counted(&env.files());
  std::vector<std::unique_ptr<base::RandomAccessFile>> files;
  const auto pool = std::make_shared<storage::OpenFiles>(&counted, 3);
  for (const char* path : {"/a", "/b", "/c", "/d"}) {
    auto file = env.files().Create(path, base::AppendMode::kBuffered);
    REQUIRE_OK(file.status());
    REQUIRE_OK((*file)->Append(std::string("content of ") + path));
    REQUIRE_OK((*file)->Close());
    auto opened = pool->Open(path);
    REQUIRE_OK(opened.status());
    files.push_back(*std::move(opened));
  }
  CHECK(pool->open_count() == 3);
  CHECK(counted.opened() == 4);
  char bytes[13];
  const auto read = [&](size_t i) {
    const absl::StatusOr<size_t> got = files[i]->Read(0, absl::MakeSpan(bytes));
    REQUIRE_OK(got.status());
    return std::string(bytes, *got);
  };
  // /a was closed for /d; reading it closes one that nobody has read since, and not /d.
  CHECK(read(3) == "content of /d");
  CHECK(read(0) == "content of /a");
  CHECK(counted.opened() == 5);
  CHECK(read(3) == "content of /d");
  CHECK(counted.opened() == 5);
  files[3].reset();
  CHECK(pool->open_count() == 2);
  pool->Close();
  CHECK(read(0) == "content of /a");
  int refused = 0;
  for (size_t i : {1, 2}) {
    if (files[i]->Read(0, absl::MakeSpan(bytes)).status().code() == absl::StatusCode::kFailedPrecondition) ++refused;
  }
  CHECK(refused == 1);
}

TEST_CASE("threads that read more tables than may be open get right answers") {
  CrashFileSystem crash_files;
  CountedFiles files(&crash_files);
  ManualClock clock;
  MemoryLogger logger;
  base::Random random(1);
  base::ThreadExecutor executor(2);
  const base::Env env{.files = &files, .clock = &clock, .executor = &executor, .logger = &logger, .random = &random};
  auto db = storage::OpenDb(env, kDir, ManyTables());
  REQUIRE_OK(db.status());
  MakeTables(db->get(), 20);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread]() {
      base::Random mine(static_cast<uint64_t>(thread));
      for (int i = 0; i < 2000; ++i) {
        const int table = 1 + static_cast<int>(mine.Uniform(19));
        const absl::StatusOr<std::string> got = (*db)->Get(TableKey(table));
        if (!got.ok() || *got != "value" + std::to_string(table)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong.load() == 0);
  CHECK(files.open() <= 8);
  REQUIRE_OK((*db)->Close());
}

}  // namespace bandb::test
