#include "server/route_workers.h"

#include <fmt/format.h>

namespace bandb::server {

RouteWorkers::Turn RouteWorkers::TurnOf(net::LogBudget* budget, int64_t now_nanos) {
  if (!budget->Spend(now_nanos)) return {};
  return {.may_log = true, .left_out = budget->TakeLeftOut()};
}

void RouteWorkers::Log(LogSeverity severity, std::string line, const Turn& turn) {
  if (logger_ == nullptr) return;
  if (turn.left_out > 0) line += fmt::format("; {} lines like this were left out", turn.left_out);
  logger_->Log(severity, line);
}

void RouteWorkers::Lose(uint32_t message_id, absl::Duration limit, int64_t now_nanos) {
  bool has_spare = false;
  int lost = 0;
  Turn turn;
  {
    base::MutexLock lock(&mutex_);
    lost = ++lost_;
    // Those whose predecessors have come back do as well.
    has_spare = lost_ <= spares_;
    if (!has_spare && spares_ < spares_max_ && executor_.AddThread()) {
      ++spares_;
      has_spare = true;
    }
    turn = TurnOf(&lost_lines_, now_nanos);
  }
  if (!turn.may_log) return;
  Log(LogSeverity::kError,
      fmt::format("the route {} has not returned from its worker within {:.3f} s; {}, {} lost now", message_id,
                  absl::ToDoubleSeconds(limit),
                  has_spare ? "another thread takes its place" : "no further thread takes its place", lost),
      turn);
}

void RouteWorkers::TakeBack(uint32_t message_id, int64_t now_nanos) {
  int lost = 0;
  Turn turn;
  {
    base::MutexLock lock(&mutex_);
    lost = --lost_;
    turn = TurnOf(&back_lines_, now_nanos);
  }
  if (!turn.may_log) return;
  Log(LogSeverity::kWarning,
      fmt::format("the route {} has returned from its worker, late; {} lost now", message_id, lost), turn);
}

uint64_t RouteWorkers::lost() const {
  base::MutexLock lock(&mutex_);
  return static_cast<uint64_t>(lost_);
}

}  // namespace bandb::server
