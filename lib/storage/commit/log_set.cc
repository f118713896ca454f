#include "storage/commit/log_set.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/file/file_names.h"

namespace bandb::storage {

namespace {

absl::Status UnknownOutcome(const absl::Status& failure) {
  return base::Error(absl::StatusCode::kUnknown, "the log could not be synced, so the outcome is unknown: {}",
                     base::Message(failure));
}

}  // namespace

absl::Status LogSet::StartLog(uint64_t number, const FileHeader& header, const RecordHead& end_head, bool* unmade) {
  BANDB_ASSERT(header.type == FileType::kLog);
  BANDB_ASSERT(number > this->number());
  const std::string path = base::JoinPath(engine_dir_, LogName(number));
  // Room for the end of the old log, then the new log, then the end: if the disk is full, the old
  // one can still be written.
  if (current_writer_ != nullptr) BANDB_RETURN_IF_ERROR(current_writer_->Reserve(0));
  absl::StatusOr<std::unique_ptr<LogWriter>> created = LogWriter::Create(files_, path, header);
  const absl::Status begun = created.ok() ? (*created)->SyncHeader() : created.status();
  if (!begun.ok()) {
    // If it was begun at all; else it is found at the next open.
    files_->Remove(path).IgnoreError();
    // Without the lock nothing may ever be made again.
    if (unmade != nullptr && !created.ok()) {
      *unmade =
          begun.code() != absl::StatusCode::kResourceExhausted && begun.code() != absl::StatusCode::kFailedPrecondition;
    }
    return begun;
  }
  std::shared_ptr<LogWriter> writer = *std::move(created);
  if (current_writer_ != nullptr) {
    BANDB_ASSERT(end_head.type == RecordType::kEnd);
    // Room was reserved for it, so this is no full disk, whatever the cause: the old log is
    // poisoned.
    if (const absl::Status ended = current_writer_->Append(end_head, {}); !ended.ok()) {
      return base::Error(absl::StatusCode::kInternal, "the log could not be ended: {}", base::Message(ended));
    }
  }
  current_writer_ = writer.get();
  number_.store(number, std::memory_order_release);
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(logs_.empty() || logs_.back().what.number < number);
  const uint64_t appended = appended_sequence_.load(std::memory_order_acquire);
  if (!logs_.empty() && logs_.back().writer != nullptr) {
    KeptLog& ended = logs_.back().what;
    ended.last_sequence = appended;
    ended.end_ms = end_head.commit_time_ms;
    ended.commits = commits_.load(std::memory_order_relaxed);
  }
  commits_.store(0, std::memory_order_relaxed);
  logs_.push_back({{.number = number, .first_sequence = appended + 1, .begin_ms = end_head.commit_time_ms},
                   std::move(writer),
                   false});
  entries_synced_ = false;
  return absl::OkStatus();
}

void LogSet::SkipTo(uint64_t sequence, uint64_t time_ms) {
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(!logs_.empty());
  KeptLog& present = logs_.back().what;
  BANDB_ASSERT(present.first_sequence == appended_sequence_.load(std::memory_order_acquire) + 1);
  BANDB_ASSERT(present.first_sequence <= sequence);
  present.first_sequence = sequence + 1;
  present.begin_ms = time_ms;
  NoteAppended(sequence, true);
}

void LogSet::AddWaiter(WriteRequest* request) {
  absl::Status failure;
  {
    base::MutexLock lock(&mutex_);
    failure = failure_;
    if (failure.ok()) {
      waiting_.push_back(request);
      anybody_waits_.store(true, std::memory_order_release);
    }
  }
  if (!failure.ok()) request->Complete(UnknownOutcome(failure));
}

bool LogSet::SyncNeeded() const {
  if (!anybody_waits_.load(std::memory_order_acquire)) return false;
  base::MutexLock lock(&mutex_);
  return !waiting_.empty() && !syncing_;
}

absl::Status LogSet::SyncLogs(const std::vector<std::shared_ptr<LogWriter>>& writers, bool entries) {
  if (entries) BANDB_RETURN_IF_ERROR(files_->SyncDir(engine_dir_));
  for (const std::shared_ptr<LogWriter>& writer : writers) {
    syncs_.fetch_add(1, std::memory_order_relaxed);
    BANDB_RETURN_IF_ERROR(writer->Sync());
  }
  return absl::OkStatus();
}

absl::Status LogSet::SyncWaiting() {
  std::vector<std::shared_ptr<LogWriter>> writers;
  std::vector<WriteRequest*> served;
  bool entries = false;
  uint64_t covered = 0;
  {
    base::MutexLock lock(&mutex_);
    if (waiting_.empty() || syncing_) return absl::OkStatus();
    BANDB_ASSERT(!logs_.empty());
    syncing_ = true;
    // What waits now was appended before now, so this sync covers it.
    served.swap(waiting_);
    covered = appended_sequence_.load(std::memory_order_acquire);
    anybody_waits_.store(false, std::memory_order_release);
    entries = !entries_synced_;
    entries_synced_ = true;
    for (const Log& log : logs_) {
      if (!log.durable) writers.push_back(log.writer);
    }
    // The present log is never called durable, since it is still written to.
    BANDB_ASSERT(!writers.empty());
  }
  const absl::Status synced = SyncLogs(writers, entries);
  {
    base::MutexLock lock(&mutex_);
    BANDB_ASSERT(syncing_);
    syncing_ = false;
    if (synced.ok()) {
      NoteDurable(covered);
      // All but the last that was synced will never be written again.
      for (Log& log : logs_)
        log.durable |= log.writer != nullptr && log.writer != writers.back() && log.what.number < number() &&
                       log.writer->SyncedOffset() == log.writer->Size();
    } else {
      failure_ = synced;
      served.insert(served.end(), waiting_.begin(), waiting_.end());
      waiting_.clear();
    }
  }
  for (WriteRequest* request : served) {
    request->Complete(synced.ok() ? absl::OkStatus() : UnknownOutcome(synced));
  }
  return synced;
}

std::vector<uint64_t> LogSet::LetGo(uint64_t needed_from, const KeepPolicy& policy) {
  // Destroyed, and the files with them closed, once the mutex is free.
  std::vector<Log> dropped;
  std::vector<uint64_t> numbers;
  {
    base::MutexLock lock(&mutex_);
    while (!logs_.empty() && logs_.front().what.number < needed_from) {
      BANDB_ASSERT(logs_.size() > 1);
      const KeptLog what = Describe(logs_.front());
      const bool holds = what.last_sequence >= what.first_sequence;
      // One that may not be durable makes all before it useless, too.
      if (holds && !logs_.front().durable) {
        for (const KeptLog& log : std::exchange(kept_, {})) numbers.push_back(log.number);
      }
      if (holds && logs_.front().durable) {
        BANDB_ASSERT(kept_.empty() || kept_.back().number < what.number);
        kept_.push_back(what);
      } else {
        numbers.push_back(what.number);
      }
      dropped.push_back(std::move(logs_.front()));
      logs_.erase(logs_.begin());
    }
    const size_t count = LogsToLetGo(kept_, policy);
    BANDB_ASSERT(count <= kept_.size());
    for (size_t i = 0; i < count; ++i) numbers.push_back(kept_[i].number);
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return numbers;
}

KeptLog LogSet::Describe(const Log& log) const {
  KeptLog what = log.what;
  if (log.writer == nullptr) return what;
  what.bytes = log.writer->Size();
  if (log.writer.get() == logs_.back().writer.get()) what.commits = commits_.load(std::memory_order_relaxed);
  return what;
}

std::vector<KeptLog> LogSet::Describe(uint64_t number) const {
  base::MutexLock lock(&mutex_);
  std::vector<KeptLog> logs = kept_;
  for (const Log& log : logs_) {
    if (log.what.number >= number || log.what.last_sequence < log.what.first_sequence) continue;
    logs.push_back(Describe(log));
  }
  return logs;
}

std::vector<KeptLog> LogSet::kept() const {
  base::MutexLock lock(&mutex_);
  return kept_;
}

std::vector<KeptLog> LogSet::All() const {
  base::MutexLock lock(&mutex_);
  std::vector<KeptLog> logs = kept_;
  for (const Log& log : logs_) logs.push_back(Describe(log));
  return logs;
}

std::optional<LogSet::Extent> LogSet::Find(uint64_t sequence) const {
  base::MutexLock lock(&mutex_);
  // The last that begins at or before it: one that holds nothing begins where the next one does.
  for (auto log = logs_.rbegin(); log != logs_.rend(); ++log) {
    if (log->what.first_sequence <= sequence) return Extent{log->what.number, Describe(*log).bytes};
  }
  for (auto log = kept_.rbegin(); log != kept_.rend(); ++log) {
    if (log->first_sequence <= sequence) return Extent{log->number, log->bytes};
  }
  return std::nullopt;
}

uint64_t LogSet::OldestSequence() const {
  base::MutexLock lock(&mutex_);
  if (!kept_.empty()) return kept_.front().first_sequence;
  return logs_.empty() ? appended_sequence_.load(std::memory_order_acquire) + 1 : logs_.front().what.first_sequence;
}

void LogSet::AddRecovered(const KeptLog& log, bool needed) {
  base::MutexLock lock(&mutex_);
  BANDB_ASSERT(logs_.empty() || (needed && logs_.back().what.number < log.number));
  BANDB_ASSERT(kept_.empty() || kept_.back().number < log.number);
  if (needed) {
    logs_.push_back({log, nullptr, true});
  } else {
    kept_.push_back(log);
  }
}

absl::Status LogSet::Seal(const RecordHead& seal_head, uint64_t* bytes) {
  BANDB_ASSERT(seal_head.type == RecordType::kSeal);
  BANDB_ASSERT(current_writer_ != nullptr);
  std::vector<std::shared_ptr<LogWriter>> writers;
  {
    base::MutexLock lock(&mutex_);
    BANDB_ASSERT(!syncing_);
    BANDB_ASSERT(waiting_.empty());
    BANDB_RETURN_IF_ERROR(failure_);
    for (const Log& log : logs_) {
      if (!log.durable) writers.push_back(log.writer);
    }
  }
  BANDB_RETURN_IF_ERROR(SyncLogs(writers, true));
  BANDB_RETURN_IF_ERROR(current_writer_->Append(seal_head, {}));
  BANDB_RETURN_IF_ERROR(current_writer_->Sync());
  *bytes = current_writer_->Size();
  return current_writer_->Close();
}

std::vector<LogSet::Extent> LogSet::Extents() const {
  base::MutexLock lock(&mutex_);
  std::vector<Extent> extents;
  for (const Log& log : logs_) {
    extents.push_back({log.what.number, Describe(log).bytes});
  }
  return extents;
}

absl::Status LogSet::CheckInvariants() const {
  base::MutexLock lock(&mutex_);
  uint64_t number = 0, sequence = 0;
  const auto follows = [&](const KeptLog& log) {
    const bool fits = log.number > number && (sequence == 0 || log.first_sequence == sequence);
    number = log.number;
    sequence = log.last_sequence + 1;
    return fits;
  };
  const bool chained = std::all_of(kept_.begin(), kept_.end(), follows) &&
                       std::all_of(logs_.begin(), logs_.end(), [&](const Log& log) { return follows(log.what); });
  if (chained) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInternal, "the logs: {} does not follow the one before it", number);
}

uint64_t LogSet::TotalBytes() const {
  base::MutexLock lock(&mutex_);
  uint64_t bytes = 0;
  for (const Log& log : logs_) {
    if (log.writer != nullptr) bytes += log.writer->Size();
  }
  return bytes;
}

}  // namespace bandb::storage
