#include "disk_watch.h"

#include "base/status.h"

namespace bandb::server_program {

void DiskWatch::OnBackgroundError(const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) full_ = true;
}

void DiskWatch::Look(Db* db, Logger* logger) {
  if (!full_.exchange(false)) return;
  const absl::Status status = db->Resume();
  if (status.ok()) {
    logger->Log(LogSeverity::kInfo, "there is space again: writes are accepted");
  } else if (absl::IsResourceExhausted(status)) {
    full_ = true;
  } else {
    logger->Log(LogSeverity::kError, fmt::format("writes stay refused: {}", base::Message(status)));
  }
}

}  // namespace bandb::server_program
