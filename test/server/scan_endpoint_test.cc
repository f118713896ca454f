// ScanEndpoint: a range in pieces.
#include <fmt/format.h>

#include <map>
#include <string>

#include "base/random.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;

struct Piece {
  Entries entries;
  std::string cursor;
};

Piece Scan(WireClient* client, const proto::Scan& scan) {
  const auto reply = client->Ask(ScanFrame(scan));
  REQUIRE(reply.has_value());
  REQUIRE(reply->ok);
  Piece piece;
  proto::ScanBodyReader body(reply->body);
  for (proto::ScanEntry entry; body.Next(&entry);) piece.entries.emplace_back(entry.key, entry.value);
  REQUIRE(body.Complete());
  piece.cursor = body.next_cursor();
  return piece;
}

Entries ScanAll(WireClient* client, proto::Scan scan) {
  Entries all;
  std::string cursor;
  do {
    scan.cursor = cursor;
    Piece piece = Scan(client, scan);
    REQUIRE((scan.entries_max == 0 || piece.entries.size() <= scan.entries_max));
    all.insert(all.end(), piece.entries.begin(), piece.entries.end());
    cursor = piece.cursor;
  } while (!cursor.empty());
  return all;
}

}  // namespace

TEST_CASE("a scan in pieces sees what an ordered map sees, both ways, within any bounds") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  base::Random random(11);
  std::map<std::string, std::string> model;
  for (int i = 0; i < 300; i++) {
    std::string key;
    for (uint64_t n = random.Uniform(4); n > 0; n--) key.push_back("\0a\x7f\xff"[random.Uniform(4)]);
    model[key] = std::to_string(i);
    REQUIRE_OK(fixture.store.Put(key, std::to_string(i)));
  }
  const auto any_key = [&] {
    std::string key;
    for (uint64_t n = random.Uniform(4); n > 0; n--) key.push_back("\0a\x7f\xff"[random.Uniform(4)]);
    return key;
  };
  for (int round = 0; round < 200; round++) {
    const std::string begin = any_key(), limit = any_key();
    Entries expected;
    for (const auto& [key, value] : model) {
      if (key >= begin && (limit.empty() || key < limit)) expected.emplace_back(key, value);
    }
    proto::Scan scan;
    scan.begin = begin;
    scan.limit = limit;
    scan.reverse = random.OneIn(2);
    scan.entries_max = static_cast<uint32_t>(random.Uniform(20));
    scan.bytes_max = random.OneIn(2) ? static_cast<uint32_t>(40 + random.Uniform(100)) : 0;
    if (scan.reverse) std::reverse(expected.begin(), expected.end());
    REQUIRE(ScanAll(&client, scan) == expected);
    scan.keys_only = true;
    for (auto& entry : expected) entry.second.clear();
    REQUIRE(ScanAll(&client, scan) == expected);
  }
}

TEST_CASE("a scan over deleted keys ends before it has looked at too many, with a cursor and perhaps no entry") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  ServerFixture fixture(options);
  constexpr int kDeleted = 120'000;
  WriteBatch batch;
  for (int i = 0; i < kDeleted; ++i) batch.Delete(fmt::format("k{:06}", i));
  batch.Put("a", "first");
  batch.Put("z", "last");
  REQUIRE_OK(fixture.store.Write(batch));
  WireClient client(fixture.address());
  const bool reverse = GENERATE(false, true);
  const Piece first = Scan(&client, {.reverse = reverse});
  CHECK(first.entries == Entries{reverse ? Entries::value_type("z", "last") : Entries::value_type("a", "first")});
  REQUIRE_FALSE(first.cursor.empty());
  const Piece second = Scan(&client, {.reverse = reverse, .cursor = first.cursor});
  CHECK(second.entries.empty());
  REQUIRE_FALSE(second.cursor.empty());
  const Piece third = Scan(&client, {.reverse = reverse, .cursor = second.cursor});
  CHECK(third.entries == Entries{reverse ? Entries::value_type("a", "first") : Entries::value_type("z", "last")});
  CHECK(third.cursor.empty());
}

TEST_CASE("a scan that ends among deleted keys keeps to its byte limit with the cursor") {
  ServerFixture fixture;
  WriteBatch batch;
  // As many as a step passes, and the next one is long.
  for (int i = 0; i < 50'000; ++i) batch.Delete(fmt::format("k{:06}", i));
  const std::string far = "l" + std::string(60'000, 'x');
  batch.Delete(far);
  batch.Put("a", "first");
  batch.Put("z", "last");
  REQUIRE_OK(fixture.store.Write(batch));
  WireClient client(fixture.address());
  const auto reply = client.Ask(ScanFrame({.bytes_max = 1000}));
  REQUIRE(reply.has_value());
  REQUIRE(reply->ok);
  CHECK(reply->body.size() + 1 <= 1000);
  const Piece first = Scan(&client, {.bytes_max = 1000});
  CHECK(first.entries == Entries{{"a", "first"}});
  // With no entry before it there is nowhere else to go on from.
  CHECK(client.Ask(ScanFrame({.bytes_max = 1000, .cursor = first.cursor}))->code ==
        ToCode(proto::ErrorCode::kTooLarge));
  const Piece second = Scan(&client, {.bytes_max = 61'000, .cursor = first.cursor});
  CHECK(second.entries.empty());
  CHECK(Scan(&client, {.bytes_max = 61'000, .cursor = second.cursor}).entries == Entries{{"z", "last"}});
}

TEST_CASE("a scan reply keeps to its byte limit, and says so where not one entry fits") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  for (int i = 0; i < 100; i++) REQUIRE_OK(fixture.store.Put("key" + std::to_string(i), std::string(1000, 'v')));
  const auto reply = client.Ask(ScanFrame({.bytes_max = 5000}));
  REQUIRE(reply.has_value());
  CHECK(reply->body.size() + 1 <= 5000);
  CHECK(reply->body.size() > 3000);
  const auto refused = client.Ask(ScanFrame({.bytes_max = 500}));
  REQUIRE(refused.has_value());
  CHECK(refused->code == ToCode(proto::ErrorCode::kTooLarge));
  CHECK(Scan(&client, {.keys_only = true, .bytes_max = 500}).entries.size() > 10);
}

TEST_CASE("a cursor that is none is malformed, and one at the first key backwards is the end") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  REQUIRE_OK(fixture.store.Put("", "first"));
  REQUIRE_OK(fixture.store.Put("b", "second"));
  const auto reply = client.Ask(ScanFrame({.cursor = "\x03key"}));
  REQUIRE(reply.has_value());
  CHECK(reply->code == ToCode(proto::ErrorCode::kMalformed));
  CHECK(ScanAll(&client, {.reverse = true, .entries_max = 1}) == Entries{{"b", "second"}, {"", "first"}});
  CHECK(Scan(&client, {.reverse = true, .cursor = "\x01"}).entries.empty());
  // A cursor from elsewhere does not lead out of the range.
  CHECK(Scan(&client, {.reverse = true, .limit = "a", .cursor = "\x01zzz"}).entries == Entries{{"", "first"}});
  CHECK(Scan(&client, {.begin = "a", .cursor = "\x01"}).entries == Entries{{"b", "second"}});
}

TEST_CASE("a scan sees the writes before it on its connection, and not those behind it") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  REQUIRE(client.Send(PutFrame("a", "1") + ScanFrame({}) + PutFrame("b", "2") + ScanFrame({}) + DeleteFrame("a") +
                      ScanFrame({})));
  const auto replies = client.ReceiveMany(6);
  REQUIRE(replies.size() == 6);
  const auto count = [](const OwnedReply& reply) { return base::LoadFixed<uint32_t>(reply.body.data()); };
  CHECK(count(replies[1]) == 1);
  CHECK(count(replies[3]) == 2);
  CHECK(count(replies[5]) == 1);
}

}  // namespace bandb::test
