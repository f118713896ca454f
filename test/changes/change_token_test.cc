#include "changes/change_token.h"

#include "base/checksum.h"
#include "base/coding.h"
#include "base/random.h"
#include "support/catch.h"

namespace bandb::changes {

namespace {

ChangePlace SomePlace() {
  ChangePlace place{.group = 3, .epoch = 700, .branch = 0x0123456789abcdef, .sequence = uint64_t{1} << 55};
  for (size_t i = 0; i < place.database.size(); ++i) place.database[i] = static_cast<char>(0xf0 + i);
  return place;
}

// The same bytes with a check that fits them.
std::string Sealed(std::string bytes) {
  base::PutFixed32(&bytes, static_cast<uint32_t>(base::Hash64(bytes)));
  return bytes;
}

}  // namespace

TEST_CASE("a token comes back as the place that it was made of") {
  const std::string token = EncodeToken(SomePlace());
  CHECK(token.size() <= kTokenBytesMax);
  const absl::StatusOr<ChangePlace> place = DecodeToken(token);
  REQUIRE_OK(place.status());
  CHECK(*place == SomePlace());
  ChangePlace largest;
  largest.database.fill('\xff');
  largest.group = largest.epoch = largest.branch = largest.sequence = UINT64_MAX;
  CHECK(EncodeToken(largest).size() <= kTokenBytesMax);
  CHECK(*DecodeToken(EncodeToken(largest)) == largest);
}

TEST_CASE("the bytes of a token are those of its first version for good") {
  ChangePlace place{.group = 0, .epoch = 2, .branch = 5, .sequence = 300};
  place.database.fill('\x11');
  CHECK(TokenText(EncodeToken(place)).substr(0, 58) ==
        "01"
        "11111111111111111111111111111111"
        "00"
        "02"
        "0500000000000000"
        "ac02");
}

TEST_CASE("bytes that are no token are told so, each of them") {
  const std::string token = EncodeToken(SomePlace());
  CHECK_CODE(DecodeToken("").status(), kInvalidArgument);
  CHECK_CODE(DecodeToken(std::string(kTokenBytesMax + 1, 'x')).status(), kInvalidArgument);
  for (size_t bytes = 0; bytes < token.size(); ++bytes) {
    CHECK_CODE(DecodeToken(token.substr(0, bytes)).status(), kInvalidArgument);
  }
  for (size_t i = 0; i < token.size(); ++i) {
    std::string flipped = token;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x20);
    CHECK_CODE(DecodeToken(flipped).status(), kInvalidArgument);
  }
  const std::string unchecked = token.substr(0, token.size() - sizeof(uint32_t));
  CHECK_CODE(DecodeToken(Sealed(unchecked + "x")).status(), kInvalidArgument);
  CHECK_CODE(DecodeToken(Sealed(unchecked.substr(0, unchecked.size() - 1))).status(), kInvalidArgument);
  std::string zero = unchecked;
  zero[0] = 0;
  CHECK_CODE(DecodeToken(Sealed(zero)).status(), kInvalidArgument);
  base::Random random(1);
  for (int i = 0; i < 1000; ++i) {
    std::string bytes(random.Uniform(120), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.Next());
    CHECK_CODE(DecodeToken(bytes).status(), kInvalidArgument);
  }
}

TEST_CASE("a token of a newer release is refused by its version") {
  std::string newer = EncodeToken(SomePlace());
  newer.resize(newer.size() - sizeof(uint32_t));
  newer[0] = 2;
  CHECK_CODE(DecodeToken(Sealed(newer)).status(), kFailedPrecondition);
}

}  // namespace bandb::changes
