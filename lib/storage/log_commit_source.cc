#include "storage/log_commit_source.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "kv/batch_format.h"
#include "storage/file/refused_read.h"

namespace bandb::storage {

namespace {

// So long others are left to make durable what was committed, before a sync is asked for.
constexpr int64_t kGraceNanos = 5'000'000;

// Ends an activity of the engine.
class Activity {
 public:
  explicit Activity(Engine* engine) : engine_(engine) {}
  ~Activity() {
    if (engine_ != nullptr) engine_->Leave();
  }
  Activity(const Activity&) = delete;
  Activity& operator=(const Activity&) = delete;

 private:
  Engine* const engine_;
};

}  // namespace

LogCommitSource::~LogCommitSource() {
  Forget();
  if (spots_ != nullptr && tail_ && tail_->offset() != 0 && in_step_) {
    spots_->Note(tail_->number(), place_.sequence, tail_->offset());
  }
  SetTail(std::nullopt);
}

void LogCommitSource::CountHeld() {
  const uint64_t held = tail_ ? tail_->held_bytes() : 0;
  gate_->held_bytes.fetch_add(held - held_bytes_, std::memory_order_relaxed);
  held_bytes_ = held;
}

void LogCommitSource::SetTail(std::optional<LogTail> tail) {
  tail_.reset();
  if (tail) tail_.emplace(*std::move(tail));
  CountHeld();
}

absl::StatusOr<bool> LogCommitSource::Take(const ParsedRecord& record, changes::LoggedCommit* commit) {
  const RecordHead& head = record.head;
  if (head.type != RecordType::kWrite && head.type != RecordType::kSystemWrite) {
    if (head.type == RecordType::kEnd || head.type == RecordType::kSeal) return false;
    return tail_->Damage();
  }
  kv::OperationReader reader(record.payload);
  kv::Operation operation;
  uint64_t count = 0;
  while (reader.Next(&operation)) ++count;
  if (!reader.ok() || count == 0 || head.first_sequence > place_.sequence + 1) return tail_->Damage();
  const uint64_t last = head.first_sequence + count - 1;
  if (last <= place_.sequence) return false;
  if (head.first_sequence <= place_.sequence) {
    return base::Error(absl::StatusCode::kInvalidArgument, "the token names a place inside a commit");
  }
  place_ = in_log_;
  place_.sequence = last;
  grace_end_nanos_ = 0;
  if (head.type == RecordType::kSystemWrite) return false;
  commit->first_sequence = head.first_sequence;
  commit->last_sequence = last;
  commit->commit_time_ms = head.commit_time_ms;
  commit->operations = record.payload;
  return true;
}

absl::StatusOr<bool> LogCommitSource::Next(changes::LoggedCommit* commit) {
  while (true) {
    ParsedRecord record;
    const LogTail::Peeked peeked = tail_ ? tail_->Peek(&record) : LogTail::Peeked::kMore;
    if (peeked == LogTail::Peeked::kDamaged) return tail_->Damage();
    // Commits are durable whole, so that the first operation decides.
    if (peeked == LogTail::Peeked::kRecord && record.head.first_sequence <= bound_) {
      tail_->Skip(record);
      record_bytes_ = record.record_bytes;
      const absl::StatusOr<bool> taken = Take(record, commit);
      in_step_ = taken.ok();
      if (!taken.ok() || *taken) return taken;
      continue;
    }
    const uint64_t bound_before = bound_;
    if (peeked == LogTail::Peeked::kMore || bound_before == place_.sequence) {
      BANDB_ASSIGN_OR_RETURN(const bool more, Fill());
      if (!more) return false;
      continue;
    }
    // The record is beyond the bound though the place is not there: it does not follow.
    return tail_->Damage();
  }
}

void LogCommitSource::Release() {
  if (tail_) tail_->Release();
  CountHeld();
}

absl::StatusOr<bool> LogCommitSource::Fill() {
  Engine* const engine = gate_->Enter();
  if (engine == nullptr) return ClosedError();
  const Activity activity(engine);
  absl::StatusOr<bool> filled = FillFrom(engine);
  CountHeld();
  return filled;
}

absl::StatusOr<bool> LogCommitSource::FillFrom(Engine* engine) {
  EngineFeed& feed = engine->feed();
  bound_ = feed.Bound(undurable_);
  if (bound_ <= place_.sequence) {
    // At rest nothing is held.
    if (tail_) tail_->Release();
    return false;
  }
  const std::optional<LogSet::Extent> log = feed.logs().Find(place_.sequence + 1);
  if (!log) return feed.Gone();
  if (!tail_ || tail_->number() != log->number) {
    const uint64_t begin_offset = spots_ == nullptr ? 0 : spots_->Find(log->number, place_.sequence);
    SetTail(LogTail(log->number, feed.LogPath(log->number), feed.database_id(), begin_offset));
  }
  in_log_ = feed.PlaceAt(place_.sequence + 1);
  // What is held may be enough, now that the bound has moved.
  ParsedRecord record;
  if (tail_->Peek(&record) == LogTail::Peeked::kRecord) return true;
  const absl::StatusOr<std::shared_ptr<base::RandomAccessFile>> file = feed.OpenLog(log->number);
  if (!file.ok()) {
    if (!feed.logs().Find(place_.sequence + 1)) return feed.Gone();
    return ForReader(MustBeThere(file.status()));
  }
  BANDB_RETURN_IF_ERROR(ForReader(tail_->Fill(**file, log->bytes)));
  return true;
}

absl::Status LogCommitSource::Wait(int64_t* nanos) {
  Engine* const engine = gate_->Enter();
  if (engine == nullptr) return ClosedError();
  const Activity activity(engine);
  const int64_t passed = WaitFor(engine, *nanos);
  if (*nanos != base::kForever) *nanos -= std::min(*nanos, passed);
  return absl::OkStatus();
}

int64_t LogCommitSource::WaitFor(Engine* engine, int64_t nanos) {
  EngineFeed& feed = engine->feed();
  const base::Env& env = engine->env();
  const int64_t begin_nanos = env.clock->MonotonicNanos();
  // Commits that may come to be durable by themselves are waited for a little while; then a sync is
  // asked for, and the wait is for what is durable.
  const bool pending = !undurable_ && feed.Bound(true) > feed.Bound(false);
  base::Event event;
  if (!undurable_) gate_->durable.Add(&event);
  if (!pending) gate_->committed.Add(&event);
  const bool moved =
      feed.Bound(undurable_) > place_.sequence || (!pending && feed.Bound(true) > feed.Bound(undurable_));
  if (!moved && engine->MayContinue()) {
    const int64_t first_nanos = pending ? std::min(nanos, kGraceNanos) : nanos;
    const bool woken = first_nanos > 0 && env.executor->Wait(&event, first_nanos);
    if (!woken && pending) {
      const int64_t again_nanos = engine->SyncForReaders();
      if (nanos > kGraceNanos) env.executor->Wait(&event, std::min(nanos - kGraceNanos, again_nanos));
    }
  }
  gate_->durable.Remove(&event);
  gate_->committed.Remove(&event);
  return env.clock->MonotonicNanos() - begin_nanos;
}

int64_t LogCommitSource::Await(internal::ChangeListener* listener) {
  Forget();
  Engine* const engine = gate_->Enter();
  // To be found out by looking.
  if (engine == nullptr) return 0;
  const Activity activity(engine);
  const EngineFeed& feed = engine->feed();
  // Both move with a commit where all before it is durable.
  const bool pending = !undurable_ && feed.Bound(true) > feed.Bound(false);
  listener_ = listener;
  news_ = pending ? &gate_->durable : &gate_->committed;
  news_->Add(listener);
  const bool moved =
      feed.Bound(undurable_) > place_.sequence || (!pending && feed.Bound(true) > feed.Bound(undurable_));
  if (moved || !engine->MayContinue()) {
    Forget();
    return 0;
  }
  if (!pending) return base::kForever;
  const int64_t now_nanos = engine->env().clock->MonotonicNanos();
  if (grace_end_nanos_ == 0) grace_end_nanos_ = now_nanos + kGraceNanos;
  return now_nanos < grace_end_nanos_ ? grace_end_nanos_ - now_nanos : engine->SyncForReaders();
}

void LogCommitSource::Forget() {
  if (listener_ == nullptr) return;
  news_->Remove(std::exchange(listener_, nullptr));
}

absl::Status LogCommitSource::CountTo(uint64_t end, absl::Span<Lag> lags) {
  changes::LoggedCommit commit;
  size_t reached = 0;
  uint64_t commits = 0, bytes = 0;
  while (place_.sequence < end) {
    BANDB_ASSIGN_OR_RETURN(const bool found, Next(&commit));
    if (!found) break;
    // What is counted before them is taken off in the end.
    for (; reached < lags.size() && lags[reached].after < commit.first_sequence; ++reached) {
      lags[reached].commits = commits;
      lags[reached].bytes = bytes;
      lags[reached].oldest_ms = commit.commit_time_ms;
    }
    // The rest of the log was the system's, and this is of a later one.
    if (place_.sequence > end) break;
    ++commits;
    bytes += record_bytes_;
  }
  for (Lag& lag : lags.subspan(0, reached)) {
    lag.commits = commits - lag.commits;
    lag.bytes = bytes - lag.bytes;
  }
  return absl::OkStatus();
}

absl::Status LogCommitSource::MeasureLags(Engine* engine, const std::shared_ptr<FeedGate>& gate, absl::Span<Lag> lags) {
  const std::vector<KeptLog> logs = engine->feed().logs().All();
  size_t begun = 0;
  for (const KeptLog& log : logs) {
    const bool last = log.number == logs.back().number;
    const uint64_t end = last ? engine->feed().Bound(true) : log.last_sequence;
    if (end < log.first_sequence) continue;
    // All of it is after those in logs before it.
    for (Lag& lag : lags.subspan(0, begun)) {
      lag.commits += log.commits;
      lag.bytes += log.bytes;
    }
    const size_t first = begun;
    while (begun < lags.size() && lags[begun].after < end) ++begun;
    if (begun == first) continue;
    LogCommitSource source(gate, engine->feed().PlaceAt(log.first_sequence - 1), true);
    BANDB_RETURN_IF_ERROR(source.CountTo(end, lags.subspan(first, begun - first)));
    BANDB_RETURN_IF_ERROR(engine->MayContinue() ? absl::OkStatus() : ClosedError());
  }
  return absl::OkStatus();
}

}  // namespace bandb::storage
