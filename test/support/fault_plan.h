// Which calls of a CrashFileSystem count, stop, fail or are ignored, and the log of them all.
#ifndef BANDB_TEST_SUPPORT_FAULT_PLAN_H_
#define BANDB_TEST_SUPPORT_FAULT_PLAN_H_

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace bandb::test {

enum class FileCall : uint32_t {
  // These read.
  kOpen,
  kRead,
  kList,
  kFileSize,
  kExists,
  kFreeBytes,
  kPin,
  // These change something, and each of them is a crash point.
  kCreate,
  kCreateDirs,
  kRename,
  kLink,
  kRemove,
  kRemoveDir,
  kLock,
  kReserve,
  kAppend,
  kClose,
  kSync,
  kSyncDir,
};
inline constexpr int kFileCalls = static_cast<int>(FileCall::kSyncDir) + 1;
// "open", "read" ...
std::string_view FileCallName(FileCall call);
inline bool Changes(FileCall call) { return call >= FileCall::kCreate; }

// True if `text` is `pattern`, in which each '*' matches any characters. "*" matches everything.
bool Matches(std::string_view pattern, std::string_view text);

enum class FaultKind {
  kIoError,  // kInternal, "Input/output error". A failed append may have left a part of its bytes behind; a failed sync
             // has lost what was not synced before.
  kNoSpace,  // kResourceExhausted, "No space left on device"
  kNoAccess,      // kPermissionDenied
  kNoDescriptor,  // kUnavailable, "Too many open files"
  kGone,          // kNotFound, "No such file or directory"
};

// What a file or directory has that is not durable.
enum class Unsynced {
  kNothing,
  kRemovals,  // of a directory: nothing but names that went away
  kMore,
};

// Makes calls fail.
struct Fault {
  FaultKind kind = FaultKind::kIoError;
  // Which calls, empty for all, on which paths.
  std::vector<FileCall> calls{};
  std::string pattern = "*";
  // Matching calls that pass first, and how many fail then.
  uint64_t skip = 0;
  uint64_t count = 1;

  static constexpr uint64_t kSticky = UINT64_MAX;
};

// Thread safety: none; CrashFileSystem has the mutex.
class FaultPlan {
 public:
  // One sync of a file or directory, as the log tells.
  struct SyncCall {
    uint64_t number;  // counts syncs, from 1
    FileCall call;
    std::string path;
    Unsynced unsynced;  // what it found to do
  };

  // Counts a call and answers what it must return instead of doing its work; OK to go on.
  absl::Status Begin(FileCall call, std::string_view path, std::string_view detail);
  // True if this sync, which Begin let pass, must do nothing and answer OK.
  bool IgnoresSync(FileCall call, std::string_view path, Unsynced unsynced);

  // From mutation number `n` on, counted from 1, every call fails.
  void StopAt(uint64_t n) { stop_at_ = n; }
  void Stop() { stopped_ = true; }
  bool stopped() const { return stopped_; }
  void Inject(const Fault& fault) { faults_.push_back(Armed{fault, 0}); }
  void ClearFaults() { faults_.clear(); }
  void IgnoreSyncs(FileCall call, std::string_view pattern) { ignored_.push_back({call, std::string(pattern)}); }
  void IgnoreSyncNumber(uint64_t number) { ignored_number_ = number; }

  uint64_t calls() const { return calls_; }
  uint64_t mutations() const { return mutations_; }
  uint64_t failures() const { return failures_; }
  uint64_t syncs_ignored() const { return syncs_ignored_; }
  const std::vector<SyncCall>& syncs() const { return syncs_; }
  std::string LogText() const;
  std::string_view last_call() const { return log_.empty() ? std::string_view() : log_.back(); }

 private:
  struct Armed {
    Fault fault;
    uint64_t seen;
  };
  struct IgnoredSyncs {
    FileCall call;
    std::string pattern;
  };

  bool Fires(Armed* armed, FileCall call, std::string_view path) const;

  uint64_t calls_ = 0;
  uint64_t mutations_ = 0;
  uint64_t failures_ = 0;
  uint64_t syncs_ignored_ = 0;
  uint64_t stop_at_ = UINT64_MAX;
  uint64_t ignored_number_ = 0;
  bool stopped_ = false;
  std::vector<Armed> faults_;
  std::vector<IgnoredSyncs> ignored_;
  std::vector<SyncCall> syncs_;
  std::deque<std::string> log_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_FAULT_PLAN_H_
