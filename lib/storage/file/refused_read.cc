#include "storage/file/refused_read.h"

#include "base/assert.h"
#include "base/status.h"

namespace bandb::storage {

namespace {

constexpr absl::string_view kNoDescriptors = "bandb/no-descriptors";

}  // namespace

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
  absl::Status shown(absl::StatusCode::kInternal, status.message());
  if (status.code() == absl::StatusCode::kUnavailable) shown.SetPayload(kNoDescriptors, absl::Cord());
  return shown;
}

bool LacksDescriptors(const absl::Status& status) { return status.GetPayload(kNoDescriptors).has_value(); }

}  // namespace bandb::storage
