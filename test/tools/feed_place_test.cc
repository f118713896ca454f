#include "feed_place.h"

#include <string>

#include "support/catch.h"
#include "watch_command.h"

namespace bandb::cli {

TEST_CASE("a place in the feed is typed as a word, a time or a token") {
  const std::string token(20, '\xa5');
  const struct {
    std::string typed;
    proto::FeedFrom from;
    uint64_t time_ms = 0;
    std::string text{};
  } rows[] = {{"now", proto::FeedFrom::kNow},
              {"oldest", proto::FeedFrom::kOldest},
              {"0", proto::FeedFrom::kTime, 0},
              {"1700000000123", proto::FeedFrom::kTime, 1700000000123},
              {"2023-11-14T22:13:20Z", proto::FeedFrom::kTime, 1700000000000},
              {"2023-11-14T23:13:20.5+01:00", proto::FeedFrom::kTime, 1700000000500},
              {ShowToken(token), proto::FeedFrom::kToken, 0, token},
              // Digits alone, but too many for a time.
              {"1234567890123456", proto::FeedFrom::kToken, 0, "\x12\x34\x56\x78\x90\x12\x34\x56"}};
  for (const auto& row : rows) {
    INFO(row.typed);
    FeedPlaceText place;
    REQUIRE(ParseFeedPlace(row.typed, &place));
    CHECK(place.from == row.from);
    CHECK(place.time_ms == row.time_ms);
    CHECK(place.text == row.text);
    CHECK(place.place().place == row.text);
  }
  FeedPlaceText place;
  for (const std::string typed : {"", "Now", "newest", "-1", "1969-12-31T23:59:59Z", "yesterday", "a5a5a5a5a5a5a5a5a",
                                  "a5a5a5a5a5a5a5a5zz", "2023-11-14"}) {
    INFO(typed);
    CHECK_FALSE(ParseFeedPlace(typed, &place));
  }
  CHECK_FALSE(ParseFeedPlace(std::string(202, 'a'), &place));
}

TEST_CASE("a change is a line, as text or as JSON") {
  const proto::CommitHead commit{7, 9, 1234, 3};
  const struct {
    proto::BatchOperation change;
    std::string text, json;
  } rows[] = {
      {{.kind = proto::BatchKind::kPut, .key = "a", .value = "1\n"},
       "put\t\"a\"\t\"1\\n\"\n",
       R"({"kind": "put", "key": "a", "value": "1\u000a", "sequence": 7, "time": 1234})"},
      {{.kind = proto::BatchKind::kPutUntil, .key = "a", .value = "1", .expires_ms = 5},
       "put\t\"a\"\t\"1\"\texpires 5\n",
       R"({"kind": "put", "key": "a", "value": "1", "expires": 5, "sequence": 7, "time": 1234})"},
      {{.kind = proto::BatchKind::kDelete, .key = "\xff"},
       "delete\t\"\\xff\"\n",
       R"({"kind": "delete", "key": {"base64": "/w=="}, "sequence": 7, "time": 1234})"},
      {{.kind = proto::BatchKind::kRangeDelete, .key = "a", .value = "b"},
       "delete-range\t\"a\"\t\"b\"\n",
       R"({"kind": "delete_range", "key": "a", "limit": "b", "sequence": 7, "time": 1234})"},
  };
  for (const auto& row : rows) {
    CHECK(FormatChange(commit, row.change, false) == row.text);
    CHECK(FormatChange(commit, row.change, true) == row.json + "\n");
  }
}

}  // namespace bandb::cli
