#include "cluster/change_file.h"

#include <string>
#include <vector>

#include "base/file_system.h"
#include "storage/db/golden_files.h"
#include "support/catch.h"
#include "support/crash_file_system.h"

namespace bandb::cluster {

namespace {

constexpr char kGolden[] = "change-index-v1/blocks.golden";

storage::FileHeader ExampleHeader() {
  storage::FileHeader header{.type = storage::FileType::kChangeIndex, .database_id = {}, .file_id = {}};
  header.database_id.bytes.fill('d');
  header.file_id.bytes.fill('f');
  return header;
}

std::vector<ChangeStretch> ExampleBlocks() {
  const ChangeBound before{.index = 41, .sequence = 300, .user_sequence = 299, .time_ms = 1'700'000'000'000};
  // One that took no sequences, one whose second command had no effect, and one of sessions alone.
  const ChangeEntry nothing{.end = {.index = 42, .sequence = 300, .user_sequence = 299, .time_ms = 1'700'000'000'000},
                            .place = {.segment = 12, .offset = 66, .record_bytes = 42, .term = 4},
                            .undone = {}};
  const ChangeEntry data{.end = {.index = 43, .sequence = 303, .user_sequence = 303, .time_ms = 1'700'000'000'200},
                         .place = {.segment = 12, .offset = 108, .record_bytes = 510, .term = 4},
                         .undone = "\x02"};
  const ChangeEntry session{.end = {.index = 44, .sequence = 304, .user_sequence = 303, .time_ms = 1'700'000'000'201},
                            .place = {.segment = 13, .offset = 66, .record_bytes = 51, .term = 5},
                            .undone = {}};
  return {{.begins = true, .before = before, .entries = {nothing, data}},
          {.begins = false, .before = data.end, .entries = {session}}};
}

std::string ExampleFile() {
  std::string bytes = storage::EncodeFileHeader(ExampleHeader());
  for (const ChangeStretch& block : ExampleBlocks()) {
    AppendChangeBlock(ExampleHeader().checksum_seed(), bytes.size(), block.begins, block.before, block.entries, &bytes);
  }
  return bytes;
}

}  // namespace

TEST_CASE("A change index is what release 1 of the format wrote", "[change_file]") {
  storage::RequireGolden({{kGolden, ExampleFile()}});
  const std::string golden = storage::ReadGolden(kGolden);
  CHECK(golden == ExampleFile());
  test::CrashFileSystem files;
  REQUIRE_OK(base::InstallFile(&files, "chg", golden));
  const absl::StatusOr<ChangeFile> file = ChangeFile::Open(&files, "chg", ExampleHeader().database_id);
  REQUIRE_OK(file.status());
  uint64_t offset = ChangeFile::kBegin;
  for (const ChangeStretch& expected : ExampleBlocks()) {
    ChangeStretch block;
    REQUIRE_OK(file->ReadBlock(&offset, &block));
    CHECK(block.begins == expected.begins);
    CHECK(block.before == expected.before);
    REQUIRE(block.entries.size() == expected.entries.size());
    for (size_t i = 0; i < block.entries.size(); ++i) {
      CHECK(block.entries[i].end == expected.entries[i].end);
      CHECK(block.entries[i].undone == expected.entries[i].undone);
      CHECK(block.entries[i].place.segment == expected.entries[i].place.segment);
      CHECK(block.entries[i].place.offset == expected.entries[i].place.offset);
      CHECK(block.entries[i].place.record_bytes == expected.entries[i].place.record_bytes);
      CHECK(block.entries[i].place.term == expected.entries[i].place.term);
    }
  }
  CHECK(offset == file->size());
}

TEST_CASE("Whatever byte of a change index is another one, no block of it is read wrong", "[change_file]") {
  const std::string whole = ExampleFile();
  const std::vector<ChangeStretch> blocks = ExampleBlocks();
  for (size_t at = 0; at < whole.size(); ++at) {
    CAPTURE(at);
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    test::CrashFileSystem files;
    REQUIRE_OK(base::InstallFile(&files, "chg", changed));
    const absl::StatusOr<ChangeFile> file = ChangeFile::Open(&files, "chg", ExampleHeader().database_id);
    if (at < ChangeFile::kBegin) {
      CHECK_FALSE(file.ok());
      continue;
    }
    REQUIRE_OK(file.status());
    uint64_t offset = ChangeFile::kBegin;
    size_t read = 0;
    absl::Status status;
    for (ChangeStretch block; offset < file->size(); ++read) {
      status = file->ReadBlock(&offset, &block);
      if (!status.ok()) break;
      REQUIRE(read < blocks.size());
      CHECK(block.before == blocks[read].before);
      CHECK(block.entries.back().end == blocks[read].entries.back().end);
    }
    CHECK_CODE(status, kDataLoss);
  }
}

}  // namespace bandb::cluster
