// Tokens: how a place in the change feed of a store is named for readers that go on from it later.
//
//   token := version:u8 database:16 group:varint epoch:varint branch:u64 sequence:varint check:u32
//
// version is 1. check is the low half of the XXH3-64 of the bytes before it, so that a token that
// was cut or garbled is told from one that names another place.
#ifndef BANDB_CHANGES_CHANGE_TOKEN_H_
#define BANDB_CHANGES_CHANGE_TOKEN_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace bandb::changes {

inline constexpr size_t kTokenBytesMax = 100;

// After the operation of this sequence. A sequence alone does not say that: where power loss took
// writes back, other writes get their sequences, and so they do in another copy of the database. So
// it belongs to an epoch, one opening of the database, or under Raft to a term, and that to a
// branch, a number drawn at random for the epoch.
struct ChangePlace {
  std::array<char, 16> database{};
  uint64_t group = 0;
  uint64_t epoch = 0;
  uint64_t branch = 0;
  uint64_t sequence = 0;

  friend bool operator==(const ChangePlace&, const ChangePlace&) = default;
};

std::string EncodeToken(const ChangePlace& place);
// Errors: kInvalidArgument these bytes are no token; kFailedPrecondition one of a newer release.
absl::StatusOr<ChangePlace> DecodeToken(std::string_view token);
// For people: hexadecimal digits, lower case.
std::string TokenText(std::string_view token);

}  // namespace bandb::changes

#endif  // BANDB_CHANGES_CHANGE_TOKEN_H_
