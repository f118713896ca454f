// Files that somebody made up: every checksum is right, and what they say is not. Whatever it is,
// it must end in an answer: bytes from disk never reach an assertion.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "storage/db.h"
#include "storage/file/file_names.h"
#include "storage/log/log_reader.h"
#include "storage/table/table_fixture.h"
#include "storage/version/version_edit.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

using storage::BlockHandle;

constexpr char kDir[] = "/db";

Options SmallOptions() {
  Options options;
  options.write_buffer_bytes = 64 << 10;
  options.block_bytes = 512;
  options.compression = Compression::kNone;
  options.level0_tables = 8;
  return options;
}

// Tables in level 0 and below with deletes, range deletes and values that expire, and a log: closed
// cleanly.
std::unique_ptr<CrashFileSystem> MakeDatabase() {
  TestEnv env(1);
  absl::StatusOr<std::unique_ptr<Db>> db = storage::OpenDb(env.env(), kDir, SmallOptions());
  REQUIRE_OK(db.status());
  for (int round = 0; round < 3; ++round) {
    WriteBatch batch;
    for (int i = 0; i < 18; ++i) {
      const std::string key = "key" + std::to_string(100 + (i * 7 + round * 5) % 40);
      if (i % 6 == 5) {
        batch.PutWithTtl(key, "brief", absl::Hours(i));
      } else {
        batch.Put(key, std::string(static_cast<size_t>(10 + i), 'v'));
      }
    }
    batch.Delete("key103");
    batch.DeleteRange("key11" + std::to_string(round), "key118");
    REQUIRE_OK((*db)->Write(batch));
    if (round < 2) REQUIRE_OK((*db)->Flush());
    if (round == 0) REQUIRE_OK((*db)->CompactRange({}, {}));
  }
  REQUIRE_OK((*db)->Close());
  return env.files().CrashImage(Damage::kLost, 0);
}

// Uses a database in every way. Any answer will do, as long as it is one.
void UseInEveryWay(std::unique_ptr<CrashFileSystem> files) {
  TestEnv env(2, std::move(files));
  absl::StatusOr<std::unique_ptr<Db>> opened = storage::OpenDb(env.env(), kDir, SmallOptions());
  if (!opened.ok()) {
    const bool refused = absl::IsDataLoss(opened.status()) || absl::IsFailedPrecondition(opened.status());
    INFO(opened.status().ToString());
    REQUIRE(refused);
    return;
  }
  Db& db = **opened;
  for (int i = 100; i < 140; ++i) db.Get("key" + std::to_string(i)).status().IgnoreError();
  const auto walk = db.NewIterator();
  for (walk->SeekToFirst(); walk->Valid(); walk->Next()) {
  }
  for (walk->SeekToLast(); walk->Valid(); walk->Prev()) {
  }
  for (int i = 100; i < 140; i += 3) {
    walk->Seek("key" + std::to_string(i));
    walk->Next();
    walk->Prev();
    walk->Prev();
    walk->Next();
  }
  db.VerifyChecksums().IgnoreError();
  db.Put("key120", "new").IgnoreError();
  db.CompactRange({}, {}).IgnoreError();
  db.Get("key120").status().IgnoreError();
  db.Close().IgnoreError();
}

std::vector<std::string> FilesLike(const CrashFileSystem& files, std::string_view pattern) {
  std::vector<std::string> paths;
  for (const auto& [path, size] : files.Files()) {
    if (Matches(pattern, path)) paths.push_back(path);
  }
  return paths;
}

// Where the blocks of a table lie, all of them.
std::vector<BlockHandle> BlocksOf(const std::string& content, uint64_t* checksum_seed) {
  auto file = storage::TableFile::Open(std::make_unique<storage::StringView>(&content, nullptr), "table");
  REQUIRE_OK(file.status());
  *checksum_seed = file->header().checksum_seed();
  std::vector<BlockHandle> blocks{file->meta_index()};
  storage::BlockCache cache(0);
  const auto meta_index = file->ReadBlock(file->meta_index(), &cache);
  REQUIRE_OK(meta_index.status());
  storage::NamedValues values;
  REQUIRE(storage::ParseNamedValues(meta_index->payload(), &values));
  for (const auto& [name, value] : values) {
    BlockHandle handle;
    REQUIRE(storage::ParseHandle(value, file->blocks_end(), &handle));
    blocks.push_back(handle);
  }
  auto table = storage::OpenTable(content, &cache);
  REQUIRE_OK(table.status());
  for (const BlockHandle& block : storage::DataBlocksOf(**table)) blocks.push_back(block);
  if (const storage::TableMeta& meta = (*table)->meta(); meta.partitions() > 1) {
    for (size_t k = 0; k < meta.partitions(); ++k) {
      blocks.push_back(meta.extent(k).index);
      if (meta.extent(k).has_filter()) blocks.push_back(meta.extent(k).filter);
    }
  }
  return blocks;
}

// Changes payload and type of a block, and makes its checksum fit.
std::string ForgeBlock(const std::string& content, const BlockHandle& block, uint64_t seed,
                       const std::function<void(std::string*)>& change) {
  std::string checked = content.substr(block.offset, block.payload_bytes + 1);
  change(&checked);
  REQUIRE(checked.size() == block.payload_bytes + 1);
  base::PutFixed64(&checked, base::BlockChecksum(seed, block.offset, checked));
  std::string forged = content;
  forged.replace(block.offset, checked.size(), checked);
  return forged;
}

// Writes the records of a log or manifest again, each payload as `change` leaves it.
std::string ForgeLog(CrashFileSystem* files, const std::string& path, storage::FileType type,
                     const std::function<void(size_t record, storage::RecordHead*, std::string*)>& change) {
  const auto content = storage::ReadLog(files, path, type);
  REQUIRE_OK(content.status());
  std::string forged = storage::EncodeFileHeader(content->header);
  storage::LogReader cursor(*content);
  storage::ParsedRecord record;
  for (size_t number = 0; cursor.Next(&record); ++number) {
    std::string payload(record.payload);
    change(number, &record.head, &payload);
    const size_t begin = storage::BeginRecord(&forged, record.head);
    const size_t payload_begin = forged.size();
    forged.append(payload);
    storage::FinishRecord(&forged, begin, payload_begin, record.head, content->checksum_seed, begin);
  }
  return forged;
}

}  // namespace

TEST_CASE("a table whose bytes are any others under checksums that fit is never the end of the process") {
  const std::unique_ptr<CrashFileSystem> whole = MakeDatabase();
  base::Random random(3);
  const std::vector<std::string> tables = FilesLike(*whole, "*.tbl");
  REQUIRE(tables.size() >= 2);
  for (const std::string& path : tables) {
    const std::string content = whole->Content(path);
    uint64_t seed = 0;
    for (const BlockHandle& block : BlocksOf(content, &seed)) {
      for (uint64_t at = random.Uniform(2); at <= block.payload_bytes; at += 1 + random.Uniform(2)) {
        auto files = whole->CrashImage(Damage::kLost, 0);
        files->SetContent(path, ForgeBlock(content, block, seed, [&](std::string* bytes) {
                            const uint8_t mask = static_cast<uint8_t>(random.OneIn(2) ? 1 << random.Uniform(8) : 0xff);
                            (*bytes)[at] = static_cast<char>((*bytes)[at] ^ mask);
                          }));
        UseInEveryWay(std::move(files));
      }
    }
  }
}

TEST_CASE("a whole table in the place of another is found before its keys are used") {
  const std::unique_ptr<CrashFileSystem> whole = MakeDatabase();
  int replaced = 0;
  for (const std::string& path : FilesLike(*whole, "*.tbl")) {
    storage::TableSummary summary;
    storage::Entries entries;
    // The keys of others, as many bytes as the manifest asks for.
    for (int i = 0; i < 5; ++i) {
      entries.emplace_back(storage::Key("a" + std::to_string(i), static_cast<storage::Sequence>(i) + 1), "value");
    }
    const size_t wanted = whole->Content(path).size();
    const size_t short_by = wanted - storage::BuildTable(entries, {}, {}, &summary).size();
    for (size_t more = 0; more < 40; ++more) {
      entries.back().second.assign(short_by + 5 - more, 'x');
      std::string content = storage::BuildTable(entries);
      if (content.size() != wanted) continue;
      auto files = whole->CrashImage(Damage::kLost, 0);
      files->SetContent(path, content);
      TestEnv env(2, std::move(files));
      absl::StatusOr<std::unique_ptr<Db>> db = storage::OpenDb(env.env(), kDir, SmallOptions());
      REQUIRE_OK(db.status());
      // One that was compacted away shortly before the end is not looked at any more.
      if (!*env.files().Exists(path)) continue;
      ++replaced;
      CHECK_CODE((*db)->VerifyChecksums(), kDataLoss);
      CHECK_CODE((*db)->CompactRange({}, {}), kDataLoss);
      const auto walk = (*db)->NewIterator();
      walk->SeekToFirst();
      CHECK_CODE(walk->status(), kDataLoss);
    }
  }
  CHECK(replaced >= 2);
}

TEST_CASE("a manifest or a log whose records say anything else is never the end of the process") {
  const std::unique_ptr<CrashFileSystem> whole = MakeDatabase();
  base::Random random(4);
  for (const auto& [pattern, type] :
       {std::pair("*MANIFEST*", storage::FileType::kManifest), std::pair("*.log", storage::FileType::kLog)}) {
    for (const std::string& path : FilesLike(*whole, pattern)) {
      const uint64_t bytes = whole->Content(path).size();
      for (uint64_t turn = 0; turn < 2 * bytes; ++turn) {
        auto files = whole->CrashImage(Damage::kLost, 0);
        bool changed = false;
        const std::string forged =
            ForgeLog(files.get(), path, type, [&](size_t, storage::RecordHead* head, std::string* payload) {
              if (changed || !random.OneIn(2)) return;
              changed = true;
              if (payload->empty() || random.OneIn(8)) {
                head->first_sequence = random.OneIn(2) ? storage::kSequenceMax : random.Uniform(80);
                return;
              }
              char& byte = (*payload)[random.Uniform(payload->size())];
              byte = static_cast<char>(random.OneIn(2) ? byte ^ (1 << random.Uniform(8)) : random.Next());
            });
        files->SetContent(path, forged);
        UseInEveryWay(std::move(files));
      }
    }
  }
}

TEST_CASE("a record that no log of a database has is damage, and not passed over") {
  const std::unique_ptr<CrashFileSystem> whole = MakeDatabase();
  size_t forged = 0;
  for (const std::string& path : FilesLike(*whole, "*.log")) {
    for (const auto type :
         {storage::RecordType::kEdit, storage::RecordType::kEntryData, storage::RecordType::kSyncedMark}) {
      auto files = whole->CrashImage(Damage::kLost, 0);
      bool changed = false;
      const std::string content =
          ForgeLog(files.get(), path, storage::FileType::kLog, [&](size_t, storage::RecordHead* head, std::string*) {
            if (changed || head->type != storage::RecordType::kWrite) return;
            head->type = type;
            changed = true;
          });
      if (!changed) continue;
      ++forged;
      files->SetContent(path, content);
      TestEnv env(2, std::move(files));
      CHECK_CODE(storage::OpenDb(env.env(), kDir, SmallOptions()).status(), kDataLoss);
    }
  }
  CHECK(forged >= 3);
}

TEST_CASE("a manifest that counts to the end of all sequences is refused") {
  TestEnv empty(1);
  {
    absl::StatusOr<std::unique_ptr<Db>> db = storage::OpenDb(empty.env(), kDir, SmallOptions());
    REQUIRE_OK(db.status());
    REQUIRE_OK((*db)->Close());
  }
  for (const storage::Sequence last : {storage::kSequenceMax, storage::kSequenceMax - 1, storage::kLastSequenceMax}) {
    auto files = empty.files().CrashImage(Damage::kLost, 0);
    for (const std::string& path : FilesLike(*files, "*MANIFEST*")) {
      files->SetContent(path, ForgeLog(files.get(), path, storage::FileType::kManifest,
                                       [&](size_t, storage::RecordHead*, std::string* payload) {
                                         storage::VersionEdit more;
                                         more.last_sequence = last;
                                         payload->append(storage::EncodeEdit(more));
                                       }));
    }
    TestEnv env(2, std::move(files));
    absl::StatusOr<std::unique_ptr<Db>> db = storage::OpenDb(env.env(), kDir, SmallOptions());
    if (last > storage::kLastSequenceMax) {
      CHECK_CODE(db.status(), kDataLoss);
      continue;
    }
    REQUIRE_OK(db.status());
    CHECK_OK((*db)->Put("key", "value"));
    CHECK_OK((*db)->Flush());
  }
}

}  // namespace bandb::test
