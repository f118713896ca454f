#include "feed_place.h"

#include <algorithm>
#include <charconv>

#include "absl/time/time.h"
#include "base/status.h"
#include "transfer/entry.h"

namespace bandb::cli {

namespace {

// Fewer digits are a time, for 30,000 years to come; every token is longer.
constexpr size_t kTimeDigitsMax = 15;

bool IsDigits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool ParseFeedPlace(std::string_view typed, FeedPlaceText* place) {
  *place = FeedPlaceText();
  if (typed == "now") return true;
  if (typed == "oldest") {
    place->from = proto::FeedFrom::kOldest;
    return true;
  }
  if (IsDigits(typed) && typed.size() <= kTimeDigitsMax) {
    place->from = proto::FeedFrom::kTime;
    std::from_chars(typed.data(), typed.data() + typed.size(), place->time_ms);
    return true;
  }
  absl::Time time;
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, base::ToAbsl(typed), &time, &error) && time >= absl::UnixEpoch() &&
      time < absl::FromUnixSeconds(1'000'000'000'000)) {
    place->from = proto::FeedFrom::kTime;
    place->time_ms = static_cast<uint64_t>(absl::ToUnixMillis(time));
    return true;
  }
  if (typed.size() <= kTimeDigitsMax || typed.size() > 2 * proto::kTokenBytesMax) return false;
  place->from = proto::FeedFrom::kToken;
  return transfer::Decode(transfer::Encoding::kHex, typed, &place->text);
}

bool ParsePart(std::string_view typed, uint32_t* part, uint32_t* parts) {
  const char* const end = typed.data() + typed.size();
  const auto [slash, first_error] = std::from_chars(typed.data(), end, *part);
  if (first_error != std::errc() || slash == end || *slash != '/') return false;
  const auto [rest, second_error] = std::from_chars(slash + 1, end, *parts);
  return second_error == std::errc() && rest == end && *part < *parts && *parts <= 65536;
}

std::string ShowToken(std::string_view token) {
  std::string shown;
  transfer::AppendEncoded(transfer::Encoding::kHex, token, &shown);
  return shown;
}

}  // namespace bandb::cli
