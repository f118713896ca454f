#include "base/status.h"

#include <cerrno>
#include <system_error>

namespace bandb::base {

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  return Error(status.code(), "{}: {}", context, Message(status));
}

absl::Status ErrnoStatus(int error_number, std::string_view what) {
  absl::StatusCode code = absl::StatusCode::kInternal;
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
    case EFBIG:
      code = absl::StatusCode::kResourceExhausted;
      break;
    case EMFILE:
    case ENFILE:
      code = absl::StatusCode::kUnavailable;
      break;
    case ENOENT:
      code = absl::StatusCode::kNotFound;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = absl::StatusCode::kPermissionDenied;
      break;
    case EEXIST:
      code = absl::StatusCode::kAlreadyExists;
      break;
    default:
      break;
  }
  // generic_category's text is thread-safe, unlike strerror.
  return Error(code, "{}: {}", what, std::generic_category().message(error_number));
}

}  // namespace bandb::base
