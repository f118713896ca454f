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
    said_.clear();
    logger->Log(LogSeverity::kInfo, "there is space again: writes are accepted");
    return;
  }
  // Stopped for good, or closed. All else may pass, also that the disk does not tell what is free.
  const bool final = absl::IsFailedPrecondition(status);
  if (!final) full_ = true;
  if (absl::IsResourceExhausted(status) || said_ == base::Message(status)) return;
  said_ = base::Message(status);
  logger->Log(LogSeverity::kError, fmt::format("writes {} refused: {}", final ? "stay" : "are still", said_));
}

}  // namespace bandb::server_program
