// However much hooks make of what clients send, the server holds no more of it than it may.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

constexpr uint64_t kMemoryBytes = 8 << 20;
constexpr size_t kEmittedBytes = 512 << 10;

ServerHooks EmitMuch() {
  ServerHooks hooks;
  hooks.before_operations.emplace_back([](const ServerOperation& operation) {
    if (operation.kind != OperationKind::kPut) return HookResult::Pass();
    return HookResult::Emit({{.key = "e", .value = std::string(kEmittedBytes, 'v')}});
  });
  return hooks;
}

ServerOptions SmallServer() {
  ServerOptions options;
  options.redis_listen = "127.0.0.1:0";
  options.frame_bytes_max = 2 << 20;
  options.memory_bytes_max = kMemoryBytes;
  return options;
}

}  // namespace

TEST_CASE("many small puts of which hooks make large ones are let in as far as there is memory") {
  constexpr size_t kPuts = 500;
  ServerFixture fixture(SmallServer(), EmitMuch());
  fixture.store.SetHolding(true);
  WireClient client(fixture.address());
  std::string frames;
  for (size_t i = 0; i < kPuts; i++) frames += PutFrame("k", "v");
  REQUIRE(client.Send(frames));
  // The connection is not read until some of it is done.
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().pauses > 0; }));
  CHECK(fixture.server->Stats().memory_bytes < kMemoryBytes);
  CHECK(fixture.server->Stats().hook_emissions < 2 * kMemoryBytes / kEmittedBytes);
  fixture.store.SetHolding(false);
  const std::vector<OwnedReply> replies = client.ReceiveMany(kPuts);
  REQUIRE(replies.size() == kPuts);
  for (const OwnedReply& reply : replies) REQUIRE((reply.ok || reply.code == ToCode(proto::ErrorCode::kOverloaded)));
  CHECK(replies[0].ok);
  client.Close();
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes == 0; }));
}

TEST_CASE("likewise commands of Redis that write several keys, each of which waits on a connection of its own") {
  constexpr size_t kClients = 40;
  ServerFixture fixture(SmallServer(), EmitMuch());
  fixture.store.SetHolding(true);
  std::vector<std::unique_ptr<WireClient>> clients;
  for (size_t i = 0; i < kClients; i++) {
    clients.push_back(std::make_unique<WireClient>(fixture.server->RedisAddress()));
    REQUIRE(clients.back()->Send(fmt::format("MSET a{} 1 b{} 2\r\n", i, i)));
  }
  // Each comes to a mebibyte, and counts from when hooks have made it.
  REQUIRE(fixture.Eventually([&] { return fixture.store.held() + fixture.server->Stats().overloaded == kClients; }));
  CHECK(fixture.server->Stats().memory_bytes < kMemoryBytes + 3 * kEmittedBytes);
  CHECK(fixture.server->Stats().hook_emissions <= 2 * kMemoryBytes / kEmittedBytes);
  fixture.store.SetHolding(false);
  size_t done = 0;
  for (const auto& client : clients) {
    const std::string begin = client->ReceiveText(5);
    CHECK((begin == "+OK\r\n" || begin == "-ERR "));
    if (begin == "+OK\r\n") done++;
  }
  CHECK(done > 0);
  CHECK(done < kClients);
  clients.clear();
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes == 0; }));
}

}  // namespace bandb::test
