// ClusterCalls: the calls of a bandb::Cluster, brought to the node's thread and back.
//
// What may be read without asking anybody is read on the caller's thread; all else is posted to
// the node's loop and waited for, or answered on the thread of the callbacks. It owns no thread:
// the maker of the loop and the executors runs them (cluster.cc, or a test).
#ifndef BANDB_CLUSTER_CLUSTER_CALLS_H_
#define BANDB_CLUSTER_CLUSTER_CALLS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bandb/cluster.h"
#include "base/env.h"
#include "base/event_loop.h"
#include "base/fork.h"
#include "base/mutex.h"
#include "cluster/cluster_feed.h"
#include "cluster/node.h"
#include "kv/limits.h"
#include "storage/engine/engine.h"

namespace bandb::cluster {

// Thread safety: as Cluster.
class ClusterCalls : public Cluster {
 public:
  struct World {
    base::EventLoop* loop = nullptr;
    base::Executor* executor = nullptr;   // waits go through it
    base::Executor* callbacks = nullptr;  // runs callbacks, and nothing that they may wait for
    base::Clock* clock = nullptr;
  };
  // `node` is borrowed until Finish.
  ClusterCalls(const World& world, Node* node, uint64_t async_bytes_max);

  absl::StatusOr<uint64_t> OpenSession(absl::Duration timeout) override;
  absl::Status WriteOnce(uint64_t session, uint64_t number, const WriteBatch& batch,
                         const WriteOptions& options) override;
  absl::Status CloseSession(uint64_t session, absl::Duration timeout) override;
  absl::Status AcceptClock(absl::Duration timeout) override;
  absl::Status PromoteMember(std::string_view member, absl::Duration timeout) override;
  absl::Status RemoveMember(std::string_view member, absl::Duration timeout) override;
  absl::Status ReplaceMember(std::string_view member, std::string_view by, absl::Duration timeout) override;
  absl::Status TransferLeadership(std::string_view to) override;
  absl::Status Flush() override;
  absl::Status CompactRange(std::string_view begin, std::string_view limit) override;
  ClusterStatus GetStatus() const override;
  Stats GetStats() const override;

 protected:
  // Hands over, ends the node and takes its last status; nothing is posted to the loop after that.
  void EndNode();
  bool InForkedChild() const { return base::Forks() != forks_; }
  // Errors: kFailedPrecondition in a forked child.
  absl::Status CheckProcess() const;
  storage::Engine* engine() const { return engine_; }
  // A callback or listener of the application, contained.
  template <typename Code>
  void RunHostCode(const Code& code);

 private:
  struct Waiter;

  absl::Status DoPut(std::string_view key, std::string_view value, const WriteOptions& options) override;
  absl::Status DoDelete(std::string_view key, const WriteOptions& options) override;
  absl::Status DoWrite(const WriteBatch& batch, const WriteOptions& options) override;
  void DoWriteAsync(WriteBatch batch, const WriteOptions& options, WriteCallback done) override;
  absl::Status DoGet(std::string_view key, PinnedValue* value, const ReadOptions& options) override;
  std::vector<absl::StatusOr<std::string>> DoMultiGet(absl::Span<const std::string_view> keys,
                                                      const ReadOptions& options) override;
  std::unique_ptr<Iterator> DoNewIterator(const ReadOptions& options) override;
  Snapshot DoGetSnapshot() override;
  void DoReadBarrierAsync(const ReadOptions& options, ReadCallback ready) override;
  internal::ChangeFeed* DoChangeFeed() override { return &feed_; }
  absl::Status DoCheckpoint(const std::filesystem::path& dir, internal::CheckpointSink* sink) override;

  // Runs on the loop, unless the node has ended. False if it has.
  bool OnLoop(base::Task task) const ABSL_LOCKS_EXCLUDED(mutex_);
  void Submit(ClientWritePtr write) ABSL_LOCKS_EXCLUDED(mutex_);
  void TakeIncoming() ABSL_LOCKS_EXCLUDED(mutex_);
  // Sets `*opened`, unless it is null, if the write has opened a session.
  // Has the log change cursors (cursors.h).
  absl::Status ChangeCursors(std::string changes, absl::Duration timeout);
  absl::Status WriteAndWait(WriteContent content, absl::Duration timeout, uint64_t* opened = nullptr);
  absl::Status AwaitChange(const std::function<absl::StatusOr<raft::Change>()>& make, absl::Duration timeout);
  // Once this node knows all members that others know, `run` is run on its thread.
  absl::Status AwaitAdministration(int64_t deadline, const std::function<void(Node::Done done)>& run);
  // Whether a local read, made now, is as consistent as was asked for, without asking anybody.
  bool MayReadNow(const ReadOptions& options) const;
  // With only_cached it asks nobody: kUnavailable.
  absl::Status AwaitRead(const ReadOptions& options);
  int64_t DeadlineOf(absl::Duration timeout) const;
  template <typename Callback>
  void Call(Callback done, absl::Status status);
  template <typename Callback>
  void PostCall(Callback done, absl::Status status);

  const uint64_t forks_ = base::Forks();
  const World world_;
  Node* const node_;
  storage::Engine* const engine_;
  const PublishedState& published_;
  const std::shared_ptr<const SharedLogClock> log_clock_;
  const uint64_t async_bytes_max_;
  ClusterFeed feed_;
  std::atomic<uint64_t> async_bytes_{0};
  mutable base::Mutex mutex_;
  std::vector<ClientWritePtr> incoming_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  ClusterStatus last_status_ ABSL_GUARDED_BY(mutex_);
};

template <typename Code>
void ClusterCalls::RunHostCode(const Code& code) {
  if (!kv::RunContained(code)) engine_->NoteException("a callback");
}

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_CLUSTER_CALLS_H_
