// The phases of an open database, and the activities that keep it from closing.
//
//   kOpening -> kRunning <-> kStopped
//                  |            |
//                  +-> kClosing <+  -> kAtRest -> kClosed
//
// kStopped: an error has stopped writes; Resume leads back if the error allows it. A database that
// was opened for reading only goes there at once, and stays. kClosing: new
// calls are refused, and what runs comes to its end. kAtRest: no activity is left and none may
// begin. kClosed: the files are closed. What stopped writes is remembered to the end: a database
// that was stopped is not sealed when it closes.
#ifndef BANDB_STORAGE_ENGINE_ENGINE_LIFECYCLE_H_
#define BANDB_STORAGE_ENGINE_ENGINE_LIFECYCLE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "base/mutex.h"

namespace bandb::storage {

// What every call on a closed database answers.
absl::Status ClosedError();

// Thread safety: any thread.
class Lifecycle {
 public:
  enum class Phase : uint8_t { kOpening, kRunning, kStopped, kClosing, kAtRest, kClosed };
  using Done = std::function<void(absl::Status)>;

  Lifecycle();

  Phase phase() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Recovery is done.
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  // The same, but writes are stopped for good, with `refusal` as the answer.
  void RunReadOnly(const absl::Status& refusal) ABSL_LOCKS_EXCLUDED(mutex_);

  // An error stops writes; kResourceExhausted until Resume, any other for good. True if that is
  // news: nothing had stopped them before, or something that could be resumed.
  bool Stop(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  // Writes are stopped by what Resume would mend: a full disk.
  bool WaitsForResume() const ABSL_LOCKS_EXCLUDED(mutex_);
  // OK if Resume would help, or if nothing is stopped. Errors: kFailedPrecondition.
  absl::Status MayResume() const ABSL_LOCKS_EXCLUDED(mutex_);
  // True if writes had been stopped and are not any more.
  bool Resume() ABSL_LOCKS_EXCLUDED(mutex_);
  // How often Resume was true. A full disk that was met before counts no more: a caller that
  // reports one says since when it knows.
  uint64_t resumes() const { return resumes_.load(std::memory_order_acquire); }
  // What stopped writes, as it happened; OK if nothing did. Closing does not count: what is done
  // already may still be written to the manifest.
  absl::Status StopCause() const ABSL_LOCKS_EXCLUDED(mutex_);

  // OK while writes are accepted. Errors: kResourceExhausted stopped until Resume;
  // kFailedPrecondition stopped for good, or closing.
  absl::Status MayWrite() const ABSL_LOCKS_EXCLUDED(mutex_);
  // True whenever MayWrite is not OK; asked by the hot paths before they ask for the reason.
  bool RefusesWrites() const { return refuses_writes_.load(std::memory_order_acquire); }
  // OK until the database closes: long calls poll this between steps. Errors: kFailedPrecondition.
  absl::Status MayContinue() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Begins an activity, which keeps the database from coming to rest. False if it is closing.
  bool Enter() ABSL_LOCKS_EXCLUDED(mutex_);
  // The same for what serves those that are left while the database closes. False once it is at
  // rest.
  bool EnterUntilRest() ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends an activity. The last one of a closing database runs `at_rest`: after that the database
  // may be gone.
  void Leave() ABSL_LOCKS_EXCLUDED(mutex_);
  // Begins closing, with an activity of its own; `at_rest` is run once no activity is left. Called
  // once.
  void BeginClose(Done at_rest) ABSL_LOCKS_EXCLUDED(mutex_);
  bool IsClosing() const ABSL_LOCKS_EXCLUDED(mutex_);
  // The files are about to be closed. Called at rest.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);
  bool IsClosed() const { return closed_->load(std::memory_order_acquire); }
  // True from Close on. Shared with iterators, which may outlive the database.
  const std::shared_ptr<std::atomic<bool>>& closed() const { return closed_; }

  // Errors: kInternal the members contradict each other.
  absl::Status CheckInvariants() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Cause {
    absl::Status status;
    bool resumable = false;
    // Nothing went wrong: the database was opened for reading only.
    bool intended = false;
  };

  bool Refuses() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return phase_ != Phase::kRunning; }
  void MoveTo(Phase phase) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<std::atomic<bool>> closed_;
  std::atomic<bool> refuses_writes_{true};
  std::atomic<uint64_t> resumes_{0};
  mutable base::Mutex mutex_;
  Phase phase_ ABSL_GUARDED_BY(mutex_) = Phase::kOpening;
  std::optional<Cause> cause_ ABSL_GUARDED_BY(mutex_);
  int activities_ ABSL_GUARDED_BY(mutex_) = 0;
  Done at_rest_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_ENGINE_LIFECYCLE_H_
