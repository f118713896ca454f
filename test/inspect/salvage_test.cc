#include "inspect/salvage.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "inspect/inspected.h"
#include "kv/batch_format.h"
#include "storage/log/log_reader.h"
#include "storage/log/log_writer.h"
#include "storage/table/block_cache.h"
#include "support/catch.h"
#include "support/random_data.h"

namespace bandb::test {

namespace {

struct Walked {
  std::vector<std::string> keys{};
  std::vector<inspect::Loss> losses{};
};

// All sound entries of a table; of one that opens.
Walked Walk(CrashFileSystem* files, const std::string& path) {
  Walked walked;
  storage::BlockCache cache(0);
  auto file = files->Open(path);
  REQUIRE_OK(file.status());
  const auto reader = storage::TableReader::Open(*std::move(file), path, &cache);
  REQUIRE_OK(reader.status());
  inspect::SalvageCursor cursor(**reader, &walked.losses);
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) walked.keys.emplace_back(cursor.key());
  return walked;
}

}  // namespace

TEST_CASE("of a table with a damaged block all other entries are found, and none of it") {
  const Inspected inspected(true);
  for (const auto& [path, size] : inspected.image->Files()) {
    if (!path.ends_with(".tbl")) continue;
    const Walked whole = Walk(inspected.Copy()->files().CrashImage(Damage::kLost, 0).get(), path);
    REQUIRE(whole.losses.empty());
    for (uint64_t offset = storage::kFileHeaderBytes; offset < 700; offset += 13) {
      const std::unique_ptr<TestEnv> env = inspected.Copy();
      env->files().FlipByte(path, offset, 4);
      const Walked walked = Walk(&env->files(), path);
      INFO(path << " byte " << offset);
      REQUIRE(walked.losses.size() == 1);
      const inspect::Loss& loss = walked.losses.front();
      CHECK(walked.keys.size() < whole.keys.size());
      for (const std::string& key : whole.keys) {
        const std::string_view spaced_key = storage::SpacedKey(key);
        const bool is_found = std::find(walked.keys.begin(), walked.keys.end(), key) != walked.keys.end();
        if (spaced_key < loss.begin || spaced_key > loss.end) CHECK(is_found);
        if (spaced_key > loss.begin && spaced_key < loss.end) CHECK_FALSE(is_found);
      }
    }
  }
}

TEST_CASE("of a log with a damaged record all other records are found") {
  const Inspected inspected(true);
  const std::string path = inspected.PathOf(".log");
  const std::unique_ptr<TestEnv> sound = inspected.Copy();
  const auto whole = inspect::SalvageLog(&sound->files(), path, UINT64_MAX);
  REQUIRE_OK(whole.status());
  CHECK(whole->losses.empty());
  CHECK(whole->records == 15);
  const auto content = storage::CheckLog(&sound->files(), path, storage::FileType::kLog);
  REQUIRE_OK(content.status());
  for (uint64_t offset = storage::kFileHeaderBytes; offset < content->valid_bytes - 60; offset += 7) {
    const std::unique_ptr<TestEnv> env = inspected.Copy();
    env->files().FlipByte(path, offset, 8);
    const auto log = inspect::SalvageLog(&env->files(), path, UINT64_MAX);
    REQUIRE_OK(log.status());
    INFO("byte " << offset);
    CHECK(log->losses.size() == 1);
    CHECK(log->records == 14);
  }
}

TEST_CASE("a log that does not begin with what must come next tells what is missing, or that it is another one") {
  const Inspected inspected(true);
  const std::string path = inspected.PathOf(".log");
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  const auto content = storage::CheckLog(&env->files(), path, storage::FileType::kLog);
  REQUIRE_OK(content.status());
  const storage::Sequence first = content->first_sequence;
  for (const storage::Sequence next : {first - 3, first, first + 1}) {
    const auto log = inspect::SalvageLog(&env->files(), path, UINT64_MAX, next);
    REQUIRE_OK(log.status());
    CHECK(log->records == 15);
    CHECK(log->next_sequence == first + 17);
    CHECK(log->end == storage::LogEnd::kSealed);
    CHECK(log->losses.size() == (next == first ? 0 : 1));
  }
}

TEST_CASE("of a log the pages are lost that are refused, and a read that is refused once costs nothing") {
  TestEnv env(1);
  const auto writer = storage::LogWriter::Create(
      &env.files(), "/000001.log",
      {.type = storage::FileType::kLog, .database_id = {}, .file_id = storage::RandomUuid(&env.random())});
  REQUIRE_OK(writer.status());
  constexpr storage::Sequence kRecords = 64;
  for (storage::Sequence sequence = 1; sequence <= kRecords; ++sequence) {
    std::string operations;
    const std::string value(1000, 'v');
    kv::AppendOperation(&operations, {.key = NumberedKey(sequence), .value = value});
    REQUIRE_OK((*writer)->Append({.first_sequence = sequence}, operations));
  }
  REQUIRE_OK((*writer)->Close());
  // The first read is of all of it, the next ones of a page each.
  for (const uint64_t refused : {1, 2, 4}) {
    INFO(refused);
    env.files().Inject({.calls = {FileCall::kRead}, .pattern = "/000001.log", .skip = 0, .count = 1});
    env.files().Inject({.calls = {FileCall::kRead}, .pattern = "/000001.log", .skip = 4, .count = refused - 1});
    const auto log = inspect::SalvageLog(&env.files(), "/000001.log", UINT64_MAX, 1);
    env.files().ClearFaults();
    REQUIRE_OK(log.status());
    CHECK(log->losses.size() == (refused == 1 ? 0 : 2));
    CHECK(log->records <= kRecords - (refused - 1) * 3);
    CHECK(log->records >= kRecords - (refused - 1) * 6);
    CHECK(log->next_sequence == kRecords + 1);
  }
}

TEST_CASE("a log without a header is lost, and one of zeros was just begun") {
  TestEnv env(1);
  for (const auto& [path, byte] : {std::pair("/000001.log", 'x'), std::pair("/000002.log", '\0')}) {
    const auto file = env.files().Create(path, base::AppendMode::kBuffered);
    REQUIRE_OK(file.status());
    REQUIRE_OK((*file)->Append(std::string(200, byte)));
  }
  const auto lost = inspect::SalvageLog(&env.files(), "/000001.log", UINT64_MAX);
  REQUIRE_OK(lost.status());
  CHECK(lost->losses.size() == 1);
  const auto begun = inspect::SalvageLog(&env.files(), "/000002.log", UINT64_MAX);
  REQUIRE_OK(begun.status());
  CHECK(begun->losses.empty());
}

}  // namespace bandb::test
