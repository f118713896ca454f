// The engine in a node of a cluster: what it makes of entries, what it keeps, and what it never
// asks.
#include "storage/engine/engine_replica.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "kv/batch_format.h"
#include "storage/db.h"
#include "storage/replica/replica_crash.h"
#include "storage/replica/replica_model.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

using storage::AppliedEntry;
using storage::EngineReplica;
using Change = ModelChange::Kind;
using Condition = ModelCondition::Kind;

LogWrite Put(const std::string& key, const std::string& value) {
  return {.write = {.changes = {{Change::kPut, key, value}}}};
}

LogWrite PutIf(ModelCondition condition, const std::string& key, const std::string& value) {
  LogWrite write = Put(key, value);
  write.write.conditions.push_back(std::move(condition));
  return write;
}

// A replica on a disk and in time of its own.
class Node {
 public:
  explicit Node(Options options = SmallReplicaOptions()) : options_(std::move(options)) { Open(); }
  ~Node() { Close(); }

  absl::Status TryOpen(const storage::ReplicaStart& start = TestStart()) {
    auto opened = EngineReplica::Open(env_->env(), kReplicaDir, options_, start);
    if (opened.ok()) replica_ = *std::move(opened);
    return opened.status();
  }
  void Open() { REQUIRE_OK(TryOpen()); }
  void Close() {
    if (replica_ != nullptr) CHECK_OK(CloseReplica(replica_.get(), &env_->executor()));
    replica_.reset();
  }
  // The power fails, and what was not synced is gone.
  void PowerLoss() {
    auto image = env_->files().CrashImage(Damage::kLost, 5);
    env_->files().Stop();
    CloseReplica(replica_.get(), &env_->executor()).IgnoreError();
    replica_.reset();
    env_ = std::make_unique<TestEnv>(6, std::move(image));
    Open();
  }
  // The next entry, of which the log is durable.
  absl::StatusOr<AppliedEntry> TryApply(LogEntry entry, const storage::ApplyOptions& options = {}) {
    for (LogWrite& write : entry.writes) write.write.now_ms = entry.commit_time_ms;
    const uint64_t index = replica_->applied().applied.index + 1;
    if (log_is_durable_) replica_->LogIsDurable(index);
    const EncodedEntry encoded(entry, index);
    return replica_->Apply(encoded.entry(), options);
  }
  // What became of its writes.
  std::string Apply(const LogEntry& entry) {
    const absl::StatusOr<AppliedEntry> applied = TryApply(entry);
    REQUIRE_OK(applied.status());
    REQUIRE(applied->result == AppliedEntry::Result::kDone);
    REQUIRE_OK(replica_->engine().CheckInvariants());
    return OutcomesText(applied->outcomes);
  }
  void Flush() { REQUIRE_OK(FlushReplica(replica_.get(), &env_->executor())); }
  std::string Get(const std::string& key, const Snapshot* snapshot = nullptr) {
    PinnedValue value;
    ReadOptions options;
    options.snapshot = snapshot;
    const absl::Status got = replica_->engine().Get(key, options, &value);
    if (absl::IsNotFound(got)) return "-";
    REQUIRE_OK(got);
    return std::string(value.value());
  }
  std::string Keys() {
    std::string keys;
    const auto it = replica_->engine().NewIterator({});
    for (it->SeekToFirst(); it->Valid(); it->Next()) keys += std::string(it->key()) + " ";
    REQUIRE_OK(it->status());
    return keys;
  }
  uint64_t Index() const { return replica_->applied().applied.index; }
  bool HasLogs() const {
    const auto files = env_->files().Files();
    return std::any_of(files.begin(), files.end(), [](const auto& file) { return file.first.ends_with(".log"); });
  }

  EngineReplica& replica() { return *replica_; }
  TestEnv& env() { return *env_; }
  void LogLags() { log_is_durable_ = false; }

 private:
  const Options options_;
  std::unique_ptr<TestEnv> env_ = std::make_unique<TestEnv>(1);
  std::unique_ptr<EngineReplica> replica_;
  bool log_is_durable_ = true;
};

const std::string kLong(3000, 'x');

}  // namespace

TEST_CASE("a replica makes no log, and what is in no table is its owner's to apply again") {
  Node node;
  node.Apply({.term = 3, .commit_time_ms = 10, .writes = {Put("a", "1")}});
  node.Flush();
  node.Apply({.term = 4, .commit_time_ms = 20, .writes = {Put("b", "2")}, .membership = "two"});
  CHECK(node.Keys() == "a b ");
  CHECK_FALSE(node.HasLogs());
  node.PowerLoss();
  CHECK_FALSE(node.HasLogs());
  CHECK(node.Keys() == "a ");
  const storage::ReplicaPosition& found = node.replica().applied();
  CHECK(found.applied.index == 1);
  CHECK(found.applied.term == 3);
  CHECK(found.last_sequence == 1);
  CHECK(found.commit_time_ms == 10);
  CHECK(found.membership == "node 7");
  node.Apply({.term = 4, .commit_time_ms = 20, .writes = {Put("b", "2")}, .membership = "two"});
  CHECK(node.Keys() == "a b ");
  node.Close();
  node.Open();
  CHECK(node.Index() == 1);
}

TEST_CASE("the position in the manifest says how far the tables go, membership included") {
  Node node;
  node.Apply({.term = 2, .commit_time_ms = 10, .writes = {Put("a", "1")}, .membership = "one"});
  CHECK(node.replica().durable().applied.index == 0);
  node.Flush();
  CHECK(node.replica().durable().applied.index == 1);
  CHECK(node.replica().durable().applied.term == 2);
  CHECK(node.replica().durable().membership == "one");
  // Entries that write nothing move it, too.
  node.Apply({.term = 5, .commit_time_ms = 30});
  node.Apply({.term = 5, .membership = "two"});
  node.Flush();
  node.PowerLoss();
  CHECK(node.Index() == 3);
  CHECK(node.replica().applied().applied.term == 5);
  CHECK(node.replica().applied().commit_time_ms == 30);
  CHECK(node.replica().applied().membership == "two");
}

TEST_CASE("an entry that does not follow is refused, and so is one that is malformed, and nothing is done") {
  Node node;
  node.Apply({.term = 2, .writes = {Put("a", "1")}});
  const auto apply = [&](const storage::ReplicaEntry& entry) { return node.replica().Apply(entry).status(); };
  CHECK_CODE(apply({.index = 1, .term = 2}), kInvalidArgument);
  CHECK_CODE(apply({.index = 3, .term = 2}), kInvalidArgument);
  CHECK_CODE(apply({.index = 2, .term = 1}), kInvalidArgument);
  std::string operations;
  kv::AppendOperation(&operations, {.kind = kv::Kind::kPut, .key = "b", .value = "2"});
  const auto with = [&](std::string_view conditions, std::string_view bytes) {
    storage::ReplicaEntry entry{.index = 2, .term = 2};
    entry.writes.push_back({.conditions = {}, .operations = operations});
    entry.writes.push_back({.conditions = conditions, .operations = bytes});
    return entry;
  };
  CHECK_CODE(apply(with("", "\x07")), kDataLoss);
  CHECK_CODE(apply(with("", operations.substr(0, 2))), kDataLoss);
  CHECK_CODE(apply(with("\x09", operations)), kDataLoss);
  std::string too_long;
  const std::string key(kv::kKeyBytesMax + 1, 'k');
  kv::AppendOperation(&too_long, {.kind = kv::Kind::kDelete, .key = key, .value = {}});
  CHECK_CODE(apply(with("", too_long)), kDataLoss);
  CHECK(node.Keys() == "a ");
  CHECK(node.replica().applied().last_sequence == 1);
  CHECK_OK(apply(with("", operations)));
  CHECK(node.Keys() == "a b ");
}

TEST_CASE("every operation takes a sequence, whether it is done or not") {
  Node node;
  LogWrite duplicate = Put("d", "1");
  duplicate.duplicate = true;
  duplicate.write.changes.push_back({Change::kDelete, "a"});
  LogWrite failing = PutIf({Condition::kPresent, "nothing"}, "f", "1");
  failing.write.changes.push_back({Change::kPut, "g", "1"});
  CHECK(node.Apply({.writes = {Put("a", "1"), duplicate, failing, Put("z", "1")}}) == "OK OK ABORTED OK ");
  CHECK(node.replica().applied().last_sequence == 6);
  CHECK(node.Keys() == "a z ");
  // What the owner may keep of an entry counts as if it were all there.
  node.Apply({.writes = {Put("b", "1")}, .session = "s"});
  CHECK(node.replica().applied().last_sequence == 10);
}

TEST_CASE("the conditions of a write see the writes before it in the same entry") {
  Node node;
  node.Apply({.commit_time_ms = 10, .writes = {Put("a", "1")}});
  LogWrite range{.write = {.changes = {{Change::kDeleteRange, "a", "c"}}}};
  CHECK(node.Apply({.commit_time_ms = 20,
                    .writes = {PutIf({Condition::kValue, "a", "1"}, "a", "2"),
                               PutIf({Condition::kValue, "a", "1"}, "never", "1"), range,
                               PutIf({Condition::kAbsent, "a"}, "b", "3"),
                               PutIf({Condition::kPresent, "b"}, "c", "4")}}) == "OK ABORTED OK OK OK ");
  CHECK(node.Keys() == "b c ");
}

TEST_CASE("time is the log's: for readers, for snapshots and for conditions, whatever the clock says") {
  Node node;
  LogWrite expires{.write = {.changes = {{Change::kPutWithTtl, "a", "1", 100}}}};
  node.Apply({.commit_time_ms = 1000, .writes = {expires}});
  node.env().clock().AdvanceMillis(1'000'000);
  CHECK(node.Get("a") == "1");
  node.Apply({.commit_time_ms = 1099});
  CHECK(node.Get("a") == "1");
  const Snapshot snapshot = node.replica().engine().GetSnapshot();
  CHECK(node.Apply({.commit_time_ms = 1100, .writes = {PutIf({Condition::kAbsent, "a"}, "b", "1")}}) == "OK ");
  CHECK(node.Keys() == "b ");
  CHECK(node.Get("a", &snapshot) == "1");
  // A leader whose clock is behind does not turn time back.
  CHECK(node.Apply({.commit_time_ms = 5, .writes = {PutIf({Condition::kPresent, "a"}, "c", "1")}}) == "ABORTED ");
  CHECK(node.replica().applied().commit_time_ms == 1100);
  node.Flush();
  node.PowerLoss();
  CHECK(node.replica().applied().commit_time_ms == 1100);
  CHECK(node.Keys() == "b ");
}

TEST_CASE("a merge drops nothing that entries after the durable position must find when they are applied again") {
  Node node;
  LogWrite expires{.write = {.changes = {{Change::kPutWithTtl, "a", "1", 100}}}};
  const LogEntry asks{.commit_time_ms = 1050, .writes = {PutIf({Condition::kPresent, "a"}, "b", "1")}};
  node.Apply({.commit_time_ms = 1000, .writes = {expires, Put("z", "1")}});
  node.Flush();
  CHECK(node.Apply(asks) == "OK ");
  node.Apply({.commit_time_ms = 5000});
  CHECK(node.Keys() == "b z ");
  REQUIRE_OK(CompactReplica(&node.replica(), &node.env().executor()));
  node.PowerLoss();
  REQUIRE(node.Index() == 1);
  CHECK(node.Apply(asks) == "OK ");
}

TEST_CASE("what has expired by the log, and not by the durable position, goes after the next flush and once only") {
  Node node;
  LogWrite expires{.write = {.changes = {{Change::kPutWithTtl, "a", "1", 100}}}};
  node.Apply({.commit_time_ms = 1000, .writes = {expires}});
  node.Flush();
  node.Apply({.commit_time_ms = 5000, .writes = {Put("b", "1")}});
  REQUIRE_OK(CompactReplica(&node.replica(), &node.env().executor()));
  node.env().executor().RunReady();
  const auto bytes = [&] { return node.replica().engine().GetStats().table_bytes; };
  const uint64_t before = bytes();
  CHECK(before > 0);
  // The clock of the machine means nothing, and wakes nothing.
  const uint64_t steps = node.env().executor().steps();
  node.env().executor().RunFor(3'600'000'000'000);
  CHECK(node.env().executor().steps() - steps < 10);
  CHECK(bytes() == before);
  node.Flush();
  node.env().executor().RunReady();
  CHECK(node.replica().engine().GetStats().levels.back().tables == 0);
  CHECK(node.Keys() == "b ");
}

TEST_CASE("the system's space is the owner's: no user sees it or deletes in it, and it is as durable as the rest") {
  Node node;
  node.Apply({.writes = {Put("a", "1"), PutIf({Condition::kAbsent, "a"}, "b", "1")}, .session = "session"});
  LogWrite range{.write = {.changes = {{Change::kDeleteRange, "", "\xff"}}}};
  node.Apply({.writes = {range, Put("c", "1")}});
  CHECK(node.Get("session") == "-");
  CHECK(node.Keys() == "c ");
  node.Flush();
  REQUIRE_OK(CompactReplica(&node.replica(), &node.env().executor()));
  node.PowerLoss();
  CHECK(node.Keys() == "c ");
  CHECK(node.replica().GetSystem("session").value() == "OK ABORTED ");
  CHECK_CODE(node.replica().GetSystem("c").status(), kNotFound);
  const auto it = node.replica().NewSystemIterator();
  it->SeekToFirst();
  REQUIRE(it->Valid());
  CHECK(it->key() == "session");
  it->Seek("t");
  CHECK_FALSE(it->Valid());
  it->Seek("s");
  REQUIRE(it->Valid());
  CHECK(it->value() == "OK ABORTED ");
}

TEST_CASE("a full memtable is no reason to wait: the entry is left, and the owner told when there is room") {
  Node node;
  node.LogLags();
  bool room = false;
  uint64_t applied = 0;
  AppliedEntry::Result result = AppliedEntry::Result::kDone;
  while (result == AppliedEntry::Result::kDone && applied < 1000) {
    const auto answer = node.TryApply({.writes = {Put(std::to_string(applied), kLong)}});
    REQUIRE_OK(answer.status());
    result = answer->result;
    if (result == AppliedEntry::Result::kDone) ++applied;
  }
  REQUIRE(result == AppliedEntry::Result::kNoRoom);
  CHECK(node.Index() == applied);
  CHECK(node.Get(std::to_string(applied)) == "-");
  CHECK_FALSE(node.replica().Freeze().value());
  node.replica().WhenRoom([&room]() { room = true; });
  // Nothing is flushed that the log of the owner may forget.
  node.env().executor().RunReady();
  CHECK_FALSE(room);
  CHECK(node.replica().durable().applied.index == 0);
  node.replica().LogIsDurable(applied);
  node.env().executor().RunReady();
  CHECK(room);
  CHECK(node.replica().durable().applied.index > 0);
  CHECK(node.Apply({.writes = {Put("more", kLong)}}) == "OK ");
  // Where there is room, the answer comes at once.
  node.env().executor().RunReady();
  room = false;
  node.replica().WhenRoom([&room]() { room = true; });
  CHECK(room);
}

TEST_CASE("memtables are flushed as far as the owner's log is durable, and no farther") {
  Node node;
  node.LogLags();
  node.Apply({.writes = {Put("a", "1")}});
  node.Apply({.writes = {Put("b", "1")}});
  REQUIRE(node.replica().Freeze().value());
  node.replica().LogIsDurable(1);
  node.env().executor().RunReady();
  CHECK(node.replica().durable().applied.index == 0);
  REQUIRE_OK(node.replica().engine().CheckInvariants());
  node.replica().LogIsDurable(2);
  node.env().executor().RunReady();
  CHECK(node.replica().durable().applied.index == 2);
}

TEST_CASE("a replica knows whether anything may still expire, in memory and in tables") {
  Node node;
  node.Apply({.commit_time_ms = 1000, .writes = {Put("a", "1")}});
  CHECK_FALSE(node.replica().MayExpire());
  const LogWrite expires{.write = {.changes = {{Change::kPutWithTtl, "b", "2", 100}}}};
  node.Apply({.commit_time_ms = 1000, .writes = {expires}});
  CHECK(node.replica().MayExpire());
  CHECK(node.replica().commit_time_ms() == 1000);
  node.Apply({.commit_time_ms = 1099});
  CHECK(node.replica().MayExpire());
  // Entries without operations move the time, too.
  node.Apply({.commit_time_ms = 1100});
  CHECK_FALSE(node.replica().MayExpire());
  CHECK(node.replica().commit_time_ms() == 1100);

  node.Apply({.commit_time_ms = 1200, .writes = {expires}});
  node.Flush();
  CHECK(node.replica().MayExpire());
  node.Close();
  node.Open();
  CHECK(node.replica().MayExpire());
  // Until a merge drops it, by a time that is in the manifest.
  node.Apply({.commit_time_ms = 1300, .writes = {Put("c", "3")}});
  node.Flush();
  REQUIRE_OK(CompactReplica(&node.replica(), &node.env().executor()));
  CHECK(node.Keys() == "a c ");
  CHECK_FALSE(node.replica().MayExpire());
}

TEST_CASE("an entry larger than a memtable is applied as it is") {
  Node node;
  LogWrite large;
  for (int i = 0; i < 100; ++i) large.write.changes.push_back({Change::kPut, std::to_string(i), kLong});
  for (int i = 0; i < 3; ++i) {
    const auto applied = node.TryApply({.writes = {large}});
    REQUIRE_OK(applied.status());
    REQUIRE(applied->result == AppliedEntry::Result::kDone);
    node.Flush();
  }
  CHECK(node.Get("99") == kLong);
  CHECK(node.replica().applied().last_sequence == 300);
}

TEST_CASE("a condition that asks for what is not in memory waits for a caller who may read the disk") {
  Options options = SmallReplicaOptions();
  options.block_cache_bytes = 1 << 20;
  Node node(options);
  node.Apply({.writes = {Put("a", "1")}});
  node.Flush();
  node.Close();
  node.Open();
  const LogEntry entry{.writes = {Put("never", "half"), PutIf({Condition::kPresent, "a"}, "b", "1")}};
  const auto refused = node.TryApply(entry, {.only_cached = true});
  REQUIRE_OK(refused.status());
  CHECK(refused->result == AppliedEntry::Result::kNeedsDisk);
  CHECK(node.Index() == 1);
  CHECK(node.Keys() == "a ");
  CHECK(node.Apply(entry) == "OK OK ");
  // Now it is.
  const auto applied = node.TryApply(entry, {.only_cached = true});
  REQUIRE_OK(applied.status());
  CHECK(applied->result == AppliedEntry::Result::kDone);
}

TEST_CASE("a condition that cannot be read leaves its entry unapplied, all of it") {
  Options options = SmallReplicaOptions();
  options.block_cache_bytes = 0;
  Node node(options);
  node.Apply({.writes = {Put("a", "1")}});
  node.Flush();
  const LogEntry entry{.writes = {Put("x", "1"), PutIf({Condition::kPresent, "a"}, "b", "1")}};
  node.env().files().Inject({.kind = FaultKind::kIoError,
                             .calls = {FileCall::kRead, FileCall::kOpen},
                             .pattern = "*.tbl",
                             .count = Fault::kSticky});
  CHECK_CODE(node.TryApply(entry).status(), kInternal);
  CHECK(node.Index() == 1);
  CHECK(node.replica().applied().last_sequence == 1);
  node.env().files().ClearFaults();
  CHECK(node.Apply(entry) == "OK OK ");
  CHECK(node.Keys() == "a b x ");
}

TEST_CASE("on a full disk the replica applies what fits into memory, until Resume, and who waits for room is told") {
  Node node;
  node.Apply({.writes = {Put("a", "1")}});
  node.env().files().Inject({.kind = FaultKind::kNoSpace,
                             .calls = {FileCall::kAppend, FileCall::kReserve, FileCall::kCreate},
                             .pattern = "*.tbl",
                             .count = Fault::kSticky});
  CHECK_CODE(FlushReplica(&node.replica(), &node.env().executor()), kResourceExhausted);
  node.Apply({.writes = {Put("b", "1")}});
  CHECK(node.Keys() == "a b ");
  const LogEntry large{.writes = {Put("c", std::string(20'000, 'c'))}};
  absl::Status refused;
  for (int i = 0; i < 20 && refused.ok(); ++i) refused = node.TryApply(large).status();
  CHECK_CODE(refused, kResourceExhausted);
  const uint64_t applied = node.Index();
  bool told = false;
  node.replica().WhenRoom([&told]() { told = true; });
  CHECK(told);
  node.env().files().ClearFaults();
  REQUIRE_OK(node.replica().engine().Resume());
  node.Apply(large);
  CHECK(node.Index() == applied + 1);
  node.Flush();
  node.PowerLoss();
  CHECK(node.Keys() == "a b c ");
}

TEST_CASE("range deletes that hold no key fill the memtable of a replica, so that its node's log can be shortened") {
  Node node;
  const std::string high = "b" + std::string(1000, 'x');
  int froze = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto applied = node.TryApply({.writes = {{.write = {.changes = {{Change::kDeleteRange, high, "a"}}}}}});
    REQUIRE_OK(applied.status());
    if (applied->result == AppliedEntry::Result::kNoRoom) {
      node.Flush();
    } else {
      froze += applied->froze ? 1 : 0;
    }
  }
  CHECK(froze >= 2);
  node.Flush();
  CHECK(node.replica().durable().applied.index > 100);
}

TEST_CASE("a replica opens the directory of its own node and no other, and a Db does not open a replica's") {
  Node node;
  node.Apply({.writes = {Put("a", "1")}});
  node.Flush();
  node.Close();
  for (int what = 0; what < 3; ++what) {
    storage::ReplicaStart other = TestStart();
    if (what == 0) other.identity.node_id = 8;
    if (what == 1) other.identity.cluster_id.bytes[0] = 'x';
    if (what == 2) other.identity.database_id.bytes[0] = 'x';
    CHECK_CODE(node.TryOpen(other), kFailedPrecondition);
  }
  CHECK_CODE(node.TryOpen({}), kInvalidArgument);
  CHECK_CODE(storage::OpenDb(node.env().env(), kReplicaDir, SmallReplicaOptions()).status(), kFailedPrecondition);
  node.Open();
  CHECK(node.Keys() == "a ");
}

}  // namespace bandb::test
