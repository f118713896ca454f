// KeptSegments: files of the log that the node does not need any more, kept for readers of the
// change feed.
//
// A segment that the log lets go gets another name, which says what the log would:
//
//   000012-AFTER-END-TIME.kept    the entries after AFTER up to END are in it and those before it;
//                                 the time of the log when it was let go, in milliseconds
//
// So a start neither reads them nor minds what has become of them, and they cost no memory. The
// newest ones are kept, as many as there may be, and never with a hole between them and the log. No
// more of them than one is moved at a time, in order.
#ifndef BANDB_CLUSTER_KEPT_SEGMENTS_H_
#define BANDB_CLUSTER_KEPT_SEGMENTS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/executor.h"
#include "base/logger.h"
#include "base/mutex.h"
#include "cluster/log_files.h"
#include "raft/types/ids.h"

namespace bandb::cluster {

// What the log lets go: of its entries, those after `after` up to `end`.
struct RetiredSegment {
  uint64_t number = 0;
  raft::Index after = 0;
  raft::Index end = 0;
};

struct KeptSegment {
  RetiredSegment segment;
  uint64_t time_ms = 0;
  uint64_t bytes = 0;
  bool moved = false;  // has its new name
};
std::string KeptSegmentName(const KeptSegment& kept);
// Without its bytes.
std::optional<KeptSegment> ParseKeptSegmentName(std::string_view name);

// Thread safety: the node's thread, but where it says any. Lifetime: shared by the node, readers
// and what moves files; executor and logger outlive what is posted.
class KeptSegments : public std::enable_shared_from_this<KeptSegments> {
 public:
  struct Parts {
    LogDirectory directory;
    base::Executor* executor = nullptr;
    base::Logger* logger = nullptr;
    // Runs a task in a later turn of the node's thread; called from any thread.
    std::function<void(base::Task)> post;
    // So much at the most; 0: nothing is kept.
    uint64_t bytes_max = 0;
    // And so long after the log let it go, but for what a cursor needs.
    uint64_t ms_max = UINT64_MAX;
  };

  // Finds what leads up to where the log begins. Waits for the disk. Errors: what the file system
  // says.
  static absl::StatusOr<std::shared_ptr<KeptSegments>> Open(Parts parts, raft::Index log_floor);

  // Called before anything is deleted: entries up to `floor` are.
  void SetOnFloor(std::function<void(raft::Index floor)> on_floor) { on_floor_ = std::move(on_floor); }
  // The log lets these go, in order, and begins after the last of them. Returns those that the
  // caller is to delete.
  std::vector<uint64_t> Retire(const std::vector<RetiredSegment>& segments, uint64_t now_ms)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether anything is let go for its age.
  bool minds_age() const { return parts_.bytes_max != 0 && parts_.ms_max != UINT64_MAX; }
  // Entries after this one are kept whatever their age, as long as there is room; at first all are.
  void KeepAfter(raft::Index index) { needed_after_ = index; }
  // Lets go what is too old.
  void Trim(uint64_t now_ms) ABSL_LOCKS_EXCLUDED(mutex_);
  // Lets all go.
  void DropAll() ABSL_LOCKS_EXCLUDED(mutex_);
  // Nothing is moved or deleted any more.
  void End() { ended_ = true; }

  // Any thread: where a segment is, kept or not. It may be moved at any time: `second` is where it
  // is then.
  std::string PathOf(uint64_t number, bool second) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Any thread.
  uint64_t count() const ABSL_LOCKS_EXCLUDED(mutex_);
  uint64_t bytes() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Any thread: how many were kept, and are not any more.
  uint64_t let_go() const { return let_go_.load(std::memory_order_relaxed); }
  // Any thread: the entry after which they begin; none without any.
  std::optional<raft::Index> floor() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Round;

  explicit KeptSegments(Parts parts) : parts_(std::move(parts)) {}

  absl::Status Find(raft::Index log_floor) ABSL_LOCKS_EXCLUDED(mutex_);
  std::string KeptPath(const KeptSegment& kept) const;
  void MoveNext() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Move(KeptSegment* kept) const;
  void MoveLater();
  void FinishMove(const Round& round) ABSL_LOCKS_EXCLUDED(mutex_);
  // The first `count` are not kept any more.
  void LetGo(size_t count) ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove(std::vector<std::string> paths) const;

  const Parts parts_;
  std::function<void(raft::Index floor)> on_floor_ = [](raft::Index) {};
  bool moving_ = false;
  bool ended_ = false;
  uint64_t now_ms_ = 0;
  raft::Index needed_after_ = 0;
  std::atomic<uint64_t> let_go_{0};

  mutable base::Mutex mutex_;
  std::vector<KeptSegment> kept_ ABSL_GUARDED_BY(mutex_);  // in order
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_KEPT_SEGMENTS_H_
