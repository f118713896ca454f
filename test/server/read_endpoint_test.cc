// GETs that the store cannot answer from memory.
#include <string>

#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("a read that is not in memory holds up neither the loop nor other connections") {
  ServerFixture fixture;
  REQUIRE_OK(fixture.store.Put("cold", "from disk"));
  REQUIRE_OK(fixture.store.Put("hot", "from memory"));
  fixture.store.SetCold("cold");
  fixture.store.SetHolding(true);
  WireClient waits(fixture.address()), other(fixture.address());
  REQUIRE(waits.Send(GetFrame("cold")));
  REQUIRE(fixture.Eventually([&] { return fixture.store.held() == 1; }));
  CHECK(other.Ask(GetFrame("hot")) == ValueReply("from memory"));
  CHECK(waits.StaysSilent(20));
  fixture.store.SetHolding(false);
  CHECK(waits.Receive() == ValueReply("from disk"));
}

TEST_CASE("reads and scans that wait for a disk hold up no acknowledgement and no other connection") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  options.worker_threads = 2;
  ServerFixture fixture(options);
  REQUIRE_OK(fixture.store.Put("cold", "from disk"));
  fixture.store.SetCold("cold");
  base::Event disk;
  fixture.store.HoldReadsUntil(&disk);
  std::string scan;
  proto::AppendScan(&scan, {});
  WireClient reads(fixture.address()), scans(fixture.address()), writes(fixture.address());
  const bool scanning = GENERATE(false, true);
  REQUIRE((scanning ? scans.Send(scan) : reads.Send(GetFrame("cold"))));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 1; }));
  CHECK(writes.Ask(PutFrame("a", "1")) == OkReply());
  CHECK(writes.Ask(GetFrame("a")) == ValueReply("1"));
  CHECK((scanning ? scans : reads).StaysSilent(20));
  fixture.store.HoldReadsUntil(nullptr);
  disk.Set();
  if (scanning) {
    CHECK(scans.Receive()->ok);
  } else {
    CHECK(reads.Receive() == ValueReply("from disk"));
  }
}

TEST_CASE("a read behind one that waits takes effect behind it") {
  ServerFixture fixture;
  REQUIRE_OK(fixture.store.Put("cold", "1"));
  REQUIRE_OK(fixture.store.Put("hot", "1"));
  fixture.store.SetCold("cold");
  fixture.store.SetHolding(true);
  WireClient client(fixture.address());
  REQUIRE(client.Send(GetFrame("cold") + GetFrame("hot")));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 2; }));
  REQUIRE_OK(fixture.store.Put("hot", "2"));
  REQUIRE_OK(fixture.store.Put("cold", "2"));
  fixture.store.SetHolding(false);
  CHECK(client.Receive() == ValueReply("2"));
  CHECK(client.Receive() == ValueReply("2"));
  // And once nothing waits, on the loop again.
  CHECK(client.Ask(GetFrame("hot")) == ValueReply("2"));
}

TEST_CASE("a cold read that fails, finds nothing or exceeds the frame limit is answered so") {
  ServerOptions options;
  options.frame_bytes_max = 1024;
  ServerFixture fixture(options);
  for (const char* key : {"absent", "large", "damaged"}) fixture.store.SetCold(key);
  REQUIRE_OK(fixture.store.Put("large", std::string(1024, 'x')));
  WireClient client(fixture.address());
  CHECK(client.Ask(GetFrame("absent"))->code == proto::ToCode(absl::StatusCode::kNotFound));
  CHECK(client.Ask(GetFrame("large"))->code == ToCode(proto::ErrorCode::kTooLarge));
  fixture.store.FailReadsWith(absl::DataLossError("000007.table at 4096"));
  CHECK(client.Ask(GetFrame("damaged"))->code == proto::ToCode(absl::StatusCode::kDataLoss));
}

TEST_CASE("a value that may still be lost is not shown before it is durable, on the loop, from disk and by a scan") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  const bool sync = GENERATE(true, false);
  options.durability = sync ? Durability::kSync : Durability::kOs;
  const int how = GENERATE(0, 1, 2);
  options.reads_inline = how != 1;
  ServerFixture fixture(options);
  REQUIRE_OK(fixture.store.Put("k", "new"));
  REQUIRE_OK(fixture.store.Put("other", "old"));
  fixture.store.SetUndurable("k");
  WireClient client(fixture.address());
  std::string scan;
  proto::AppendScan(&scan, {});
  if (how == 0) fixture.store.SetHolding(true);
  if (how == 1) REQUIRE(client.Ask(GetFrame("other")) == ValueReply("old"));
  // Of the two ways that wait for a barrier the sync is not held back, and must have come.
  REQUIRE(client.Send(how == 2 ? scan : GetFrame("k")));
  if (how == 0 && sync) {
    CHECK(client.StaysSilent(30));
    CHECK(fixture.store.held() == 1);
    WireClient witness(fixture.address());
    CHECK(witness.Ask(GetFrame("other")) == ValueReply("old"));
  }
  if (how == 0 && !sync) CHECK(client.Receive() == ValueReply("new"));
  fixture.store.SetHolding(false);
  if (how != 0 || sync) CHECK(client.Receive()->ok);
  CHECK(fixture.store.synced_batches() == (sync ? 1 : 0));
  // Once it is durable nothing is held.
  if (sync) CHECK(client.Ask(GetFrame("k")) == ValueReply("new"));
  CHECK(fixture.store.synced_batches() == (sync ? 1 : 0));
}

TEST_CASE("a condition that fails by a value that may still be lost is told once that is durable") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  const bool undurable = GENERATE(true, false);
  ServerFixture fixture(options);
  REQUIRE_OK(fixture.store.Put("k", "new"));
  if (undurable) fixture.store.SetUndurable("k");
  proto::BatchBuilder builder;
  builder.Require({.check = proto::BatchCheck::kAbsent, .key = "k"});
  builder.Add({.kind = proto::BatchKind::kPut, .key = "k", .value = "mine"});
  std::string frame;
  builder.AppendTo(&frame);
  WireClient client(fixture.address());
  CHECK(client.Ask(frame)->code == proto::ToCode(absl::StatusCode::kAborted));
  CHECK(fixture.store.synced_batches() == (undurable ? 1 : 0));
}

}  // namespace bandb::test
