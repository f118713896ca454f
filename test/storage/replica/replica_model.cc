#include "storage/replica/replica_model.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "kv/batch_format.h"
#include "support/absolute_times.h"
#include "support/random_data.h"

namespace bandb::test {

namespace {

constexpr uint64_t kFirstTimeMs = 1'000'000;
constexpr uint64_t kSystemOperationsMax = 3;
constexpr uint64_t kSystemBytesMax = 400;

absl::Status Differs(std::string_view what) {
  return base::Error(absl::StatusCode::kInternal, "the replica and the model disagree: {}", what);
}

// Waits for what ends in a Done.
absl::Status Await(base::Executor* executor, const std::function<void(storage::Engine::Done)>& start) {
  base::Event event;
  absl::Status outcome;
  start([&](absl::Status status) {
    outcome = std::move(status);
    event.Set();
  });
  executor->Wait(&event, base::kForever);
  return outcome;
}

void AwaitRoom(storage::EngineReplica* replica, base::Executor* executor) {
  base::Event event;
  replica->WhenRoom([&event]() { event.Set(); });
  executor->Wait(&event, base::kForever);
}

absl::StatusOr<ModelEntries> Walk(Iterator* it) {
  ModelEntries found;
  for (it->SeekToFirst(); it->Valid(); it->Next()) found.emplace_back(it->key(), it->value());
  BANDB_RETURN_IF_ERROR(it->status());
  ModelEntries backward;
  for (it->SeekToLast(); it->Valid(); it->Prev()) backward.emplace_back(it->key(), it->value());
  BANDB_RETURN_IF_ERROR(it->status());
  std::reverse(backward.begin(), backward.end());
  if (backward != found) return Differs("backward is not forward");
  return found;
}

ModelChange RandomChange(base::Random* random, const LogShape& shape) {
  const auto key = [&]() { return NumberedKey(random->Uniform(shape.keys), 3); };
  const auto value = [&]() { return RandomText(random, 1 + random->Uniform(shape.value_bytes_max)); };
  if (shape.range_deletes != 0 && random->OneIn(shape.range_deletes)) {
    return {ModelChange::Kind::kDeleteRange, key(), key()};
  }
  if (random->OneIn(5)) return {ModelChange::Kind::kDelete, key()};
  if (shape.times_to_live != 0 && random->OneIn(shape.times_to_live)) {
    return {ModelChange::Kind::kPutWithTtl, key(), value(), 1 + random->Uniform(300)};
  }
  return {ModelChange::Kind::kPut, key(), value()};
}

LogWrite RandomWrite(base::Random* random, const LogShape& shape, uint64_t now_ms) {
  LogWrite write;
  write.write.now_ms = now_ms;
  write.duplicate = shape.duplicates != 0 && random->OneIn(shape.duplicates);
  for (uint64_t count = 1 + random->Uniform(4); count > 0; --count) {
    write.write.changes.push_back(RandomChange(random, shape));
  }
  if (shape.conditions == 0 || !random->OneIn(shape.conditions)) return write;
  static constexpr ModelCondition::Kind kKinds[] = {ModelCondition::Kind::kPresent, ModelCondition::Kind::kAbsent,
                                                    ModelCondition::Kind::kEmptyRange};
  const auto kind = kKinds[random->Uniform(shape.range_conditions ? 3 : 2)];
  const uint64_t key = random->Uniform(shape.keys);
  ModelCondition condition{kind, NumberedKey(key, 3)};
  if (kind == ModelCondition::Kind::kEmptyRange) condition.value = NumberedKey(key + 1 + key % 3, 3);
  write.write.conditions.push_back(std::move(condition));
  return write;
}

}  // namespace

std::string OutcomesText(absl::Span<const absl::Status> outcomes) {
  std::string text;
  for (const absl::Status& outcome : outcomes) text += absl::StatusCodeToString(outcome.code()) + " ";
  return text;
}

EncodedEntry::EncodedEntry(const LogEntry& entry, uint64_t index) {
  entry_.index = index;
  entry_.term = entry.term;
  entry_.commit_time_ms = entry.commit_time_ms;
  entry_.membership = entry.membership;
  for (const LogWrite& write : entry.writes) {
    const WriteBatch batch = write.write.ToBatch();
    std::string& operations = bytes_.emplace_back(WriteBatchAccess::Operations(batch));
    test::MakeTimesAbsolute(&operations, write.write.now_ms);
    const std::string& conditions = bytes_.emplace_back(WriteBatchAccess::Conditions(batch));
    entry_.writes.push_back({.conditions = conditions, .operations = operations, .duplicate = write.duplicate});
  }
  if (entry.session.empty()) return;
  entry_.system = {.make =
                       [session = entry.session](absl::Span<const absl::Status> outcomes) {
                         std::string operations;
                         const std::string text = OutcomesText(outcomes);
                         kv::AppendOperation(&operations, {.kind = kv::Kind::kPut, .key = session, .value = text});
                         return operations;
                       },
                   .operations_max = kSystemOperationsMax,
                   .bytes_max = kSystemBytesMax};
}

std::string ReplicaModel::Apply(const LogEntry& entry) {
  position.applied = {.index = position.applied.index + 1, .term = entry.term};
  position.commit_time_ms = std::max(position.commit_time_ms, entry.commit_time_ms);
  if (entry.membership) position.membership = *entry.membership;
  std::vector<absl::Status> outcomes;
  bool for_users = false;
  for (const LogWrite& write : entry.writes) {
    position.last_sequence += write.write.changes.size();
    const bool done = !write.duplicate && write.write.Holds(user, position.commit_time_ms);
    if (done) write.write.Apply(&user);
    for_users |= done && !write.write.changes.empty();
    outcomes.push_back(done || write.duplicate ? absl::OkStatus() : absl::AbortedError(""));
  }
  std::string text = OutcomesText(outcomes);
  if (!entry.session.empty()) {
    position.last_sequence += kSystemOperationsMax;
    system[entry.session] = text;
  }
  if (for_users) position.user_sequence = position.last_sequence;
  return text;
}

absl::Status ReplicaModel::Compare(storage::EngineReplica* replica, const ModelState& probes) const {
  const storage::ReplicaPosition& applied = replica->applied();
  if (applied.applied.index != position.applied.index || applied.applied.term != position.applied.term) {
    return Differs("the applied index");
  }
  if (applied.last_sequence != position.last_sequence) return Differs("the last sequence");
  if (applied.user_sequence != position.user_sequence) return Differs("the users' last sequence");
  if (applied.commit_time_ms != position.commit_time_ms) return Differs("the time");
  if (applied.membership != position.membership) return Differs("the membership");
  const ModelEntries expected = Visible(user, position.commit_time_ms);
  BANDB_ASSIGN_OR_RETURN(const ModelEntries found, Walk(replica->engine().NewIterator({}).get()));
  if (found != expected) return Differs(Difference(found, expected));
  BANDB_ASSIGN_OR_RETURN(const ModelEntries found_system, Walk(replica->NewSystemIterator().get()));
  const ModelEntries expected_system(system.begin(), system.end());
  if (found_system != expected_system) return Differs("space 0: " + Difference(found_system, expected_system));
  const std::map<std::string, std::string> by_key(expected.begin(), expected.end());
  for (const auto& [key, unused] : probes) {
    PinnedValue value;
    const absl::Status got = replica->engine().Get(key, {}, &value);
    const auto at = by_key.find(key);
    if (at == by_key.end() ? !absl::IsNotFound(got) : !got.ok() || value.value() != at->second) {
      return Differs(fmt::format("Get of {}: {}", key, got.ToString()));
    }
  }
  return absl::OkStatus();
}

std::vector<LogEntry> RandomLog(uint64_t seed, const LogShape& shape) {
  base::Random random(seed);
  std::vector<LogEntry> log;
  uint64_t term = 1;
  uint64_t now_ms = kFirstTimeMs;
  for (uint64_t i = 0; i < shape.entries; ++i) {
    now_ms += random.Uniform(20);
    if (random.OneIn(20)) ++term;
    LogEntry entry{.term = term, .commit_time_ms = now_ms};
    if (random.OneIn(shape.memberships)) {
      entry.membership = shape.members.empty() ? fmt::format("members {}", i) : shape.members;
    } else if (!random.OneIn(shape.empty)) {
      const uint64_t count = 1 + random.Uniform(shape.writes_max);
      for (uint64_t j = 0; j < count; ++j) entry.writes.push_back(RandomWrite(&random, shape, now_ms));
      if (shape.sessions != 0 && random.OneIn(shape.sessions)) entry.session = NumberedKey(random.Uniform(10), 3);
    }
    log.push_back(std::move(entry));
  }
  return log;
}

LogCourse::LogCourse(std::vector<LogEntry> entries) : log(std::move(entries)) {
  models.emplace_back();
  models.back().position.membership = TestStart().membership;
  for (const LogEntry& entry : log) {
    ReplicaModel next = models.back();
    outcomes.push_back(next.Apply(entry));
    models.push_back(std::move(next));
  }
}

absl::Status LogCourse::Apply(storage::EngineReplica* replica, base::Executor* executor, uint64_t index) const {
  const EncodedEntry entry(log[index - 1], index);
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const storage::AppliedEntry applied, replica->Apply(entry.entry()));
    if (applied.result == storage::AppliedEntry::Result::kNoRoom) {
      AwaitRoom(replica, executor);
      continue;
    }
    if (OutcomesText(applied.outcomes) == outcomes[index - 1]) return absl::OkStatus();
    return Differs(
        fmt::format("entry {} ended as {} and not as {}", index, OutcomesText(applied.outcomes), outcomes[index - 1]));
  }
}

storage::ReplicaStart TestStart() {
  storage::ReplicaStart start;
  start.identity.database_id.bytes.fill('d');
  start.identity.cluster_id.bytes.fill('c');
  start.identity.node_id = 7;
  start.membership = "node 7";
  return start;
}

absl::Status FlushReplica(storage::EngineReplica* replica, base::Executor* executor) {
  while (true) {
    BANDB_ASSIGN_OR_RETURN(const bool frozen, replica->Freeze());
    if (frozen) break;
    AwaitRoom(replica, executor);
  }
  return Await(executor, [&](storage::Engine::Done done) { replica->engine().WhenFlushed(std::move(done)); });
}

absl::Status CompactReplica(storage::EngineReplica* replica, base::Executor* executor) {
  return Await(executor, [&](storage::Engine::Done done) { replica->engine().CompactRange("", "", std::move(done)); });
}

absl::Status CloseReplica(storage::EngineReplica* replica, base::Executor* executor) {
  Await(executor, [&](storage::Engine::Done done) { replica->engine().BeginClose(std::move(done)); }).IgnoreError();
  return replica->engine().FinishClose();
}

}  // namespace bandb::test
