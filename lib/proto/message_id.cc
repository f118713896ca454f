#include "proto/message_id.h"

namespace bandb::proto {

uint16_t CodeFor(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kUnavailable) return ToCode(ErrorCode::kOverloaded);
  return ToCode(status.code());
}

absl::StatusCode StatusCodeFor(uint16_t code) {
  if (code > 0 && code <= ToCode(absl::StatusCode::kUnauthenticated)) return static_cast<absl::StatusCode>(code);
  if (code >= kFirstHookErrorCode) return absl::StatusCode::kAborted;
  switch (static_cast<ErrorCode>(code)) {
    case ErrorCode::kOverloaded:
    case ErrorCode::kNotLeader:
    case ErrorCode::kTooManyConnections:
    case ErrorCode::kShuttingDown:
      return absl::StatusCode::kUnavailable;
    case ErrorCode::kTooLarge:
    case ErrorCode::kUnknownMessage:
    case ErrorCode::kMalformed:
      return absl::StatusCode::kInvalidArgument;
    case ErrorCode::kTimedOut:
      return absl::StatusCode::kDeadlineExceeded;
    case ErrorCode::kHookFailed:
      return absl::StatusCode::kInternal;
    case ErrorCode::kUnsupportedVersion:
      return absl::StatusCode::kUnimplemented;
  }
  return absl::StatusCode::kUnknown;
}

}  // namespace bandb::proto
