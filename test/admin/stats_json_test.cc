#include "admin/stats_json.h"

#include <nlohmann/json.hpp>

#include "support/catch.h"

namespace bandb::admin {

TEST_CASE("the object has every figure under its name, exactly") {
  Report report{.version = "1.2", .start_seconds = 5, .server = {}, .store = Stats{}};
  report.server.in_flight = 9;
  report.store->last_sequence = UINT64_MAX;
  report.store->levels = {{.tables = 4}, {.tables = 1, .bytes_moved = 6}};
  const nlohmann::json object = nlohmann::json::parse(ToJson(report));
  CHECK(object["version"] == "1.2");
  CHECK(object["start_seconds"] == 5);
  CHECK(object["server"]["in_flight_requests"] == 9);
  CHECK(object["server"].size() == FiguresOf(report.server).size());
  CHECK(object["store"]["last_sequence"] == UINT64_MAX);
  CHECK(object["store"].size() == FiguresOf(*report.store).size() + 1);
  REQUIRE(object["store"]["levels"].size() == 2);
  CHECK(object["store"]["levels"][1]["moved_bytes"] == 6);
}

TEST_CASE("a store that cannot tell is null, and odd bytes do no harm") {
  const nlohmann::json object =
      nlohmann::json::parse(ToJson({.version = "\xff", .start_seconds = 0, .server = {}, .store = {}}));
  CHECK(object["store"].is_null());
  CHECK(object["version"] == "\xef\xbf\xbd");
}

}  // namespace bandb::admin
