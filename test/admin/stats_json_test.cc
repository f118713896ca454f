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
  CHECK(object["audit"].is_null());
  report.audit = {.lines_lost = 4};
  CHECK(nlohmann::json::parse(ToJson(report))["audit"]["lines_lost"] == 4);
}

TEST_CASE("of a cluster it has members, ids as text, and what is wrong") {
  Report report{.version = "1.2", .start_seconds = 5, .server = {}, .store = {}};
  CHECK(nlohmann::json::parse(ToJson(report))["cluster"].is_null());
  ClusterStatus status{.cluster_id = UINT64_MAX, .node_id = 7, .role = NodeRole::kLeader, .term = 3, .leader = 7};
  status.durable_index = 50;
  status.members = {{.id = 7, .name = "a\"", .voter = true, .leader = true, .self = true},
                    {.id = 8, .name = "\xff", .trouble = "slow", .connected = true, .matched_index = 40}};
  status.health = absl::UnavailableError("no room");
  report.cluster = status;
  const nlohmann::json object = nlohmann::json::parse(ToJson(report))["cluster"];
  CHECK(object == nlohmann::json::parse(ToJson(status)));
  CHECK(ToJson(status).find('\n') == std::string::npos);
  CHECK(object["cluster_id"] == "18446744073709551615");
  CHECK(object["role"] == "leader");
  CHECK(object["leader_name"] == "a\"");
  CHECK(object["health"] == "no room");
  CHECK(object["members"] == nlohmann::json::parse(MembersToJson(status)));
  CHECK(object["members"][0]["trouble"] == "no room");
  CHECK(object["members"][0]["matched_index"] == 50);
  CHECK(object["members"][1]["kind"] == "learner");
  CHECK(object["members"][1]["name"] == "\xef\xbf\xbd");
  CHECK(object["members"][1]["trouble"] == "slow");
}

TEST_CASE("latencies have counts and quantiles, in microseconds") {
  Report report{.version = "1.2", .start_seconds = 5, .server = {}, .store = {}};
  LatencyHistogram histogram;
  histogram.Add(64'000, 99);
  histogram.Add(2'000'000);
  report.latencies.operations = {{"redis", "put", histogram}};
  report.latencies.hooks = {{"after put 1", histogram}};
  const nlohmann::json object = nlohmann::json::parse(ToJson(report));
  REQUIRE(object["requests"].size() == 1);
  const nlohmann::json& one = object["requests"][0];
  CHECK(one["protocol"] == "redis");
  CHECK(one["operation"] == "put");
  CHECK(one["count"] == 100);
  CHECK(one["sum_micros"] == 8336);
  CHECK(one["p50_micros"] >= 64);
  CHECK(one["p50_micros"] <= 68);
  CHECK(one["p99_micros"] <= 68);
  CHECK(one["p999_micros"] == 2000);
  CHECK(one["max_micros"] == 2000);
  CHECK(object["hooks"][0]["hook"] == "after put 1");
}

TEST_CASE("a store that cannot tell is null, and odd bytes do no harm") {
  const nlohmann::json object =
      nlohmann::json::parse(ToJson({.version = "\xff", .start_seconds = 0, .server = {}, .store = {}}));
  CHECK(object["store"].is_null());
  CHECK(object["version"] == "\xef\xbf\xbd");
}

}  // namespace bandb::admin
