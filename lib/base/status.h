// What every library needs to work with absl::Status: formatted errors, early returns, and the
// adapters that Abseil builds with a string_view of their own (Debian's) require.
#ifndef BANDB_BASE_STATUS_H_
#define BANDB_BASE_STATUS_H_

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bandb::base {

inline absl::string_view ToAbsl(std::string_view s) { return absl::string_view(s.data(), s.size()); }
inline std::string_view ToStd(absl::string_view s) { return std::string_view(s.data(), s.size()); }

// The message of a status; valid as long as the status is.
inline std::string_view Message(const absl::Status& status) { return ToStd(status.message()); }

// A status whose message is formatted by fmt.
template <typename... Args>
absl::Status Error(absl::StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return absl::Status(code, ToAbsl(fmt::format(format, std::forward<Args>(args)...)));
}

// The same code with `context`, a colon and a space before the message. OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

// The status for a failed system call: kResourceExhausted for a full disk or quota, kUnavailable
// where no descriptor is free at the moment, kNotFound for a missing file, kPermissionDenied and
// kAlreadyExists where they fit, else kInternal. The message is "what: strerror".
absl::Status ErrnoStatus(int error_number, std::string_view what);

}  // namespace bandb::base

#define BANDB_CONCAT_INNER_(a, b) a##b
#define BANDB_CONCAT_(a, b) BANDB_CONCAT_INNER_(a, b)

// Returns from the calling function with the status if it is not OK.
#define BANDB_RETURN_IF_ERROR(expression)                               \
  do {                                                                  \
    absl::Status bandb_status_ = (expression);                          \
    if (__builtin_expect(!bandb_status_.ok(), 0)) return bandb_status_; \
  } while (false)

// BANDB_ASSIGN_OR_RETURN(auto x, Parse()): the value, or a return with the status.
#define BANDB_ASSIGN_OR_RETURN(lhs, expression) \
  BANDB_ASSIGN_OR_RETURN_INNER_(BANDB_CONCAT_(bandb_status_or_, __LINE__), lhs, expression)
#define BANDB_ASSIGN_OR_RETURN_INNER_(result, lhs, expression)              \
  auto result = (expression);                                               \
  if (__builtin_expect(!result.ok(), 0)) return std::move(result).status(); \
  lhs = *std::move(result)

#endif  // BANDB_BASE_STATUS_H_
