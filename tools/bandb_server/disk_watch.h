// Lets the server go on by itself once a full disk has space again.
#ifndef BANDB_TOOLS_BANDB_SERVER_DISK_WATCH_H_
#define BANDB_TOOLS_BANDB_SERVER_DISK_WATCH_H_

#include <atomic>
#include <string>

#include "absl/status/status.h"
#include "bandb/db.h"
#include "bandb/event_listener.h"
#include "bandb/logger.h"

namespace bandb::server_program {

// Remembers that the disk was full. Thread safety: OnBackgroundError any thread, Look one.
class DiskWatch final : public EventListener {
 public:
  void OnBackgroundError(const absl::Status& status) override;

  // To be called now and then: tries to resume if the disk was full when it was last heard of, until that works or
  // only reopening helps.
  void Look(Db* db, Logger* logger);

 private:
  std::atomic<bool> full_ = false;
  // The last complaint, so that the same one is not logged each second.
  std::string said_;
};

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_DISK_WATCH_H_
