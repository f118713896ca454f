#include "proto/changes.h"

#include <functional>
#include <string>

#include "base/random.h"
#include "proto/frame.h"
#include "proto/message_id.h"
#include "support/catch.h"

namespace bandb::proto {
namespace {

std::string_view PayloadOf(const std::string& bytes, MessageId id) {
  Frame frame;
  size_t needed = 0;
  REQUIRE(CutFrame(bytes, kFrameBytesHardMax, &frame, &needed) == CutResult::kFrame);
  REQUIRE(frame.ByteSize() == bytes.size());
  REQUIRE(frame.message_id == static_cast<uint32_t>(id));
  return frame.payload;
}

void CheckExact(std::string_view payload, const std::function<bool(std::string_view)>& decode) {
  CHECK(decode(payload));
  for (size_t cut = 0; cut < payload.size(); cut++) CHECK_FALSE(decode(payload.substr(0, cut)));
  CHECK_FALSE(decode(std::string(payload) + "x"));
}

bool ChangesAreWellFormed(std::string_view payload) {
  Changes changes;
  return DecodeChanges(payload, &changes);
}
bool CursorsAreWellFormed(std::string_view payload) {
  Cursors cursors;
  return DecodeCursors(payload, &cursors);
}
bool BodyIsWellFormed(std::string_view body) {
  ChangesBodyReader reader(body);
  CommitHead head;
  BatchOperation change;
  while (reader.NextCommit(&head)) {
    while (reader.NextChange(&change)) {
    }
  }
  return reader.Complete();
}
bool ListIsWellFormed(std::string_view body) {
  CursorsBodyReader reader(body);
  CursorEntry entry;
  while (reader.Next(&entry)) {
  }
  return reader.Complete();
}

}  // namespace

TEST_CASE("CHANGES is these bytes, and nothing beside them") {
  std::string bytes;
  AppendChanges(&bytes, {.from = {.from = FeedFrom::kCursor, .place = "cur"},
                         .undurable = true,
                         .part = 1,
                         .parts = 4,
                         .wait_ms = 5000,
                         .commits_max = 7,
                         .bytes_max = 256,
                         .skip = 3,
                         .begin = "b",
                         .limit = "ll"});
  const std::string_view payload = PayloadOf(bytes, MessageId::kChanges);
  const std::string expected(
      "\x01\x04\x01\0\0\0\x04\0\0\0\x88\x13\0\0\x07\0\0\0\0\x01\0\0\x03\0\0\0\0\0\0\0\0\0\0\0"
      "\x03\0\0\0\x01\0\0\0\x02\0\0\0"
      "curbll",
      52);
  CHECK(payload == expected);
  Changes changes;
  REQUIRE(DecodeChanges(payload, &changes));
  CHECK(changes.undurable);
  CHECK(changes.from.from == FeedFrom::kCursor);
  CHECK(changes.from.place == "cur");
  CHECK(changes.part == 1);
  CHECK(changes.parts == 4);
  CHECK(changes.wait_ms == 5000);
  CHECK(changes.commits_max == 7);
  CHECK(changes.bytes_max == 256);
  CHECK(changes.skip == 3);
  CHECK(changes.begin == "b");
  CHECK(changes.limit == "ll");
  CheckExact(payload, ChangesAreWellFormed);
}

TEST_CASE("a place has what belongs to it alone") {
  const struct {
    FeedPlace place;
    bool good;
  } rows[] = {
      {{}, true},
      {{.from = FeedFrom::kOldest}, true},
      {{.from = FeedFrom::kToken, .place = "t"}, true},
      {{.from = FeedFrom::kTime, .time_ms = 1}, true},
      {{.from = FeedFrom::kCursor, .place = "c"}, true},
      {{.place = "t"}, false},
      {{.from = FeedFrom::kOldest, .place = "t"}, false},
      {{.from = FeedFrom::kOldest, .time_ms = 1}, false},
      {{.from = FeedFrom::kToken, .time_ms = 1, .place = "t"}, false},
      {{.from = FeedFrom::kTime, .time_ms = 1, .place = "t"}, false},
      {{.from = static_cast<FeedFrom>(5)}, false},
  };
  for (const auto& row : rows) {
    std::string changes, create, list, drop;
    AppendChanges(&changes, {.from = row.place});
    CHECK(ChangesAreWellFormed(PayloadOf(changes, MessageId::kChanges)) == row.good);
    AppendCursors(&create, {.action = CursorAction::kCreate, .from = row.place, .name = "c"});
    CHECK(CursorsAreWellFormed(PayloadOf(create, MessageId::kCursors)) == row.good);
    std::string reset;
    AppendCursors(&reset, {.action = CursorAction::kReset, .from = row.place, .name = "c"});
    CHECK(CursorsAreWellFormed(PayloadOf(reset, MessageId::kCursors)) == row.good);
    const bool none = row.good && row.place.from == FeedFrom::kNow;
    AppendCursors(&list, {.action = CursorAction::kList, .from = row.place});
    CHECK(CursorsAreWellFormed(PayloadOf(list, MessageId::kCursors)) == none);
    AppendCursors(&drop, {.action = CursorAction::kDrop, .from = row.place, .name = "c"});
    CHECK(CursorsAreWellFormed(PayloadOf(drop, MessageId::kCursors)) == none);
  }
  std::string named;
  AppendCursors(&named, {.action = CursorAction::kList, .name = "c"});
  CHECK_FALSE(CursorsAreWellFormed(PayloadOf(named, MessageId::kCursors)));
  std::string unknown;
  AppendCursors(&unknown, {.action = static_cast<CursorAction>(4), .name = "c"});
  CHECK_FALSE(CursorsAreWellFormed(PayloadOf(unknown, MessageId::kCursors)));
}

TEST_CASE("ACKNOWLEDGE and CURSORS are these bytes") {
  std::string bytes;
  AppendAcknowledge(&bytes, "cur", "tk");
  const std::string_view payload = PayloadOf(bytes, MessageId::kAcknowledge);
  CHECK(payload == std::string("\x03\0\0\0\x02\0\0\0curtk", 13));
  CheckExact(payload, [](std::string_view cut) {
    std::string_view cursor, token;
    return DecodeAcknowledge(cut, &cursor, &token);
  });
  std::string create;
  AppendCursors(&create,
                {.action = CursorAction::kCreate, .from = {.from = FeedFrom::kToken, .place = "tk"}, .name = "cur"});
  CHECK(PayloadOf(create, MessageId::kCursors) == std::string("\x01\x02\0\0\0\0\0\0\0\0\x03\0\0\0\x02\0\0\0curtk", 23));
  CheckExact(PayloadOf(create, MessageId::kCursors), CursorsAreWellFormed);
}

TEST_CASE("the reply to CHANGES decodes to its commits, and only if everything adds up") {
  std::string body;
  AppendChangesHead(&body, true, "token", 2);
  CHECK(body.size() == kChangesHeadBytes + 5);
  const size_t head_begin = body.size();
  AppendCommitHead(&body, {7, 9, 1234, 3});
  CHECK(body.size() == head_begin + kCommitHeadBytes);
  const BatchOperation operations[] = {{.kind = BatchKind::kPut, .key = "a", .value = "1"},
                                       {.kind = BatchKind::kDelete, .key = "b"},
                                       {.kind = BatchKind::kRangeDelete, .key = "c", .value = "d"},
                                       {.kind = BatchKind::kPutUntil, .key = "e", .value = "5", .expires_ms = 99}};
  for (int i = 0; i < 3; i++) {
    const size_t before = body.size();
    AppendOperation(&body, operations[i]);
    CHECK(body.size() == before + OperationBytes(operations[i]));
  }
  AppendCommitHead(&body, {10, 10, 1235, 1});
  AppendOperation(&body, operations[3]);

  ChangesBodyReader reader(body);
  CHECK(reader.cut());
  CHECK(reader.token() == "token");
  CommitHead head;
  BatchOperation change;
  REQUIRE(reader.NextCommit(&head));
  CHECK(head.first_sequence == 7);
  CHECK(head.last_sequence == 9);
  CHECK(head.time_ms == 1234);
  CHECK(head.changes == 3);
  REQUIRE(reader.NextChange(&change));
  CHECK(change.value == "1");
  // The rest of it is passed over.
  CHECK_FALSE(reader.Complete());
  REQUIRE(reader.NextCommit(&head));
  REQUIRE(reader.NextChange(&change));
  CHECK(change.key == "e");
  CHECK(change.expires_ms == 99);
  CHECK_FALSE(reader.NextChange(&change));
  CHECK_FALSE(reader.NextCommit(&head));
  CHECK(reader.Complete());
  CheckExact(body, BodyIsWellFormed);

  // A change tells when it ends, and not for how long it lives.
  std::string relative;
  AppendChangesHead(&relative, false, "t", 1);
  AppendCommitHead(&relative, {1, 1, 1, 1});
  AppendOperation(&relative, {.kind = BatchKind::kPutWithTtl, .key = "a", .value = "1", .ttl_ms = 1});
  CHECK_FALSE(BodyIsWellFormed(relative));
}

TEST_CASE("the list of cursors decodes to what it was made of") {
  std::string body("\x01\0\0\0", 4);
  AppendCursorEntry(&body, {true, 1, 2, 3, 4, 5, "name", "token"});
  CursorsBodyReader reader(body);
  CursorEntry entry;
  REQUIRE(reader.Next(&entry));
  CHECK(entry.lost);
  CHECK(entry.created_ms == 1);
  CHECK(entry.acknowledged_ms == 2);
  CHECK(entry.lag_commits == 3);
  CHECK(entry.lag_bytes == 4);
  CHECK(entry.lag_ms == 5);
  CHECK(entry.name == "name");
  CHECK(entry.token == "token");
  CHECK(reader.Complete());
  CheckExact(body, ListIsWellFormed);
}

TEST_CASE("noise never makes a decoder of the feed read beyond it") {
  base::Random random(5);
  for (int i = 0; i < 20000; i++) {
    std::string garbage(random.Uniform(80), '\0');
    for (char& c : garbage) c = static_cast<char>(random.OneIn(2) ? random.Uniform(3) : random.Uniform(256));
    ChangesAreWellFormed(garbage);
    CursorsAreWellFormed(garbage);
    BodyIsWellFormed(garbage);
    ListIsWellFormed(garbage);
  }
}

}  // namespace bandb::proto
