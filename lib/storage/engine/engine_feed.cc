#include "storage/engine/engine_feed.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "storage/file/file_names.h"

namespace bandb::storage {

namespace {

// Files that are kept open for readers. Beyond that all are closed, and opened again.
constexpr size_t kFilesMax = 8;

KeepPolicy PolicyOf(const Options& options) {
  KeepPolicy policy;
  policy.keep_bytes = options.changes_keep_bytes;
  if (options.changes_keep_for < absl::Hours(24 * 365 * 1000)) {
    policy.keep_ms = static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(options.changes_keep_for), 0));
  }
  return policy;
}

}  // namespace

EngineFeed::EngineFeed(Parts parts, const Options& options)
    : parts_(std::move(parts)),
      policy_(PolicyOf(options)),
      cursors_loaded_(base::Error(absl::StatusCode::kUnavailable, "the database is being opened")) {}

void EngineFeed::Start(const Uuid& database_id, std::vector<Epoch> epochs) {
  BANDB_ASSERT(!epochs.empty());
  database_id_ = database_id;
  epochs_ = std::move(epochs);
}

absl::Status EngineFeed::LoadCursor(std::string_view key, std::string_view value) {
  base::MutexLock lock(&mutex_);
  return cursors_.Load(key, value);
}

void EngineFeed::CursorsLoaded(const absl::Status& status) {
  base::MutexLock lock(&mutex_);
  cursors_loaded_ = status;
  cursors_.Forget(NeededFrom());
}

absl::StatusOr<const changes::Cursor*> EngineFeed::FindCursor(std::string_view name) const {
  BANDB_RETURN_IF_ERROR(cursors_loaded_);
  const changes::Cursor* const cursor = cursors_.Find(name);
  if (cursor != nullptr) return cursor;
  return base::Error(absl::StatusCode::kNotFound, "there is no cursor \"{}\"", name);
}

void EngineFeed::ForgetEpochs(Sequence oldest, Sequence last, std::vector<Epoch>* epochs) {
  size_t gone = 0;
  // The end of an epoch is where the next one begins.
  while (gone + 1 < epochs->size() && (*epochs)[gone + 1].begin + 1 < oldest) ++gone;
  epochs->erase(epochs->begin(), epochs->begin() + static_cast<std::ptrdiff_t>(gone));
  // However often it is opened: of the last one that wrote nothing no token speaks, but for the
  // first of all, which PlaceAt names where there is none before.
  if (epochs->size() > 1 && epochs->back().begin == last) epochs->pop_back();
}

changes::ChangePlace EngineFeed::PlaceAt(Sequence sequence) const {
  BANDB_ASSERT(!epochs_.empty());
  // That in which it was written, so that an epoch without writes is named by no token.
  const auto after = std::find_if(epochs_.begin() + 1, epochs_.end(),
                                  [sequence](const Epoch& epoch) { return epoch.begin >= sequence; });
  const Epoch& epoch = *(after - 1);
  return {.database = database_id_.bytes, .epoch = epoch.number, .branch = epoch.branch, .sequence = sequence};
}

Sequence EngineFeed::Bound(bool undurable) const {
  // Another thread's sync may make durable what the one that commits has not published yet.
  const Sequence last = parts_.last_sequence->load(std::memory_order_seq_cst);
  return undurable ? last : std::min(last, parts_.logs->durable_sequence());
}

absl::Status EngineFeed::Gone() const {
  const std::string oldest = changes::EncodeToken(PlaceAt(parts_.logs->OldestSequence() - 1));
  return base::Error(absl::StatusCode::kOutOfRange, "what comes next is not kept any more; the oldest token is {}",
                     changes::TokenText(oldest));
}

void EngineFeed::NoteFlushed(const Flushed& flushed) {
  // In this order, so that a reader of both in the other one is told no more than is so.
  idle_from_.store(flushed.user, std::memory_order_release);
  idle_to_.store(flushed.last, std::memory_order_release);
}

Sequence EngineFeed::PassOver(Sequence sequence) const {
  const Sequence to = idle_to_.load(std::memory_order_acquire);
  const Sequence from = idle_from_.load(std::memory_order_acquire);
  return sequence >= from && sequence < to ? to : sequence;
}

Sequence EngineFeed::NeededFrom() const {
  const Sequence oldest = parts_.logs->OldestSequence();
  const Sequence to = idle_to_.load(std::memory_order_acquire);
  const Sequence from = idle_from_.load(std::memory_order_acquire);
  return from < to && to + 1 >= oldest ? std::min(oldest, from + 1) : oldest;
}

// One whose log is gone goes on where that ended; then its epoch may be forgotten, too.
EngineFeed::Beginning EngineFeed::PassOver(const changes::ChangePlace& place) const {
  if (place.sequence + 1 >= parts_.logs->OldestSequence()) return {.place = place};
  return {.place = PlaceAt(PassOver(place.sequence))};
}

absl::Status EngineFeed::CheckKept(Sequence sequence) const {
  return PassOver(sequence) + 1 < parts_.logs->OldestSequence() ? Gone() : absl::OkStatus();
}

absl::Status EngineFeed::CheckPlace(const changes::ChangePlace& place) const {
  if (place.database != database_id_.bytes || place.group != 0) {
    return base::Error(absl::StatusCode::kInvalidArgument, "the token is of another database");
  }
  const auto epoch =
      std::find_if(epochs_.begin(), epochs_.end(), [&](const Epoch& known) { return known.number == place.epoch; });
  // Of one that is forgotten nothing can be read; what it had after its end is lost, or elsewhere.
  const bool is_forgotten = epoch == epochs_.end() && place.epoch < epochs_.front().number;
  if (is_forgotten && place.sequence + 1 < parts_.logs->OldestSequence()) return Gone();
  const bool known = epoch != epochs_.end() && epoch->branch == place.branch;
  const bool last = known && epoch + 1 == epochs_.end();
  const Sequence end = last ? parts_.last_sequence->load(std::memory_order_acquire) : known ? (epoch + 1)->begin : 0;
  if (!known || place.sequence > end) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "the token is ahead of the store, or of writes that it does not have: they were lost with the "
                       "power, or made in another copy");
  }
  return CheckKept(place.sequence);
}

absl::StatusOr<EngineFeed::Beginning> EngineFeed::ResolveTime(absl::Time time, Sequence bound) const {
  const std::vector<KeptLog> logs = parts_.logs->All();
  BANDB_ASSERT(!logs.empty());
  const auto ms = static_cast<uint64_t>(std::max<int64_t>(absl::ToUnixMillis(time), 0));
  // There may have been some at that time.
  if (ms <= logs.front().begin_ms && logs.front().first_sequence > 1) return Gone();
  const auto first = std::find_if(logs.begin(), logs.end() - 1, [ms](const KeptLog& log) { return log.end_ms >= ms; });
  return Beginning{.place = PlaceAt(std::min(first->first_sequence - 1, bound)), .not_before_ms = ms};
}

absl::StatusOr<EngineFeed::Beginning> EngineFeed::Resolve(const ChangesFrom& from, bool undurable) const {
  using Place = ChangesFrom::Place;
  const Sequence bound = Bound(undurable);
  switch (from.place()) {
    case Place::kNow:
      return Beginning{.place = PlaceAt(bound)};
    case Place::kOldest:
      return Beginning{.place = PlaceAt(std::min(parts_.logs->OldestSequence() - 1, bound))};
    case Place::kTime:
      return ResolveTime(from.time(), bound);
    case Place::kToken: {
      BANDB_ASSIGN_OR_RETURN(const changes::ChangePlace place, changes::DecodeToken(from.text()));
      BANDB_RETURN_IF_ERROR(CheckPlace(place));
      return PassOver(place);
    }
    case Place::kSnapshot: {
      BANDB_ASSERT(from.snapshot() != nullptr);
      BANDB_ASSIGN_OR_RETURN(const Sequence sequence, parts_.snapshot_sequence(*from.snapshot()));
      BANDB_RETURN_IF_ERROR(CheckKept(sequence));
      return PassOver(PlaceAt(sequence));
    }
    case Place::kCursor: {
      base::MutexLock lock(&mutex_);
      BANDB_ASSIGN_OR_RETURN(const changes::Cursor* const cursor, FindCursor(from.text()));
      if (cursor->lost) return Lost(from.text());
      // What the database itself has written down of it is a place that it has, even if the epoch
      // of that is forgotten.
      if (cursor->place.sequence + 1 < parts_.logs->OldestSequence()) {
        BANDB_RETURN_IF_ERROR(CheckKept(cursor->place.sequence));
      } else {
        BANDB_RETURN_IF_ERROR(CheckPlace(cursor->place));
      }
      return PassOver(cursor->place);
    }
  }
  BANDB_UNREACHABLE();
}

absl::Status EngineFeed::Lost(std::string_view name) const {
  return base::Annotate(Gone(), fmt::format("cursor \"{}\" is lost", name));
}

std::vector<uint64_t> EngineFeed::LetGoLocked(uint64_t needed_from, const KeepPolicy& policy) {
  const size_t kept_before = parts_.logs->kept().size();
  std::vector<uint64_t> numbers = parts_.logs->LetGo(needed_from, policy);
  for (const uint64_t number : numbers) files_.erase(number);
  if (keeps_logs() || kept_before != 0) let_go_.fetch_add(numbers.size(), std::memory_order_relaxed);
  cursors_.Forget(NeededFrom());
  return numbers;
}

std::vector<uint64_t> EngineFeed::LetGo(uint64_t needed_from) { return LetGoBy(policy_, needed_from); }

std::vector<uint64_t> EngineFeed::LetAllGo(uint64_t needed_from) { return LetGoBy({.keep_bytes = 0}, needed_from); }

bool EngineFeed::HasCursors() const {
  base::MutexLock lock(&mutex_);
  return !cursors_loaded_.ok() || cursors_.all().size() > cursors_.lost();
}

std::vector<uint64_t> EngineFeed::LetGoBy(KeepPolicy policy, uint64_t needed_from) {
  policy.now_ms = parts_.now_ms();
  const Flushed flushed = parts_.flushed();
  base::MutexLock lock(&mutex_);
  // Before: a reader that finds a log gone must know what was in it.
  if (flushed.last > idle_to_.load(std::memory_order_relaxed)) NoteFlushed(flushed);
  policy.floor = cursors_loaded_.ok() ? cursors_.Floor(parts_.logs->durable_sequence()) : 0;
  return LetGoLocked(needed_from, policy);
}

std::vector<uint64_t> EngineFeed::LetOldestGo() {
  base::MutexLock lock(&mutex_);
  const std::vector<KeptLog> kept = parts_.logs->kept();
  if (kept.empty()) return {};
  KeepPolicy policy;
  policy.keep_bytes = KeptBytes(kept) - 1;
  return LetGoLocked(0, policy);
}

std::string EngineFeed::LogPath(uint64_t number) const { return base::JoinPath(parts_.engine_dir, LogName(number)); }

absl::StatusOr<std::shared_ptr<base::RandomAccessFile>> EngineFeed::OpenLog(uint64_t number) {
  {
    base::MutexLock lock(&mutex_);
    const auto open = files_.find(number);
    if (open != files_.end()) return open->second;
  }
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::RandomAccessFile> opened, parts_.files->Open(LogPath(number)));
  std::shared_ptr<base::RandomAccessFile> file = std::move(opened);
  base::MutexLock lock(&mutex_);
  if (files_.size() >= kFilesMax) files_.clear();
  // One that was let go meanwhile must not stay open.
  const std::vector<KeptLog> logs = parts_.logs->All();
  const auto is_it = [number](const KeptLog& log) { return log.number == number; };
  if (std::any_of(logs.begin(), logs.end(), is_it)) files_.emplace(number, file);
  return file;
}

absl::StatusOr<WriteBatch> EngineFeed::AddCursor(std::string_view name, const ChangesFrom& from, std::string* value) {
  const uint64_t now_ms = parts_.now_ms();
  // Twice, for what was there may have been let go before the cursor was.
  BANDB_ASSIGN_OR_RETURN(const Beginning beginning, Resolve(from, false));
  base::MutexLock lock(&mutex_);
  BANDB_RETURN_IF_ERROR(cursors_loaded_);
  BANDB_RETURN_IF_ERROR(CheckKept(beginning.place.sequence));
  BANDB_RETURN_IF_ERROR(cursors_.Add(name, beginning.place, now_ms));
  *value = cursors_.Find(name)->stored;
  return cursors_.MakeBatch(name);
}

absl::StatusOr<WriteBatch> EngineFeed::BeginReset(std::string_view name, const ChangesFrom& from) {
  const uint64_t now_ms = parts_.now_ms();
  BANDB_ASSIGN_OR_RETURN(const Beginning beginning, Resolve(from, false));
  base::MutexLock lock(&mutex_);
  BANDB_RETURN_IF_ERROR(FindCursor(name).status());
  BANDB_RETURN_IF_ERROR(CheckKept(beginning.place.sequence));
  return cursors_.BeginReset(name, beginning.place, now_ms);
}

absl::Status EngineFeed::EndReset(std::string_view name, bool done) {
  base::MutexLock lock(&mutex_);
  cursors_.EndReset(name, done);
  cursors_.Forget(NeededFrom());
  const changes::Cursor* const cursor = cursors_.Find(name);
  return done && cursor != nullptr && cursor->lost ? Lost(name) : absl::OkStatus();
}

absl::Status EngineFeed::CheckNotLost(std::string_view name) const {
  base::MutexLock lock(&mutex_);
  const changes::Cursor* const cursor = cursors_.Find(name);
  return cursor != nullptr && cursor->lost ? Lost(name) : absl::OkStatus();
}

void EngineFeed::RemoveCursor(std::string_view name) {
  base::MutexLock lock(&mutex_);
  cursors_.Remove(name);
}

void EngineFeed::RemoveCursor(std::string_view name, std::string_view value) {
  base::MutexLock lock(&mutex_);
  const changes::Cursor* const cursor = cursors_.Find(name);
  if (cursor != nullptr && cursor->stored == value) cursors_.Remove(name);
}

absl::Status EngineFeed::CheckCursor(std::string_view name) const {
  base::MutexLock lock(&mutex_);
  return FindCursor(name).status();
}

absl::StatusOr<bool> EngineFeed::MoveCursor(std::string_view name, std::string_view token) {
  const uint64_t now_ms = parts_.now_ms();
  base::MutexLock lock(&mutex_);
  BANDB_ASSIGN_OR_RETURN(const changes::Cursor* const cursor, FindCursor(name));
  if (cursor->lost) return Lost(name);
  BANDB_ASSIGN_OR_RETURN(const changes::ChangePlace place, changes::DecodeToken(token));
  const absl::Status valid = CheckPlace(place);
  // Of before the oldest log, and so of before the cursor.
  if (!valid.ok() && valid.code() != absl::StatusCode::kOutOfRange) return valid;
  return cursors_.Move(name, place, now_ms, cursor->place.sequence >= LastUserSequence());
}

WriteBatch EngineFeed::TakeMoved(std::vector<changes::CursorTable::Underway>* taken) {
  base::MutexLock lock(&mutex_);
  return cursors_.TakeMoved(taken, parts_.logs->durable_sequence());
}

void EngineFeed::Written(const std::vector<changes::CursorTable::Underway>& taken, bool done) {
  base::MutexLock lock(&mutex_);
  cursors_.Written(taken, done, parts_.last_sequence->load(std::memory_order_acquire));
}

bool EngineFeed::AnyMoved() const {
  base::MutexLock lock(&mutex_);
  return std::any_of(cursors_.all().begin(), cursors_.all().end(),
                     [](const auto& named) { return named.second.moved; });
}

absl::StatusOr<std::vector<CursorInfo>> EngineFeed::Cursors() const {
  std::vector<CursorInfo> infos;
  base::MutexLock lock(&mutex_);
  BANDB_RETURN_IF_ERROR(cursors_loaded_);
  for (const auto& [name, cursor] : cursors_.all()) {
    infos.push_back({.name = name,
                     .token = changes::EncodeToken(cursor.place),
                     .created = absl::FromUnixMillis(static_cast<int64_t>(cursor.created_ms)),
                     .acknowledged = absl::FromUnixMillis(static_cast<int64_t>(cursor.acknowledged_ms)),
                     .lost = cursor.lost});
  }
  return infos;
}

void EngineFeed::NoteSystem(Sequence first, Sequence last) {
  if (system_to_.load(std::memory_order_relaxed) + 1 != first) system_from_.store(first, std::memory_order_relaxed);
  system_to_.store(last, std::memory_order_release);
}

Sequence EngineFeed::LastUserSequence() const {
  const Sequence last = parts_.last_sequence->load(std::memory_order_acquire);
  return system_to_.load(std::memory_order_acquire) == last && last != 0
             ? system_from_.load(std::memory_order_relaxed) - 1
             : last;
}

void EngineFeed::FillStats(Stats* stats) const {
  const std::vector<KeptLog> kept = parts_.logs->kept();
  stats->changes_kept_logs = kept.size();
  for (const KeptLog& log : kept) stats->changes_kept_bytes += log.bytes;
  stats->oldest_change = parts_.logs->OldestSequence();
  stats->changes_logs_let_go = let_go_.load(std::memory_order_relaxed);
  base::MutexLock lock(&mutex_);
  stats->cursors = cursors_.all().size();
  stats->lost_cursors = cursors_.lost();
}

}  // namespace bandb::storage
