#include "cluster/log_files.h"

#include "cluster/segment_bytes.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

class Directory {
 public:
  Directory() { REQUIRE(files.CreateDirs("log").ok()); }
  void Put(uint64_t number, const std::string& bytes) { PutFile(&files, directory.PathOf(number), bytes); }

  test::CrashFileSystem files;
  LogDirectory directory{.files = &files, .path = "log", .database_id = RigDatabase()};
};

SegmentHead HeadOf(uint64_t number, uint64_t previous_number, uint64_t previous_end, raft::Index index,
                   raft::Term term) {
  return {.number = number,
          .previous_number = previous_number,
          .previous_end = previous_end,
          .reset = previous_number == 0,
          .previous_term = term,
          .previous_index = index,
          .hard_state = {},
          .configuration = raft::MakeConfiguration({1, 2})};
}

SegmentBytes Numbered(char id, const SegmentHead& head, raft::Index first, raft::Index last, raft::Term term) {
  SegmentBytes segment(id);
  segment.Head(head);
  for (raft::Index i = first; i <= last; ++i) segment.Entry(MakeEntry(i, term, "entry"));
  return segment;
}

TEST_CASE("No segments are no log", "[log_files]") {
  Directory d;
  CHECK(RecoverLog(d.directory).status().code() == absl::StatusCode::kNotFound);
  // Nor is a spare that was not begun.
  d.Put(1, SegmentBytes().bytes());
  CHECK(RecoverLog(d.directory).status().code() == absl::StatusCode::kNotFound);
}

TEST_CASE("Segments go on from each other, and the newest wins", "[log_files]") {
  Directory d;
  const SegmentBytes one = Numbered('1', HeadOf(1, 0, 0, 0, 0), 1, 9, 1);
  d.Put(1, one.bytes());
  d.Put(2, Numbered('2', HeadOf(2, 1, one.size(), 9, 1), 5, 7, 2).bytes());
  d.Put(4, SegmentBytes('4').bytes());
  const auto log = RecoverLog(d.directory);
  REQUIRE(log.ok());
  CHECK(log->index.last() == 7);
  CHECK(log->index.TermAt(4) == 1);
  CHECK(log->index.TermAt(5) == 2);
  CHECK(log->unused == std::vector<uint64_t>{4});
  CHECK(log->number_max == 4);
  REQUIRE(MakeDurable(d.directory, *log).ok());
}

TEST_CASE("A head voids what the log held after its place", "[log_files]") {
  Directory d;
  const SegmentBytes one = Numbered('1', HeadOf(1, 0, 0, 0, 0), 1, 9, 1);
  d.Put(1, one.bytes());
  d.Put(2, Numbered('2', HeadOf(2, 1, one.size(), 4, 1), 1, 0, 2).bytes());
  const auto log = RecoverLog(d.directory);
  REQUIRE(log.ok());
  CHECK(log->index.last() == 4);
}

TEST_CASE("A segment goes with the ones after it if it is torn before where they go on", "[log_files]") {
  Directory d;
  const SegmentBytes one = Numbered('1', HeadOf(1, 0, 0, 0, 0), 1, 9, 1);
  d.Put(1, one.bytes().substr(0, FileOffset(one.offset(6))));
  SegmentBytes two = Numbered('2', HeadOf(2, 1, one.size(), 9, 1), 10, 11, 1);
  d.Put(2, two.bytes());
  auto log = RecoverLog(d.directory);
  REQUIRE(log.ok());
  CHECK(log->index.last() == 5);
  CHECK(log->unused == std::vector<uint64_t>{2});
  // Unless those were synced: then it had been, too.
  two.Mark();
  d.Put(2, two.bytes());
  CHECK(RecoverLog(d.directory).status().code() == absl::StatusCode::kDataLoss);
}

TEST_CASE("A log begins where nothing reaches below, whichever files were deleted", "[log_files]") {
  Directory d;
  const SegmentBytes two = Numbered('2', HeadOf(2, 1, 500, 9, 1), 10, 12, 1);
  const SegmentBytes three = Numbered('3', HeadOf(3, 2, two.size(), 12, 1), 8, 13, 2);
  d.Put(2, two.bytes());
  d.Put(3, three.bytes());
  d.Put(4, Numbered('4', HeadOf(4, 3, three.size(), 13, 2), 14, 15, 2).bytes());
  const auto log = RecoverLog(d.directory);
  REQUIRE(log.ok());
  CHECK(log->index.floor().index == 13);
  CHECK(log->index.floor().term == 2);
  CHECK(log->index.last() == 15);
  CHECK(log->unused == std::vector<uint64_t>{2, 3});
}

TEST_CASE("A log begins with the first segment that can be its beginning", "[log_files]") {
  Directory d;
  // What is left before the third one reaches further up than the log did when that was begun.
  const SegmentBytes two = Numbered('2', HeadOf(2, 1, 500, 22, 1), 23, 24, 1);
  const SegmentBytes three = Numbered('3', HeadOf(3, 2, two.size(), 14, 1), 15, 22, 2);
  d.Put(2, two.bytes());
  d.Put(3, three.bytes());
  d.Put(4, Numbered('4', HeadOf(4, 3, three.size(), 22, 2), 23, 24, 2).bytes());
  const auto log = RecoverLog(d.directory);
  REQUIRE(log.ok());
  CHECK(log->index.floor().index == 14);
  CHECK(log->index.last() == 24);
  CHECK(log->unused == std::vector<uint64_t>{2});
  // A head alone that goes on from before a segment tells as much.
  d.Put(3, Numbered('3', HeadOf(3, 2, two.size(), 14, 1), 1, 0, 2).bytes());
  d.files.Remove(d.directory.PathOf(4)).IgnoreError();
  const auto shorter = RecoverLog(d.directory);
  REQUIRE(shorter.ok());
  CHECK(shorter->index.floor().index == 14);
}

TEST_CASE("Entries that do not follow are no log", "[log_files]") {
  Directory d;
  d.Put(1, Numbered('1', HeadOf(1, 0, 0, 0, 0), 2, 3, 1).bytes());
  CHECK(RecoverLog(d.directory).status().code() == absl::StatusCode::kDataLoss);
}

TEST_CASE("Hard state and commit are the last that the segments tell", "[log_files]") {
  Directory d;
  SegmentHead head = HeadOf(1, 0, 0, 5, 2);
  head.hard_state = {.term = 2, .vote = 3, .commit = 5};
  SegmentBytes segment('1');
  segment.Head(head).Entry(MakeEntry(6, 2, "x"), 5).HardState({.term = 4, .vote = 1, .commit = 2});
  segment.Entry(MakeEntry(7, 4, "x"), 6);
  d.Put(1, segment.bytes());
  const auto log = RecoverLog(d.directory);
  REQUIRE(log.ok());
  CHECK(log->hard_state == raft::HardState{.term = 4, .vote = 1, .commit = 6});
}

TEST_CASE("Segments that are gone already are removed", "[log_files]") {
  Directory d;
  d.Put(1, "x");
  CHECK(RemoveSegments(d.directory, {1, 2}).ok());
  CHECK(d.files.Files().empty());
}

}  // namespace
}  // namespace bandb::cluster
