// The calls of the key-value service: what the original server answers, to the field.
#include <string>

#include "grpc/kv_client.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("what is put is got until it is deleted, whatever bytes it has, on one loop and on four") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  GrpcFixture fixture(options);
  KvClient client(fixture.address());
  const std::string key("\0\xff\n key", 7);
  for (const std::string& value : {std::string("value"), std::string(), std::string("\0\x80\xff", 3)}) {
    const GrpcReply put = client.Put(key, value);
    CHECK(put.status == ::grpc::StatusCode::OK);
    CHECK(put.success);
    CHECK(put.code.empty());
    const GrpcReply got = client.Get(key);
    CHECK(got.status == ::grpc::StatusCode::OK);
    CHECK(got.success);
    CHECK(got.value == value);
  }
  CHECK(client.Delete(key).success);
  CHECK_FALSE(client.Get(key).success);
  // As the original: nothing to delete is no failure.
  CHECK(client.Delete(key).success);
}

TEST_CASE("every failure has the status OK and no success, and says in trailing metadata what it was") {
  GrpcFixture fixture;
  KvClient client(fixture.address());
  const GrpcReply missing = client.Get("nowhere");
  CHECK(missing.status == ::grpc::StatusCode::OK);
  CHECK_FALSE(missing.success);
  CHECK(missing.value.empty());
  CHECK(missing.code == "5");
  CHECK_FALSE(missing.message.empty());
  const std::string long_key(100'000, 'k');
  for (const GrpcReply& reply : {client.Put(long_key, "v"), client.Delete(long_key)}) {
    CHECK(reply.status == ::grpc::StatusCode::OK);
    CHECK_FALSE(reply.success);
    CHECK(reply.code == "3");
  }
  fixture.store.FailWritesWith(absl::DataLossError("broken"));
  const GrpcReply failed = client.Put("k", "v");
  CHECK(failed.status == ::grpc::StatusCode::OK);
  CHECK_FALSE(failed.success);
  CHECK(failed.code == "15");
  CHECK(failed.message == "broken");
  fixture.store.FailReadsWith(absl::InternalError("caf\xc3\xa9 100%\n"));
  CHECK(client.Get("k").message == "caf%C3%A9 100%25%0A");
}

TEST_CASE("a key and value beyond the frame limit is a failure, and a message beyond that is refused by gRPC") {
  ServerOptions options;
  options.frame_bytes_max = 64 << 10;
  GrpcFixture fixture(options);
  KvClient client(fixture.address());
  CHECK(client.Put("k", std::string((64 << 10) - 1, 'v')).success);
  CHECK(client.Get("k").value.size() == (64 << 10) - 1);
  const GrpcReply larger = client.Put("k", std::string(64 << 10, 'v'));
  CHECK(larger.status == ::grpc::StatusCode::OK);
  CHECK_FALSE(larger.success);
  CHECK(larger.message == "the frame exceeds the limit");
  CHECK(client.Put("k", std::string(1 << 20, 'v')).status == ::grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(client.Get("k").value.size() == (64 << 10) - 1);
}

TEST_CASE("a thousand calls at once are all answered, and their writes share few groups") {
  GrpcFixture fixture;
  KvClient client(fixture.address());
  fixture.store.SetHolding(true);
  std::vector<std::unique_ptr<GrpcCall>> calls;
  for (int i = 0; i < 1000; i++) calls.push_back(client.StartPut("k" + std::to_string(i), "v"));
  CHECK(GrpcFixture::Eventually([&] { return fixture.server->Stats().in_flight == 1000; }));
  fixture.store.SetHolding(false);
  for (const auto& call : calls) CHECK(call->Wait().success);
  CHECK(fixture.store.size() == 1000);
  const ServerStats stats = fixture.server->Stats();
  CHECK(stats.write_operations == 1000);
  CHECK(stats.write_groups < 100);
  CHECK(stats.replies == 1000);
  CHECK(stats.in_flight == 0);
  CHECK(fixture.store.synced_batches() == fixture.store.batches());
}

TEST_CASE("a reply that saw what is not durable waits until it is") {
  GrpcFixture fixture;
  KvClient client(fixture.address());
  CHECK(client.Put("k", "v").success);
  const uint64_t synced = fixture.store.synced_batches();
  fixture.store.SetUndurable("k");
  CHECK(client.Get("k").value == "v");
  CHECK(fixture.store.synced_batches() == synced + 1);
}

TEST_CASE("a read that must wait for a disk holds nobody up") {
  GrpcFixture fixture;
  KvClient client(fixture.address());
  CHECK(client.Put("cold", "v").success);
  base::Event read;
  fixture.store.SetCold("cold");
  fixture.store.HoldReadsUntil(&read);
  const auto cold = client.StartGet("cold");
  CHECK(client.Put("k", "v").success);
  CHECK(client.Get("k").success);
  read.Set();
  CHECK(cold->Wait().value == "v");
  fixture.store.HoldReadsUntil(nullptr);
}

}  // namespace bandb::test
