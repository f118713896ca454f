// The commits of a cluster, read from a node's log by what its change index says of them.
//
// Nothing is queued for a reader, and the node does not know of it. It holds some of the index and
// at most kFetchBytes of entries, or one, and at the end of the feed nothing.
#ifndef BANDB_CLUSTER_ENTRY_COMMIT_SOURCE_H_
#define BANDB_CLUSTER_ENTRY_COMMIT_SOURCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "changes/commit_source.h"
#include "cluster/change_index.h"
#include "cluster/entry_payload.h"
#include "cluster/kept_segments.h"
#include "raft/types/entry.h"
#include "storage/engine/engine.h"

namespace bandb::cluster {

// kOutOfRange, with the oldest token of a history, any place of which this is.
absl::Status GoneError(const ChangeIndex& index, changes::ChangePlace place);

// Lifetime: may outlive the node; the gate is that of its engine.
class EntryCommitSource final : public changes::CommitSource {
 public:
  static constexpr uint64_t kFetchBytes = 64 << 10;

  EntryCommitSource(std::shared_ptr<storage::FeedGate> gate, std::shared_ptr<ChangeIndex> index,
                    std::shared_ptr<const KeptSegments> kept, const changes::ChangePlace& place)
      : gate_(std::move(gate)), index_(std::move(index)), kept_(std::move(kept)), place_(place) {}
  ~EntryCommitSource() override {
    Forget();
    Release();
  }

  absl::StatusOr<bool> Next(changes::LoggedCommit* commit) override;
  absl::Status Wait(int64_t* nanos) override;
  changes::ChangePlace place() const override { return place_; }
  int64_t Await(internal::ChangeListener* listener) override;
  void Forget() override;
  void Release() override;

 private:
  // Takes the next entry. True if there are operations in it that had an effect.
  absl::StatusOr<bool> Take(changes::LoggedCommit* commit);
  // Has more entries held. False: there are none.
  absl::StatusOr<bool> Fill();
  absl::StatusOr<bool> FillFrom();
  absl::Status Locate();
  // What comes next is gone: goes on where the feed begins now, if only what was nobody's lies
  // between. Errors: kOutOfRange.
  absl::Status PassOver();
  absl::Status FetchSome();
  int64_t WaitFor(const base::Env& env, int64_t nanos);
  void CountHeld();

  const std::shared_ptr<storage::FeedGate> gate_;
  const std::shared_ptr<ChangeIndex> index_;
  const std::shared_ptr<const KeptSegments> kept_;
  changes::ChangePlace place_;
  ChangeIndex::Spot spot_;
  // After this entry comes what is next; 0 until that was found.
  raft::Index after_ = 0;
  // What the index says of the entries after that; those before `taken_` were given.
  std::vector<ChangeEntry> known_;
  size_t taken_ = 0;
  // The first of these is of known_[taken_].
  raft::Entries fetched_;
  size_t fetched_at_ = 0;
  DecodedEntry decoded_;
  std::string operations_;
  internal::ChangeListener* listener_ = nullptr;
  uint64_t held_bytes_ = 0;  // as the gate has counted it
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_ENTRY_COMMIT_SOURCE_H_
