// The change feed over the wire: CHANGES, ACKNOWLEDGE and CURSORS, of a server over a database.
#include "server/changes_endpoint.h"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bandb/changes.h"
#include "bandb/db.h"
#include "bandb/server.h"
#include "proto/changes.h"
#include "server/feed_server.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

std::string AcknowledgeFrame(std::string_view cursor, std::string_view token) {
  std::string frame;
  proto::AppendAcknowledge(&frame, cursor, token);
  return frame;
}

std::string CursorsFrame(const proto::Cursors& cursors) {
  std::string frame;
  proto::AppendCursors(&frame, cursors);
  return frame;
}

proto::FeedPlace Oldest() { return {.from = proto::FeedFrom::kOldest}; }
proto::FeedPlace TokenPlace(const std::string& token) { return {.from = proto::FeedFrom::kToken, .place = token}; }
proto::FeedPlace CursorPlace(std::string_view name) { return {.from = proto::FeedFrom::kCursor, .place = name}; }

// "a=1" of a put, "-a" of a delete, "[a,b)" of a range delete; a comma within a commit, a space
// between two, and "..." after one that goes on.
struct Piece {
  std::string text;
  std::string token;
  bool cut = false;
  uint32_t changes = 0;
};

Piece PieceOf(const std::optional<OwnedReply>& reply) {
  REQUIRE(reply.has_value());
  INFO(reply->message);
  REQUIRE(reply->ok);
  Piece piece;
  proto::ChangesBodyReader body(reply->body);
  proto::CommitHead head;
  while (body.NextCommit(&head)) {
    if (!piece.text.empty()) piece.text += ' ';
    std::string commit;
    for (proto::BatchOperation change; body.NextChange(&change);) {
      if (!commit.empty()) commit += ',';
      if (change.kind == proto::BatchKind::kDelete) {
        commit += fmt::format("-{}", change.key);
      } else if (change.kind == proto::BatchKind::kRangeDelete) {
        commit += fmt::format("[{},{})", change.key, change.value);
      } else {
        commit += fmt::format("{}={}", change.key, change.value);
      }
      piece.changes++;
    }
    piece.text += commit;
  }
  REQUIRE(body.Complete());
  piece.token = body.token();
  piece.cut = body.cut();
  if (piece.cut) piece.text += "...";
  return piece;
}

Piece Ask(WireClient* client, const proto::Changes& changes) { return PieceOf(client->Ask(ChangesFrame(changes))); }

uint16_t CodeOfReply(WireClient* client, const std::string& frame) {
  const auto reply = client->Ask(frame);
  REQUIRE(reply.has_value());
  return reply->ok ? 0 : reply->code;
}

uint16_t Code(absl::StatusCode code) { return proto::ToCode(code); }

}  // namespace

TEST_CASE("what was written comes commit by commit, as it was written, and from a token goes on") {
  FeedServer fixture(GENERATE(1, 4));
  WireClient client(fixture.address());
  REQUIRE(client.Ask(PutFrame("a", "1")) == OkReply());
  proto::BatchBuilder batch;
  batch.Add({proto::BatchKind::kPut, "b", "2"});
  batch.Add({proto::BatchKind::kDelete, "a", ""});
  batch.Add({proto::BatchKind::kRangeDelete, "c", "e"});
  std::string frame;
  batch.AppendTo(&frame);
  REQUIRE(client.Ask(frame) == OkReply());
  const Piece all = Ask(&client, {.from = Oldest()});
  CHECK(all.text == "a=1 b=2,-a,[c,e)");
  const Piece first = Ask(&client, {.from = Oldest(), .commits_max = 1});
  CHECK(first.text == "a=1");
  CHECK(Ask(&client, {.from = TokenPlace(first.token)}).text == "b=2,-a,[c,e)");
  const Piece nothing = Ask(&client, {.from = TokenPlace(all.token)});
  CHECK(nothing.text.empty());
  REQUIRE(client.Ask(DeleteFrame("b")) == OkReply());
  CHECK(Ask(&client, {.from = TokenPlace(nothing.token)}).text == "-b");
  CHECK(Ask(&client, {.from = Oldest(), .begin = "b", .limit = "c"}).text == "b=2 -b");
}

TEST_CASE("what power loss may take back is given to those who ask for it") {
  FeedServer fixture;
  WireClient client(fixture.address());
  const std::string now = Ask(&client, {}).token;
  REQUIRE_OK(fixture.db->Put("a", "1", {.sync = false}));
  CHECK(Ask(&client, {.from = TokenPlace(now)}).text.empty());
  CHECK(Ask(&client, {.from = TokenPlace(now), .undurable = true}).text == "a=1");
  // The other one has it made durable.
  CHECK(Ask(&client, {.from = TokenPlace(now), .wait_ms = kLong}).text == "a=1");
}

TEST_CASE("an expiry comes as the time at which it is, and a commit with its time and place") {
  FeedServer fixture;
  WireClient client(fixture.address());
  const absl::Time until = absl::FromUnixSeconds(4'000'000'000);
  WriteBatch batch;
  batch.PutUntil("a", "1", until);
  batch.Put("b", "2");
  REQUIRE_OK(fixture.db->Write(batch, {.sync = true}));
  const auto reply = client.Ask(ChangesFrame({.from = Oldest()}));
  REQUIRE(reply.has_value());
  proto::ChangesBodyReader body(reply->body);
  proto::CommitHead head;
  proto::BatchOperation change;
  REQUIRE(body.NextCommit(&head));
  CHECK(head.last_sequence == head.first_sequence + 1);
  CHECK(head.changes == 2);
  CHECK(head.time_ms > 1'000'000'000'000);
  REQUIRE(body.NextChange(&change));
  CHECK(change.kind == proto::BatchKind::kPutUntil);
  CHECK(change.expires_ms == 4'000'000'000'000);
  const auto later = Ask(&client, {.from = {.from = proto::FeedFrom::kTime, .time_ms = head.time_ms}});
  CHECK(later.text == "a=1,b=2");
  CHECK(Ask(&client, {.from = {.from = proto::FeedFrom::kTime, .time_ms = head.time_ms + 3'600'000}}).text.empty());
}

TEST_CASE("one that waits is answered once there is something, and several of a connection in their order") {
  FeedServer fixture(GENERATE(1, 4));
  WireClient reader(fixture.address());
  WireClient writer(fixture.address());
  const Piece now = Ask(&reader, {});
  REQUIRE(reader.Send(ChangesFrame({.from = TokenPlace(now.token), .wait_ms = kLong, .begin = "b"}) +
                      ChangesFrame({.from = TokenPlace(now.token), .wait_ms = kLong, .limit = "b"}) +
                      ChangesFrame({.from = TokenPlace(now.token), .wait_ms = kLong})));
  CHECK(reader.StaysSilent(50));
  REQUIRE(writer.Ask(PutFrame("a", "1")) == OkReply());
  // The first still waits, and the order of the replies is that of the requests.
  CHECK(reader.StaysSilent(50));
  REQUIRE(writer.Ask(PutFrame("b", "2")) == OkReply());
  const std::vector<OwnedReply> replies = reader.ReceiveMany(3);
  REQUIRE(replies.size() == 3);
  CHECK(PieceOf(replies[0]).text == "b=2");
  CHECK(PieceOf(replies[1]).text == "a=1");
  CHECK(PieceOf(replies[2]).text == "a=1");
  CHECK(fixture.AwaitInFlight(0));
}

TEST_CASE("when the time is up there is an empty reply, whose token is further on") {
  FeedServer fixture;
  WireClient client(fixture.address());
  const Piece now = Ask(&client, {});
  REQUIRE(client.Ask(PutFrame("x", "1")) == OkReply());
  const Piece nothing = Ask(&client, {.from = TokenPlace(now.token), .wait_ms = 30, .limit = "b"});
  CHECK(nothing.text.empty());
  CHECK(nothing.token != now.token);
  CHECK(Ask(&client, {.from = TokenPlace(nothing.token)}).text.empty());
}

TEST_CASE("hundreds that wait cost no thread: all are answered, and those whose clients are gone are let go") {
  FeedServer fixture(GENERATE(1, 4));
  WireClient writer(fixture.address());
  const std::string now = Ask(&writer, {}).token;
  std::vector<std::unique_ptr<WireClient>> readers;
  constexpr size_t kReaders = 40, kEach = 8;
  for (size_t i = 0; i < kReaders; i++) {
    readers.push_back(std::make_unique<WireClient>(fixture.address()));
    for (size_t j = 0; j < kEach; j++) {
      REQUIRE(readers.back()->Send(ChangesFrame({.from = TokenPlace(now), .wait_ms = kLong})));
    }
  }
  REQUIRE(fixture.AwaitInFlight(kReaders * kEach));
  for (size_t i = 0; i < kReaders / 2; i++) readers[i]->Close();
  REQUIRE(fixture.AwaitInFlight(kReaders / 2 * kEach));
  REQUIRE(writer.Ask(PutFrame("k", "v")) == OkReply());
  for (size_t i = kReaders / 2; i < kReaders; i++) {
    for (const OwnedReply& reply : readers[i]->ReceiveMany(kEach)) CHECK(PieceOf(reply).text == "k=v");
  }
  CHECK(fixture.AwaitInFlight(0));
}

TEST_CASE("no connection takes the room of all that wait") {
  FeedServer fixture;
  WireClient writer(fixture.address()), greedy(fixture.address()), other(fixture.address());
  const std::string now = Ask(&writer, {}).token;
  constexpr int kShare = 128;
  std::string frames;
  for (int i = 0; i <= kShare; i++) frames += ChangesFrame({.from = TokenPlace(now), .wait_ms = kLong});
  REQUIRE(greedy.Send(frames));
  REQUIRE(fixture.AwaitInFlight(kShare));
  REQUIRE(other.Send(ChangesFrame({.from = TokenPlace(now), .wait_ms = kLong})));
  REQUIRE(fixture.AwaitInFlight(kShare + 1));
  REQUIRE(writer.Ask(PutFrame("k", "v")) == OkReply());
  CHECK(PieceOf(*other.Receive()).text == "k=v");
  const std::vector<OwnedReply> replies = greedy.ReceiveMany(kShare + 1);
  REQUIRE(replies.size() == kShare + 1);
  CHECK(PieceOf(replies[kShare - 1]).text == "k=v");
  CHECK(replies[kShare].code == ToCode(proto::ErrorCode::kOverloaded));
  // What was counted in is counted out.
  for (int i = 0; i < 2 * kShare; i++) Ask(&greedy, {});
}

TEST_CASE("a request looks through so many bytes, however little of them is wanted, and goes on from there") {
  FeedServer fixture;
  WireClient client(fixture.address());
  const std::string begin = Ask(&client, {}).token;
  constexpr int kCommits = 40;
  std::string all;
  for (int i = 0; i < kCommits; i++) {
    REQUIRE(client.Ask(PutFrame("a", std::string(1 << 20, 'x'))) == OkReply());
    REQUIRE(client.Ask(PutFrame("z", std::to_string(i))) == OkReply());
    all += fmt::format("{}z={}", i == 0 ? "" : " ", i);
  }
  std::string token = begin, text;
  int pieces = 0;
  do {
    const Piece piece = Ask(&client, {.from = TokenPlace(token), .begin = "b"});
    if (!text.empty() && !piece.text.empty()) text += " ";
    text += piece.text;
    token = piece.token;
    pieces++;
  } while (text.size() < all.size() && pieces < 100);
  CHECK(text == all);
  CHECK(pieces >= 3);
  CHECK(pieces <= 5);
}

TEST_CASE("a reply keeps to its bytes, and a commit that is larger comes in pieces, whole in the end") {
  ServerOptions options;
  options.frame_bytes_max = 64 << 10;
  FeedServer fixture(GENERATE(1, 4), 64 << 20, {}, options);
  WireClient client(fixture.address());
  WriteBatch batch;
  std::string expected;
  for (int i = 0; i < 300; i++) {
    const std::string value = fmt::format("{:0500}", i);
    batch.Put(fmt::format("k{:03}", i), value);
    expected += fmt::format("{}k{:03}={}", expected.empty() ? "" : ",", i, value);
  }
  REQUIRE_OK(fixture.db->Write(batch, {.sync = true}));
  REQUIRE(client.Ask(PutFrame("last", "1")) == OkReply());
  const std::string start = Ask(&client, {.from = Oldest(), .limit = "a"}).token;
  // Of time, so that the place is not the token of what it replies.
  const uint64_t long_ago_ms = 1'000;
  for (const uint32_t bytes_max : {0u, 4000u, 700u}) {
    std::string got;
    uint32_t skip = 0;
    int pieces = 0;
    Piece piece;
    const Piece first = Ask(&client, {.from = Oldest(), .commits_max = 1, .bytes_max = bytes_max});
    do {
      const std::string frame = ChangesFrame({.from = {.from = proto::FeedFrom::kTime, .time_ms = long_ago_ms},
                                              .commits_max = 1,
                                              .bytes_max = bytes_max,
                                              .skip = skip});
      const auto reply = client.Ask(frame);
      REQUIRE(reply.has_value());
      CHECK(reply->body.size() + 1 <= (bytes_max == 0 ? 64 << 10 : bytes_max));
      piece = PieceOf(reply);
      if (!got.empty()) got += ',';
      got += piece.text.substr(0, piece.text.size() - (piece.cut ? 3 : 0));
      skip += piece.changes;
      pieces++;
      // What has gone by of it is not acknowledged by its token.
      if (piece.cut) CHECK(piece.token == first.token);
    } while (piece.cut);
    CHECK(got == expected);
    CHECK(skip == 300);
    CHECK(pieces > 2);
    CHECK(Ask(&client, {.from = TokenPlace(piece.token)}).text == "last=1");
    // Without the rest, if there is one, and on.
    CHECK(Ask(&client, {.from = TokenPlace(first.token), .skip = 300}).text.ends_with("last=1"));
    CHECK(CodeOfReply(&client, ChangesFrame({.from = TokenPlace(first.token), .skip = 301})) ==
          Code(absl::StatusCode::kInvalidArgument));
  }
  CHECK(Ask(&client, {.from = TokenPlace(start)}).text.empty());
  const auto refused = client.Ask(ChangesFrame({.from = Oldest(), .bytes_max = 300}));
  REQUIRE(refused.has_value());
  CHECK(refused->code == ToCode(proto::ErrorCode::kTooLarge));
}

TEST_CASE("changes are skipped only at a place that goes on naming the same commit") {
  FeedServer fixture;
  WireClient client(fixture.address());
  WriteBatch batch;
  for (const char* key : {"a", "b", "c"}) batch.Put(key, "1");
  REQUIRE_OK(fixture.db->Write(batch, {.sync = true}));
  REQUIRE_OK(fixture.db->CreateCursor("c", ChangesFrom::Oldest()));
  for (const proto::FeedPlace& place : {proto::FeedPlace{}, Oldest(), CursorPlace("c")}) {
    CHECK(CodeOfReply(&client, ChangesFrame({.from = place, .wait_ms = kLong, .skip = 1})) ==
          Code(absl::StatusCode::kInvalidArgument));
  }
  CHECK(Ask(&client, {.from = {.from = proto::FeedFrom::kTime, .time_ms = 1}, .skip = 2}).text == "c=1");
}

TEST_CASE("a change that fits into no reply can be gone past, if one wants to") {
  ServerOptions options;
  options.frame_bytes_max = 4 << 10;
  FeedServer fixture(1, 64 << 20, {}, options);
  WireClient client(fixture.address());
  const std::string start = Ask(&client, {}).token;
  WriteBatch batch;
  batch.Put("a", "1");
  batch.Put("b", std::string(8 << 10, 'v'));
  batch.Put("c", "3");
  REQUIRE_OK(fixture.db->Write(batch, {.sync = true}));
  const Piece first = Ask(&client, {.from = TokenPlace(start)});
  CHECK(first.text == "a=1...");
  CHECK(CodeOfReply(&client, ChangesFrame({.from = TokenPlace(start), .skip = 1})) ==
        ToCode(proto::ErrorCode::kTooLarge));
  CHECK(Ask(&client, {.from = TokenPlace(start), .skip = 2}).text == "c=3");
}

TEST_CASE("parts have every change between them, and a range delete in each") {
  FeedServer fixture;
  WireClient client(fixture.address());
  for (int i = 0; i < 50; i++) REQUIRE(client.Ask(PutFrame(std::to_string(i), "v")) == OkReply());
  WriteBatch batch;
  batch.DeleteRange("a", "b");
  REQUIRE_OK(fixture.db->Write(batch, {.sync = true}));
  uint32_t changes = 0;
  for (uint32_t part = 0; part < 3; part++) {
    const Piece piece = Ask(&client, {.from = Oldest(), .part = part, .parts = 3});
    CHECK(piece.text.ends_with("[a,b)"));
    CHECK(piece.changes > 1);
    changes += piece.changes;
  }
  CHECK(changes == 50 + 3);
  for (const auto& [part, parts] : std::map<uint32_t, uint32_t>{{0, 0}, {3, 3}, {1, 65537}}) {
    CHECK(CodeOfReply(&client, ChangesFrame({.part = part, .parts = parts})) ==
          Code(absl::StatusCode::kInvalidArgument));
  }
}

TEST_CASE("a range delete says no more of itself than lies in the range that was asked for") {
  FeedServer fixture;
  WireClient client(fixture.address());
  WriteBatch batch;
  batch.DeleteRange("a", "z");
  REQUIRE_OK(fixture.db->Write(batch, {.sync = true}));
  CHECK(Ask(&client, {.from = Oldest(), .begin = "m", .limit = "n"}).text == "[m,n)");
  CHECK(Ask(&client, {.from = Oldest(), .begin = "m"}).text == "[m,z)");
  CHECK(Ask(&client, {.from = Oldest(), .limit = "n"}).text == "[a,n)");
}

TEST_CASE("a cursor is made, read from, moved and dropped, and what follows an acknowledgement sees it") {
  FeedServer fixture(GENERATE(1, 4));
  WireClient client(fixture.address());
  const std::string create =
      CursorsFrame({.action = proto::CursorAction::kCreate, .from = Oldest(), .name = "indexer"});
  REQUIRE(client.Ask(create) == OkReply());
  CHECK(CodeOfReply(&client, create) == Code(absl::StatusCode::kAlreadyExists));
  for (const char* key : {"a", "b", "c"}) REQUIRE(client.Ask(PutFrame(key, "1")) == OkReply());
  const Piece two = Ask(&client, {.from = CursorPlace("indexer"), .commits_max = 2});
  CHECK(two.text == "a=1 b=1");
  CHECK(Ask(&client, {.from = CursorPlace("indexer")}).text == "a=1 b=1 c=1");
  REQUIRE(client.Send(AcknowledgeFrame("indexer", two.token) + ChangesFrame({.from = CursorPlace("indexer")})));
  CHECK(client.Receive() == OkReply());
  CHECK(PieceOf(client.Receive()).text == "c=1");
  const auto list = client.Ask(CursorsFrame({}));
  REQUIRE(list.has_value());
  REQUIRE(list->ok);
  proto::CursorsBodyReader body(list->body);
  proto::CursorEntry entry;
  REQUIRE(body.Next(&entry));
  CHECK(entry.name == "indexer");
  CHECK(entry.token == two.token);
  CHECK(entry.lag_commits == 1);
  CHECK(entry.lag_bytes > 0);
  CHECK_FALSE(entry.lost);
  CHECK(body.Complete());
  const std::string reset = CursorsFrame({.action = proto::CursorAction::kReset, .from = Oldest(), .name = "indexer"});
  REQUIRE(client.Ask(reset) == OkReply());
  CHECK(Ask(&client, {.from = CursorPlace("indexer")}).text == "a=1 b=1 c=1");
  const std::string drop = CursorsFrame({.action = proto::CursorAction::kDrop, .name = "indexer"});
  REQUIRE(client.Ask(drop) == OkReply());
  for (const std::string& frame :
       {drop, reset, AcknowledgeFrame("indexer", two.token), ChangesFrame({.from = CursorPlace("indexer")})}) {
    CHECK(CodeOfReply(&client, frame) == Code(absl::StatusCode::kNotFound));
  }
}

TEST_CASE("tokens that are none, of another database, or of what is gone are told apart") {
  FeedServer fixture(1, 0);
  FeedServer other;
  WireClient client(fixture.address());
  WireClient stranger(other.address());
  CHECK(CodeOfReply(&client, ChangesFrame({.from = TokenPlace("nonsense")})) ==
        Code(absl::StatusCode::kInvalidArgument));
  const std::string theirs = Ask(&stranger, {}).token;
  CHECK(CodeOfReply(&client, ChangesFrame({.from = TokenPlace(theirs)})) == Code(absl::StatusCode::kInvalidArgument));
  const std::string old = Ask(&client, {}).token;
  REQUIRE(client.Ask(PutFrame("a", "1")) == OkReply());
  REQUIRE_OK(fixture.db->Flush());
  REQUIRE(client.Ask(PutFrame("b", "1")) == OkReply());
  const auto gone = client.Ask(ChangesFrame({.from = TokenPlace(old)}));
  REQUIRE(gone.has_value());
  CHECK(gone->code == Code(absl::StatusCode::kOutOfRange));
  // The message has the oldest token, and no path of the server's.
  CHECK(gone->message.find('/') == std::string::npos);
}

TEST_CASE("a server that ends answers those that wait") {
  FeedServer fixture(GENERATE(1, 4));
  WireClient client(fixture.address());
  REQUIRE(client.Send(ChangesFrame({.wait_ms = kLong}) + ChangesFrame({.wait_ms = kLong})));
  REQUIRE(fixture.AwaitInFlight(2));
  REQUIRE_OK(fixture.server->Drain());
  CHECK(PieceOf(client.Receive()).text.empty());
  CHECK(PieceOf(client.Receive()).text.empty());
  CHECK(client.SeesEnd());
}

TEST_CASE("hooks on operations see what a reader asks for as a scan of its range") {
  ServerHooks hooks;
  hooks.before_operations.push_back([](const ServerOperation& operation) {
    const bool refused = operation.kind == OperationKind::kScan && operation.key == "x";
    return refused ? HookResult::Reject(kFirstHookErrorCode, "not x") : HookResult::Pass();
  });
  FeedServer fixture(1, 64 << 20, std::move(hooks));
  WireClient client(fixture.address());
  CHECK(CodeOfReply(&client, ChangesFrame({.from = Oldest(), .begin = "x"})) == kFirstHookErrorCode);
  CHECK(CodeOfReply(&client, ChangesFrame({.from = Oldest(), .begin = "y"})) == 0);
}

TEST_CASE("a store without a change feed says so") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  for (const std::string& frame : {ChangesFrame({.wait_ms = kLong}), AcknowledgeFrame("a", "b"), CursorsFrame({})}) {
    const auto reply = client.Ask(frame);
    REQUIRE(reply.has_value());
    CHECK(reply->code == Code(absl::StatusCode::kUnimplemented));
    CHECK(reply->message.find("no change feed") != std::string::npos);
  }
}

}  // namespace bandb::test
