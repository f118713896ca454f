// WriteEndpoint: what a turn's writes become, and what becomes of them where the store is slow.
#include <memory>
#include <string>
#include <vector>

#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("the writes of many connections become few groups, synced as the durability says") {
  const bool sync = GENERATE(true, false);
  ServerOptions options;
  options.durability = sync ? Durability::kSync : Durability::kOs;
  ServerFixture fixture(options);
  fixture.store.SetHolding(true);
  std::vector<std::unique_ptr<WireClient>> clients;
  for (int i = 0; i < 20; i++) {
    clients.push_back(std::make_unique<WireClient>(fixture.address()));
    std::string frames;
    for (int j = 0; j < 50; j++) frames += PutFrame(std::to_string(i) + "/" + std::to_string(j), "v");
    REQUIRE(clients.back()->Send(frames));
  }
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 1000; }));
  fixture.store.SetHolding(false);
  for (const auto& client : clients) REQUIRE(client->ReceiveMany(50).size() == 50);
  CHECK(fixture.store.size() == 1000);
  CHECK(fixture.store.batches() <= 4);
  CHECK(fixture.store.synced_batches() == (sync ? fixture.store.batches() : 0));
  CHECK(fixture.server->Stats().write_operations == 1000);
  CHECK(fixture.server->Stats().write_groups == fixture.store.batches());
}

TEST_CASE("no write is acknowledged before the store has it") {
  ServerFixture fixture;
  fixture.store.SetHolding(true);
  WireClient client(fixture.address());
  REQUIRE(client.Send(PutFrame("a", "1")));
  CHECK(client.StaysSilent(50));
  fixture.store.SetHolding(false);
  CHECK(client.Receive() == OkReply());
}

TEST_CASE("a batch of more operations than a store takes is refused alone, and its neighbours are not") {
  ServerOptions options;
  options.batch_operations_max = 100'000;
  ServerFixture fixture(options);
  WireClient client(fixture.address());
  proto::BatchBuilder batch;
  for (int i = 0; i < 20'000; ++i) batch.Add({proto::BatchKind::kRangeDelete, "x", "y"});
  REQUIRE(client.Send(PutFrame("a", "1") + BatchFrame(batch) + PutFrame("b", "2")));
  const std::vector<OwnedReply> replies = client.ReceiveMany(3);
  REQUIRE(replies.size() == 3);
  CHECK(replies[0] == OkReply());
  CHECK_FALSE(replies[1].ok);
  CHECK(replies[1].code == static_cast<uint16_t>(absl::StatusCode::kInvalidArgument));
  CHECK(replies[2] == OkReply());
}

TEST_CASE("a condition that does not hold fails nobody else's write of the same turn") {
  ServerFixture fixture;
  fixture.store.SetHolding(true);
  WireClient one(fixture.address()), two(fixture.address()), three(fixture.address());
  proto::BatchBuilder fails;
  fails.Require({proto::BatchCheck::kPresent, "nothing", ""});
  fails.Add({proto::BatchKind::kPut, "x", "1"});
  REQUIRE(one.Send(PutFrame("a", "1")));
  REQUIRE(two.Send(BatchFrame(fails)));
  REQUIRE(three.Send(PutFrame("b", "2")));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 3; }));
  fixture.store.SetHolding(false);
  CHECK(one.Receive() == OkReply());
  const auto failed = two.Receive();
  REQUIRE(failed.has_value());
  CHECK(failed->code == proto::ToCode(absl::StatusCode::kAborted));
  CHECK(three.Receive() == OkReply());
}

TEST_CASE("while the store stalls writes wait in their order, and nobody is refused before the stall timeout") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  ServerFixture fixture(options);
  fixture.store.SetHolding(true);
  std::vector<std::unique_ptr<WireClient>> clients;
  constexpr int kClients = 12;
  constexpr int kWrites = 8;
  for (int i = 0; i < kClients; i++) {
    clients.push_back(std::make_unique<WireClient>(fixture.address()));
    std::string frames;
    for (int j = 0; j < kWrites; j++) frames += PutFrame("k" + std::to_string(i), std::string(100000, 'a' + j));
    REQUIRE(clients.back()->Send(frames + GetFrame("k" + std::to_string(i))));
  }
  // Two groups on the way and a little more in each loop: the rest is held back.
  const auto loops = static_cast<uint64_t>(options.loops);
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().pauses >= kClients - 3 * loops; }));
  CHECK(fixture.server->Stats().in_flight <= 45 * loops);
  fixture.store.SetHolding(false);
  for (const auto& client : clients) {
    for (int j = 0; j < kWrites; j++) REQUIRE(client->Receive() == OkReply());
    CHECK(client->Receive() == ValueReply(std::string(100000, 'a' + kWrites - 1)));
  }
  CHECK(fixture.server->Stats().overloaded == 0);
}

TEST_CASE("a write that waited too long for a stalled store is answered overloaded, and was not done") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  options.stall_timeout = absl::Milliseconds(50);
  ServerFixture fixture(options);
  REQUIRE_OK(fixture.store.Put("k", "before"));
  fixture.store.SetHolding(true);
  const auto loops = static_cast<size_t>(options.loops);
  std::vector<std::unique_ptr<WireClient>> first, later;
  // In each loop: two that the store has, one that waits for it, and then so much that the rest
  // waits at the gate.
  for (size_t i = 0; i < 2 * loops; i++) {
    first.push_back(std::make_unique<WireClient>(fixture.address()));
    REQUIRE(first.back()->Send(PutFrame("first", "v")));
    REQUIRE(fixture.Eventually([&] { return fixture.store.held() == i + 1; }));
  }
  for (size_t i = 0; i < 3 * loops; i++) {
    later.push_back(std::make_unique<WireClient>(fixture.address()));
    REQUIRE(later.back()->Send(PutFrame("k", std::string(2 << 20, 'v')) + GetFrame("first")));
  }
  for (const auto& client : later) {
    const auto reply = client->Receive();
    REQUIRE(reply.has_value());
    CHECK(reply->code == ToCode(proto::ErrorCode::kOverloaded));
    CHECK(client->Receive().has_value());
  }
  fixture.store.SetHolding(false);
  for (const auto& client : first) CHECK(client->Receive() == OkReply());
  CHECK(fixture.store.Get("k").value() == "before");
  CHECK(fixture.server->Stats().overloaded == 3 * loops);
}

TEST_CASE("a stalled store is answered overloaded, and the client may try again") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  fixture.store.SetStalled(true);
  const auto reply = client.Ask(PutFrame("a", "1"));
  REQUIRE(reply.has_value());
  CHECK(reply->code == ToCode(proto::ErrorCode::kOverloaded));
  CHECK(fixture.server->Stats().overloaded == 1);
  fixture.store.SetStalled(false);
  CHECK(client.Ask(PutFrame("a", "1")) == OkReply());
}

TEST_CASE("two groups are on their way, and what comes meanwhile grows into one") {
  ServerFixture fixture;
  fixture.store.SetHolding(true);
  WireClient client(fixture.address());
  uint64_t asked = 0;
  const auto put = [&](size_t value_bytes) {
    REQUIRE(client.Send(PutFrame("k" + std::to_string(asked), std::string(value_bytes, 'v'))));
    ++asked;
    REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == asked; }));
  };
  put(1);
  CHECK(fixture.store.held() == 1);
  put(1);
  CHECK(fixture.store.held() == 2);
  for (int i = 0; i < 10; ++i) put(1);
  CHECK(fixture.store.held() == 2);
  fixture.store.SetHolding(false);
  REQUIRE(client.ReceiveMany(asked).size() == asked);
  CHECK(fixture.store.batches() == 3);
  CHECK(fixture.server->Stats().write_groups == 3);
}

TEST_CASE("a group ends where it would be too large, and what is large or has conditions is a group of its own") {
  ServerFixture fixture;
  proto::BatchBuilder conditional;
  conditional.Require({proto::BatchCheck::kAbsent, "c"});
  conditional.Add({proto::BatchKind::kPut, "c", "1"});
  proto::BatchBuilder plain;
  plain.Add({proto::BatchKind::kPut, "d", "1"});
  struct Turn {
    std::string frames;
    uint64_t requests, groups;
  };
  const std::string half(600 << 10, 'v'), large(1 << 20, 'v');
  const Turn turns[] = {
      {PutFrame("a", "1") + DeleteFrame("b") + BatchFrame(plain), 3, 1},
      {PutFrame("a", half) + PutFrame("b", half), 2, 2},
      {PutFrame("a", "1") + PutFrame("b", large) + PutFrame("e", "1"), 3, 3},
      {PutFrame("a", "1") + BatchFrame(conditional) + PutFrame("e", "1"), 3, 3},
  };
  uint64_t groups = 0;
  for (const Turn& turn : turns) {
    // What takes both ways to the store first, so that what follows is collected until all of it
    // has come.
    fixture.store.SetHolding(true);
    WireClient first(fixture.address()), client(fixture.address());
    for (size_t i = 1; i <= 2; ++i) {
      REQUIRE(first.Send(PutFrame("first", "v")));
      REQUIRE(fixture.Eventually([&] { return fixture.store.held() == i; }));
    }
    REQUIRE(client.Send(turn.frames));
    REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 2 + turn.requests; }));
    fixture.store.SetHolding(false);
    REQUIRE(first.ReceiveMany(2).size() == 2);
    for (const OwnedReply& reply : client.ReceiveMany(turn.requests)) CHECK(reply == OkReply());
    groups += 2 + turn.groups;
    INFO(turn.requests << " requests, " << turn.groups << " groups");
    CHECK(fixture.server->Stats().write_groups == groups);
    CHECK(fixture.store.batches() == groups);
  }
}

TEST_CASE("a group that the store refuses fails all of it, and nothing of the next") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  fixture.store.SetHolding(true);
  for (size_t i = 1; i <= 2; ++i) {
    REQUIRE(client.Send(PutFrame("first", "v")));
    REQUIRE(fixture.Eventually([&] { return fixture.store.held() == i; }));
  }
  REQUIRE(client.Send(PutFrame("a", "1") + PutFrame("b", "1")));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 4; }));
  fixture.store.FailWritesWith(absl::ResourceExhaustedError("no room"));
  fixture.store.SetHolding(false);
  for (const OwnedReply& reply : client.ReceiveMany(4)) {
    CHECK(reply.code == proto::ToCode(absl::StatusCode::kResourceExhausted));
  }
  fixture.store.FailWritesWith(absl::OkStatus());
  CHECK(client.Ask(PutFrame("a", "2")) == OkReply());
  CHECK(fixture.store.size() == 1);
}

}  // namespace bandb::test
