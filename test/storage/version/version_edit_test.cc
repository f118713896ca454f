// Version edits: there and back, and what is refused.
#include "storage/version/version_edit.h"

#include "base/coding.h"
#include "storage/file/file_names.h"
#include "storage/table/table_fixture.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

TableInfo SomeTable(uint64_t number) {
  TableInfo info;
  info.number = number;
  info.file_bytes = 1000;
  info.entries = 10;
  info.deletes = 2;
  info.range_tombstones = 1;
  info.smallest_sequence = 5;
  info.largest_sequence = 90;
  info.earliest_expiry_ms = 12345;
  info.smallest = Key("a", 90);
  info.largest = Key("m", 5);
  return info;
}

VersionEdit FullEdit() {
  VersionEdit edit;
  edit.log_number = 7;
  edit.next_file_number = 99;
  edit.last_sequence = kLastSequenceMax;
  edit.commit_time_ms = UINT64_MAX;
  edit.epoch = 3;
  edit.deleted = {{0, 4}, {6, 5}};
  edit.added = {{1, SomeTable(8)}, {6, SomeTable(9)}};
  edit.log_ends = {{7, 1234}, {9, 0}};
  edit.applied = AppliedPosition{.index = 11, .term = 12};
  edit.membership = std::string("nodes\0", 6);
  edit.begun_log = 7;
  edit.clock_accepted = {.sequence = 13, .ms = 14};
  edit.epochs = {{.number = 2, .branch = UINT64_MAX, .begin = 0}, {.number = 3, .branch = 5, .begin = 40}};
  edit.kept_logs = {{.number = 4,
                     .bytes = 5000,
                     .first_sequence = 1,
                     .last_sequence = kLastSequenceMax,
                     .begin_ms = 0,
                     .end_ms = UINT64_MAX,
                     .commits = 17}};
  edit.kept_from = 4;
  edit.user_sequence = 77;
  return edit;
}

std::string Field(uint64_t tag, std::string_view payload) {
  std::string bytes;
  base::PutVarint(&bytes, tag);
  base::PutLengthPrefixed(&bytes, payload);
  return bytes;
}

std::string NumberField(uint64_t tag, std::initializer_list<uint64_t> numbers) {
  std::string payload;
  for (const uint64_t number : numbers) base::PutVarint(&payload, number);
  return Field(tag, payload);
}

}  // namespace

TEST_CASE("an edit comes back as it was written") {
  const std::string bytes = EncodeEdit(FullEdit());
  const auto edit = DecodeEdit(bytes);
  REQUIRE(edit.ok());
  CHECK(EncodeEdit(*edit) == bytes);
  CHECK(edit->last_sequence == kLastSequenceMax);
  CHECK(edit->added[1].level == 6);
  CHECK(edit->added[1].info.largest == Key("m", 5));
  CHECK(edit->membership == std::string("nodes\0", 6));
  CHECK(edit->epochs == FullEdit().epochs);
  CHECK(edit->kept_logs == FullEdit().kept_logs);
  CHECK(edit->kept_from == 4);
  CHECK(edit->user_sequence == 77);
  CHECK(EncodeEdit(*DecodeEdit("")).empty());
}

TEST_CASE("an edit that is cut within a field is malformed") {
  const std::string bytes = EncodeEdit(FullEdit());
  size_t whole = 0;
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    const auto edit = DecodeEdit(std::string_view(bytes).substr(0, cut));
    if (edit.ok()) {
      ++whole;
      CHECK(EncodeEdit(*edit).size() == cut);
    } else {
      CHECK_CODE(edit.status(), kDataLoss);
    }
  }
  // The fields before which it can be cut; the empty edit is one.
  CHECK(whole == 20);
}

TEST_CASE("fields that a reader need not know are skipped, others refused and named") {
  const auto optional = DecodeEdit(Field(200, "future") + NumberField(1, {7}));
  REQUIRE(optional.ok());
  CHECK(optional->log_number == 7u);
  // One that is known must be whole.
  CHECK_CODE(DecodeEdit(NumberField(129, {7})).status(), kDataLoss);
  const auto needed = DecodeEdit(Field(12, "future"));
  CHECK_CODE(needed.status(), kFailedPrecondition);
  CHECK(needed.status().message().find("field 12") != absl::string_view::npos);
}

TEST_CASE("numbers that would overflow what is counted from them are refused") {
  CHECK(DecodeEdit(NumberField(2, {kFileNumberMax})).ok());
  CHECK_CODE(DecodeEdit(NumberField(2, {kFileNumberMax + 1})).status(), kDataLoss);
  CHECK_CODE(DecodeEdit(NumberField(5, {UINT64_MAX})).status(), kDataLoss);
  CHECK_CODE(DecodeEdit(NumberField(3, {kLastSequenceMax + 1})).status(), kDataLoss);
}

TEST_CASE("logs that are kept hold something, and their sequences can be counted on") {
  constexpr uint64_t kKeptLog = 131;
  REQUIRE_OK(DecodeEdit(NumberField(kKeptLog, {4, 100, 1, 1, 0, 0, 1})).status());
  CHECK_CODE(DecodeEdit(NumberField(kKeptLog, {4, 100, 2, 1, 0, 0, 1})).status(), kDataLoss);
  CHECK_CODE(DecodeEdit(NumberField(kKeptLog, {4, 100, 0, 1, 0, 0, 1})).status(), kDataLoss);
  CHECK_CODE(DecodeEdit(NumberField(kKeptLog, {4, 100, 1, kLastSequenceMax + 1, 0, 0, 1})).status(), kDataLoss);
  CHECK_CODE(DecodeEdit(NumberField(kKeptLog, {kFileNumberMax + 1, 100, 1, 1, 0, 0, 1})).status(), kDataLoss);
  CHECK_CODE(DecodeEdit(NumberField(kKeptLog, {4, 100, 1, 1, 0, 0})).status(), kDataLoss);
}

TEST_CASE("malformed tables are refused") {
  VersionEdit edit;
  edit.added = {{1, SomeTable(8)}};
  TableInfo& info = edit.added[0].info;
  SECTION("a level that is none") { edit.added[0].level = kLevels; }
  SECTION("bounds in the wrong order") { std::swap(info.smallest, info.largest); }
  SECTION("a bound that is no internal key") { info.smallest = "short"; }
  SECTION("a largest bound that is too short") { info.largest = "short"; }
  SECTION("sequences in the wrong order") { info.smallest_sequence = 91; }
  SECTION("a sequence that cannot be") { info.largest_sequence = kLastSequenceMax + 1; }
  CHECK_CODE(DecodeEdit(EncodeEdit(edit)).status(), kDataLoss);
}

TEST_CASE("a field that holds more than it should is malformed") {
  CHECK_CODE(DecodeEdit(NumberField(1, {7, 8})).status(), kDataLoss);
  CHECK_CODE(DecodeEdit(NumberField(6, {1})).status(), kDataLoss);
  CHECK_CODE(DecodeEdit(NumberField(6, {kLevels, 1})).status(), kDataLoss);
  CHECK_CODE(DecodeEdit(NumberField(8, {1})).status(), kDataLoss);
}

TEST_CASE("a table whose bounds are longer than any key may be is refused") {
  VersionEdit edit;
  edit.added = {{1, SomeTable(8)}};
  edit.added[0].info.largest = Key(std::string(kSpacedKeyBytesMax - kSpaceBytes, 'm'), 5);
  CHECK_OK(DecodeEdit(EncodeEdit(edit)).status());
  edit.added[0].info.largest = Key(std::string(kSpacedKeyBytesMax, 'm'), 5);
  CHECK_CODE(DecodeEdit(EncodeEdit(edit)).status(), kDataLoss);
}

TEST_CASE("space figures belong to the table before them, and are written where they say something") {
  VersionEdit edit;
  edit.added = {{1, SomeTable(8)}, {6, SomeTable(9)}};
  const std::string without = EncodeEdit(edit);
  edit.added[0].info.space = {.hidden = 3, .expired_at_ms = 77};
  const std::string bytes = EncodeEdit(edit);
  CHECK(bytes.size() == without.size() + NumberField(128, {8, 3, 77}).size());
  const auto decoded = DecodeEdit(bytes);
  REQUIRE_OK(decoded.status());
  CHECK(decoded->added[0].info.space == edit.added[0].info.space);
  CHECK(decoded->added[1].info.space == SpaceFigures());
  CHECK(EncodeEdit(*decoded) == bytes);
  // Of another table, of none, or malformed.
  CHECK_CODE(DecodeEdit(without + NumberField(128, {8, 3, 77})).status(), kDataLoss);
  CHECK_OK(DecodeEdit(without + NumberField(128, {9, 3, 77})).status());
  CHECK_CODE(DecodeEdit(without + NumberField(128, {9, 3})).status(), kDataLoss);
  CHECK_CODE(DecodeEdit(NumberField(128, {8, 3, 77})).status(), kDataLoss);
}

}  // namespace bandb::storage
