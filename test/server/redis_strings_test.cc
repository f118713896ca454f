// Commands of Redis on strings as wholes.
#include <string>

#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("INCRBYFLOAT writes numbers of any size as digits alone, with none too many") {
  ServerOptions options;
  options.redis_listen = "127.0.0.1:0";
  ServerFixture fixture(options);
  WireClient client(fixture.server->RedisAddress());
  const auto check = [&client](const std::string& request, const std::string& reply) {
    INFO(request);
    REQUIRE(client.Send(request + "\r\n"));
    CHECK(client.ReceiveText(reply.size()) == reply);
  };
  const struct {
    const char* first;
    const char* second;
    const char* begin;
    int digits;
  } rows[] = {
      {"5.0e300", "5.0e300", "99999999999999999999447567458270584364788661518", 301},
      {"4e4000", "6e4000", "1000000000000000000036", 4002},
      {"1e4000", "0", "9999999999999999999", 4000},
      {"9e18", "1e18", "10000000000000000000", 20},
      {"0.00000000000000001", "0", "0.00000000000000001", 19},
      {"0.000000000000000004", "0", "0", 1},
      {"1106e-38", "1905256986830e-40", "0", 1},
      {"-0.5", "0.25", "-0.25", 5},
  };
  for (const auto& row : rows) {
    check(std::string("SET a ") + row.first, "+OK\r\n");
    check(std::string("INCRBYFLOAT a ") + row.second, "$" + std::to_string(row.digits) + "\r\n" + row.begin);
    client.ReceiveText(static_cast<size_t>(row.digits) - std::string(row.begin).size() + 2);
    check("STRLEN a", ":" + std::to_string(row.digits) + "\r\n");
  }
}

}  // namespace bandb::test
