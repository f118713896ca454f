// A handle on one state of a store.
#ifndef BANDB_SNAPSHOT_H_
#define BANDB_SNAPSHOT_H_

#include <memory>
#include <utility>

namespace bandb {

namespace internal {
class SnapshotState;
}

// What the store held at the moment of Store::GetSnapshot, time to live included: reads through it
// always see that. Costs nothing to take; while it lives, compaction keeps the versions that it can
// see.
//
// Lifetime: the destructor releases it. It may outlive the store; reads are then refused by the
// store being gone, and the handle itself stays safe to destroy. Local to one node of a cluster.
// Thread safety: const use from any thread; moving and destroying by one.
class Snapshot {
 public:
  // An empty handle, as a moved-from one is. Reads with it answer kInvalidArgument.
  Snapshot() = default;
  Snapshot(Snapshot&&) noexcept = default;
  Snapshot& operator=(Snapshot&&) noexcept = default;
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  ~Snapshot() = default;

  // For implementations of Store: a handle on `state`.
  explicit Snapshot(std::shared_ptr<const internal::SnapshotState> state) : state_(std::move(state)) {}
  // For implementations of Store: what this is a handle on; null if empty.
  const internal::SnapshotState* state() const { return state_.get(); }

 private:
  // Shared with iterators that were opened on the snapshot, which may outlive this handle.
  std::shared_ptr<const internal::SnapshotState> state_;
};

}  // namespace bandb

#endif  // BANDB_SNAPSHOT_H_
