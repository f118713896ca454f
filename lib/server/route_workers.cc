#include "server/route_workers.h"

#include <fmt/format.h>

namespace bandb::server {

void RouteWorkers::Log(LogSeverity severity, const std::string& line) {
  if (logger_ != nullptr) logger_->Log(severity, line);
}

void RouteWorkers::Lose(uint32_t message_id, absl::Duration limit) {
  bool has_spare = false;
  int lost = 0;
  {
    base::MutexLock lock(&mutex_);
    lost = ++lost_;
    // Those whose predecessors have come back do as well.
    has_spare = lost_ <= spares_;
    if (!has_spare && spares_ < spares_max_ && executor_.AddThread()) {
      ++spares_;
      has_spare = true;
    }
  }
  Log(LogSeverity::kError,
      fmt::format("the route {} has not returned from its worker within {:.3f} s; {}, {} lost now", message_id,
                  absl::ToDoubleSeconds(limit),
                  has_spare ? "another thread takes its place" : "no further thread takes its place", lost));
}

void RouteWorkers::TakeBack(uint32_t message_id) {
  int lost = 0;
  {
    base::MutexLock lock(&mutex_);
    lost = --lost_;
  }
  Log(LogSeverity::kWarning,
      fmt::format("the route {} has returned from its worker, late; {} lost now", message_id, lost));
}

uint64_t RouteWorkers::lost() const {
  base::MutexLock lock(&mutex_);
  return static_cast<uint64_t>(lost_);
}

}  // namespace bandb::server
