#include "line_source.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/types/span.h"
#include "base/input_stream.h"
#include "base/status.h"

namespace bandb::cli {

namespace {

constexpr size_t kPieceBytes = 256 << 10;

}  // namespace

absl::StatusOr<uint64_t> LineSource::TotalBytes() const {
  uint64_t total = 0;
  bool known = true;
  for (const std::string& path : paths_) {
    std::error_code error;
    if (path == "-") {
      known = false;
    } else if (::access(path.c_str(), R_OK) != 0) {
      return base::ErrnoStatus(errno, path);
    } else if (std::filesystem::is_directory(path, error)) {
      return base::Error(absl::StatusCode::kInvalidArgument, "{}: a directory", path);
    } else if (std::filesystem::is_regular_file(path, error)) {
      total += std::filesystem::file_size(path, error);
    } else {
      known = false;
    }
  }
  return known ? total : 0;
}

uint64_t LineSource::bytes_read() const { return earlier_bytes_ + (current_ == nullptr ? 0 : current_->bytes_read()); }

absl::Status LineSource::OpenNext() {
  const std::string& path = paths_[next_path_++];
  if (path == "-") {
    current_ = std::make_unique<transfer::Decompressor>(
        std::make_unique<transfer::StreamSource>(base::InputStream::StandardInput()), "standard input", as_is_);
  } else {
    BANDB_ASSIGN_OR_RETURN(auto input, base::InputStream::Open(path));
    current_ = std::make_unique<transfer::Decompressor>(std::make_unique<transfer::StreamSource>(std::move(input)),
                                                        path, as_is_);
  }
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
  const absl::StatusOr<size_t> n = current_->Read(absl::Span<char>(buffer_.data() + before, kPieceBytes));
  buffer_.resize(before + (n.ok() ? *n : 0));
  BANDB_RETURN_IF_ERROR(n.status());
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
    if (current_ != nullptr) {
      BANDB_ASSIGN_OR_RETURN(const bool more, Fill());
      if (more) continue;
      earlier_bytes_ += current_->bytes_read();
      current_.reset();
      // The last line of a file may lack its end.
      if (start_ < buffer_.size() || too_long_) return Take(buffer_.size(), buffer_.size(), line);
    }
    if (next_path_ == paths_.size()) return Found::kEnd;
    BANDB_RETURN_IF_ERROR(OpenNext());
  }
}

bool LineSource::Ready() const {
  return buffer_.find('\n', searched_) != std::string::npos || current_ == nullptr || current_->Ready();
}

}  // namespace bandb::cli
