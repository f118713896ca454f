// What hostile or unlucky clients meet: stalls, deadlines, limits, bytes that are no gRPC.
#include <memory>
#include <string>
#include <vector>

#include "grpc/kv_client.h"
#include "grpc/raw_client.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("while the store is stalled puts wait, and are answered overloaded when they have waited long enough") {
  ServerOptions options;
  options.stall_timeout = absl::Milliseconds(50);
  GrpcFixture fixture(options);
  KvClient client(fixture.address());
  fixture.store.SetHolding(true);
  // Two groups are the store's; what comes after these waits, at most a megabyte within the groups.
  std::vector<std::unique_ptr<GrpcCall>> taken;
  for (int i = 0; i < 2; i++) {
    taken.push_back(client.StartPut("taken" + std::to_string(i), "v"));
    REQUIRE(
        GrpcFixture::Eventually([&] { return fixture.server->Stats().write_groups == static_cast<uint64_t>(i) + 1; }));
  }
  std::vector<std::unique_ptr<GrpcCall>> waiting;
  for (int i = 0; i < 20; i++) waiting.push_back(client.StartPut("waiting", std::string(200 << 10, 'v')));
  for (const auto& call : waiting) {
    const GrpcReply reply = call->Wait();
    CHECK(reply.status == ::grpc::StatusCode::OK);
    CHECK_FALSE(reply.success);
    CHECK(reply.code == "256");
  }
  CHECK(fixture.server->Stats().overloaded == 20);
  fixture.store.SetHolding(false);
  for (const auto& call : taken) CHECK(call->Wait().success);
  CHECK(fixture.store.size() == 2);
  CHECK(client.Put("waiting", "v").success);
  CHECK(GrpcFixture::Eventually([&] { return fixture.server->Stats().memory_bytes == 0; }));
}

TEST_CASE("a put whose deadline passes while it waits for the store is not done, one that the store has is") {
  ServerOptions options;
  options.stall_timeout = absl::InfiniteDuration();
  GrpcFixture fixture(options);
  KvClient client(fixture.address());
  fixture.store.SetHolding(true);
  const auto first = client.StartPut("first", "v", 500);
  REQUIRE(GrpcFixture::Eventually([&] { return fixture.server->Stats().write_groups == 1; }));
  const auto second = client.StartPut("second", "v");
  REQUIRE(GrpcFixture::Eventually([&] { return fixture.server->Stats().write_groups == 2; }));
  // It fills what may wait, so that the next one waits before the door.
  const auto third = client.StartPut("third", std::string(2 << 20, 'v'));
  REQUIRE(GrpcFixture::Eventually([&] { return fixture.server->Stats().in_flight == 3; }));
  const auto late = client.StartPut("late", "v", 500);
  CHECK(late->Wait().status == ::grpc::StatusCode::DEADLINE_EXCEEDED);
  CHECK(first->Wait().status == ::grpc::StatusCode::DEADLINE_EXCEEDED);
  CHECK(GrpcFixture::Eventually([&] { return fixture.server->Stats().error_replies == 1; }));
  fixture.store.SetHolding(false);
  CHECK(second->Wait().success);
  CHECK(third->Wait().success);
  CHECK(client.Get("first").success);
  CHECK_FALSE(client.Get("late").success);
}

TEST_CASE("a put whose client has gone is finished and counted") {
  GrpcFixture fixture;
  fixture.store.SetHolding(true);
  {
    KvClient client(fixture.address());
    const auto call = client.StartPut("k", "v");
    REQUIRE(GrpcFixture::Eventually([&] { return fixture.server->Stats().in_flight == 1; }));
    call->Cancel();
    CHECK(call->Wait().status == ::grpc::StatusCode::CANCELLED);
  }
  CHECK(fixture.server->Stats().in_flight == 1);
  CHECK(fixture.server->Stats().memory_bytes > 0);
  fixture.store.SetHolding(false);
  CHECK(GrpcFixture::Eventually([&] { return fixture.server->Stats().in_flight == 0; }));
  CHECK(GrpcFixture::Eventually([&] { return fixture.server->Stats().memory_bytes == 0; }));
  CHECK(fixture.server->Stats().write_operations == 1);
  CHECK(KvClient(fixture.address()).Get("k").value == "v");
}

TEST_CASE("when memory is short, puts are answered overloaded and come back") {
  ServerOptions options;
  options.frame_bytes_max = 1 << 20;
  options.memory_bytes_max = 16 << 20;
  GrpcFixture fixture(options);
  KvClient client(fixture.address());
  fixture.store.SetHolding(true);
  std::vector<std::unique_ptr<GrpcCall>> calls;
  for (int i = 0; i < 40; i++) calls.push_back(client.StartPut("k", std::string(1000 << 10, 'v')));
  REQUIRE(GrpcFixture::Eventually([&] { return fixture.server->Stats().overloaded >= 20; }));
  CHECK(GrpcFixture::Eventually([&] { return fixture.server->Stats().memory_bytes < (20u << 20); }));
  fixture.store.SetHolding(false);
  for (const auto& call : calls) {
    const GrpcReply reply = call->Wait();
    // Whichever was quicker: the server's account, or gRPC's own, which ends calls or connections.
    const bool ended_by_grpc =
        reply.status == ::grpc::StatusCode::RESOURCE_EXHAUSTED || reply.status == ::grpc::StatusCode::UNAVAILABLE;
    CHECK((ended_by_grpc || reply.status == ::grpc::StatusCode::OK));
    CHECK((ended_by_grpc || reply.success || reply.code == "256"));
  }
  CHECK(GrpcFixture::Eventually([&] { return fixture.server->Stats().memory_bytes == 0; }));
  CHECK(client.Put("k", "v").success);
}

TEST_CASE("bytes that are no gRPC end their connection and nobody else's") {
  ServerOptions options;
  options.frame_timeout = absl::Milliseconds(200);
  GrpcFixture fixture(options);
  KvClient client(fixture.address());
  CHECK(client.Put("k", "v").success);
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9);
  for (const std::string& bytes : {
           std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
           std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),
           std::string(100'000, '\xff'),
           preface + settings + std::string("\0\0\1\1\4\0\0\0\1\xff", 10),   // headers that do not decode
           preface + settings + std::string("\xff\xff\xff\0\0\0\0\0\1", 9),  // a frame of 16 MiB
           preface.substr(0, 10),                                            // and then nothing
           std::string(),
       }) {
    RawClient raw(fixture.address());
    raw.Send(bytes);
    CHECK(raw.SeesEnd());
  }
  CHECK(client.Get("k").value == "v");
  CHECK(GrpcFixture::Eventually([&] { return fixture.server->Stats().connections_open == 1; }));
}

TEST_CASE("a connection that does nothing but begin calls and cancel them is closed") {
  GrpcFixture fixture;
  KvClient client(fixture.address());
  CHECK(client.Put("k", "v").success);
  RawClient raw(fixture.address());
  const auto literal = [](std::string_view name, std::string_view value) {
    return '\0' + (static_cast<char>(name.size()) + std::string(name)) +
           (static_cast<char>(value.size()) + std::string(value));
  };
  const std::string headers = literal(":method", "POST") + literal(":scheme", "http") +
                              literal(":path", "/test_grpc.KVService/Get") + literal(":authority", "x") +
                              literal("te", "trailers") + literal("content-type", "application/grpc");
  std::string bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\0\0\0\4\0\0\0\0\0", 9);
  for (uint32_t stream = 1; stream < 6000; stream += 2) {
    const std::string id = {'\0', '\0', static_cast<char>(stream >> 8), static_cast<char>(stream)};
    bytes += std::string("\0\0", 2) + static_cast<char>(headers.size()) + std::string("\1\4", 2) + id + headers;
    bytes += std::string("\0\0\4\3\0", 5) + id + std::string("\0\0\0\10", 4);
  }
  raw.Send(bytes);
  CHECK(raw.SeesEnd());
  CHECK(client.Get("k").value == "v");
}

TEST_CASE("no more connections are taken than there are places, and a place comes back") {
  ServerOptions options;
  options.connections_max = 8;
  GrpcFixture fixture(options);
  auto held = std::make_unique<std::vector<std::unique_ptr<RawClient>>>();
  for (int i = 0; i < 4; i++) held->push_back(std::make_unique<RawClient>(fixture.address()));
  REQUIRE(GrpcFixture::Eventually([&] { return fixture.server->Stats().connections_open == 4; }));
  for (int i = 0; i < 20; i++) CHECK(RawClient(fixture.address()).SeesEnd());
  held.reset();
  REQUIRE(GrpcFixture::Eventually([&] { return fixture.server->Stats().connections_open == 0; }));
  KvClient client(fixture.address());
  CHECK(client.Put("k", "v").success);
}

}  // namespace bandb::test
