#include "cluster/single_log.h"

#include "base/status.h"
#include "cluster/log_rig.h"
#include "cluster/segment_format.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

using test::FaultKind;
using test::FileCall;

raft::SnapshotMeta FloorAt(raft::Index index, raft::Term term) {
  return {.index = index, .term = term, .configuration = raft::MakeConfiguration({1, 2, 3})};
}

class Node {
 public:
  explicit Node(uint64_t seed = 1) : world(seed) {
    REQUIRE(world.files().CreateDirs("node").ok());
    REQUIRE(SingleLog::Create(world.options(), {}, FloorAt(0, 0)).ok());
    Open();
  }
  void Open(const raft::SnapshotMeta& state = FloorAt(0, 0)) {
    log.reset();
    absl::StatusOr<std::unique_ptr<SingleLog>> opened = SingleLog::Open(world.options(), state);
    REQUIRE(opened.ok());
    log = *std::move(opened);
    listener = RecordingListener();
    log->SetListener(&listener);
    world.RunAll();
  }
  // Entries of `bytes` each, in one write.
  void Write(raft::Index first, raft::Index last, raft::Term term, size_t bytes = 10) {
    raft::LogWrite write{.write = ++writes, .term = term, .index = last, .commit = 0, .entries = {}};
    for (raft::Index i = first; i <= last; ++i) write.entries.push_back(MakeEntry(i, term, std::string(bytes, 'x')));
    log->WriteLog(write);
  }
  size_t segments() const {
    size_t count = 0;
    for (const auto& [path, bytes] : world_files()) count += path.ends_with(".seg") ? 1 : 0;
    return count;
  }
  // As after a SIGKILL: the room of the segment that is written is still there.
  void PadCurrent() {
    std::string current;
    for (const auto& [path, bytes] : world_files()) {
      if (path.ends_with(".seg") && !world.files().Content(path).empty()) current = path;
    }
    log.reset();
    std::string content = world.files().Content(current);
    content.resize(std::max<size_t>(content.size(), kRigSegmentBytes), '\0');
    world.files().SetContent(current, content);
  }
  std::map<std::string, uint64_t> world_files() const { return const_cast<LogWorld&>(world).files().Files(); }

  LogWorld world;
  RecordingListener listener;
  std::unique_ptr<SingleLog> log;
  uint64_t writes = 0;
};

TEST_CASE("A write is reported once a sync that covers it has ended", "[single_log]") {
  Node node;
  node.Write(1, 3, 1);
  node.log->WriteHardState({.write = ++node.writes, .state = {.term = 1, .vote = 2}});
  node.world.RunTurns();
  CHECK(node.listener.log == 0);
  node.world.RunAll();
  CHECK(node.listener.log == 1);
  CHECK(node.listener.log_index == 3);
  CHECK(node.listener.hard_state == 2);
}

TEST_CASE("A log that is opened again holds what was written last at each index", "[single_log]") {
  Node node;
  node.Write(1, 6, 1);
  node.Write(4, 5, 2);
  node.log->WriteHardState({.write = ++node.writes, .state = {.term = 3, .vote = 2, .commit = 4}});
  node.world.RunAll();
  node.Open();
  const raft::Restart& restart = node.log->restart();
  CHECK(restart.last_index == 5);
  CHECK(restart.last_term() == 2);
  CHECK(restart.hard_state == raft::HardState{.term = 3, .vote = 2, .commit = 4});
  const PlainLog log = ReadBack(&node.world, node.log.get(), &node.listener);
  CHECK(log.TermAt(3) == 1);
  CHECK(log.TermAt(4) == 2);
}

TEST_CASE("A fetch brings entries up to its limit, and at least one", "[single_log]") {
  Node node;
  node.Write(1, 20, 1, 100);
  node.log->Fetch({.fetch = 1, .first = 2, .last = 20, .bytes_max = 500});
  node.log->Fetch({.fetch = 2, .first = 2, .last = 20, .bytes_max = 1});
  node.log->Fetch({.fetch = 3, .first = 21, .last = 22, .bytes_max = 100});
  node.world.RunAll();
  CHECK(node.listener.fetched[1]->size() == 3);
  CHECK(node.listener.fetched[2]->size() == 1);
  CHECK_FALSE(node.listener.fetched[3].has_value());
}

TEST_CASE("A fetch that the system refuses for a moment is tried again", "[single_log]") {
  Node node;
  node.Write(1, 3, 1);
  node.world.RunAll();
  const FaultKind kind = GENERATE(FaultKind::kNoDescriptor, FaultKind::kIoError);
  node.world.files().Inject({.kind = kind, .calls = {FileCall::kOpen}, .pattern = "*", .count = 3});
  node.log->Fetch({.fetch = 1, .first = 1, .last = 3, .bytes_max = 500});
  node.world.RunAll();
  CHECK(node.listener.fetched.empty());
  for (int i = 0; i < 3; ++i) node.world.RunFor(100'000'000);
  REQUIRE(node.listener.fetched[1].has_value());
  CHECK(node.listener.fetched[1]->size() == 3);
}

TEST_CASE("A fetch that finds no descriptor is waited out, however long it takes", "[single_log]") {
  Node node;
  node.Write(1, 3, 1);
  node.world.RunAll();
  node.world.files().Inject(
      {.kind = FaultKind::kNoDescriptor, .calls = {FileCall::kOpen}, .pattern = "*", .count = test::Fault::kSticky});
  node.log->Fetch({.fetch = 1, .first = 1, .last = 3, .bytes_max = 500});
  for (int i = 0; i < 1000; ++i) node.world.RunFor(100'000'000);
  CHECK(node.listener.fetched.empty());
  node.world.files().ClearFaults();
  node.world.RunFor(100'000'000);
  REQUIRE(node.listener.fetched[1].has_value());
  CHECK(node.listener.fetched[1]->size() == 3);
}

TEST_CASE("A fetch that the system never allows ends, and so does one of a file that is gone", "[single_log]") {
  Node node;
  node.Write(1, 3, 1);
  node.world.RunAll();
  const auto [kind, tries] =
      GENERATE(std::make_pair(FaultKind::kIoError, uint64_t{100}), std::make_pair(FaultKind::kGone, uint64_t{1}));
  node.world.files().Inject({.kind = kind, .calls = {FileCall::kOpen}, .pattern = "*", .count = test::Fault::kSticky});
  node.log->Fetch({.fetch = 1, .first = 1, .last = 3, .bytes_max = 500});
  for (uint64_t i = 1; i < tries; ++i) {
    node.world.RunFor(100'000'000);
    CHECK(node.listener.fetched.empty());
  }
  node.world.RunFor(100'000'000);
  CHECK(node.listener.fetched.count(1) == 1);
  CHECK_FALSE(node.listener.fetched[1].has_value());
  // What was refused for so long may be there all the same, and nobody can wait for it.
  CHECK(node.listener.lost.count(1) == 1);
}

// A hundred tries of it would take half an hour.
TEST_CASE("A fetch of a disk that takes long for each refusal ends after ten seconds, and three tries",
          "[single_log]") {
  Node node;
  node.Write(1, 3, 1);
  node.world.RunAll();
  node.world.files().Inject(
      {.kind = FaultKind::kIoError, .calls = {FileCall::kRead}, .pattern = "*", .count = test::Fault::kSticky});
  const auto [read_nanos, tries] =
      GENERATE(std::make_pair(int64_t{20'000'000'000}, 3), std::make_pair(int64_t{2'000'000'000}, 5));
  node.log->Fetch({.fetch = 1, .first = 1, .last = 3, .bytes_max = 500});
  for (int i = 1; i <= tries; ++i) {
    INFO(i);
    CHECK(node.listener.fetched.empty());
    node.world.env().executor().RunFor(100'000'000);
    node.world.RunTurns();
    node.world.env().executor().RunReady();
    node.world.env().clock().Advance(read_nanos);
    node.world.RunTurns();
  }
  CHECK(node.listener.lost.count(1) == 1);
}

TEST_CASE("A fetch brings what is before an entry that is damaged, and the next says once that it is lost",
          "[single_log]") {
  Node node;
  // Each has a sector of its own.
  for (raft::Index i = 1; i <= 5; ++i) {
    node.Write(i, i, 1, 1500);
    node.world.RunAll();
  }
  const EntryPlace* const place = node.log->Find(4);
  REQUIRE(place != nullptr);
  node.world.files().FlipByte(node.world.directory().PathOf(place->segment), FileOffset(place->offset) + 700, 1);
  const auto fetch = [&](uint64_t number, raft::Index first) {
    node.log->Fetch({.fetch = number, .first = first, .last = 5, .bytes_max = 100'000});
    node.world.RunAll();
  };
  fetch(1, 1);
  REQUIRE(node.listener.fetched[1].has_value());
  CHECK(node.listener.fetched[1]->size() == 3);
  CHECK(node.listener.lost.empty());
  fetch(2, 4);
  fetch(3, 4);
  CHECK(node.listener.lost == std::set<uint64_t>{2, 3});
  fetch(4, 5);
  REQUIRE(node.listener.fetched[4].has_value());
  CHECK(node.listener.fetched[4]->size() == 1);
  const std::string log = node.world.env().logger().Text();
  const size_t said = log.find("entry 4 of term 1 is damaged");
  REQUIRE(said != std::string::npos);
  CHECK(log.find("is damaged", said + 30) == std::string::npos);
}

TEST_CASE("A segment that is full is left for the spare, and deleted once nobody needs it", "[single_log]") {
  Node node;
  for (raft::Index i = 1; i <= 40; ++i) {
    node.Write(i, i, 1, 500);
    node.world.RunAll();
  }
  const size_t before = node.segments();
  CHECK(before > 4);
  node.log->Compact(30);
  node.world.RunAll();
  // The state machine has not applied them durably. Only the segment goes that Create made: it
  // holds no entry.
  CHECK(node.segments() == before - 1);
  CHECK(node.log->floor() == 0);
  RecordingListener listener;
  CHECK(ReadBack(&node.world, node.log.get(), &listener).entries.size() == 40);
  node.log->KeepAfter(30);
  node.world.RunAll();
  CHECK(node.segments() < before);
  CHECK(node.log->floor() > 0);
  CHECK(node.log->floor() <= 30);
  node.Open(FloorAt(30, 1));
  CHECK(node.log->last() == 40);
}

TEST_CASE("What a truncation reaches into is not what the log begins with", "[single_log]") {
  Node node;
  for (raft::Index i = 1; i <= 30; ++i) {
    node.Write(i, i, 1, 500);
    node.world.RunAll();
  }
  node.Write(8, 12, 2, 10);
  node.world.RunAll();
  node.log->KeepAfter(12);
  node.log->Compact(12);
  node.world.RunAll();
  CHECK(node.log->floor() < 8);
  node.Open(FloorAt(12, 2));
  CHECK(node.log->last() == 12);
  CHECK(node.log->restart().last_term() == 2);
}

TEST_CASE("What is told to be let go is in no later segment, whatever a truncation has reached into", "[single_log]") {
  Node node;
  const auto write = [&](raft::Index first, raft::Index last, raft::Term term) {
    for (raft::Index i = first; i <= last; ++i) {
      node.Write(i, i, term, 500);
      node.world.RunAll();
    }
  };
  write(1, 30, 1);
  write(8, 12, 2);
  write(13, 50, 2);
  std::map<raft::Index, uint64_t> segments;
  for (raft::Index i = 1; i <= 50; ++i) segments[i] = node.log->Find(i)->segment;
  std::vector<RetiredSegment> retired;
  node.log->SetOnRetire([&](const std::vector<RetiredSegment>& some) {
    retired.insert(retired.end(), some.begin(), some.end());
    return std::vector<uint64_t>();
  });
  for (const raft::Index bound : {12, 40}) {
    node.log->KeepAfter(bound);
    node.log->Compact(bound);
    node.world.RunAll();
  }
  REQUIRE(retired.size() > 5);
  CHECK(retired.back().end == node.log->floor());
  CHECK(node.log->floor() > 30);
  raft::Index after = 0;
  bool reached_into = false;
  for (const RetiredSegment& segment : retired) {
    CHECK(segment.after == after);
    CHECK(segment.end >= segment.after);
    after = segment.end;
    reached_into |= segment.end == 7;
    for (const auto& [index, number] : segments) CHECK((index > segment.end || number <= segment.number));
  }
  CHECK(reached_into);
}

TEST_CASE("A full disk makes no spare, and the log says so until there is room", "[single_log]") {
  Node node;
  node.world.files().SetFreeBytes(1000);
  node.Write(1, 7, 1, 500);
  node.Write(8, 8, 1, 400);
  node.world.RunFor(10'000'000);
  CHECK(node.listener.nearly_full);
  CHECK_FALSE(node.listener.failed);
  node.world.files().SetFreeBytes(1 << 20);
  node.world.RunFor(3'000'000'000);
  CHECK_FALSE(node.listener.nearly_full);
  CHECK(node.listener.log_index == 8);
}

TEST_CASE("A disk that fills while the spare is still being made is told before what it has no room for is written",
          "[single_log]") {
  Node node;
  // It goes on in the spare, and another one is not made yet.
  node.Write(1, 7, 1, 500);
  node.Write(8, 8, 1, 400);
  node.world.files().SetFreeBytes(0);
  raft::Index last = 8;
  absl::Status room;
  while (last < 100 && (room = node.log->MakeRoom(300)).ok()) {
    ++last;
    node.Write(last, last, 1, 300);
  }
  CHECK(room.code() == absl::StatusCode::kResourceExhausted);
  CHECK(last > 8 + 3);
  CHECK_FALSE(node.listener.failed);
  // What brings no entries is heard all the same, and what elections need is still written.
  CHECK(node.log->MakeRoom(0).ok());
  node.log->WriteHardState({.write = 1, .state = {.term = 2}});
  node.world.RunAll();
  CHECK_FALSE(node.listener.failed);
  CHECK(node.listener.log_index == last);
  CHECK(node.listener.hard_state == 1);
  CHECK(node.listener.nearly_full);
  node.world.files().SetFreeBytes(1 << 20);
  node.world.RunFor(3'000'000'000);
  CHECK_FALSE(node.listener.nearly_full);
  CHECK(node.log->MakeRoom(300).ok());
}

TEST_CASE("A spare whose name could not be made durable leaves no room taken", "[single_log]") {
  Node node;
  const size_t before = node.segments();
  node.world.files().Inject(
      {.kind = FaultKind::kIoError, .calls = {FileCall::kSyncDir}, .count = test::Fault::kSticky});
  // It goes on in the spare, and makes another one.
  node.Write(1, 7, 1, 500);
  node.Write(8, 8, 1, 400);
  node.world.RunFor(5'000'000'000);
  CHECK(node.listener.nearly_full);
  CHECK(node.segments() == before);
  node.world.files().ClearFaults();
  node.world.RunFor(3'000'000'000);
  CHECK_FALSE(node.listener.nearly_full);
  CHECK(node.segments() == before + 1);
}

TEST_CASE("A reset empties the log, durably, and what was before it goes", "[single_log]") {
  Node node;
  node.Write(1, 5, 1);
  node.world.RunAll();
  node.log->Reset(FloorAt(100, 4));
  node.world.RunAll();
  CHECK(node.listener.reset == 100);
  CHECK(node.log->floor() == 100);
  node.Write(101, 102, 4);
  node.world.RunAll();
  node.Open(FloorAt(100, 4));
  CHECK(node.log->floor() == 100);
  CHECK(node.log->last() == 102);
  CHECK(node.log->restart().floor.configuration == raft::MakeConfiguration({1, 2, 3}));
}

TEST_CASE("A log from before an installed snapshot is emptied at open", "[single_log]") {
  Node node;
  node.Write(1, 5, 1);
  node.world.RunAll();
  // Longer than the log, or another entry at its place.
  const raft::SnapshotMeta state = GENERATE(FloorAt(9, 3), FloorAt(4, 3));
  node.Open(state);
  CHECK(node.log->floor() == state.index);
  CHECK(node.log->last() == state.index);
  node.Open(state);
  CHECK(node.log->last() == state.index);
}

TEST_CASE("A log that begins after what is applied is refused", "[single_log]") {
  Node node;
  node.log->Reset(FloorAt(100, 4));
  node.world.RunAll();
  node.log.reset();
  const auto opened = SingleLog::Open(node.world.options(), FloorAt(99, 4));
  CHECK(opened.status().code() == absl::StatusCode::kDataLoss);
}

TEST_CASE("After a failed sync or append nothing more is reported", "[single_log]") {
  Node node;
  node.Write(1, 1, 1);
  node.world.RunAll();
  const FileCall call = GENERATE(FileCall::kSync, FileCall::kAppend);
  node.world.files().Inject({.kind = FaultKind::kIoError, .calls = {call}, .pattern = "*"});
  node.Write(2, 2, 1);
  node.Write(3, 3, 1);
  node.world.RunAll();
  CHECK(node.listener.failed);
  CHECK(node.listener.log == 1);
}

TEST_CASE("A log that is destroyed says nothing more", "[single_log]") {
  Node node;
  node.Write(1, 1, 1);
  node.log->Fetch({.fetch = 1, .first = 1, .last = 1, .bytes_max = 100});
  node.log.reset();
  node.world.RunAll();
  CHECK(node.listener.log == 0);
  CHECK(node.listener.fetched.empty());
}

TEST_CASE("A log is created once", "[single_log]") {
  Node node;
  CHECK(SingleLog::Create(node.world.options(), {}, FloorAt(0, 0)).code() == absl::StatusCode::kAlreadyExists);
}

TEST_CASE("Rot of a durable entry is not taken for a torn tail", "[single_log]") {
  Node node;
  node.Write(1, 4, 1, 100);
  node.world.RunAll();
  node.log.reset();
  test::CrashFileSystem& files = node.world.files();
  // Before any synced mark: the payload of the last entry. Of its record 100 'x' and its identity
  // come last.
  const std::string path = "node/log/000002.seg";
  const std::string content = files.Content(path);
  const size_t last = content.find_last_of('x');
  REQUIRE(last != std::string::npos);
  files.FlipByte(path, last, 1);
  const auto opened = SingleLog::Open(node.world.options(), FloorAt(0, 0));
  CHECK(opened.status().code() == absl::StatusCode::kDataLoss);
}

TEST_CASE("A process that dies again and again leaves no room behind it", "[single_log]") {
  Node node;
  node.Write(1, 3, 1);
  node.world.RunAll();
  uint64_t largest = 0;
  for (int i = 0; i < 10; ++i) {
    node.PadCurrent();
    node.Open();
    uint64_t all = 0;
    for (const auto& [path, bytes] : node.world_files()) all += path.ends_with(".seg") ? bytes : 0;
    largest = std::max(largest, all);
    CHECK(node.log->last() == 3);
    CHECK(node.log->dropped_bytes() == 0);
  }
  // The present one, a spare, and ten of which little was used.
  CHECK(largest < 2 * kRigSegmentBytes + 11 * kRigSegmentBytes / 4 + 1);
  CHECK(ReadBack(&node.world, node.log.get(), &node.listener).entries.size() == 3);
}

TEST_CASE("A log finds a disk too full for a shorter copy, and opens all the same", "[single_log]") {
  Node node;
  node.Write(1, 3, 1);
  node.world.RunAll();
  node.PadCurrent();
  node.world.files().Inject({.kind = FaultKind::kNoSpace, .calls = {FileCall::kCreate}, .pattern = "*.seg.tmp"});
  node.Open();
  CHECK(node.log->last() == 3);
}

TEST_CASE("A tail of which a sector was never written is dropped", "[single_log]") {
  Node node;
  node.Write(1, 1, 1, 100);
  node.world.RunAll();
  node.Write(2, 2, 1, 1500);
  node.log.reset();
  test::CrashFileSystem& files = node.world.files();
  const std::string path = "node/log/000002.seg";
  std::string content = files.Content(path);
  // Head and identity of the record are there, a sector between them is not.
  std::fill(content.begin() + 1024, content.begin() + 1536, '\0');
  files.SetContent(path, content);
  node.Open();
  CHECK(node.log->last() == 1);
  CHECK(node.log->dropped_bytes() > 0);
}

}  // namespace
}  // namespace bandb::cluster
