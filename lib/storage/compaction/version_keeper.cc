#include "storage/compaction/version_keeper.h"

#include <algorithm>

#include "base/assert.h"

namespace bandb::storage {

size_t VersionKeeper::StripeOf(Sequence sequence) const {
  const auto at = std::lower_bound(horizon_.snapshots.begin(), horizon_.snapshots.end(), sequence);
  return static_cast<size_t>(at - horizon_.snapshots.begin());
}

Sequence VersionKeeper::StripeLimit(size_t stripe) const {
  return stripe < horizon_.snapshots.size() ? horizon_.snapshots[stripe] : kSequenceMax;
}

VersionKeeper::Verdict VersionKeeper::Judge(std::string_view internal_key, std::string_view value, bool* new_key) {
  const std::string_view spaced_key = SpacedKey(internal_key);
  const uint64_t trailer = Trailer(internal_key);
  const Sequence sequence = TrailerSequence(trailer);
  *new_key = !has_key_ || key_ != spaced_key;
  if (*new_key) {
    key_.assign(spaced_key);
    has_key_ = true;
    last_stripe_ = SIZE_MAX;
  }
  const size_t stripe = StripeOf(sequence);
  // A newer version in the same stripe hides this one, whether it was kept or not.
  if (stripe == last_stripe_) return Verdict::kDrop;
  last_stripe_ = stripe;
  if (tombstones_->CoveringSequence(spaced_key, StripeLimit(stripe)) > sequence) return Verdict::kDrop;

  const Kind kind = TrailerKind(trailer);
  bool gone = kind == Kind::kDelete;
  if (HasExpiry(kind)) {
    BANDB_ASSERT(value.size() >= sizeof(uint64_t));
    gone = base::LoadFixed<uint64_t>(value.data()) <= horizon_.now_ms;
  }
  if (!gone) return Verdict::kKeep;
  // In the oldest stripe no reader can see past it, so that only what lies below could come to
  // light.
  if (stripe == 0 && nothing_below_(spaced_key)) return Verdict::kDrop;
  return kind == Kind::kDelete ? Verdict::kKeep : Verdict::kKeepAsDelete;
}

VersionKeeper::Verdict VersionKeeper::JudgeRemoved(std::string_view internal_key) const {
  const bool is_oldest = StripeOf(TrailerSequence(Trailer(internal_key))) == 0;
  return is_oldest && nothing_below_(SpacedKey(internal_key)) ? Verdict::kDrop : Verdict::kKeepAsDelete;
}

std::vector<Sequence> VersionKeeper::KeptTombstones(size_t fragment, bool nothing_below) const {
  std::vector<Sequence> kept;
  // From stripe to stripe, not from tombstone to tombstone: where many overlap, all fragments have
  // many.
  Sequence newest = tombstones_->SequenceAt(fragment, kSequenceMax);
  while (newest != 0) {
    const size_t stripe = StripeOf(newest);
    if (stripe > 0 || !nothing_below) kept.push_back(newest);
    newest = stripe == 0 ? 0 : tombstones_->SequenceAt(fragment, StripeLimit(stripe - 1));
  }
  return kept;
}

}  // namespace bandb::storage
