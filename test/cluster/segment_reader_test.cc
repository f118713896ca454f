#include "cluster/segment_reader.h"

#include "cluster/segment_bytes.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

absl::StatusOr<SegmentContent> Read(const std::string& bytes, uint64_t end = UINT64_MAX) {
  test::CrashFileSystem files;
  PutFile(&files, "000003.seg", bytes);
  return ReadSegment(&files, "000003.seg", 3, RigDatabase(), end);
}

SegmentBytes Example() {
  SegmentBytes segment;
  segment.Head({.number = 3, .hard_state = {}, .configuration = {}});
  segment.Entry(MakeEntry(1, 1, std::string(100, 'a'))).Entry(MakeEntry(2, 1, std::string(700, 'b')));
  return segment;
}

TEST_CASE("A whole segment, with room after it", "[segment_reader]") {
  const SegmentBytes segment = Example();
  const auto content = Read(segment.bytes() + std::string(5000, '\0'));
  REQUIRE(content.ok());
  CHECK(content->valid_bytes == segment.size());
  CHECK(content->head->number == 3);
  CHECK(content->dropped_bytes == 0);
  SegmentReader reader(*content);
  storage::ParsedRecord record;
  size_t records = 0;
  for (; reader.Next(&record); ++records) CHECK(reader.offset() == segment.offset(records));
  CHECK(records == 3);
}

TEST_CASE("A segment cut anywhere is a torn tail", "[segment_reader]") {
  const SegmentBytes segment = Example();
  const std::string bytes = segment.bytes();
  const size_t room = GENERATE(0, 3000);
  for (size_t size = 0; size < bytes.size(); ++size) {
    INFO("cut at " << size);
    const std::string cut = bytes.substr(0, size) + std::string(room, '\0');
    const auto content = Read(cut);
    REQUIRE(content.ok());
    // Where only zeros were cut off, the room makes up for them.
    CHECK((content->valid_bytes == segment.size()) == cut.starts_with(bytes));
    CHECK(content->head.has_value() == (content->valid_bytes > 0));
  }
}

TEST_CASE("A byte that has rotted in a payload is told from a torn tail", "[segment_reader]") {
  const SegmentBytes segment = Example();
  const std::string bytes = segment.bytes();
  for (uint64_t at = segment.offset(2) + 40; at < segment.size() - 20; at += 37) {
    INFO("at " << at);
    std::string rotten = bytes;
    const uint64_t place = at % kSectorDataBytes == 0 ? at + 1 : at;
    rotten[FileOffset(place)] ^= 1;
    CHECK(Read(rotten).status().code() == absl::StatusCode::kDataLoss);
  }
}

TEST_CASE("A sector that keeps what was in the file before is a torn tail", "[segment_reader]") {
  const SegmentBytes segment = Example();
  std::string bytes = segment.bytes();
  // What an earlier life of the file left: sectors of the same shape, with other tags.
  SegmentBytes before('o');
  before.Head({.number = 2, .hard_state = {}, .configuration = {}}).Entry(MakeEntry(1, 1, std::string(2000, 'z')));
  const std::string old = before.bytes();
  bytes.replace(2 * kSectorBytes, kSectorBytes, old, 2 * kSectorBytes, kSectorBytes);
  const auto content = Read(bytes);
  REQUIRE(content.ok());
  CHECK(content->valid_bytes == segment.offset(2));
  CHECK(content->dropped_bytes > 0);
}

TEST_CASE("A sector that ends as a former segment did is a torn tail", "[segment_reader]") {
  // Two segments of the same shape: no disk tears a sector so, and still it is no rot.
  const auto segment = [](char file_id, uint64_t number) {
    SegmentBytes bytes(file_id);
    bytes.Head({.number = number, .previous_term = 2, .previous_index = 9, .hard_state = {}, .configuration = {}});
    return bytes.HardState({.term = 2, .vote = number}).Mark();
  };
  const SegmentBytes now = segment('n', 3);
  const std::string bytes = now.bytes();
  const std::string before = segment('b', 2).bytes();
  REQUIRE(before.size() == bytes.size());
  for (size_t cut = kSectorBytes; cut < bytes.size(); ++cut) {
    INFO("cut at " << cut);
    const auto content = Read(bytes.substr(0, cut) + before.substr(cut));
    REQUIRE(content.ok());
    CHECK((content->valid_bytes == now.size()) == (before.substr(cut) == bytes.substr(cut)));
  }
}

TEST_CASE("A sector from before a record that goes on in the next one is a torn tail", "[segment_reader]") {
  // The second entry begins so many bytes before the end of the first sector.
  const size_t left = GENERATE(range(1, 40));
  SegmentBytes probe;
  probe.Head({.number = 3, .hard_state = {}, .configuration = {}}).Entry(MakeEntry(1, 1, ""));
  SegmentBytes segment;
  segment.Head({.number = 3, .hard_state = {}, .configuration = {}});
  segment.Entry(MakeEntry(1, 1, std::string(kSectorDataBytes - left - probe.size(), 'a')));
  const uint64_t begin = segment.size();
  REQUIRE(begin == kSectorDataBytes - left);
  segment.Entry(MakeEntry(2, 1, std::string(200, 'b')));
  std::string bytes = segment.bytes();
  // The first sector was synced without it, and its next version never reached the disk.
  bytes.replace(2 * kSectorBytes - left, left, left, '\0');
  const auto content = Read(bytes);
  REQUIRE(content.ok());
  CHECK(content->valid_bytes == begin);
}

TEST_CASE("Damage before what a later record names as synced is corruption", "[segment_reader]") {
  SegmentBytes segment = Example();
  segment.Mark();
  std::string bytes = segment.bytes();
  // The head of an entry, so that nothing but the mark tells.
  bytes[FileOffset(segment.offset(1) + 12)] ^= 4;
  CHECK(Read(bytes).status().code() == absl::StatusCode::kDataLoss);
  // The same without the mark.
  bytes.resize(FileOffset(segment.offset(3)));
  REQUIRE(Read(bytes).ok());
  CHECK(Read(bytes)->valid_bytes == segment.offset(1));
}

TEST_CASE("What comes after the end that counts is not looked at", "[segment_reader]") {
  const SegmentBytes segment = Example();
  std::string bytes = segment.bytes();
  bytes[FileOffset(segment.offset(2) + 200)] ^= 1;
  const auto content = Read(bytes, segment.offset(2));
  REQUIRE(content.ok());
  CHECK(content->valid_bytes == segment.offset(2));
}

TEST_CASE("Other files are refused", "[segment_reader]") {
  SegmentBytes other('f', {});
  other.Head({.number = 3, .hard_state = {}, .configuration = {}});
  CHECK(Read(other.bytes()).status().code() == absl::StatusCode::kFailedPrecondition);
  SegmentBytes misnamed;
  misnamed.Head({.number = 4, .hard_state = {}, .configuration = {}});
  CHECK(Read(misnamed.bytes()).status().code() == absl::StatusCode::kDataLoss);
  std::string headless = Example().bytes();
  headless[3] ^= 1;
  CHECK(Read(headless).status().code() == absl::StatusCode::kDataLoss);
  SegmentBytes alien;
  alien.Head({.number = 3, .hard_state = {}, .configuration = {}});
  alien.Add({.type = storage::RecordType::kWrite}, "x");
  CHECK(Read(alien.bytes()).status().code() == absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace bandb::cluster
