// Catch2, whichever major version is installed: 2 has one large header, 3 several.
#ifndef BANDB_TEST_SUPPORT_CATCH_H_
#define BANDB_TEST_SUPPORT_CATCH_H_

#ifdef BANDB_CATCH2_V3
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <ostream>
#include <string>

#include "absl/status/status.h"

namespace Catch {
template <>
struct StringMaker<absl::Status> {
  static std::string convert(const absl::Status& status) { return status.ToString(); }
};
template <>
struct StringMaker<absl::StatusCode> {
  static std::string convert(absl::StatusCode code) { return absl::StatusCodeToString(code); }
};
}  // namespace Catch

// The checks that most tests make: that a call is OK, and that it fails with exactly this code.
#define REQUIRE_OK(expression) REQUIRE((expression) == absl::OkStatus())
#define CHECK_OK(expression) CHECK((expression) == absl::OkStatus())
#define REQUIRE_CODE(expression, expected) REQUIRE((expression).code() == absl::StatusCode::expected)
#define CHECK_CODE(expression, expected) CHECK((expression).code() == absl::StatusCode::expected)

#endif  // BANDB_TEST_SUPPORT_CATCH_H_
