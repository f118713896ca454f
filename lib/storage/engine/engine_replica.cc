#include "storage/engine/engine_replica.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "kv/batch_format.h"
#include "kv/options.h"
#include "storage/engine/read_time.h"
#include "storage/file/refused_read.h"

namespace bandb::storage {

// What the engine does otherwise for a replica, and only that.

void Engine::StartPosition(const ReplicaStart& start, ManifestState* state) {
  BANDB_ASSERT(is_replica_);
  // A manifest that tells of a log of the engine's own is a standalone database's, and what it says
  // of a cluster is of another one, which the database was once copied from.
  if (state->begun_log != 0 || !state->applied) {
    state->applied = start.applied;
    state->membership = start.membership;
  }
  state->log_ends.clear();
  applied_ = {.applied = *state->applied,
              .last_sequence = state->last_sequence,
              .user_sequence = state->LastUserSequence(),
              .commit_time_ms = state->commit_time_ms,
              .membership = state->membership.value_or(std::string())};
  base::MutexLock lock(&mutex_);
  // Nothing is flushed that was not applied before, and what is in tables is durable without a log.
  durable_log_index_ = applied_.applied.index;
}

size_t Engine::FlushableMemtables() const {
  if (!is_replica_) return frozen_.size();
  size_t count = 0;
  while (count < frozen_.size() &&
         frozen_positions_.at(frozen_[count]->log_number()).applied.index <= durable_log_index_) {
    ++count;
  }
  return count;
}

uint64_t Engine::FrozenIndex() const {
  if (frozen_positions_.empty()) return versions_.state().applied->index;
  return frozen_positions_.rbegin()->second.applied.index;
}

absl::Status Engine::CheckPositions() const {
  const auto violated = [](std::string_view what) {
    return base::Error(absl::StatusCode::kInternal, "the replica: {}", what);
  };
  if (logs_.TotalBytes() != 0 || logs_.current() != nullptr) return violated("there is no log");
  if (frozen_positions_.size() != frozen_.size()) return violated("each frozen memtable has a position");
  const ManifestState state = versions_.state();
  if (!state.applied) return violated("the manifest has a position");
  ReplicaPosition before{.applied = *state.applied,
                         .last_sequence = state.last_sequence,
                         .user_sequence = state.LastUserSequence(),
                         .commit_time_ms = state.commit_time_ms,
                         .membership = {}};
  const auto goes_on = [&before](const ReplicaPosition& position) {
    const bool on = position.applied.index >= before.applied.index && position.applied.term >= before.applied.term &&
                    position.last_sequence >= before.last_sequence && position.user_sequence >= before.user_sequence &&
                    position.user_sequence <= position.last_sequence &&
                    position.commit_time_ms >= before.commit_time_ms;
    before = position;
    return on;
  };
  for (const std::shared_ptr<Memtable>& memtable : frozen_) {
    const auto at = frozen_positions_.find(memtable->log_number());
    if (at == frozen_positions_.end() || !goes_on(at->second)) return violated("positions go on");
    if (memtable->largest_sequence() > before.last_sequence) return violated("a position covers its memtable");
  }
  if (!goes_on(applied_)) return violated("what is applied comes last");
  if (last_sequence_ != applied_.last_sequence) return violated("readers see all that is applied");
  if (last_commit_time_ms_ != applied_.commit_time_ms) return violated("readers go by the time of the log");
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<EngineReplica>> EngineReplica::Open(const base::Env& env, const std::string& dir,
                                                                   const Options& options, const ReplicaStart& start) {
  BANDB_RETURN_IF_ERROR(kv::Validate(options));
  if (!start.identity.IsOfCluster()) {
    return base::Error(absl::StatusCode::kInvalidArgument, "{}: a replica belongs to a cluster", dir);
  }
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, Engine::Open(env, dir, options, &start));
  return std::unique_ptr<EngineReplica>(new EngineReplica(std::move(engine)));
}

absl::Status EngineReplica::CheckFollows(const ReplicaEntry& entry) const {
  const AppliedPosition& before = applied().applied;
  if (entry.index == before.index + 1 && entry.term >= before.term) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument, "entry {} of term {} does not follow entry {} of term {}",
                     entry.index, entry.term, before.index, before.term);
}

absl::StatusOr<EngineReplica::EntrySize> EngineReplica::Measure(const ReplicaEntry& entry) {
  EntrySize size;
  for (const ReplicaWrite& write : entry.writes) {
    kv::OperationReader reader(write.operations);
    kv::Operation operation;
    bool within_limits = true;
    for (; reader.Next(&operation); ++size.operations) within_limits &= kv::IsWithinLimits(operation);
    if (!reader.ok() || !within_limits) {
      return base::Error(absl::StatusCode::kDataLoss, "entry {}: malformed operations", entry.index);
    }
    size.payload_bytes += write.operations.size();
    if (write.duplicate) continue;
    size.has_conditions |= !write.conditions.empty();
    kv::ConditionReader conditions(write.conditions);
    for (kv::Condition condition; conditions.Next(&condition);) {
      size.has_range_conditions |= condition.check == kv::Check::kEmptyRange;
    }
  }
  size.system_first = size.operations;
  size.operations += entry.system.operations_max;
  size.payload_bytes += entry.system.bytes_max;
  return size;
}

void EngineReplica::AddAll(Space space, std::string_view operations, Sequence first) {
  kv::OperationReader reader(operations);
  kv::Operation operation;
  while (reader.Next(&operation)) engine_->memtable_->Add(first++, space, operation);
  BANDB_ASSERT(reader.ok());
}

namespace {

uint64_t CountOperations(std::string_view operations) {
  kv::OperationReader reader(operations);
  kv::Operation operation;
  uint64_t count = 0;
  while (reader.Next(&operation)) ++count;
  BANDB_ASSERT(reader.ok());
  return count;
}

// What an entry answers whose conditions could not all be read.
absl::Status ConditionUnread(const absl::Status& read) {
  // The entry waits for a descriptor, however long that takes.
  if (LacksDescriptors(read))
    return base::Error(absl::StatusCode::kUnavailable, "a condition: {}", base::Message(read));
  return base::Annotate(read, "a condition");
}

// Whether an operation of a user had an effect.
bool DidSomething(const ReplicaEntry& entry, const AppliedEntry& applied) {
  BANDB_ASSERT(applied.outcomes.size() == entry.writes.size());
  for (size_t i = 0; i < entry.writes.size(); ++i) {
    const ReplicaWrite& write = entry.writes[i];
    if (!write.duplicate && !write.operations.empty() && applied.outcomes[i].ok()) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::vector<bool>> EngineReplica::JudgeConditions(const ReplicaEntry& entry, uint64_t now_ms,
                                                                 bool only_cached) {
  const ViewRef view = engine_->views_.Acquire();
  if (!view) return ClosedError();
  const Sequence before = applied().last_sequence;
  EntryConditions conditions({
      .get =
          [&](std::string_view key, PinnedValue* value) {
            const LookupKey lookup(Space::kUser, key, before);
            Sequence newest = 0;
            Engine::ReadTime time(engine_.get());
            time.Set(now_ms);
            return engine_->GetAt(view, lookup, &time, {.fill_cache = true, .only_cached = only_cached}, value,
                                  &newest);
          },
      .walk =
          [&](std::string_view begin, std::string_view limit) {
            ReadOptions options;
            options.lower_bound = begin;
            options.upper_bound = limit;
            return engine_->NewIteratorAt(view.Share(), Space::kUser, before, now_ms, options);
          },
  });
  for (const ReplicaWrite& write : entry.writes) {
    if (!write.duplicate) BANDB_RETURN_IF_ERROR(conditions.Read(write.conditions));
  }
  std::vector<bool> done;
  Sequence sequence = before + 1;
  for (const ReplicaWrite& write : entry.writes) {
    bool holds = false;
    if (!write.duplicate) {
      BANDB_ASSIGN_OR_RETURN(holds, conditions.Hold(write.conditions));
    }
    if (holds) conditions.Done(write.operations, now_ms, sequence);
    done.push_back(holds);
    sequence += CountOperations(write.operations);
  }
  BANDB_ASSERT(done.size() == entry.writes.size());
  return done;
}

absl::StatusOr<std::vector<bool>> EngineReplica::Judge(const ReplicaEntry& entry, const EntrySize& size,
                                                       uint64_t now_ms, bool only_cached) {
  if (!size.has_conditions) {
    std::vector<bool> done;
    for (const ReplicaWrite& write : entry.writes) done.push_back(!write.duplicate);
    return done;
  }
  // No walk answers from memory alone.
  if (size.has_range_conditions && only_cached) return absl::UnavailableError("");
  absl::StatusOr<std::vector<bool>> done = JudgeConditions(entry, now_ms, only_cached);
  if (done.ok() || (only_cached && absl::IsUnavailable(done.status()))) return done;
  return ConditionUnread(done.status());
}

void EngineReplica::Insert(const ReplicaEntry& entry, const std::vector<bool>& done, AppliedEntry* applied) {
  BANDB_ASSERT(done.size() == entry.writes.size());
  Sequence sequence = applied->first_sequence;
  applied->outcomes.reserve(entry.writes.size());
  for (size_t i = 0; i < entry.writes.size(); ++i) {
    const ReplicaWrite& write = entry.writes[i];
    absl::Status& outcome = applied->outcomes.emplace_back();
    if (done[i]) {
      AddAll(Space::kUser, write.operations, sequence);
    } else if (!write.duplicate) {
      outcome = base::Error(absl::StatusCode::kAborted, "a condition of the batch does not hold");
    }
    // Whatever became of it, so that sequences depend on the log alone.
    sequence += CountOperations(write.operations);
  }
}

void EngineReplica::InsertSystem(const ReplicaEntry::System& system, Sequence first,
                                 absl::Span<const absl::Status> outcomes) {
  if (system.make == nullptr) return;
  const std::string operations = system.make(outcomes);
  BANDB_ASSERT(operations.size() <= system.bytes_max);
  BANDB_ASSERT(CountOperations(operations) <= system.operations_max);
  AddAll(Space::kSystem, operations, first);
}

void EngineReplica::Publish(const ReplicaEntry& entry, uint64_t now_ms, Sequence last, bool for_users) {
  ReplicaPosition& position = engine_->applied_;
  BANDB_ASSERT(entry.index == position.applied.index + 1);
  BANDB_ASSERT(last >= position.last_sequence);
  BANDB_ASSERT(now_ms >= position.commit_time_ms);
  position.applied = {.index = entry.index, .term = entry.term};
  position.last_sequence = last;
  if (for_users) position.user_sequence = last;
  position.commit_time_ms = now_ms;
  if (entry.membership) position.membership = *entry.membership;
  engine_->memtable_->EndGroup(now_ms);
  engine_->logs_.NoteAppended(last, true);
  // The time first: a reader of the entry sees what had expired when it was committed as expired,
  // or it could see that a condition on that had held.
  engine_->last_commit_time_ms_.store(now_ms, std::memory_order_release);
  engine_->last_sequence_.store(last, std::memory_order_release);
}

absl::Status EngineReplica::MayApply() const {
  if (installing_.load(std::memory_order_acquire)) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "another state is being installed");
  }
  return engine_->lifecycle_.RefusesWrites() ? engine_->lifecycle_.MayWrite() : absl::OkStatus();
}

absl::StatusOr<AppliedEntry> EngineReplica::Apply(const ReplicaEntry& entry, const ApplyOptions& options) {
  const absl::Status may = MayApply();
  const bool is_full = may.code() == absl::StatusCode::kResourceExhausted;
  if (!may.ok() && !is_full) return may;
  BANDB_RETURN_IF_ERROR(CheckFollows(entry));
  BANDB_ASSIGN_OR_RETURN(const EntrySize size, Measure(entry));
  // The log has it, and readers wait for it: what there is room for in memory needs no disk.
  const bool fits = size.operations == 0 || engine_->memtable_->HasRoomFor(size.operations, size.payload_bytes);
  if (is_full && !fits) return may;
  AppliedEntry applied;
  const Sequence before = engine_->applied_.last_sequence;
  if (size.operations > kLastSequenceMax - before) {
    return base::Error(absl::StatusCode::kDataLoss, "entry {}: the sequences are used up", entry.index);
  }
  const uint64_t now_ms = std::max(entry.commit_time_ms, engine_->applied_.commit_time_ms);
  const absl::StatusOr<std::vector<bool>> done = Judge(entry, size, now_ms, options.only_cached);
  if (options.only_cached && absl::IsUnavailable(done.status())) {
    applied.result = AppliedEntry::Result::kNeedsDisk;
    return applied;
  }
  BANDB_RETURN_IF_ERROR(done.status());
  if (size.operations != 0) {
    absl::Status failure;
    const uint64_t memtable = engine_->memtable_->log_number();
    const Engine::Room room = engine_->MakeRoom(size.operations, size.payload_bytes, &failure);
    BANDB_RETURN_IF_ERROR(failure);
    applied.froze = engine_->memtable_->log_number() != memtable;
    if (room == Engine::Room::kStalled) {
      applied.result = AppliedEntry::Result::kNoRoom;
      return applied;
    }
  }
  applied.first_sequence = before + 1;
  Insert(entry, *done, &applied);
  InsertSystem(entry.system, applied.first_sequence + size.system_first, applied.outcomes);
  Publish(entry, now_ms, before + size.operations, DidSomething(entry, applied));
  engine_->counters_.operations.fetch_add(size.operations, std::memory_order_relaxed);
  engine_->counters_.batches.fetch_add(entry.writes.size(), std::memory_order_relaxed);
  engine_->counters_.user_bytes.fetch_add(size.payload_bytes, std::memory_order_relaxed);
  return applied;
}

void EngineReplica::WhenRoom(std::function<void()> room) {
  {
    base::MutexLock lock(&engine_->mutex_);
    if (!engine_->lifecycle_.RefusesWrites() && !engine_->MayFreeze(false)) {
      BANDB_ASSERT(engine_->room_waiter_ == nullptr);
      engine_->room_waiter_ = std::move(room);
      return;
    }
  }
  room();
}

absl::StatusOr<bool> EngineReplica::Freeze() {
  BANDB_RETURN_IF_ERROR(MayApply());
  {
    base::MutexLock lock(&engine_->mutex_);
    if (engine_->FrozenIndex() == applied().applied.index) return true;
  }
  absl::Status failure;
  const Engine::Room room = engine_->FreezeIfRoom(engine_->memtable_bytes_, false, &failure);
  BANDB_RETURN_IF_ERROR(failure);
  return room == Engine::Room::kYes;
}

void EngineReplica::LogIsDurable(uint64_t index) {
  base::MutexLock lock(&engine_->mutex_);
  if (index <= engine_->durable_log_index_) return;
  engine_->durable_log_index_ = index;
  engine_->MaybeScheduleWork();
}

ReplicaPosition EngineReplica::durable() const {
  ManifestState state = engine_->versions_.state();
  return {.applied = *state.applied,
          .last_sequence = state.last_sequence,
          .user_sequence = state.LastUserSequence(),
          .commit_time_ms = state.commit_time_ms,
          .membership = std::move(state.membership).value_or(std::string())};
}

uint64_t EngineReplica::commit_time_ms() const { return engine_->last_commit_time_ms_.load(std::memory_order_acquire); }

bool EngineReplica::MayExpireSoon() const {
  const ViewRef view = engine_->views_.Acquire();
  if (!view) return false;
  const auto expires = [now_ms = commit_time_ms()](const auto& memtable) {
    return memtable->latest_expiry_ms() > now_ms;
  };
  return expires(view->memtable) || std::any_of(view->frozen.begin(), view->frozen.end(), expires);
}

bool EngineReplica::MayExpire() const {
  if (MayExpireSoon()) return true;
  const ViewRef view = engine_->views_.Acquire();
  if (!view) return false;
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : view->version->level(level)) {
      if (table->info().earliest_expiry_ms != UINT64_MAX) return true;
    }
  }
  return false;
}

absl::StatusOr<std::string> EngineReplica::GetSystem(std::string_view key) {
  PinnedValue value;
  BANDB_RETURN_IF_ERROR(engine_->GetIn(Space::kSystem, key, ReadOptions(), &value));
  return std::string(value.value());
}

std::unique_ptr<Iterator> EngineReplica::NewSystemIterator() {
  return engine_->NewIteratorIn(Space::kSystem, ReadOptions());
}

}  // namespace bandb::storage
