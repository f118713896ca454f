#include "cluster/segment_format.h"

#include "cluster/segment_bytes.h"
#include "storage/db/golden_files.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

SegmentHead ExampleHead() {
  return {.number = 12,
          .previous_number = 11,
          .previous_end = 1000,
          .reset = false,
          .previous_term = 3,
          .previous_index = 41,
          .hard_state = {.term = 3, .vote = 2, .commit = 40},
          .configuration = raft::MakeConfiguration({1, 2})};
}

TEST_CASE("A segment is what release 2 of the format wrote", "[segment_format]") {
  raft::Entry noop = MakeEntry(42, 4, "");
  noop.kind = raft::EntryKind::kNoop;
  SegmentBytes segment;
  segment.Head(ExampleHead()).Entry(noop, 41).Entry(MakeEntry(43, 4, "a command"), 42);
  segment.Entry(MakeConfigurationEntry(44, 4, {1, 2, 3}), 42).HardState({.term = 5, .vote = 1, .commit = 43}).Mark();
  segment.Entry(MakeEntry(45, 5, std::string(600, 'x')), 43, segment.size());
  storage::RequireGolden({{"log-v2/segment.golden", segment.bytes()}});
  CHECK(storage::ReadGolden("log-v2/segment.golden") == segment.bytes());
}

TEST_CASE("Names of segments", "[segment_format]") {
  CHECK(SegmentName(12) == "000012.seg");
  CHECK(SegmentName(1234567) == "1234567.seg");
  CHECK(ParseSegmentName("000012.seg") == 12);
  CHECK(ParseSegmentName("1234567.seg") == 1234567);
  for (const char* const name : {"000000.seg", "12.seg", "0000012.seg", "000012.log", "00001x.seg", ".seg", ""}) {
    CHECK_FALSE(ParseSegmentName(name).has_value());
  }
}

TEST_CASE("A stream comes back from its sectors, in whatever pieces it was written", "[segment_format]") {
  std::string stream;
  for (int i = 0; i < 3000; ++i) stream.push_back(static_cast<char>(i * 7));
  const size_t piece = GENERATE(1, 7, 509, 510, 511, 3000);
  std::string file(kSectorBytes, '\0');
  for (size_t at = 0; at < stream.size(); at += piece) {
    CHECK(file.size() == FileOffset(at));
    AppendSectors(99, at, std::string_view(stream).substr(at, piece), &file);
  }
  const SectorData data = StripSectors(99, 0, std::string_view(file).substr(kSectorBytes));
  CHECK(data.stream == stream);
  CHECK(data.tagged == std::vector<bool>(6, true));
  // Sectors from the middle, and those of another file.
  const SectorData middle = StripSectors(99, 2, std::string_view(file).substr(3 * kSectorBytes));
  CHECK(middle.stream == stream.substr(2 * kSectorDataBytes));
  CHECK(middle.tagged == std::vector<bool>(4, true));
  const SectorData other = StripSectors(98, 0, std::string_view(file).substr(kSectorBytes));
  CHECK(std::count(other.tagged.begin(), other.tagged.end(), true) == 0);
}

TEST_CASE("Payloads come back", "[segment_format]") {
  std::string payload;
  storage::ParsedRecord record;
  SegmentHead head = ExampleHead();
  head.reset = GENERATE(false, true);
  record.head = EncodeSegmentHead(head, &payload);
  record.payload = payload;
  SegmentHead decoded;
  REQUIRE(DecodeSegmentHead(record, &decoded));
  CHECK(decoded == head);

  std::string entry_payload;
  const raft::Entry entry = MakeConfigurationEntry(9, 2, {1, 5});
  record.head = EncodeEntry(entry, 7, &entry_payload);
  record.payload = entry_payload;
  raft::Entry decoded_entry;
  REQUIRE(DecodeEntry(record, &decoded_entry));
  CHECK(decoded_entry == entry);
  CHECK(record.head.commit_hint == 7);
  CHECK_FALSE(DecodeSegmentHead(record, &decoded));
}

TEST_CASE("Payloads that are cut short or go on are refused", "[segment_format]") {
  std::string payload;
  storage::ParsedRecord record;
  record.head = EncodeSegmentHead(ExampleHead(), &payload);
  SegmentHead head;
  for (size_t bytes = 0; bytes < payload.size(); ++bytes) {
    record.payload = std::string_view(payload).substr(0, bytes);
    CHECK_FALSE(DecodeSegmentHead(record, &head));
  }
  const std::string longer = payload + "x";
  record.payload = longer;
  CHECK_FALSE(DecodeSegmentHead(record, &head));
  std::string vote;
  raft::HardState state;
  record.head = EncodeHardState({.term = 1, .vote = 300}, &vote);
  record.payload = std::string_view(vote).substr(0, 1);
  CHECK_FALSE(DecodeHardState(record, &state));
}

}  // namespace
}  // namespace bandb::cluster
