// Lets the server go on by itself once a full disk has space again.
#ifndef BANDB_TOOLS_BANDB_SERVER_DISK_WATCH_H_
#define BANDB_TOOLS_BANDB_SERVER_DISK_WATCH_H_

#include <atomic>

#include "absl/status/status.h"
#include "bandb/db.h"
#include "bandb/event_listener.h"
#include "bandb/logger.h"

namespace bandb::server_program {

// Remembers that the disk was full. Thread safety: any thread.
class DiskWatch final : public EventListener {
 public:
  void OnBackgroundError(const absl::Status& status) override;

  // To be called now and then: tries to resume if the disk was full when it was last heard of.
  void Look(Db* db, Logger* logger);

 private:
  std::atomic<bool> full_ = false;
};

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_DISK_WATCH_H_
