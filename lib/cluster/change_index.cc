#include "cluster/change_index.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

// How often a file is tried to be made for which there is no descriptor; and a write for which
// there is no room, and how many times.
constexpr int64_t kFileRetryNanos = 100'000'000;
constexpr int kFullTriesMax = 10;
// The owner is told of a want of descriptors that lasts so many tries.
constexpr int kWaitsTold = 100;
// Likewise of a full disk: by then what is kept for readers is gone, and there is still no room.
constexpr int kFullTold = 2;
// So much is noted before it is written, though nobody waits for that; and written at once.
constexpr size_t kUnwrittenMax = 8192;
// So much of what was written stays in memory, for readers that are not far behind.
constexpr size_t kWrittenKept = 1024;
constexpr size_t kBlockEntries = 512;
// A file that has come so far is left for another one.
constexpr uint64_t kFileBytes = 1 << 20;
// A search meets a file that was given up, or what has moved from memory to one.
constexpr int kTriesMax = 100;

}  // namespace

// The file that is written to.
struct ChangeIndex::Output {
  std::unique_ptr<base::AppendableFile> file;
  uint64_t number = 0;
  uint64_t checksum_seed = 0;
};

// One write: what goes into which file.
struct ChangeIndex::Round {
  uint64_t generation = 0;
  std::shared_ptr<Output> output;
  storage::Uuid file_id{};  // of a file that is to be made
  bool makes_file = false;
  bool begins = false;
  ChangeBound before;
  std::vector<ChangeEntry> entries;
  absl::Status status{};
};

// ---- Opening. ----

absl::StatusOr<std::shared_ptr<ChangeIndex>> ChangeIndex::Open(Parts parts, const ChangeBound& state,
                                                               raft::Index floor) {
  BANDB_ASSERT(parts.executor != nullptr);
  BANDB_ASSERT(parts.logger != nullptr);
  BANDB_ASSERT(parts.post != nullptr);
  std::shared_ptr<ChangeIndex> index(new ChangeIndex(std::move(parts)));
  BANDB_RETURN_IF_ERROR(index->Recover(state));
  index->wanted_ = index->written_ = state.index;
  index->applied_sequence_.store(state.sequence, std::memory_order_seq_cst);
  index->SetFloor(floor);
  return index;
}

// ---- The node's thread. ----

void ChangeIndex::Append(ChangeEntry entry) {
  const uint64_t sequence = entry.end.sequence;
  size_t unwritten = 0;
  {
    base::MutexLock lock(&mutex_);
    const ChangeBound& last = tail_.empty() ? tail_before_ : tail_.back().end;
    BANDB_ASSERT(entry.end.index == last.index + 1);
    BANDB_ASSERT(entry.end.sequence >= last.sequence);
    BANDB_ASSERT(entry.end.time_ms >= last.time_ms);
    unwritten = entry.end.index - written_;
    tail_.push_back(std::move(entry));
  }
  if (unwritten >= kUnwrittenMax) MakeDurable();
  if (sequence == applied_sequence_.load(std::memory_order_relaxed)) return;
  applied_sequence_.store(sequence, std::memory_order_seq_cst);
  news.Tell();
}

void ChangeIndex::MakeDurable() {
  wanted_ = std::max(wanted_, applied().index);
  if (!writing_) WriteSome();
}

void ChangeIndex::Restart(const ChangeBound& state) {
  Forget(state);
  applied_sequence_.store(state.sequence, std::memory_order_seq_cst);
  news.Tell();
}

void ChangeIndex::Forget(const ChangeBound& state) {
  ++generation_;
  output_.reset();
  begins_ = true;
  wanted_ = written_ = state.index;
  EndWait();
  std::vector<uint64_t> unneeded;
  {
    base::MutexLock lock(&mutex_);
    for (const File& file : files_) unneeded.push_back(file.number);
    files_.clear();
    tail_.clear();
    begin_ = tail_before_ = state;
  }
  Remove(unneeded);
}

void ChangeIndex::SetFloor(raft::Index floor) {
  std::vector<uint64_t> unneeded;
  {
    base::MutexLock lock(&mutex_);
    floor_ = std::max(floor_, floor);
    // The last one that begins no later has the place where the log begins.
    size_t first = 0;
    while (first + 1 < files_.size() && files_[first + 1].before.index <= floor_) ++first;
    for (size_t i = 0; i < first; ++i) unneeded.push_back(files_[i].number);
    if (first != 0) {
      files_.erase(files_.begin(), files_.begin() + static_cast<ptrdiff_t>(first));
      begin_ = files_.front().before;
    }
  }
  Remove(unneeded);
}

void ChangeIndex::End() {
  ended_.store(true, std::memory_order_seq_cst);
  ++generation_;
  news.Tell();
}

void ChangeIndex::Remove(const std::vector<uint64_t>& numbers) const {
  if (numbers.empty()) return;
  std::vector<std::string> paths;
  for (const uint64_t number : numbers) paths.push_back(PathOf(number));
  // What cannot be removed now is found at the next start.
  parts_.executor->Post(base::Priority::kLow, [directory = parts_.directory, paths = std::move(paths)] {
    for (const std::string& path : paths) directory.files->Remove(path).IgnoreError();
  });
}

// ---- Writing. ----

void ChangeIndex::WriteSome() {
  BANDB_ASSERT(!writing_);
  auto round = std::make_shared<Round>();
  {
    base::MutexLock lock(&mutex_);
    const auto first = tail_.begin() + static_cast<ptrdiff_t>(written_ - tail_before_.index);
    round->before = first == tail_.begin() ? tail_before_ : std::prev(first)->end;
    const auto count = std::min<ptrdiff_t>(tail_.end() - first, kUnwrittenMax);
    round->entries.assign(first, first + count);
  }
  if (round->entries.empty() || ended()) return;
  writing_ = true;
  round->generation = generation_;
  if (output_ == nullptr || output_->file->Size() >= kFileBytes) {
    output_ = std::make_shared<Output>();
    output_->number = next_number_++;
    round->makes_file = true;
    round->file_id = storage::RandomUuid(&parts_.random);
    round->begins = std::exchange(begins_, false);
  }
  round->output = output_;
  parts_.executor->Post(base::Priority::kHigh, [index = shared_from_this(), round] {
    round->status = Write(*index, round.get());
    index->parts_.post([index, round] { index->FinishWrite(round); });
  });
}

// On a thread of the executor.
absl::Status ChangeIndex::Write(const ChangeIndex& index, Round* round) {
  const LogDirectory& directory = index.parts_.directory;
  Output& output = *round->output;
  std::string bytes;
  if (round->makes_file) {
    const storage::FileHeader header{
        .type = storage::FileType::kChangeIndex, .database_id = directory.database_id, .file_id = round->file_id};
    output.checksum_seed = header.checksum_seed();
    BANDB_ASSIGN_OR_RETURN(output.file,
                           directory.files->Create(index.PathOf(output.number), base::AppendMode::kBuffered));
    bytes = storage::EncodeFileHeader(header);
  }
  const uint64_t begin = output.file->Size();
  ChangeBound before = round->before;
  const absl::Span<const ChangeEntry> entries(round->entries);
  for (size_t at = 0; at < entries.size(); at += kBlockEntries) {
    const absl::Span<const ChangeEntry> some = entries.subspan(at, kBlockEntries);
    AppendChangeBlock(output.checksum_seed, begin + bytes.size(), round->begins && at == 0, before, some, &bytes);
    before = some.back().end;
  }
  BANDB_RETURN_IF_ERROR(output.file->Append(bytes));
  BANDB_RETURN_IF_ERROR(output.file->Sync());
  return round->makes_file ? directory.files->SyncDir(directory.path) : absl::OkStatus();
}

bool ChangeIndex::TryAgain(const Round& round) {
  const bool is_full = absl::IsResourceExhausted(round.status);
  const bool has_no_file = absl::IsUnavailable(round.status) && round.makes_file;
  // The process will have descriptors again. What waits for this meanwhile is told: flushes do,
  // and memtables must not be full by the time that one fails.
  if (!(is_full && tries_ < kFullTriesMax) && !has_no_file) return false;
  if (is_full ? ++tries_ == kFullTold : ++waits_ == kWaitsTold) TellWait(round.status, is_full ? "room" : "a file");
  // A block may be there in part: the next one is in another file. Flushes wait meanwhile, as they
  // do for descriptors and room of their own.
  output_.reset();
  begins_ = begins_ || round.begins;
  if (round.makes_file) Remove({round.output->number});
  if (is_full) parts_.let_go("the disk is full");
  writing_ = true;
  parts_.executor->PostAfter(kFileRetryNanos, [index = shared_from_this()] {
    index->parts_.post([index] {
      index->writing_ = false;
      index->WriteSome();
    });
  });
  return true;
}

void ChangeIndex::TellWait(const absl::Status& status, std::string_view what) {
  wait_told_ = true;
  parts_.logger->Log(base::LogLevel::kError, "the change index, and with it every flush, waits for {}: {}", what,
                     base::Message(status));
  parts_.waits(base::Error(status.code(), "the change index waits for {}: {}", what, base::Message(status)));
}

void ChangeIndex::EndWait() {
  waits_ = 0;
  if (!std::exchange(wait_told_, false)) return;
  parts_.logger->Log(base::LogLevel::kInfo, "the change index goes on");
  parts_.waits(absl::OkStatus());
}

void ChangeIndex::FinishWrite(const std::shared_ptr<Round>& round) {
  writing_ = false;
  if (ended()) return;
  const bool is_stale = round->generation != generation_;
  if (is_stale) {
    if (round->makes_file) Remove({round->output->number});
  } else if (TryAgain(*round)) {
    return;
  } else if (!round->status.ok()) {
    parts_.logger->Log(base::LogLevel::kWarning, "{}; the change feed begins after entry {} from now on",
                       base::Message(round->status), applied().index);
    if (round->makes_file) Remove({round->output->number});
    Forget(applied());
    // What leads on from it is of no use to anybody.
    parts_.let_go("the change index cannot be written");
  } else {
    tries_ = 0;
    EndWait();
    written_ = round->entries.back().end.index;
    base::MutexLock lock(&mutex_);
    if (round->makes_file) files_.push_back({.number = round->output->number, .before = round->before});
    files_.back().last = written_;
    while (tail_.size() > kWrittenKept && tail_.front().end.index <= written_) {
      tail_before_ = tail_.front().end;
      tail_.pop_front();
    }
  }
  // Also what was forgotten: flushes wait for it no more.
  if (!is_stale) parts_.durable(written_);
  if (wanted_ > written_) WriteSome();
}

// ---- Readers. ----

ChangeBound ChangeIndex::applied() const {
  base::MutexLock lock(&mutex_);
  return tail_.empty() ? tail_before_ : tail_.back().end;
}

bool ChangeIndex::IsGone(raft::Index index) const {
  base::MutexLock lock(&mutex_);
  return index <= std::max(floor_, begin_.index);
}

bool ChangeIndex::FindInMemory(const Passed& passed, ChangeStretch* stretch, File* file) const {
  base::MutexLock lock(&mutex_);
  if (!passed(tail_before_)) {
    const auto first =
        std::partition_point(tail_.begin(), tail_.end(), [&](const ChangeEntry& entry) { return !passed(entry.end); });
    stretch->before = first == tail_.begin() ? tail_before_ : std::prev(first)->end;
    const auto count = std::min<ptrdiff_t>(tail_.end() - first, kStretchMax);
    stretch->entries.assign(first, first + count);
    return true;
  }
  // The last one that begins before it.
  const auto after =
      std::partition_point(files_.begin(), files_.end(), [&](const File& known) { return !passed(known.before); });
  if (after != files_.begin()) *file = *std::prev(after);
  return after == files_.begin();
}

absl::StatusOr<ChangeStretch> ChangeIndex::FindInFile(const File& file, const Passed& passed, Spot* spot) const {
  BANDB_ASSIGN_OR_RETURN(const ChangeFile open,
                         ChangeFile::Open(parts_.directory.files, PathOf(file.number), parts_.directory.database_id));
  if (spot->number != file.number) *spot = {.number = file.number, .offset = ChangeFile::kBegin};
  ChangeStretch block;
  do {
    const uint64_t offset = spot->offset;
    BANDB_RETURN_IF_ERROR(open.ReadBlock(&spot->offset, &block));
    if (passed(block.before)) {
      // The spot is that of another place.
      if (offset == ChangeFile::kBegin) break;
      *spot = {.number = file.number, .offset = ChangeFile::kBegin};
      block.before = {};
      continue;
    }
    std::vector<ChangeEntry>& entries = block.entries;
    const auto first = std::partition_point(entries.begin(), entries.end(),
                                            [&](const ChangeEntry& entry) { return !passed(entry.end); });
    if (first == entries.end()) {
      block.before = entries.back().end;
      continue;
    }
    if (first != entries.begin()) block.before = std::prev(first)->end;
    entries.erase(entries.begin(), first);
    while (!entries.empty() && entries.back().end.index > file.last) entries.pop_back();
    // Of these some may be asked for once more, and what follows may be in another file.
    spot->offset = offset;
    return block;
  } while (block.before.index < file.last);
  return ChangeStretch();
}

absl::StatusOr<ChangeStretch> ChangeIndex::Find(const Passed& passed, Spot* spot) const {
  absl::Status status;
  // A file may be removed, and another one take its place, between the look and the read.
  for (int tries = 0; tries < kTriesMax; ++tries) {
    ChangeStretch stretch;
    File file;
    if (FindInMemory(passed, &stretch, &file)) return stretch;
    absl::StatusOr<ChangeStretch> found = FindInFile(file, passed, spot);
    if (found.ok() && !found->entries.empty()) return found;
    status = found.status();
    if (!status.ok() && status.code() != StatusCode::kNotFound) return status;
  }
  return base::Error(StatusCode::kInternal, "{}: the change index is not there: {}", parts_.directory.path,
                     base::Message(status));
}

absl::StatusOr<ChangeStretch> ChangeIndex::FindKept(const Passed& passed, Spot* spot) const {
  absl::StatusOr<ChangeStretch> found = Find(passed, spot);
  BANDB_RETURN_IF_ERROR(found.status());
  if (found->entries.empty() || IsGone(found->entries.front().end.index)) {
    return base::Error(StatusCode::kOutOfRange, "what comes next is not kept any more");
  }
  return found;
}

absl::StatusOr<ChangeStretch> ChangeIndex::AfterIndex(raft::Index index, Spot* spot) const {
  return FindKept([index](const ChangeBound& bound) { return bound.index > index; }, spot);
}

absl::StatusOr<ChangeStretch> ChangeIndex::AfterSequence(uint64_t sequence, Spot* spot) const {
  return FindKept([sequence](const ChangeBound& bound) { return bound.sequence > sequence; }, spot);
}

absl::StatusOr<ChangeBound> ChangeIndex::Oldest() const {
  for (int tries = 0; tries < kTriesMax; ++tries) {
    raft::Index floor = 0;
    {
      base::MutexLock lock(&mutex_);
      if (floor_ <= begin_.index) return begin_;
      if (floor_ == oldest_.index) return oldest_;
      floor = floor_;
    }
    Spot spot;
    BANDB_ASSIGN_OR_RETURN(const ChangeStretch stretch,
                           Find([floor](const ChangeBound& bound) { return bound.index > floor; }, &spot));
    if (!stretch.entries.empty() && stretch.before.index == floor) {
      base::MutexLock lock(&mutex_);
      oldest_ = stretch.before;
      return stretch.before;
    }
    // Nothing comes after it yet.
    if (const ChangeBound last = applied(); last.index == floor) return last;
  }
  return base::Error(StatusCode::kInternal, "the log is deleted faster than it can be read");
}

ChangeBound ChangeIndex::Before(uint64_t time_ms) const {
  base::MutexLock lock(&mutex_);
  if (tail_before_.time_ms < time_ms) return tail_before_;
  ChangeBound before = begin_;
  for (const File& file : files_) {
    if (file.before.time_ms < time_ms) before = file.before;
  }
  return before;
}

}  // namespace bandb::cluster
