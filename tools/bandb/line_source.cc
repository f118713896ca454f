#include "line_source.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/types/span.h"
#include "base/status.h"

namespace bandb::cli {

namespace {

constexpr size_t kPieceBytes = 256 << 10;

absl::StatusOr<size_t> ReadStdin(absl::Span<char> to) {
  while (true) {
    const ssize_t n = ::read(STDIN_FILENO, to.data(), to.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) return base::ErrnoStatus(errno, "standard input");
  }
}

}  // namespace

absl::StatusOr<uint64_t> LineSource::TotalBytes() {
  uint64_t total = 0;
  bool known = true;
  for (const std::string& path : paths_) {
    if (path == "-") {
      known = false;
      continue;
    }
    BANDB_ASSIGN_OR_RETURN(const auto file, files_->Open(path));
    total += file->Size();
  }
  return known ? total : 0;
}

absl::Status LineSource::OpenNext() {
  const std::string& path = paths_[next_path_++];
  offset_ = 0;
  file_.reset();
  if (path != "-") {
    BANDB_ASSIGN_OR_RETURN(file_, files_->Open(path));
  }
  is_open_ = true;
  return absl::OkStatus();
}

absl::StatusOr<bool> LineSource::Fill() {
  buffer_.erase(0, start_);
  searched_ -= start_;
  start_ = 0;
  if (buffer_.size() > line_bytes_max_) {
    too_long_ = true;
    buffer_.clear();
    searched_ = 0;
  }
  const size_t before = buffer_.size();
  buffer_.resize(before + kPieceBytes);
  const absl::Span<char> room(buffer_.data() + before, kPieceBytes);
  const absl::StatusOr<size_t> n = file_ == nullptr ? ReadStdin(room) : file_->Read(offset_, room);
  buffer_.resize(before + (n.ok() ? *n : 0));
  BANDB_RETURN_IF_ERROR(n.status());
  offset_ += *n;
  bytes_read_ += *n;
  return *n > 0;
}

LineSource::Found LineSource::Take(size_t end, size_t next_start, std::string_view* line) {
  *line = std::string_view(buffer_).substr(start_, end - start_);
  start_ = searched_ = next_start;
  const bool too_long = std::exchange(too_long_, false) || line->size() > line_bytes_max_;
  return too_long ? Found::kTooLong : Found::kLine;
}

absl::StatusOr<LineSource::Found> LineSource::Next(std::string_view* line) {
  while (true) {
    const size_t end = buffer_.find('\n', searched_);
    if (end != std::string::npos) return Take(end, end + 1, line);
    searched_ = buffer_.size();
    if (is_open_) {
      BANDB_ASSIGN_OR_RETURN(const bool more, Fill());
      if (more) continue;
      is_open_ = false;
      // The last line of a file may lack its end.
      if (start_ < buffer_.size() || too_long_) return Take(buffer_.size(), buffer_.size(), line);
    }
    if (next_path_ == paths_.size()) return Found::kEnd;
    BANDB_RETURN_IF_ERROR(OpenNext());
  }
}

bool LineSource::Ready() const {
  if (buffer_.find('\n', searched_) != std::string::npos || !is_open_ || !from_stdin()) return true;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return ::poll(&input, 1, 0) != 0;
}

}  // namespace bandb::cli
