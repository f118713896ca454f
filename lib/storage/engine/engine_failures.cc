// What becomes of the database when work in the background fails: it is tried again, goes on around
// a damaged table, or stops the writes.
#include "base/status.h"
#include "storage/engine/engine.h"
#include "storage/file/file_names.h"

namespace bandb::storage {

void Engine::PauseWork() {
  constexpr int64_t kPauseNanos = 100'000'000;
  base::MutexLock lock(&mutex_);
  if (work_paused_ || !lifecycle_.Enter()) return;
  work_paused_ = true;
  env_.executor->PostAfter(kPauseNanos, [this]() {
    {
      base::MutexLock over(&mutex_);
      work_paused_ = false;
      MaybeScheduleWork();
    }
    lifecycle_.Leave();
  });
}

void Engine::JobFailed(const JobEnd& end, std::string_view what) {
  if (end.status.ok() || end.damage_set_aside || lifecycle_.RefusesWrites()) return;
  if (end.generation != *generation_) return;
  // It is tried again: later, or at once after a Resume that came meanwhile.
  if (end.status.code() == absl::StatusCode::kUnavailable) return PauseWork();
  StopWrites(base::Annotate(end.status, what), end.resumes_seen);
}

void Engine::SetAside(const std::vector<TableDamage>& damaged, uint64_t generation, uint64_t take_backs) {
  for (const TableDamage& damage : damaged) {
    {
      base::MutexLock lock(&mutex_);
      if (generation != *generation_ || take_backs != schedule_.take_backs()) return;
      if (!schedule_.SetAside(damage.table_number, damage.level)) continue;
    }
    env_.logger->Log(base::LogLevel::kError, "{}: {} of level {} is set aside, no compaction touches it: {}", dir_,
                     TableName(damage.table_number), damage.level, damage.status.ToString());
    TellListener([&](EventListener* listener) { listener->OnTableDamaged(damage); });
  }
}

}  // namespace bandb::storage
