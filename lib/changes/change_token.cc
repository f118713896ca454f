#include "changes/change_token.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"

namespace bandb::changes {

namespace {

constexpr uint8_t kTokenVersion = 1;
constexpr size_t kCheckBytes = sizeof(uint32_t);

uint32_t CheckOf(std::string_view bytes) { return static_cast<uint32_t>(base::Hash64(bytes)); }

}  // namespace

std::string EncodeToken(const ChangePlace& place) {
  std::string token;
  base::PutFixed8(&token, kTokenVersion);
  token.append(place.database.data(), place.database.size());
  base::PutVarint(&token, place.group);
  base::PutVarint(&token, place.epoch);
  base::PutFixed64(&token, place.branch);
  base::PutVarint(&token, place.sequence);
  base::PutFixed32(&token, CheckOf(token));
  BANDB_ASSERT(token.size() <= kTokenBytesMax);
  return token;
}

absl::StatusOr<ChangePlace> DecodeToken(std::string_view token) {
  const absl::Status malformed = base::Error(absl::StatusCode::kInvalidArgument, "these bytes are no token");
  if (token.size() <= kCheckBytes || token.size() > kTokenBytesMax) return malformed;
  const std::string_view checked = token.substr(0, token.size() - kCheckBytes);
  if (base::LoadFixed<uint32_t>(token.data() + checked.size()) != CheckOf(checked)) return malformed;
  base::ByteReader reader(checked);
  uint8_t version = 0;
  if (!reader.ReadFixed(&version) || version == 0) return malformed;
  if (version > kTokenVersion) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "a token of version {}: written by a newer release",
                       version);
  }
  ChangePlace place;
  std::string_view database;
  const bool whole = reader.ReadBytes(place.database.size(), &database) && reader.ReadVarint(&place.group) &&
                     reader.ReadVarint(&place.epoch) && reader.ReadFixed(&place.branch) &&
                     reader.ReadVarint(&place.sequence) && reader.empty();
  if (!whole) return malformed;
  std::copy(database.begin(), database.end(), place.database.begin());
  return place;
}

std::string TokenText(std::string_view token) {
  std::string text;
  for (const char byte : token) text += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  return text;
}

}  // namespace bandb::changes
