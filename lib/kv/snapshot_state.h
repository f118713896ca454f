// What a Snapshot handle holds; each store has a state of its own kind.
#ifndef BANDB_KV_SNAPSHOT_STATE_H_
#define BANDB_KV_SNAPSHOT_STATE_H_

namespace bandb::internal {

class SnapshotState {
 public:
  virtual ~SnapshotState() = default;
  // Tells a store its own snapshots: the address of something that lives as long as any snapshot of
  // the store.
  const void* owner() const { return owner_; }

 protected:
  explicit SnapshotState(const void* owner) : owner_(owner) {}

 private:
  const void* const owner_;
};

}  // namespace bandb::internal

#endif  // BANDB_KV_SNAPSHOT_STATE_H_
