#include "storage/log/log_stream.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

// So much of a file is read at a time.
constexpr uint64_t kPieceBytes = 4 << 20;
// Of zeros, so many stay before what follows: a record may begin with a few.
constexpr uint64_t kZerosKept = 16;

bool AllZero(std::string_view bytes) {
  return bytes.empty() || (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace

void LogStream::Skip(uint64_t bytes) {
  BANDB_ASSERT(bytes <= buffer_.size() - begin_);
  begin_ += bytes;
  offset_ += bytes;
}

absl::Status LogStream::Hold(uint64_t bytes) {
  const uint64_t have = buffer_.size() - begin_;
  const uint64_t wanted = std::min(bytes, bytes_ - offset_);
  if (have >= wanted) return absl::OkStatus();
  buffer_.erase(0, begin_);
  begin_ = 0;
  const uint64_t more = std::min(std::max({wanted - have, kPieceBytes, have / 2}), bytes_ - offset_ - have);
  buffer_.resize(have + more);
  BANDB_ASSIGN_OR_RETURN(const size_t got, file_.Read(offset_ + have, absl::MakeSpan(&buffer_[have], more)));
  buffer_.resize(have + got);
  if (got == more) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInternal, "{}: offset {}: the file has become shorter", path_,
                     offset_ + have + got);
}

absl::StatusOr<bool> LogStream::SkipZeros() {
  while (!AllZero(rest()) || offset_ < bytes_) {
    if (!AllZero(rest())) {
      const size_t first = rest().find_first_not_of('\0');
      Skip(first - std::min<size_t>(first, kZerosKept));
      return true;
    }
    const uint64_t end = offset_ + rest().size();
    const uint64_t data = std::min(std::max(file_.SkipHole(end), end), bytes_);
    buffer_.clear();
    begin_ = 0;
    offset_ = data == bytes_ ? bytes_ : std::max(offset_, data - std::min(data, kZerosKept));
    BANDB_RETURN_IF_ERROR(Hold(data - offset_ + 1));
  }
  return false;
}

}  // namespace bandb::storage
