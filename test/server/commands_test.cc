#include "server/commands.h"

#include <string>

#include "proto/message_id.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("a failure names files of the store, but not the folders that they are in") {
  const struct {
    std::string_view message;
    std::string_view told;
  } rows[] = {
      {"/var/lib/db/groups/0/12.log: No space left on device", "12.log: No space left on device"},
      {"cannot write '/a/x.sst', offset 5", "cannot write 'x.sst', offset 5"},
      {"writes stopped (/d/MANIFEST) and /d/y", "writes stopped (MANIFEST) and y"},
      {"a/b is no absolute path, nor is / or 1/2", "a/b is no absolute path, nor is / or 1/2"},
      {"/", "/"},
      {"/ends/", ""},
      {"", ""},
  };
  for (const auto& row : rows) {
    CHECK(server::ToFailure(absl::ResourceExhaustedError(std::string(row.message))).message == row.told);
  }
}

TEST_CASE("only an answer about a key says that there is none") {
  CHECK(server::ToFailure(absl::NotFoundError("x")).code == proto::ToCode(absl::StatusCode::kNotFound));
  CHECK(server::ToFailureOfAll(absl::NotFoundError("x")).code == proto::ToCode(absl::StatusCode::kInternal));
  CHECK(server::ToFailureOfAll(absl::UnavailableError("x")).code == ToCode(proto::ErrorCode::kOverloaded));
}

}  // namespace bandb::test
