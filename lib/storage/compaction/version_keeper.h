// Decides which versions of a key a merge keeps.
//
// The live snapshots cut the sequences into stripes: all readers that can see into a stripe see
// only the newest version of a key in it. So of each key one version survives in each stripe, and
// not even that one if it says that there is nothing: a delete, an expired value, or anything under
// a range delete of its stripe, where nothing older lies below.
#ifndef BANDB_STORAGE_COMPACTION_VERSION_KEEPER_H_
#define BANDB_STORAGE_COMPACTION_VERSION_KEEPER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/key/internal_key.h"
#include "storage/key/range_tombstones.h"

namespace bandb::storage {

// The state of the snapshots when a merge begins. Later snapshots see everything that the merge
// reads.
struct SnapshotHorizon {
  std::vector<Sequence> snapshots;  // ascending, each once
  // The newest of those that keep no state of their own; 0: there is none. What is forgotten is
  // forgotten for the others, too.
  Sequence newest_reader = 0;
  uint64_t now_ms = 0;  // the earliest time that any reader goes by
};

class VersionKeeper {
 public:
  enum class Verdict : uint8_t { kKeep, kKeepAsDelete, kDrop };

  // `tombstones` are those of all inputs; `nothing_below` says that no level below the output holds
  // the key.
  // Lifetime: borrows both.
  VersionKeeper(SnapshotHorizon horizon, const FragmentedTombstones* tombstones,
                std::function<bool(std::string_view spaced_key)> nothing_below)
      : horizon_(std::move(horizon)), tombstones_(tombstones), nothing_below_(std::move(nothing_below)) {}

  // For each entry, in order. True in new_key if the spaced key is not that of the entry before.
  Verdict Judge(std::string_view internal_key, std::string_view value, bool* new_key);

  // Of an entry that was just judged kKeep: whether a snapshot sees it; and what becomes of it if
  // it is to be gone.
  bool IsSeenBySnapshot(Sequence sequence) const { return StripeOf(sequence) < horizon_.snapshots.size(); }
  Verdict JudgeRemoved(std::string_view internal_key) const;

  // The number of the stripe that holds the sequence; 0 is the oldest, which every reader sees.
  size_t StripeOf(Sequence sequence) const;
  // The sequences of those tombstones over a fragment that a merge keeps, descending: the newest of
  // each stripe. Takes time for each stripe, not for each tombstone.
  std::vector<Sequence> KeptTombstones(size_t fragment, bool nothing_below) const;

 private:
  // The largest sequence of a stripe.
  Sequence StripeLimit(size_t stripe) const;

  const SnapshotHorizon horizon_;
  const FragmentedTombstones* const tombstones_;
  const std::function<bool(std::string_view)> nothing_below_;
  std::string key_;
  bool has_key_ = false;
  size_t last_stripe_ = SIZE_MAX;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMPACTION_VERSION_KEEPER_H_
