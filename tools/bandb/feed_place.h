// Where in the change feed to begin, as people type it.
#ifndef BANDB_TOOLS_BANDB_FEED_PLACE_H_
#define BANDB_TOOLS_BANDB_FEED_PLACE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "proto/changes.h"

namespace bandb::cli {

// For messages.
inline constexpr std::string_view kFeedPlaceHelp =
    "oldest, now, a time such as 2026-01-31T12:00:00Z or in milliseconds since 1970, or a token in hexadecimal digits";

// A proto::FeedPlace with text of its own.
struct FeedPlaceText {
  proto::FeedFrom from = proto::FeedFrom::kNow;
  uint64_t time_ms = 0;
  std::string text{};

  proto::FeedPlace place() const { return {from, time_ms, text}; }
};

// False if it is none of kFeedPlaceHelp.
bool ParseFeedPlace(std::string_view typed, FeedPlaceText* place);
// I/N; false if there is no such part.
bool ParsePart(std::string_view typed, uint32_t* part, uint32_t* parts);
// A token as ParseFeedPlace takes it.
std::string ShowToken(std::string_view token);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_FEED_PLACE_H_
