#include "cluster/kept_segments.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::cluster {

namespace {

constexpr std::string_view kKeptSuffix = ".kept";
// The least that one counts as.
constexpr uint64_t kBytesMin = 4096;
// How often a move is tried for which there is no descriptor.
constexpr int64_t kMoveRetryNanos = 1'000'000'000;

// Digits up to `end`, or to the end of the text. False if there are none, or too many.
bool TakeNumber(std::string_view* text, char end, uint64_t* number) {
  const size_t length = std::min(text->find(end), text->size());
  if (length == 0 || length > 18) return false;
  *number = 0;
  for (const char digit : text->substr(0, length)) {
    if (digit < '0' || digit > '9') return false;
    *number = *number * 10 + static_cast<uint64_t>(digit - '0');
  }
  text->remove_prefix(std::min(length + 1, text->size()));
  return true;
}

}  // namespace

std::string KeptSegmentName(const KeptSegment& kept) {
  return fmt::format("{:06}-{}-{}-{}{}", kept.segment.number, kept.segment.after, kept.segment.end, kept.time_ms,
                     kKeptSuffix);
}

std::optional<KeptSegment> ParseKeptSegmentName(std::string_view name) {
  KeptSegment kept;
  kept.moved = true;
  if (!name.ends_with(kKeptSuffix)) return std::nullopt;
  std::string_view text = name.substr(0, name.size() - kKeptSuffix.size());
  const bool whole = TakeNumber(&text, '-', &kept.segment.number) && TakeNumber(&text, '-', &kept.segment.after) &&
                     TakeNumber(&text, '-', &kept.segment.end) && TakeNumber(&text, '-', &kept.time_ms);
  if (!whole || KeptSegmentName(kept) != name) return std::nullopt;
  return kept;
}

// One segment that gets its new name.
struct KeptSegments::Round {
  KeptSegment kept;
  absl::Status status{};
};

absl::StatusOr<std::shared_ptr<KeptSegments>> KeptSegments::Open(Parts parts, raft::Index log_floor) {
  BANDB_ASSERT(parts.executor != nullptr);
  BANDB_ASSERT(parts.logger != nullptr);
  BANDB_ASSERT(parts.post != nullptr);
  std::shared_ptr<KeptSegments> segments(new KeptSegments(std::move(parts)));
  BANDB_RETURN_IF_ERROR(segments->Find(log_floor));
  return segments;
}

absl::Status KeptSegments::Find(raft::Index log_floor) {
  const LogDirectory& directory = parts_.directory;
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, directory.files->List(directory.path));
  std::vector<KeptSegment> found;
  for (const std::string& name : names) {
    std::optional<KeptSegment> kept = ParseKeptSegmentName(name);
    if (!kept.has_value()) continue;
    BANDB_ASSIGN_OR_RETURN(kept->bytes, directory.files->FileSize(base::JoinPath(directory.path, name)));
    found.push_back(*kept);
  }
  const auto number = [](const KeptSegment& kept) { return kept.segment.number; };
  std::sort(found.begin(), found.end(),
            [&](const KeptSegment& a, const KeptSegment& b) { return number(a) < number(b); });
  // From the log backward, as far as each leads up to the next one.
  raft::Index next = log_floor;
  size_t first = found.size();
  while (first > 0 && found[first - 1].segment.end == next) next = found[--first].segment.after;
  std::vector<std::string> unneeded;
  for (size_t i = 0; i < first; ++i) unneeded.push_back(KeptPath(found[i]));
  Remove(std::move(unneeded));
  {
    base::MutexLock lock(&mutex_);
    kept_.assign(found.begin() + static_cast<ptrdiff_t>(first), found.end());
  }
  // There may be less room than before.
  Trim(0);
  return absl::OkStatus();
}

std::string KeptSegments::KeptPath(const KeptSegment& kept) const {
  return base::JoinPath(parts_.directory.path, KeptSegmentName(kept));
}

std::string KeptSegments::PathOf(uint64_t number, bool second) const {
  base::MutexLock lock(&mutex_);
  const auto at = std::find_if(kept_.begin(), kept_.end(),
                               [number](const KeptSegment& kept) { return kept.segment.number == number; });
  if (at == kept_.end() || at->moved == second) return parts_.directory.PathOf(number);
  return KeptPath(*at);
}

uint64_t KeptSegments::count() const {
  base::MutexLock lock(&mutex_);
  return kept_.size();
}

uint64_t KeptSegments::bytes() const {
  base::MutexLock lock(&mutex_);
  uint64_t bytes = 0;
  for (const KeptSegment& kept : kept_) bytes += std::max(kept.bytes, kBytesMin);
  return bytes;
}

std::optional<raft::Index> KeptSegments::floor() const {
  base::MutexLock lock(&mutex_);
  return kept_.empty() ? std::nullopt : std::optional(kept_.front().segment.after);
}

std::vector<uint64_t> KeptSegments::Retire(const std::vector<RetiredSegment>& segments, uint64_t now_ms) {
  BANDB_ASSERT(!segments.empty());
  std::vector<uint64_t> unneeded;
  if (parts_.bytes_max == 0 || ended_) {
    for (const RetiredSegment& segment : segments) unneeded.push_back(segment.number);
    on_floor_(segments.back().end);
    return unneeded;
  }
  {
    base::MutexLock lock(&mutex_);
    for (const RetiredSegment& segment : segments) {
      BANDB_ASSERT(kept_.empty() || kept_.back().segment.end == segment.after);
      kept_.push_back({.segment = segment, .time_ms = now_ms});
    }
  }
  now_ms_ = now_ms;
  MoveNext();
  return unneeded;
}

void KeptSegments::MoveNext() {
  if (moving_ || ended_) return;
  auto round = std::make_shared<Round>();
  {
    base::MutexLock lock(&mutex_);
    const auto next = std::find_if(kept_.begin(), kept_.end(), [](const KeptSegment& kept) { return !kept.moved; });
    if (next == kept_.end()) return;
    round->kept = *next;
  }
  moving_ = true;
  parts_.executor->Post(base::Priority::kNormal, [segments = shared_from_this(), round] {
    round->status = segments->Move(&round->kept);
    segments->parts_.post([segments, round] { segments->FinishMove(*round); });
  });
}

// On a thread of the executor.
absl::Status KeptSegments::Move(KeptSegment* kept) const {
  base::FileSystem* const files = parts_.directory.files;
  const std::string from = parts_.directory.PathOf(kept->segment.number);
  const std::string to = KeptPath(*kept);
  // An earlier try may have come as far as that.
  absl::StatusOr<uint64_t> size = files->FileSize(to);
  if (size.status().code() == absl::StatusCode::kNotFound) {
    size = files->FileSize(from);
    BANDB_RETURN_IF_ERROR(size.status());
    BANDB_RETURN_IF_ERROR(files->Rename(from, to));
  }
  BANDB_RETURN_IF_ERROR(size.status());
  kept->bytes = *size;
  // Before the next one: or a power loss might leave a hole.
  return files->SyncDir(parts_.directory.path);
}

void KeptSegments::FinishMove(const Round& round) {
  moving_ = false;
  if (ended_) return;
  // No descriptor is free: nothing is lost for that.
  const bool waits = absl::IsUnavailable(round.status);
  size_t lost = 0;
  bool is_kept = false;
  {
    base::MutexLock lock(&mutex_);
    const auto at = std::find_if(kept_.begin(), kept_.end(), [&](const KeptSegment& kept) {
      return kept.segment.number == round.kept.segment.number;
    });
    is_kept = at != kept_.end();
    if (is_kept && round.status.ok()) {
      at->bytes = round.kept.bytes;
      at->moved = true;
    } else if (is_kept && !waits) {
      lost = static_cast<size_t>(at - kept_.begin()) + 1;
    }
  }
  if (is_kept && waits) return MoveLater();
  if (lost != 0) {
    parts_.logger->Log(base::LogLevel::kWarning, "{}; the change feed begins after entry {} from now on",
                       base::Message(round.status), round.kept.segment.end);
  }
  // It may have either name.
  if (!round.status.ok() || !is_kept) {
    Remove({KeptPath(round.kept), parts_.directory.PathOf(round.kept.segment.number)});
  }
  LetGo(lost);
  Trim(now_ms_);
  MoveNext();
}

void KeptSegments::MoveLater() {
  moving_ = true;
  parts_.executor->PostAfter(kMoveRetryNanos, [segments = shared_from_this()] {
    segments->parts_.post([segments] {
      segments->moving_ = false;
      segments->MoveNext();
    });
  });
}

void KeptSegments::Trim(uint64_t now_ms) {
  now_ms_ = std::max(now_ms_, now_ms);
  size_t count = 0;
  {
    base::MutexLock lock(&mutex_);
    uint64_t bytes = 0;
    for (const KeptSegment& kept : kept_) bytes += std::max(kept.bytes, kBytesMin);
    for (; count < kept_.size() && kept_[count].moved; ++count) {
      const KeptSegment& kept = kept_[count];
      const bool is_old =
          now_ms_ > kept.time_ms && now_ms_ - kept.time_ms > parts_.ms_max && kept.segment.end <= needed_after_;
      if (bytes <= parts_.bytes_max && !is_old) break;
      bytes -= std::max(kept.bytes, kBytesMin);
    }
  }
  LetGo(count);
}

void KeptSegments::DropAll() { LetGo(count()); }

void KeptSegments::LetGo(size_t count) {
  if (count == 0) return;
  std::vector<std::string> paths;
  raft::Index floor = 0;
  {
    base::MutexLock lock(&mutex_);
    for (size_t i = 0; i < count; ++i) {
      floor = std::max(floor, kept_[i].segment.end);
      // One that is to be moved may have either name.
      paths.push_back(KeptPath(kept_[i]));
      if (!kept_[i].moved) paths.push_back(parts_.directory.PathOf(kept_[i].segment.number));
    }
  }
  let_go_.fetch_add(count, std::memory_order_relaxed);
  // First, so that a reader that does not find them knows why.
  on_floor_(floor);
  {
    base::MutexLock lock(&mutex_);
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<ptrdiff_t>(count));
  }
  Remove(std::move(paths));
}

void KeptSegments::Remove(std::vector<std::string> paths) const {
  if (paths.empty()) return;
  // What cannot be removed now is found at the next start.
  parts_.executor->Post(base::Priority::kLow, [directory = parts_.directory, paths = std::move(paths)] {
    for (const std::string& path : paths) directory.files->Remove(path).IgnoreError();
  });
}

}  // namespace bandb::cluster
