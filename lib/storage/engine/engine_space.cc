// The engine's part in giving space back: when it looks again for what may go (space_picker.h).
#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "storage/engine/engine.h"
#include "storage/file/refused_read.h"

namespace bandb::storage {

namespace {

// Of a table that may be gone by now: then any.
int LevelOf(const Version& version, const TablePtr& table) {
  for (int level = 1; level < kLevels; ++level) {
    const Version::Level& tables = version.level(level);
    if (std::find(tables.begin(), tables.end(), table) != tables.end()) return level;
  }
  return 0;
}

}  // namespace

void Engine::AwaitSpace(uint64_t now_ms) {
  // The bounds are for a wall clock that is set meanwhile, and for tables that expire one by one.
  constexpr uint64_t kMillisMin = 1000;
  constexpr uint64_t kMillisMax = 60'000;
  // If it has not looked, a compaction runs, at whose end it does.
  const SpaceOutlook outlook = schedule_.wants_space() ? SpaceOutlook() : schedule_.space_outlook();
  waits_for_snapshot_.store(outlook.waits_for_snapshot, std::memory_order_seq_cst);
  OpenTables(schedule_.TakeUnread());
  // On a replica time passes with the log that it applies: it looks after each flush.
  if (is_replica_ || outlook.next_expiry_ms >= expiry_timer_ms_) return;
  expiry_timer_ms_ = outlook.next_expiry_ms;
  const uint64_t millis = outlook.next_expiry_ms - std::min(outlook.next_expiry_ms, now_ms);
  env_.executor->PostAfter(static_cast<int64_t>(std::clamp(millis, kMillisMin, kMillisMax)) * 1'000'000,
                           [wake_up = wake_up_, timer = ++last_timer_]() { wake_up->Run(timer); });
}

void Engine::LookForSpace(WakeUp::Timer timer) {
  const bool is_timer = timer != WakeUp::kSnapshotGone;
  // Many snapshots that end at about the same time are looked at once.
  if (!is_timer && !waits_for_snapshot_.exchange(false, std::memory_order_seq_cst)) return;
  if (!lifecycle_.Enter()) return;
  env_.executor->Post(base::Priority::kLow, [this, timer, is_timer]() {
    {
      base::MutexLock lock(&mutex_);
      if (!is_timer || timer == last_timer_) {
        if (is_timer) expiry_timer_ms_ = UINT64_MAX;
        schedule_.WantSpace();
        MaybeScheduleWork();
      }
    }
    lifecycle_.Leave();
  });
}

void Engine::OpenTables(std::vector<TablePtr> tables) {
  std::erase_if(tables, [](const TablePtr& table) { return table->ReaderIfOpen() != nullptr; });
  if (tables.empty() || !lifecycle_.Enter()) return;
  env_.executor->Post(base::Priority::kLow, [this, tables = std::move(tables), generation = generation_->load(),
                                             take_backs = schedule_.take_backs()]() mutable {
    bool any_news = false, may_pass = false;
    // What is to be forgotten goes in its order: a table whose age nobody can read is in the way.
    const bool sets_aside = options_.compaction_style == CompactionStyle::kFifo;
    std::vector<TableDamage> damaged;
    for (const TablePtr& table : tables) {
      if (!lifecycle_.MayContinue().ok()) break;
      const absl::Status opened = table->Reader().status();
      may_pass |= sets_aside && MayPass(opened);
      const bool is_damaged = opened.code() == absl::StatusCode::kDataLoss || absl::IsInternal(opened);
      any_news |= opened.ok() || (sets_aside && is_damaged);
      if (sets_aside && is_damaged) {
        damaged.push_back(
            {.table_number = table->info().number, .level = LevelOf(*versions_.version(), table), .status = opened});
      }
    }
    tables.clear();
    SetAside(damaged, generation, take_backs);
    {
      base::MutexLock lock(&mutex_);
      if (may_pass && !take_back_back_off_.waiting()) WaitThenTry(&take_back_back_off_, WakeUp::kTakeBack);
      if (any_news) {
        schedule_.WantSpace();
        MaybeScheduleWork();
      }
    }
    lifecycle_.Leave();
  });
}

}  // namespace bandb::storage
