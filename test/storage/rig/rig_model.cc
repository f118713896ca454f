#include "storage/rig/rig_model.h"

#include <memory>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"

namespace bandb::test {

bool RigOp::Holds(const RigState& state) const {
  for (const RigCondition& condition : conditions) {
    const auto found = state.find(condition.key);
    const bool present = found != state.end();
    switch (condition.kind) {
      case RigCondition::Kind::kValue:
        if (!present || found->second != condition.value) return false;
        break;
      case RigCondition::Kind::kPresent:
        if (!present) return false;
        break;
      case RigCondition::Kind::kAbsent:
        if (present) return false;
        break;
    }
  }
  return true;
}

void RigOp::Apply(RigState* state) const {
  for (const RigChange& change : changes) {
    switch (change.kind) {
      case RigChange::Kind::kPut:
      case RigChange::Kind::kPutLong:
        (*state)[change.key] = change.value;
        break;
      case RigChange::Kind::kDelete:
      case RigChange::Kind::kPutBrief:
        state->erase(change.key);
        break;
      case RigChange::Kind::kDeleteRange:
        if (change.key < change.value) state->erase(state->lower_bound(change.key), state->lower_bound(change.value));
        break;
    }
  }
}

WriteBatch RigOp::ToBatch() const {
  WriteBatch batch;
  for (const RigCondition& condition : conditions) {
    if (condition.kind == RigCondition::Kind::kValue) batch.RequireValue(condition.key, condition.value);
    if (condition.kind == RigCondition::Kind::kPresent) batch.RequirePresent(condition.key);
    if (condition.kind == RigCondition::Kind::kAbsent) batch.RequireAbsent(condition.key);
  }
  for (const RigChange& change : changes) {
    switch (change.kind) {
      case RigChange::Kind::kPut:
        batch.Put(change.key, change.value);
        break;
      case RigChange::Kind::kPutLong:
        batch.PutWithTtl(change.key, change.value, absl::Hours(1));
        break;
      case RigChange::Kind::kPutBrief:
        batch.PutWithTtl(change.key, change.value, absl::Milliseconds(1));
        break;
      case RigChange::Kind::kDelete:
        batch.Delete(change.key);
        break;
      case RigChange::Kind::kDeleteRange:
        batch.DeleteRange(change.key, change.value);
        break;
    }
  }
  return batch;
}

uint64_t HashState(const RigState& state) {
  uint64_t hash = state.size();
  for (const auto& [key, value] : state) {
    hash = base::Hash64(key, hash);
    hash = base::Hash64(value, hash);
  }
  return hash;
}

absl::StatusOr<RigState> ReadAll(Db* db, const RigState& probes) {
  RigState found;
  const std::unique_ptr<Iterator> it = db->NewIterator();
  for (it->SeekToFirst(); it->Valid(); it->Next()) found.emplace(it->key(), it->value());
  BANDB_RETURN_IF_ERROR(it->status());
  auto expected = found.rbegin();
  for (it->SeekToLast(); it->Valid(); it->Prev(), ++expected) {
    if (expected == found.rend() || it->key() != expected->first || it->value() != expected->second) {
      return base::Error(absl::StatusCode::kInternal, "backward the iterator finds {} out of place", it->key());
    }
  }
  BANDB_RETURN_IF_ERROR(it->status());
  if (expected != found.rend()) return base::Error(absl::StatusCode::kInternal, "backward the iterator misses keys");
  for (const RigState* keys : {&probes, static_cast<const RigState*>(&found)}) {
    for (const auto& [key, unused] : *keys) {
      const absl::StatusOr<std::string> got = db->Get(key);
      const auto in_found = found.find(key);
      const bool agrees =
          in_found == found.end() ? absl::IsNotFound(got.status()) : got.ok() && *got == in_found->second;
      if (agrees) continue;
      if (!got.ok() && !absl::IsNotFound(got.status())) return got.status();
      return base::Error(absl::StatusCode::kInternal, "Get and the iterator disagree on {}", key);
    }
  }
  return found;
}

PrefixOracle::PrefixOracle() { hashes_.push_back(HashState(state_)); }

uint64_t PrefixOracle::Submitted(const RigOp& op) {
  const bool aborts = !op.Holds(state_);
  if (!aborts) {
    op.Apply(&state_);
    hashes_.push_back(HashState(state_));
  }
  pending_.push_back(Pending{submitted(), op.sync, aborts});
  return pending_.size() - 1;
}

void PrefixOracle::Ended(uint64_t number, const absl::Status& status) {
  const Pending& write = pending_[number];
  if (write.aborts) {
    if (!absl::IsAborted(status)) CallEnded("a write whose conditions do not hold", absl::InternalError("not aborted"));
    return;
  }
  CallEnded("write", status);
  if (!status.ok()) return;
  acknowledged_ = std::max(acknowledged_, write.index);
  if (write.sync) durable_ = std::max(durable_, write.index);
}

void PrefixOracle::FlushEnded(const absl::Status& status) {
  CallEnded("Flush", status);
  if (status.ok()) durable_ = acknowledged_;
}

void PrefixOracle::CheckpointEnded(const std::string& dir, const absl::Status& status) {
  CallEnded("CreateCheckpoint", status);
  if (status.ok()) checkpoints_.push_back(Checkpoint{dir, acknowledged_});
}

void PrefixOracle::CallEnded(const char* what, const absl::Status& status) {
  if (surprise_.ok()) surprise_ = base::Annotate(status, what);
}

absl::StatusOr<uint64_t> PrefixOracle::Match(const RigState& found, uint64_t low, uint64_t high) const {
  const uint64_t hash = HashState(found);
  for (uint64_t index = high + 1; index-- > low;) {
    if (hashes_[index] == hash) return index;
  }
  for (uint64_t index = 0; index < hashes_.size(); ++index) {
    if (hashes_[index] != hash) continue;
    return base::Error(absl::StatusCode::kDataLoss, "found the first {} writes; {} to {} are allowed", index, low,
                       high);
  }
  return base::Error(absl::StatusCode::kDataLoss, "found {} keys that no prefix of the writes makes; {} to {} allowed",
                     found.size(), low, high);
}

}  // namespace bandb::test
