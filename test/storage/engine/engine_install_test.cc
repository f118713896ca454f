// A replica's state sent to another one and installed there: what is held meanwhile, what readers
// see, and what goes wrong.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "storage/engine/engine_replica.h"
#include "storage/replica/replica_pair.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

using storage::IncomingState;
using storage::ReplicaState;

// Runs the executor until this many calls have changed something on disk.
void RunMutations(TestEnv* env, uint64_t count) {
  const uint64_t until = env->files().mutations() + count;
  while (env->files().mutations() < until && env->executor().RunOne()) {
  }
}

}  // namespace

TEST_CASE("a state that was installed is the replica's own: position, both spaces, and the log goes on from there") {
  ReplicaPair pair;
  pair.ApplyTo(30);
  pair.Flush();
  pair.ApplyTo(45);
  pair.InstallAt(120);
  CHECK(pair.replica().applied().applied.index == 120);
  CHECK(pair.replica().durable().applied.index == 120);
  pair.CheckAt(120);
  pair.PowerLoss();
  pair.CheckAt(120);
  pair.ApplyTo(200);
  pair.Flush();
  pair.CheckAt(200);
  pair.Close();
  pair.Open();
  pair.CheckAt(200);
}

TEST_CASE("a state of no table can be installed, and one of the entry that the replica is at") {
  ReplicaPair pair;
  std::unique_ptr<IncomingState> empty = pair.Receive(pair.StateAt(0));
  CHECK(empty->table_count() == 0);
  REQUIRE_OK(pair.Install(std::move(empty)));
  pair.CheckAt(0);
  pair.ApplyTo(60);
  pair.InstallAt(60);
  pair.CheckAt(60);
}

TEST_CASE("snapshots and iterators of the state before answer kFailedPrecondition, and values keep their bytes") {
  ReplicaPair pair;
  pair.ApplyTo(60);
  pair.Flush();
  const auto key = Visible(pair.course().models[60].user, pair.replica().applied().commit_time_ms).front();
  const Snapshot before = pair.replica().engine().GetSnapshot();
  ReadOptions at_before;
  at_before.snapshot = &before;
  PinnedValue kept;
  REQUIRE_OK(pair.replica().engine().Get(key.first, at_before, &kept));
  const auto iterator = pair.replica().engine().NewIterator({});
  const auto of_snapshot = pair.replica().engine().NewIterator(at_before);
  iterator->SeekToFirst();
  REQUIRE(iterator->Valid());
  std::unique_ptr<IncomingState> incoming = pair.Receive(pair.StateAt(150));
  pair.Send(incoming.get());
  // Up to the moment itself all goes on.
  iterator->Next();
  CHECK_OK(iterator->status());
  REQUIRE_OK(pair.Install(std::move(incoming)));
  CHECK(kept.value() == key.second);
  PinnedValue value;
  CHECK_CODE(pair.replica().engine().Get(key.first, at_before, &value), kFailedPrecondition);
  const std::string_view keys[] = {key.first};
  CHECK_CODE(pair.replica().engine().MultiGet(keys, at_before)[0].status(), kFailedPrecondition);
  CHECK_CODE(pair.replica().engine().NewIterator(at_before)->status(), kFailedPrecondition);
  iterator->Next();
  CHECK_FALSE(iterator->Valid());
  CHECK_CODE(iterator->status(), kFailedPrecondition);
  of_snapshot->SeekToLast();
  CHECK_FALSE(of_snapshot->Valid());
  CHECK_CODE(of_snapshot->status(), kFailedPrecondition);
  // And those of the new one read it.
  const Snapshot after = pair.replica().engine().GetSnapshot();
  ReadOptions at_after;
  at_after.snapshot = &after;
  const auto expected = Visible(pair.course().models[150].user, pair.replica().applied().commit_time_ms);
  pair.ApplyTo(170);
  REQUIRE_OK(pair.replica().engine().Get(expected.front().first, at_after, &value));
  CHECK(value.value() == expected.front().second);
}

TEST_CASE("a pinned state stays readable while its replica goes on, and its files go when it is let go of") {
  ReplicaPair pair;
  const ReplicaState state = pair.StateAt(80);
  REQUIRE(state.tables.size() > 1);
  CHECK(pair.pinned().position().applied.index == 80);
  REQUIRE_OK(pair.peer().ApplyTo(200));
  REQUIRE_OK(CompactReplica(&pair.peer().replica(), &pair.peer().env().executor()));
  for (size_t i = 0; i < state.tables.size(); ++i) {
    const auto file = pair.pinned().OpenTable(i);
    REQUIRE_OK(file.status());
    const std::string bytes = ReadAll(**file);
    CHECK(bytes.size() == state.tables[i].info.file_bytes);
    CHECK(base::Hash64(bytes) == state.tables[i].checksum);
  }
  std::unique_ptr<IncomingState> incoming = pair.Receive(state);
  pair.Send(incoming.get());
  REQUIRE_OK(pair.Install(std::move(incoming)));
  pair.CheckAt(80);
  pair.env().executor().RunReady();
  const size_t held = ReplicaPair::Tables(&pair.peer().env().files()).size();
  pair.LetGo();
  pair.peer().env().executor().RunReady();
  CHECK(ReplicaPair::Tables(&pair.peer().env().files()).size() < held);
  CHECK(ReplicaPair::Tables(&pair.peer().env().files()).size() == pair.peer().replica().PinState().table_count());
}

TEST_CASE("a table that cannot be read is not described") {
  ReplicaPair pair;
  const ReplicaState state = pair.StateAt(80);
  const std::vector<std::string> paths = ReplicaPair::Tables(&pair.peer().env().files());
  for (const std::string& path : paths) pair.peer().env().files().Truncate(path, 100);
  CHECK_CODE(pair.pinned().Describe().status(), kDataLoss);
  for (const std::string& path : paths) pair.peer().env().files().FlipByte(path, 20, 1);
  CHECK_CODE(pair.pinned().Describe().status(), kDataLoss);
}

TEST_CASE("a state that was overtaken while it was received is not installed") {
  ReplicaPair pair;
  std::unique_ptr<IncomingState> incoming = pair.Receive(pair.StateAt(100));
  pair.Send(incoming.get());
  pair.ApplyTo(101);
  CHECK_CODE(pair.Install(std::move(incoming)), kInvalidArgument);
  pair.Flush();
  pair.CheckAt(101);
}

TEST_CASE("nothing is applied while a state is installed, and a second one is refused") {
  ReplicaPair pair;
  pair.ApplyTo(10);
  const ReplicaState state = pair.StateAt(100);
  std::unique_ptr<IncomingState> incoming = pair.Receive(state);
  pair.Send(incoming.get());
  std::unique_ptr<IncomingState> second = pair.Receive(state);
  pair.Send(second.get());
  absl::Status first_end = absl::UnknownError("");
  absl::Status second_end = absl::UnknownError("");
  pair.replica().Install(std::move(incoming), [&](const absl::Status& status) { first_end = status; });
  const EncodedEntry entry(pair.course().log[10], 11);
  CHECK_CODE(pair.replica().Apply(entry.entry()).status(), kFailedPrecondition);
  CHECK_CODE(pair.replica().Freeze().status(), kFailedPrecondition);
  pair.replica().Install(std::move(second), [&](const absl::Status& status) { second_end = status; });
  CHECK_CODE(second_end, kFailedPrecondition);
  pair.env().executor().RunReady();
  CHECK_OK(first_end);
  pair.CheckAt(100);
  pair.ApplyTo(101);
}

TEST_CASE("what works on the state before in the background ends without effect, wherever it is") {
  // The work has done more each time when the state is installed.
  uint64_t aborted = 0;
  uint64_t flushed = 0;
  for (uint64_t steps = 0; steps < 40; ++steps) {
    CAPTURE(steps);
    ReplicaPair pair(steps + 2, {.entries = 200, .keys = 100, .value_bytes_max = 6000});
    pair.ApplyTo(60);
    pair.Flush();
    pair.ApplyTo(90);
    std::unique_ptr<IncomingState> incoming = pair.Receive(pair.StateAt(150));
    pair.Send(incoming.get());
    absl::Status compacted = absl::UnknownError("");
    absl::Status flush = absl::UnknownError("");
    pair.replica().engine().CompactRange("", "", [&](const absl::Status& status) { compacted = status; });
    REQUIRE_OK(pair.replica().Freeze().status());
    pair.replica().engine().WhenFlushed([&](const absl::Status& status) { flush = status; });
    for (uint64_t step = 0; step < steps; ++step) pair.env().executor().RunOne();
    REQUIRE_OK(pair.Install(std::move(incoming)));
    CHECK_OK(pair.replica().engine().CheckInvariants());
    pair.env().executor().RunReady();
    // What was to be flushed is in tables, whosever they are.
    CHECK_OK(flush);
    CHECK((compacted.ok() || absl::IsAborted(compacted)));
    aborted += absl::IsAborted(compacted) ? 1 : 0;
    flushed += compacted.ok() ? 1 : 0;
    pair.CheckAt(150);
    pair.ApplyTo(200);
    pair.Flush();
    REQUIRE_OK(CompactReplica(&pair.replica(), &pair.env().executor()));
    pair.CheckAt(200);
  }
  CHECK(aborted > 0);
  CHECK(flushed > 0);
}

TEST_CASE("who waits for room finds some in the new state") {
  ReplicaPair pair(3, {.entries = 200, .value_bytes_max = 3000});
  std::unique_ptr<IncomingState> incoming = pair.Receive(pair.StateAt(150));
  pair.Send(incoming.get());
  // The owner's log lags, so nothing is flushed.
  bool full = false;
  while (!full) {
    const uint64_t index = pair.replica().applied().applied.index + 1;
    REQUIRE(index < 150);
    const EncodedEntry entry(pair.course().log[index - 1], index);
    const auto applied = pair.replica().Apply(entry.entry());
    REQUIRE_OK(applied.status());
    full = applied->result == storage::AppliedEntry::Result::kNoRoom;
  }
  bool room = false;
  pair.replica().WhenRoom([&room]() { room = true; });
  pair.env().executor().RunReady();
  CHECK_FALSE(room);
  REQUIRE_OK(pair.Install(std::move(incoming)));
  CHECK(room);
  pair.CheckAt(150);
}

TEST_CASE("an install for which the disk has no room, at whichever call, leaves the old state, which goes on") {
  static constexpr FileCall kCalls[] = {FileCall::kCreate, FileCall::kAppend, FileCall::kReserve};
  uint64_t refused = 0;
  for (const FileCall call : kCalls) {
    // Of the manifest, an append has room that was reserved.
    const char* const pattern = call == FileCall::kAppend ? "*.tbl*" : "*";
    for (uint64_t skip = 0; skip < 12; ++skip) {
      CAPTURE(FileCallName(call), skip);
      ReplicaPair pair;
      pair.ApplyTo(40);
      pair.Flush();
      const ReplicaState state = pair.StateAt(120);
      std::unique_ptr<IncomingState> incoming = pair.Receive(state);
      pair.env().files().Inject(
          {.kind = FaultKind::kNoSpace, .calls = {call}, .pattern = pattern, .skip = skip, .count = UINT64_MAX});
      absl::Status status = SendState(pair.pinned(), incoming.get(), kStatePieceBytes).status();
      if (status.ok()) status = pair.Install(std::move(incoming));
      incoming.reset();
      pair.env().files().ClearFaults();
      if (status.ok()) {
        pair.CheckAt(120);
        break;
      }
      ++refused;
      CHECK_CODE(status, kResourceExhausted);
      pair.CheckAt(40);
      pair.ApplyTo(50);
      pair.Flush();
      pair.CheckAt(50);
      pair.InstallAt(120);
      pair.CheckAt(120);
    }
  }
  CHECK(refused >= 5);
}

TEST_CASE("an install that fails at any call leaves the old state or the new, and the next open tells which") {
  uint64_t old_states = 0;
  uint64_t new_states = 0;
  for (uint64_t at = 1; at < 200; ++at) {
    CAPTURE(at);
    ReplicaPair pair;
    pair.ApplyTo(40);
    pair.Flush();
    std::unique_ptr<IncomingState> incoming = pair.Receive(pair.StateAt(120));
    pair.Send(incoming.get());
    pair.env().files().StopAt(pair.env().files().mutations() + at);
    const absl::Status installed = pair.Install(std::move(incoming));
    if (!installed.ok()) {
      // In memory it is the old one.
      CHECK(pair.replica().applied().applied.index == 40);
    }
    pair.PowerLoss();
    const uint64_t found = pair.replica().applied().applied.index;
    CHECK((found == 40 || found == 120));
    if (installed.ok()) CHECK(found == 120);
    pair.CheckAt(found);
    ++(found == 40 ? old_states : new_states);
    if (new_states > 3) break;
  }
  CHECK(old_states > 3);
  CHECK(new_states > 3);
}

TEST_CASE("closing while a state is installed ends it, one way or the other") {
  for (uint64_t mutations = 0; mutations < 30; ++mutations) {
    CAPTURE(mutations);
    ReplicaPair pair;
    pair.ApplyTo(40);
    pair.Flush();
    std::unique_ptr<IncomingState> incoming = pair.Receive(pair.StateAt(120));
    pair.Send(incoming.get());
    absl::Status end = absl::UnknownError("");
    pair.replica().Install(std::move(incoming), [&](const absl::Status& status) { end = status; });
    RunMutations(&pair.env(), mutations);
    pair.Close();
    CHECK((end.ok() || absl::IsFailedPrecondition(end)));
    pair.Open();
    pair.CheckAt(end.ok() ? 120 : 40);
  }
}

}  // namespace bandb::test
