#include "storage/file/refused_read.h"

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

bool MayPass(const absl::Status& refused) {
  return refused.code() == absl::StatusCode::kResourceExhausted || refused.code() == absl::StatusCode::kUnavailable;
}

absl::Status RefusedRead(const absl::Status& refused, std::string_view path, uint64_t offset) {
  BANDB_ASSERT(!refused.ok());
  absl::StatusCode code = absl::StatusCode::kInternal;
  switch (refused.code()) {
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnavailable:
      code = refused.code();
      break;
    default:
      break;
  }
  return base::Error(code, "{}: offset {}: cannot be read: {}", path, offset, base::Message(refused));
}

absl::Status MustBeThere(absl::Status status) {
  if (status.code() != absl::StatusCode::kNotFound) return status;
  return absl::Status(absl::StatusCode::kInternal, status.message());
}

absl::Status ForReader(absl::Status status) {
  if (!MayPass(status)) return status;
  return absl::Status(absl::StatusCode::kInternal, status.message());
}

}  // namespace bandb::storage
