#include "storage/rig/prefix_oracle.h"

#include <algorithm>

#include "base/checksum.h"
#include "base/status.h"

namespace bandb::test {

namespace {

uint64_t HashOf(const ModelEntries& entries) {
  uint64_t hash = entries.size();
  for (const auto& [key, value] : entries) {
    hash = base::Hash64(key, hash);
    hash = base::Hash64(value, hash);
  }
  return hash;
}

}  // namespace

PrefixOracle::PrefixOracle() { hashes_.push_back(HashOf(Visible(state_, kRigLookMs))); }

uint64_t PrefixOracle::Submitted(const ModelWrite& write) {
  const bool aborts = !write.Holds(state_, kRigLookMs);
  if (!aborts) {
    write.Apply(&state_);
    hashes_.push_back(HashOf(Visible(state_, kRigLookMs)));
  }
  pending_.push_back(Pending{submitted(), write.sync, aborts});
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

absl::StatusOr<uint64_t> PrefixOracle::Match(const ModelEntries& found, uint64_t low, uint64_t high) const {
  const uint64_t hash = HashOf(found);
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
