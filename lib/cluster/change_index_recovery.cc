// What a change index finds at a start: which of its files count, and how far back they lead.
#include <algorithm>
#include <optional>
#include <utility>

#include "base/status.h"
#include "cluster/change_index.h"

namespace bandb::cluster {

// Finds what files there are, and what of them counts.
class ChangeIndex::Recovery {
 public:
  Recovery(ChangeIndex* index, const ChangeBound& state) : index_(*index), state_(state) {}

  absl::Status Run() {
    const LogDirectory& directory = index_.parts_.directory;
    BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, directory.files->List(directory.path));
    std::vector<uint64_t> numbers;
    for (const std::string& name : names) {
      if (const std::optional<uint64_t> number = ParseChangeFileName(name)) numbers.push_back(*number);
    }
    std::sort(numbers.begin(), numbers.end());
    for (const uint64_t number : numbers) BANDB_RETURN_IF_ERROR(Take(number));
    if (!numbers.empty()) index_.next_number_ = numbers.back() + 1;
    // What was applied after the state is applied again.
    while (!files_.empty() && files_.back().before.index >= state_.index) DropLast();
    if (!files_.empty()) {
      BANDB_ASSIGN_OR_RETURN(const bool reaches, Reaches(files_.back(), state_));
      if (!reaches) {
        index_.parts_.logger->Log(base::LogLevel::kWarning,
                                  "{}: the change index does not reach entry {}: it begins there", directory.path,
                                  state_.index);
        while (!files_.empty()) DropLast();
      }
    }
    BANDB_RETURN_IF_ERROR(DropBeforeHole());
    for (size_t i = 0; i < files_.size(); ++i) {
      files_[i].last = i + 1 < files_.size() ? files_[i + 1].before.index : state_.index;
    }
    index_.begins_ = files_.empty();
    index_.Remove(unneeded_);
    return absl::OkStatus();
  }

  std::vector<File> TakeFiles() { return std::move(files_); }

 private:
  void DropLast() {
    unneeded_.push_back(files_.back().number);
    files_.pop_back();
  }

  absl::Status Take(uint64_t number) {
    const absl::StatusOr<ChangeFile> file = Open(number);
    absl::Status status = file.status();
    ChangeStretch block;
    uint64_t offset = ChangeFile::kBegin;
    if (file.ok()) status = file->ReadBlock(&offset, &block);
    if (status.code() == absl::StatusCode::kDataLoss) {
      // Never written whole, so that those before it lead on. If it was damaged instead, they end
      // before what comes next, and do not count (DropBeforeHole).
      unneeded_.push_back(number);
      return absl::OkStatus();
    }
    if (absl::IsUnavailable(status)) return status;
    if (!status.ok()) {
      // Nobody can tell whether those before it lead on. No node stays down for that.
      index_.parts_.logger->Log(base::LogLevel::kWarning, "the change index begins after {}: {}", index_.PathOf(number),
                                base::Message(status));
      while (!files_.empty()) DropLast();
      unneeded_.push_back(number);
      return absl::OkStatus();
    }
    while (!files_.empty() && block.begins) DropLast();
    while (!files_.empty() && files_.back().before.index >= block.before.index) DropLast();
    files_.push_back({.number = number, .before = block.before});
    return absl::OkStatus();
  }

  absl::StatusOr<ChangeFile> Open(uint64_t number) const {
    const LogDirectory& directory = index_.parts_.directory;
    return ChangeFile::Open(directory.files, index_.PathOf(number), directory.database_id);
  }

  // Each file was written up to where the next one begins. But after a power loss those that were
  // removed may be there again, and some of them not.
  absl::Status DropBeforeHole() {
    for (size_t i = files_.size(); i > 1; --i) {
      if (files_[i - 2].number + 1 == files_[i - 1].number) continue;
      BANDB_ASSIGN_OR_RETURN(const bool reaches, Reaches(files_[i - 2], files_[i - 1].before));
      if (reaches) continue;
      index_.parts_.logger->Log(base::LogLevel::kWarning,
                                "{}: what comes before it in the change index is missing: it begins after entry {}",
                                index_.PathOf(files_[i - 1].number), files_[i - 1].before.index);
      for (size_t j = 0; j + 1 < i; ++j) unneeded_.push_back(files_[j].number);
      files_.erase(files_.begin(), files_.begin() + static_cast<ptrdiff_t>(i - 1));
      break;
    }
    return absl::OkStatus();
  }

  // Whether a file goes on to there.
  absl::StatusOr<bool> Reaches(const File& last, const ChangeBound& bound) const {
    const absl::StatusOr<ChangeFile> file = Open(last.number);
    if (absl::IsUnavailable(file.status())) return file.status();
    if (!file.ok()) return false;
    uint64_t offset = ChangeFile::kBegin;
    ChangeStretch block;
    while (true) {
      const absl::Status read = file->ReadBlock(&offset, &block);
      if (absl::IsUnavailable(read)) return read;
      if (!read.ok()) return false;
      for (const ChangeEntry& entry : block.entries) {
        if (entry.end.index == bound.index) return entry.end == bound;
      }
    }
  }

  ChangeIndex& index_;
  const ChangeBound state_;
  std::vector<File> files_;
  std::vector<uint64_t> unneeded_;
};

absl::Status ChangeIndex::Recover(const ChangeBound& state) {
  Recovery recovery(this, state);
  BANDB_RETURN_IF_ERROR(recovery.Run());
  base::MutexLock lock(&mutex_);
  files_ = recovery.TakeFiles();
  begin_ = files_.empty() ? state : files_.front().before;
  tail_before_ = state;
  return absl::OkStatus();
}

}  // namespace bandb::cluster
