#include "cluster/log_files.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "cluster/segment_format.h"
#include "cluster/segment_reader.h"
#include "raft/types/configuration_codec.h"

namespace bandb::cluster {

namespace {

// Of a segment's file, for each byte that is used, before what is left of its room is given back.
constexpr uint64_t kRoomPerByteMax = 4;

using absl::StatusCode;

// Finds which segments make up the log, from the last one backward.
class ChainFinder {
 public:
  ChainFinder(const LogDirectory& directory, RecoveredLog* log) : directory_(directory), log_(log) {}

  absl::Status Find() {
    BANDB_RETURN_IF_ERROR(ListNumbers());
    std::optional<uint64_t> number = Below(UINT64_MAX);
    uint64_t end = UINT64_MAX;
    while (number.has_value()) {
      BANDB_ASSIGN_OR_RETURN(const SegmentContent content, Read(*number, end));
      const bool whole = content.head.has_value() && (end == UINT64_MAX || content.valid_bytes == end);
      if (!whole && end != UINT64_MAX) BANDB_RETURN_IF_ERROR(DropLater(content));
      if (!content.head.has_value()) {
        // Not begun yet, or torn at its begin.
        end = UINT64_MAX;
        log_->dropped_bytes += content.dropped_bytes;
        number = Below(*number);
        continue;
      }
      Take(content);
      if (content.head->reset || content.head->previous_number == 0) break;
      end = content.head->previous_end;
      number = Exactly(content.head->previous_number);
    }
    return Finish();
  }

 private:
  absl::Status ListNumbers() {
    BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, directory_.files->List(directory_.path));
    for (const std::string& name : names) {
      if (const std::optional<uint64_t> number = ParseSegmentName(name); number.has_value())
        numbers_.push_back(*number);
    }
    std::sort(numbers_.begin(), numbers_.end());
    if (!numbers_.empty()) log_->number_max = numbers_.back();
    return absl::OkStatus();
  }

  std::optional<uint64_t> Below(uint64_t number) const {
    const auto at = std::lower_bound(numbers_.begin(), numbers_.end(), number);
    return at == numbers_.begin() ? std::nullopt : std::optional(*std::prev(at));
  }
  // Nothing if it was deleted: then the log need not begin with it.
  std::optional<uint64_t> Exactly(uint64_t number) const {
    return std::binary_search(numbers_.begin(), numbers_.end(), number) ? std::optional(number) : std::nullopt;
  }

  absl::StatusOr<SegmentContent> Read(uint64_t number, uint64_t end) const {
    return ReadSegment(directory_.files, directory_.PathOf(number), number, directory_.database_id, end);
  }

  void Take(const SegmentContent& content) {
    const SegmentHead& head = *content.head;
    log_->extents.push_back({content.number, content.valid_bytes, content.synced_offset});
    log_->dropped_bytes += content.dropped_bytes;
    SegmentSpan span{.number = content.number};
    span.previous.index = head.previous_index;
    span.previous.term = head.previous_term;
    span.previous.configuration = head.configuration;
    storage::ParsedRecord record;
    for (SegmentReader reader(content); reader.Next(&record);) {
      if (IsEntry(record.head.type)) span.lowest_index = std::min(span.lowest_index, record.head.index);
    }
    log_->spans.push_back(std::move(span));
  }

  // A segment is not what the ones after it go on from: a torn tail, unless they were synced, which
  // was done after it.
  absl::Status DropLater(const SegmentContent& content) {
    for (const SegmentExtent& later : log_->extents) {
      if (later.synced == 0) continue;
      return base::Error(StatusCode::kDataLoss, "{}: offset {}: damage in what had been synced before segment {}",
                         directory_.PathOf(content.number), FileOffset(content.valid_bytes), later.number);
    }
    for (const SegmentExtent& later : log_->extents) log_->dropped_bytes += later.end;
    log_->extents.clear();
    log_->spans.clear();
    return absl::OkStatus();
  }

  absl::Status Finish() {
    if (log_->spans.empty()) {
      return base::Error(StatusCode::kNotFound, "{}: there is no log", directory_.path);
    }
    std::reverse(log_->spans.begin(), log_->spans.end());
    std::reverse(log_->extents.begin(), log_->extents.end());
    // Files below the first one that was meant to stay may have been deleted in any order. That one
    // can be a beginning to this day, so the earliest that is one does not begin after it.
    const std::vector<size_t> beginnings = FindBeginnings(log_->spans);
    if (beginnings.empty()) {
      return base::Error(StatusCode::kDataLoss, "{}: no segment is one that the log may begin with", directory_.path);
    }
    const size_t begin = beginnings.front();
    log_->spans.erase(log_->spans.begin(), log_->spans.begin() + static_cast<ptrdiff_t>(begin));
    log_->extents.erase(log_->extents.begin(), log_->extents.begin() + static_cast<ptrdiff_t>(begin));
    for (const uint64_t number : numbers_) {
      const bool used = std::any_of(log_->extents.begin(), log_->extents.end(),
                                    [number](const SegmentExtent& extent) { return extent.number == number; });
      if (!used) log_->unused.push_back(number);
    }
    return absl::OkStatus();
  }

  const LogDirectory& directory_;
  RecoveredLog* const log_;
  std::vector<uint64_t> numbers_;
};

// Makes the log of what its segments say.
class Replay {
 public:
  Replay(const LogDirectory& directory, RecoveredLog* log) : directory_(directory), log_(log) {}

  absl::Status Run() {
    for (size_t i = 0; i < log_->extents.size(); ++i) {
      const SegmentExtent& extent = log_->extents[i];
      path_ = directory_.PathOf(extent.number);
      BANDB_ASSIGN_OR_RETURN(const SegmentContent content,
                             ReadSegment(directory_.files, path_, extent.number, directory_.database_id, extent.end));
      if (!content.head.has_value() || content.valid_bytes != extent.end) return Contradiction(0, "changed meanwhile");
      BANDB_RETURN_IF_ERROR(TakeHead(*content.head, /*first=*/i == 0));
      storage::ParsedRecord record;
      SegmentReader reader(content);
      while (reader.Next(&record)) BANDB_RETURN_IF_ERROR(TakeRecord(record, content.number, reader.offset()));
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Contradiction(uint64_t offset, std::string_view what) const {
    return base::Error(StatusCode::kDataLoss, "{}: offset {}: {}", path_, FileOffset(offset), what);
  }

  absl::Status TakeHead(const SegmentHead& head, bool first) {
    LogIndex& index = log_->index;
    log_->hard_state.term = head.hard_state.term;
    log_->hard_state.vote = head.hard_state.vote;
    log_->hard_state.commit = std::max(log_->hard_state.commit, head.hard_state.commit);
    if (first || head.reset) {
      index.Reset({.index = head.previous_index, .term = head.previous_term, .configuration = head.configuration});
      return absl::OkStatus();
    }
    if (index.TermAt(head.previous_index) != head.previous_term) return Contradiction(0, "the segments do not fit");
    index.TruncateAfter(head.previous_index);
    if (index.configuration() != head.configuration) return Contradiction(0, "the configurations do not fit");
    return absl::OkStatus();
  }

  absl::Status TakeRecord(const storage::ParsedRecord& record, uint64_t number, uint64_t offset) {
    raft::HardState& hard_state = log_->hard_state;
    hard_state.commit = std::max(hard_state.commit, record.head.commit_hint);
    if (raft::HardState state; DecodeHardState(record, &state)) {
      hard_state.term = state.term;
      hard_state.vote = state.vote;
    }
    if (!IsEntry(record.head.type)) return absl::OkStatus();
    LogIndex& index = log_->index;
    raft::Entry entry;
    if (!DecodeEntry(record, &entry)) return Contradiction(offset, "not an entry");
    if (entry.index <= index.floor().index || entry.index > index.last() + 1) {
      return Contradiction(offset, "an entry that does not follow");
    }
    index.TruncateAfter(entry.index - 1);
    index.Append({.segment = number,
                  .offset = offset,
                  .record_bytes = static_cast<uint32_t>(record.record_bytes),
                  .payload_bytes = static_cast<uint32_t>(entry.payload.size()),
                  .term = entry.term});
    if (entry.kind != raft::EntryKind::kConfiguration) return absl::OkStatus();
    raft::Configuration configuration;
    if (!raft::DecodeConfiguration(entry.payload.bytes(), &configuration) || configuration.index != entry.index) {
      return Contradiction(offset, "an entry without a valid configuration");
    }
    index.AppendConfiguration(std::move(configuration));
    return absl::OkStatus();
  }

  const LogDirectory& directory_;
  RecoveredLog* const log_;
  std::string path_;
};

}  // namespace

std::string LogDirectory::PathOf(uint64_t segment) const { return base::JoinPath(path, SegmentName(segment)); }

absl::StatusOr<RecoveredLog> RecoverLog(const LogDirectory& directory) {
  RecoveredLog log;
  BANDB_RETURN_IF_ERROR(ChainFinder(directory, &log).Find());
  BANDB_RETURN_IF_ERROR(Replay(directory, &log).Run());
  return log;
}

namespace {

// Room was made for a whole segment, and a process that dies gives none back: where little of it
// was used, a copy without the rest takes the place of the file, or one that dies again and again
// would fill its disk. False if there is no room for that.
absl::StatusOr<bool> Shorten(const LogDirectory& directory, const std::string& path, std::string_view bytes,
                             uint64_t end) {
  if (bytes.size() / kRoomPerByteMax <= end) return false;
  const absl::Status staged = base::StageFile(directory.files, path, bytes.substr(0, end));
  if (staged.code() == StatusCode::kResourceExhausted) return false;
  BANDB_RETURN_IF_ERROR(staged);
  BANDB_RETURN_IF_ERROR(base::InstallStaged(directory.files, path));
  return true;
}

}  // namespace

absl::Status MakeDurable(const LogDirectory& directory, const RecoveredLog& log) {
  // What comes before a segment that was synced, was synced before.
  size_t first = 0;
  for (size_t i = 0; i < log.extents.size(); ++i) {
    if (log.extents[i].synced > 0) first = i;
  }
  for (size_t i = first; i < log.extents.size(); ++i) {
    const SegmentExtent& extent = log.extents[i];
    const std::string path = directory.PathOf(extent.number);
    BANDB_ASSIGN_OR_RETURN(const std::string bytes, base::ReadFile(directory.files, path, kSegmentBytesMax));
    const uint64_t begin = FileOffset(extent.synced) / kSectorBytes * kSectorBytes;
    const uint64_t end = FileOffset(extent.end);
    if (end > bytes.size()) return base::Error(StatusCode::kDataLoss, "{}: has become shorter", path);
    BANDB_ASSIGN_OR_RETURN(const bool shortened, Shorten(directory, path, bytes, end));
    if (shortened) continue;
    if (end > begin) {
      BANDB_RETURN_IF_ERROR(
          directory.files->WriteOver(path, begin, std::string_view(bytes).substr(begin, end - begin)));
    }
  }
  return absl::OkStatus();
}

absl::Status RemoveSegments(const LogDirectory& directory, const std::vector<uint64_t>& numbers) {
  for (const uint64_t number : numbers) {
    const absl::Status removed = directory.files->Remove(directory.PathOf(number));
    if (!removed.ok() && removed.code() != StatusCode::kNotFound) return removed;
  }
  return absl::OkStatus();
}

}  // namespace bandb::cluster
