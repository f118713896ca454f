// How work in the background ends, and what becomes of the database when it fails: it is tried
// again, goes on around a damaged table, or stops the writes.
//
// The operating system's refusals to let a table be read, or a new one be made, have changed
// nothing: such work is tried again, after ever longer pauses, flushes apart from compactions. So
// are tables that were set aside though nobody has read a wrong byte in them. What fails while it
// is written stops the writes: until Resume if the disk was full, else until the database is
// reopened.
#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/compaction/fifo_picker.h"
#include "storage/engine/engine.h"
#include "storage/file/file_names.h"

namespace bandb::storage {

namespace {

// Callers that wait for a flush which fails are told after so many tries in a row, three seconds.
constexpr int kFlushTriesMax = 6;

}  // namespace

void Engine::WaitThenTry(BackOff* back_off, WakeUp::Timer timer) {
  env_.executor->PostAfter(back_off->Failed(), [wake_up = wake_up_, timer]() { wake_up->Run(timer); });
}

void Engine::TryAgain(WakeUp::Timer timer) {
  if (!lifecycle_.Enter()) return;
  env_.executor->Post(base::Priority::kNormal, [this, timer]() {
    {
      base::MutexLock lock(&mutex_);
      if (timer == WakeUp::kFlushAgain) flush_back_off_.Elapsed();
      if (timer == WakeUp::kCompactAgain) compaction_back_off_.Elapsed();
      if (timer == WakeUp::kTakeBack) {
        take_back_back_off_.Elapsed();
        schedule_.TakeBackRefused();
        // What was in the way of giving space back may not be any more.
        schedule_.WantSpace();
      }
      MaybeScheduleWork();
    }
    UpdateStall();
    lifecycle_.Leave();
  });
}

void Engine::Wake(WakeUp::Timer timer) {
  if (timer == WakeUp::kWriteCursors) return WriteCursors();
  if (timer == WakeUp::kFlushesGoOn || timer == WakeUp::kCompactionsGoOn) return pace_.GoOn(timer);
  return timer >= WakeUp::kTakeBack ? TryAgain(timer) : LookForSpace(timer);
}

void Engine::JobFailed(const JobEnd& end, bool is_flush) {
  if (end.status.ok() || end.damage_set_aside || end.given_up || lifecycle_.RefusesWrites()) return;
  if (end.generation != *generation_) return;
  if (!end.may_pass && end.status.code() != absl::StatusCode::kUnavailable) {
    return StopWrites(base::Annotate(end.status, is_flush ? "flush" : "compaction"), end.resumes_seen);
  }
  int failures = 0;
  {
    base::MutexLock lock(&mutex_);
    // What was short may be there after the Resume that came meanwhile.
    if (end.resumes_seen != lifecycle_.resumes()) return;
    BackOff* const back_off = is_flush ? &flush_back_off_ : &compaction_back_off_;
    if (!back_off->waiting()) WaitThenTry(back_off, is_flush ? WakeUp::kFlushAgain : WakeUp::kCompactAgain);
    failures = back_off->failures();
  }
  env_.logger->Log(base::LogLevel::kWarning, "{}: {} failed {} times and is tried again: {}", dir_,
                   is_flush ? "a flush" : "a compaction", failures, end.status.ToString());
}

void Engine::SetAside(const std::vector<TableDamage>& damaged, uint64_t generation, uint64_t take_backs) {
  for (const TableDamage& damage : damaged) {
    {
      base::MutexLock lock(&mutex_);
      if (generation != *generation_ || take_backs != schedule_.take_backs()) return;
      const Version::Level& tables = versions_.version()->level(damage.level);
      const auto is_it = [&](const TablePtr& table) { return table->info().number == damage.table_number; };
      // Dropped by now.
      if (std::none_of(tables.begin(), tables.end(), is_it)) continue;
      const bool refused = damage.status.code() == absl::StatusCode::kInternal;
      if (!schedule_.SetAside(damage.table_number, damage.level, refused)) continue;
      if (refused && !take_back_back_off_.waiting()) WaitThenTry(&take_back_back_off_, WakeUp::kTakeBack);
      // Once, however often it is tried again.
      if (!told_damaged_.insert(damage.table_number).second) continue;
    }
    env_.logger->Log(base::LogLevel::kError, "{}: {} of level {} is set aside, no compaction touches it: {}", dir_,
                     TableName(damage.table_number), damage.level, damage.status.ToString());
    TellListener([&](EventListener* listener) { listener->OnTableDamaged(damage); });
  }
}

void Engine::TakeFlushWaiters(std::vector<Done>* ready) {
  const uint64_t oldest = frozen_.empty() ? memtable_->log_number() : frozen_.front()->log_number();
  std::erase_if(flush_waiters_, [&](FlushWaiter& waiter) {
    if (waiter.log_number > oldest) return false;
    ready->push_back(std::move(waiter.done));
    return true;
  });
}

void Engine::FinishFlush(const JobEnd& end, const FlushInfo& info) {
  BANDB_ASSERT(!end.damage_set_aside);
  JobFailed(end, true);
  if (end.status.ok()) TellListener([&](EventListener* listener) { listener->OnFlush(info); });
  std::vector<Done> ready;
  {
    base::MutexLock lock(&mutex_);
    if (end.generation == *generation_) schedule_.FlushEnded();
    flush_failure_ = absl::OkStatus();
    if (flush_back_off_.waiting() && flush_back_off_.failures() >= kFlushTriesMax) {
      flush_failure_ = base::Annotate(end.status, "flush");
      for (FlushWaiter& waiter : flush_waiters_) ready.push_back(std::move(waiter.done));
      flush_waiters_.clear();
    }
    if (end.status.ok()) {
      flush_back_off_.Reset();
      ++flushes_;
      level_work_[0].bytes_written += info.table_bytes;
      TakeFlushWaiters(&ready);
    }
    MaybeScheduleWork();
  }
  UpdateStall();
  Unpark();
  for (Done& done : ready) done(end.status);
  lifecycle_.Leave();
}

void Engine::FinishCompaction(Compaction compaction, const JobEnd& end, const CompactionInfo& info) {
  BANDB_ASSERT(compaction.level >= 0);
  BANDB_ASSERT(compaction.output_level >= 0);
  BANDB_ASSERT(compaction.output_level < kLevels);
  const absl::Status& status = end.status;
  JobFailed(end, false);
  if (status.ok()) TellListener([&](EventListener* listener) { listener->OnCompaction(info); });
  Done abandoned;
  {
    base::MutexLock lock(&mutex_);
    if (status.ok()) {
      ++compactions_;
      compaction_back_off_.Reset();
      LevelStats& into = level_work_[static_cast<size_t>(compaction.output_level)];
      level_work_[static_cast<size_t>(compaction.level)].bytes_read += compaction.Rewrites() ? info.input_bytes : 0;
      into.bytes_written += info.output_bytes;
      into.bytes_moved += info.moved ? info.input_bytes : 0;
      if (compaction.is_drop && end.generation == *generation_) schedule_.NoteDropped(compaction);
      if (compaction.forgets) {
        const auto tables = std::count_if(compaction.inputs.begin(), compaction.inputs.end(),
                                          [](const TablePtr& table) { return HoldsUsers(table->info()); });
        // What of it is kept may be larger than it was, compressed in another way.
        const uint64_t bytes = info.input_bytes - std::min(info.input_bytes, info.output_bytes);
        counters_.forgotten_tables.fetch_add(static_cast<uint64_t>(tables), std::memory_order_relaxed);
        counters_.forgotten_bytes.fetch_add(bytes, std::memory_order_relaxed);
      }
    }
    const bool goes_on = (status.ok() || end.given_up) && !lifecycle_.RefusesWrites();
    if (end.generation == *generation_) abandoned = schedule_.CompactionEnded(compaction, goes_on, end.given_up);
    // Not even for an edit: the next Resume has it tried again. Where something else needed room,
    // there may be enough for that.
    if (compaction.is_drop && absl::IsResourceExhausted(status) && IsFullBuffer()) schedule_.PutOffSpace();
  }
  // Whatever it was the last to hold goes before a CompactRange can end.
  compaction = Compaction();
  {
    base::MutexLock lock(&mutex_);
    MaybeScheduleWork();
  }
  if (abandoned) {
    const absl::Status refused = status.ok() || end.given_up ? lifecycle_.MayWrite() : status;
    abandoned(refused.ok() ? status : refused);
  }
  UpdateStall();
  lifecycle_.Leave();
}

}  // namespace bandb::storage
