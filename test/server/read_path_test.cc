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

}  // namespace bandb::test
