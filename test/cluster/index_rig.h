// A change index over a disk of its own, with entries that are a function of their index.
#ifndef BANDB_TEST_CLUSTER_INDEX_RIG_H_
#define BANDB_TEST_CLUSTER_INDEX_RIG_H_

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cluster/change_index.h"
#include "cluster/log_rig.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::cluster {

inline uint64_t SequenceAt(raft::Index index) { return index * 3 - index % 2; }

// The entries are a function of their index. One in three did nothing for a user.
inline ChangeEntry EntryAt(raft::Index index) {
  ChangeEntry entry;
  entry.end = {
      .index = index, .sequence = SequenceAt(index), .user_sequence = SequenceAt(index), .time_ms = 1000 + index / 4};
  if (index % 3 == 0) entry.end.user_sequence = SequenceAt(index - 1);
  entry.place = {.segment = 1 + index / 1000,
                 .offset = index * 70,
                 .record_bytes = static_cast<uint32_t>(60 + index % 9),
                 .payload_bytes = 0,
                 .term = 1 + index / 500};
  if (index % 7 == 0) entry.undone = std::string("\x05", 1);
  return entry;
}

inline ChangeBound BoundAt(raft::Index index) { return index == 0 ? ChangeBound{} : EntryAt(index).end; }

// An index, its disk, and the turns of its node.
struct IndexRig {
  explicit IndexRig(std::unique_ptr<test::CrashFileSystem> files = nullptr)
      : env(1, files == nullptr ? std::make_unique<test::CrashFileSystem>() : std::move(files)) {
    // The log's.
    CHECK_OK(env.files().CreateDirs("log"));
    CHECK_OK(env.files().SyncDir("."));
  }
  absl::Status Open(raft::Index state, raft::Index floor = 0) {
    ChangeIndex::Parts parts{.directory = {.files = &env.files(), .path = "log", .database_id = RigDatabase()},
                             .executor = &env.executor(),
                             .logger = &env.logger(),
                             .post = [this](base::Task task) { turns.push_back(std::move(task)); },
                             .durable = [this](raft::Index durable) { told.push_back(durable); },
                             .let_go = [this](std::string_view) { let_go(); },
                             .waits = [this](const absl::Status& status) { waits.push_back(status); },
                             .random = env.random().Fork()};
    auto opened = ChangeIndex::Open(std::move(parts), BoundAt(state), floor);
    if (opened.ok()) index = *std::move(opened);
    return opened.status();
  }
  void Run() {
    for (env.executor().RunReady(); !turns.empty(); env.executor().RunReady()) {
      for (base::Task& task : std::exchange(turns, {})) std::move(task)();
    }
  }
  void Append(raft::Index to) {
    while (index->applied().index < to) index->Append(EntryAt(index->applied().index + 1));
  }
  raft::Index Oldest() {
    const absl::StatusOr<ChangeBound> oldest = index->Oldest();
    REQUIRE_OK(oldest.status());
    CHECK(*oldest == BoundAt(oldest->index));
    return oldest->index;
  }
  // All after an index, read in a row.
  void CheckAllAfter(raft::Index after) {
    ChangeIndex::Spot spot;
    while (after < index->applied().index) {
      const absl::StatusOr<ChangeStretch> stretch = index->AfterIndex(after, &spot);
      REQUIRE_OK(stretch.status());
      REQUIRE(!stretch->entries.empty());
      REQUIRE(stretch->before == BoundAt(after));
      for (const ChangeEntry& entry : stretch->entries) {
        const ChangeEntry expected = EntryAt(++after);
        REQUIRE(entry.end == expected.end);
        REQUIRE(entry.undone == expected.undone);
        REQUIRE(entry.place.segment == expected.place.segment);
        REQUIRE(entry.place.offset == expected.place.offset);
        REQUIRE(entry.place.record_bytes == expected.place.record_bytes);
        REQUIRE(entry.place.term == expected.place.term);
      }
    }
  }
  std::vector<std::string> Names() { return *env.files().List("log"); }

  test::TestEnv env;
  std::deque<base::Task> turns;
  std::vector<raft::Index> told;
  std::function<void()> let_go = [] {};
  std::vector<absl::Status> waits;
  std::shared_ptr<ChangeIndex> index;
};

}  // namespace bandb::cluster

#endif  // BANDB_TEST_CLUSTER_INDEX_RIG_H_
