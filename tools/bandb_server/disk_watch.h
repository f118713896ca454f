// Lets the server go on by itself once a full disk has space again.
#ifndef BANDB_TOOLS_BANDB_SERVER_DISK_WATCH_H_
#define BANDB_TOOLS_BANDB_SERVER_DISK_WATCH_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "bandb/event_listener.h"
#include "bandb/logger.h"
#include "base/clock.h"
#include "base/file_system.h"

namespace bandb::server_program {

// Remembers that the disk was full, and resumes writing when it may be worth it.
//
// The store resumes as soon as the space suffices for the next flush, which may still be too little
// for what comes after it. Were that tried each second, writes would be accepted and stopped by
// turns for as long as the disk is full. So an attempt that did not hold is followed by another
// only when more space is free than at any time since, or after a pause that doubles; and that
// writes are accepted is said only once they have been for a while.
//
// Thread safety: OnBackgroundError any thread, the rest one.
class DiskWatch final : public EventListener {
 public:
  // Watches the disk that holds `directory`. Lifetime: borrows the file system and the clock.
  DiskWatch(base::FileSystem* files, base::Clock* clock, std::string directory);

  void OnBackgroundError(const absl::Status& status) override;

  // To be called about once a second. `resume` is Db::Resume.
  void Look(const std::function<absl::Status()>& resume, Logger* logger);

  // True if writes were stopped by an error other than a full disk, so that only reopening helps.
  bool stopped_for_good() const { return stopped_for_good_; }
  // Whether writes are accepted, and if not, why. Any thread.
  absl::Status Ready() const;

 private:
  // Whether an attempt that may fail like the last one is due.
  bool WorthTrying(int64_t now_nanos);
  void Try(const std::function<absl::Status()>& resume, Logger* logger, int64_t now_nanos);

  base::FileSystem* const files_;
  base::Clock* const clock_;
  const std::string directory_;
  std::atomic<bool> full_ = false;
  std::atomic<bool> stopped_for_good_ = false;

  bool proving_ = false;  // writes were resumed, and have yet to last
  int64_t resumed_nanos_ = 0;
  int64_t pause_nanos_;
  int64_t next_try_nanos_ = 0;
  // The least space that was free since the last attempt failed; the most there is until that is
  // known.
  uint64_t least_free_bytes_ = UINT64_MAX;
  // The last complaint, so that the same one is not logged each second.
  std::string said_;
};

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_DISK_WATCH_H_
