#include "cluster/log_index.h"

#include "cluster/log_rig.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

raft::Configuration ConfigurationAt(raft::Index index) {
  raft::Configuration configuration = raft::MakeConfiguration({1, 2});
  configuration.index = index;
  configuration.version = index;
  return configuration;
}

LogIndex MakeIndex() {
  LogIndex index;
  index.Reset({.index = 10, .term = 2, .configuration = ConfigurationAt(7)});
  for (raft::Index i = 11; i <= 16; ++i) {
    index.Append({.segment = 1, .offset = i, .record_bytes = 9, .payload_bytes = 5, .term = i < 14 ? 2U : 3U});
    if (i % 2 == 0) index.AppendConfiguration(ConfigurationAt(i));
  }
  return index;
}

TEST_CASE("A log index knows the places and terms of its entries", "[log_index]") {
  const LogIndex index = MakeIndex();
  CHECK(index.last() == 16);
  CHECK(index.Find(10) == nullptr);
  CHECK(index.Find(11)->offset == 11);
  CHECK(index.Find(17) == nullptr);
  CHECK(index.TermAt(10) == 2);
  CHECK(index.TermAt(14) == 3);
  CHECK_FALSE(index.TermAt(9).has_value());
  CHECK(index.configuration().index == 16);
}

TEST_CASE("A truncation takes configurations along", "[log_index]") {
  LogIndex index = MakeIndex();
  index.TruncateAfter(13);
  CHECK(index.last() == 13);
  CHECK(index.configuration().index == 12);
  index.TruncateAfter(10);
  CHECK(index.configuration().index == 7);
}

TEST_CASE("A compacted log keeps the configuration at its floor", "[log_index]") {
  LogIndex index = MakeIndex();
  index.Compact(15);
  CHECK(index.floor().index == 15);
  CHECK(index.floor().term == 3);
  CHECK(index.floor().configuration.index == 14);
  CHECK(index.configuration().index == 16);
  CHECK(index.Find(16)->offset == 16);
}

TEST_CASE("A restart is what the core would have made of the entries", "[log_index]") {
  const LogIndex index = MakeIndex();
  const absl::StatusOr<raft::Restart> restart = index.MakeRestart({.term = 3, .vote = 1, .commit = 12}, 11);
  REQUIRE(restart.ok());
  CHECK(restart->Validate().ok());
  CHECK(restart->last_index == 16);
  CHECK(restart->terms.size() == 2);
  CHECK(restart->configurations.size() == 3);
  CHECK(restart->tail_costs.size() == 4);
  CHECK(restart->tail_costs[0] == 5 + raft::kEntryOverheadBytes);
}

TEST_CASE("Terms that go back are no log", "[log_index]") {
  LogIndex index = MakeIndex();
  index.Append({.segment = 1, .term = 1});
  CHECK(index.MakeRestart({}, 10).status().code() == absl::StatusCode::kDataLoss);
}

TEST_CASE("A log begins with a segment that nothing reaches below", "[log_index]") {
  auto span = [](uint64_t number, raft::Index previous, raft::Index lowest_index) {
    return SegmentSpan{
        .number = number, .previous = {.index = previous, .configuration = {}}, .lowest_index = lowest_index};
  };
  const std::vector<SegmentSpan> segments = {span(1, 0, 1), span(2, 10, 11), span(3, 20, 8), span(4, 12, 13)};
  CHECK(FindFirstSegment(segments, 9) == 0);
  CHECK(FindFirstSegment(segments, 11) == 0);  // segment 3 has written entry 8
  CHECK(FindFirstSegment(segments, 12) == 3);
  CHECK(FindFirstSegment(segments, 100) == 3);
  CHECK(FindFirstSegment({span(2, 10, 8)}, 100) == 1);
}

}  // namespace
}  // namespace bandb::cluster
