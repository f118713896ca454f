// SNAPSHOT, and SCAN of one: many requests over any connections that see one state.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bandb/db.h"
#include "proto/changes.h"
#include "server/snapshot_leases.h"
#include "server/wire_client.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace bandb::test {
namespace {

std::string SnapshotFrame(const proto::SnapshotRequest& snapshot) {
  std::string frame;
  proto::AppendSnapshot(&frame, snapshot);
  return frame;
}

std::string DropFrame(uint64_t id) { return SnapshotFrame({.action = proto::SnapshotAction::kDrop, .id = id}); }

struct Taken {
  uint64_t id = 0;
  uint32_t lease_ms = 0;
  std::string token;
};

Taken TakenOf(const std::optional<OwnedReply>& reply) {
  REQUIRE(reply.has_value());
  INFO(reply->message);
  REQUIRE(reply->ok);
  proto::SnapshotReply snapshot;
  REQUIRE(proto::DecodeSnapshotBody(reply->body, &snapshot));
  return {snapshot.id, snapshot.lease_ms, std::string(snapshot.token)};
}

Taken Take(WireClient* client, uint32_t lease_ms = 0) {
  return TakenOf(client->Ask(SnapshotFrame({.lease_ms = lease_ms})));
}

// The keys and values of a whole scan, "a=1 b=2", two entries at a time; or the code of a failure.
std::string Scan(WireClient* client, uint64_t snapshot, bool reverse = false) {
  std::string text;
  std::string cursor;
  do {
    std::string frame;
    proto::AppendScan(&frame, {.reverse = reverse, .entries_max = 2, .cursor = cursor, .snapshot = snapshot});
    const std::optional<OwnedReply> reply = client->Ask(frame);
    REQUIRE(reply.has_value());
    if (!reply->ok) return fmt::format("ERROR {}: {}", reply->code, reply->message);
    proto::ScanBodyReader body(reply->body);
    for (proto::ScanEntry entry; body.Next(&entry);) {
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", entry.key, entry.value);
    }
    REQUIRE(body.Complete());
    cursor = body.next_cursor();
  } while (!cursor.empty());
  return text;
}

std::string NoSnapshot(uint64_t id) {
  return fmt::format("ERROR 9: there is no snapshot {:016x}: its lease ran out, or it was dropped", id);
}

ServerOptions OnLoops(int loops) {
  ServerOptions options;
  options.loops = loops;
  return options;
}

}  // namespace

TEST_CASE("a snapshot shows one state over any connection, whatever is written meanwhile") {
  ServerFixture fixture(OnLoops(GENERATE(1, 4)));
  WireClient taker(fixture.address());
  for (const char* key : {"a", "b", "c", "d", "e"}) REQUIRE(taker.Ask(PutFrame(key, "1")) == OkReply());
  const Taken first = Take(&taker);
  CHECK(first.lease_ms == 60'000);
  CHECK(first.token.empty());
  REQUIRE(taker.Ask(PutFrame("a", "2")) == OkReply());
  REQUIRE(taker.Ask(DeleteFrame("c")) == OkReply());
  REQUIRE(taker.Ask(PutFrame("f", "2")) == OkReply());
  const Taken second = Take(&taker);
  REQUIRE(taker.Ask(DeleteFrame("b")) == OkReply());
  taker.Close();
  for (int i = 0; i < 6; i++) {
    WireClient other(fixture.address());
    CHECK(Scan(&other, first.id) == "a=1 b=1 c=1 d=1 e=1");
    CHECK(Scan(&other, first.id, /*reverse=*/true) == "e=1 d=1 c=1 b=1 a=1");
    CHECK(Scan(&other, second.id) == "a=2 b=1 d=1 e=1 f=2");
    CHECK(Scan(&other, 0) == "a=2 d=1 e=1 f=2");
  }
  CHECK(fixture.server->Stats().snapshots_open == 2);
  WireClient client(fixture.address());
  CHECK(client.Ask(DropFrame(first.id)) == OkReply());
  CHECK(Scan(&client, first.id) == NoSnapshot(first.id));
  CHECK(fixture.store.snapshots() == 1);
  CHECK(Scan(&client, second.id) == "a=2 b=1 d=1 e=1 f=2");
  fixture.server->Stop();
  CHECK(fixture.store.snapshots() == 0);
}

TEST_CASE("a snapshot has what its own connection wrote before, though nobody waited for it") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  REQUIRE(client.Send(PutFrame("a", "1") + SnapshotFrame({}) + PutFrame("a", "2") + PutFrame("b", "2")));
  CHECK(client.Receive() == OkReply());
  const Taken taken = TakenOf(client.Receive());
  CHECK(client.Receive() == OkReply());
  CHECK(client.Receive() == OkReply());
  CHECK(Scan(&client, taken.id) == "a=1");
}

TEST_CASE("a snapshot that is not there is named, and the numbers of others are not touched") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  CHECK(Scan(&client, 77) == NoSnapshot(77));
  for (const auto action : {proto::SnapshotAction::kRenew, proto::SnapshotAction::kDrop}) {
    const std::optional<OwnedReply> reply = client.Ask(SnapshotFrame({.action = action, .id = 77}));
    REQUIRE(reply.has_value());
    CHECK(reply->code == proto::ToCode(absl::StatusCode::kFailedPrecondition));
  }
  const Taken taken = Take(&client, UINT32_MAX);
  CHECK(taken.lease_ms == 3'600'000);
  const Taken renewed =
      TakenOf(client.Ask(SnapshotFrame({.action = proto::SnapshotAction::kRenew, .lease_ms = 5000, .id = taken.id})));
  CHECK(renewed.id == taken.id);
  CHECK(renewed.lease_ms == 5000);
}

TEST_CASE("beyond the limit there is no snapshot, until one is dropped; and none while the store is not to be asked") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  fixture.store.SetAsksOthers(true);
  fixture.store.FailBarriersWith(absl::DeadlineExceededError("no leader is known"));
  std::string hello;
  proto::AppendHello(&hello, {});
  REQUIRE(client.Ask(hello)->ok);
  const std::optional<OwnedReply> nobody = client.Ask(SnapshotFrame({}));
  REQUIRE(nobody.has_value());
  CHECK(nobody->code == proto::ToCode(absl::StatusCode::kDeadlineExceeded));
  CHECK(fixture.store.snapshots() == 0);
  fixture.store.FailBarriersWith(absl::OkStatus());
  std::vector<Taken> all;
  constexpr size_t kShare = server::SnapshotLeases::kSnapshotsOfUserMax;
  for (size_t i = 0; i < kShare; i++) all.push_back(Take(&client));
  const std::optional<OwnedReply> used_up = client.Ask(SnapshotFrame({}));
  REQUIRE(used_up.has_value());
  CHECK(used_up->message == "this connection has 16 snapshots: drop one, or wait until its lease runs out");
  while (all.size() < server::SnapshotLeases::kSnapshotsMax) {
    WireClient another(fixture.address());
    for (size_t i = 0; i < kShare; i++) all.push_back(Take(&another));
  }
  WireClient last(fixture.address());
  const std::optional<OwnedReply> full = last.Ask(SnapshotFrame({}));
  REQUIRE(full.has_value());
  CHECK(full->code == proto::ToCode(absl::StatusCode::kResourceExhausted));
  CHECK(client.Ask(DropFrame(all[5].id)) == OkReply());
  Take(&client);
  // A scan of one asks nobody.
  fixture.store.FailBarriersWith(absl::DeadlineExceededError("no leader is known"));
  CHECK(Scan(&client, all[0].id).empty());
}

TEST_CASE("over a database, a snapshot and the changes from its token are everything, and nothing twice") {
  TempDir dir;
  Options storage;
  storage.changes_keep_bytes = 64 << 20;
  auto db = Db::Open(dir.File("db"), storage);
  REQUIRE_OK(db.status());
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  auto server = Server::Start(**db, options);
  REQUIRE_OK(server.status());
  WireClient client((*server)->Address());
  REQUIRE(client.Ask(PutFrame("a", "1")) == OkReply());
  REQUIRE(client.Ask(PutFrame("b", "1")) == OkReply());
  const Taken taken = Take(&client);
  REQUIRE(!taken.token.empty());
  REQUIRE(client.Ask(PutFrame("a", "2")) == OkReply());
  REQUIRE_OK((*db)->Flush());
  REQUIRE_OK((*db)->CompactRange("", ""));
  CHECK(Scan(&client, taken.id) == "a=1 b=1");
  std::string frame;
  proto::AppendChanges(&frame, {.from = {.from = proto::FeedFrom::kToken, .place = taken.token}});
  const std::optional<OwnedReply> changes = client.Ask(frame);
  REQUIRE(changes.has_value());
  proto::ChangesBodyReader body(changes->body);
  proto::CommitHead head;
  REQUIRE(body.NextCommit(&head));
  proto::BatchOperation change;
  REQUIRE(body.NextChange(&change));
  CHECK(change.key == "a");
  CHECK(change.value == "2");
  CHECK_FALSE(body.NextChange(&change));
  CHECK_FALSE(body.NextCommit(&head));
}

}  // namespace bandb::test
