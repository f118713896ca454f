#include "admin/prometheus.h"

#include <fmt/format.h>

#include <regex>
#include <set>
#include <sstream>

#include "support/catch.h"

namespace bandb::admin {

namespace {

Report SomeReport() {
  Report report{.version = "1.2 \"odd\"\\\n", .start_seconds = 1'700'000'000, .server = {}, .store = Stats{}};
  report.server.connections_open = 3;
  report.server.replies = 17;
  report.store->stall_micros = 2'000'015;
  report.store->expiry_ahead_ms = 3007;
  report.store->last_sequence = UINT64_MAX;
  report.store->levels = {{.tables = 4, .bytes = 100}, {.tables = 1, .bytes = 2000, .bytes_written = 7}};
  return report;
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool Has(const std::string& text, std::string_view line) {
  return text.find(fmt::format("{}\n", line)) != std::string::npos;
}

}  // namespace

TEST_CASE("figures have base units, and counters end in _total") {
  const std::string text = ToPrometheus(SomeReport());
  CHECK(Has(text, "# TYPE bandb_server_connections_open gauge\nbandb_server_connections_open 3"));
  CHECK(Has(text, "# TYPE bandb_server_replies_total counter\nbandb_server_replies_total 17"));
  CHECK(Has(text, "bandb_store_stall_seconds_total 2.000015"));
  CHECK(Has(text, "bandb_store_expiry_ahead_seconds 3.007"));
  CHECK(Has(text, "bandb_store_last_sequence 18446744073709551615"));
  CHECK(Has(text, "bandb_start_time_seconds 1700000000"));
  CHECK(text.find("micros") == std::string::npos);
  CHECK(text.find("audit") == std::string::npos);
  Report report = SomeReport();
  report.audit = {.lines_lost = 4};
  CHECK(Has(ToPrometheus(report), "# TYPE bandb_audit_lines_lost_total counter\nbandb_audit_lines_lost_total 4"));
}

TEST_CASE("labels are escaped, and the lines of one name stand together") {
  const std::string text = ToPrometheus(SomeReport());
  CHECK(Has(text, "bandb_build_info{version=\"1.2 \\\"odd\\\"\\\\\\n\"} 1"));
  CHECK(Has(text, "bandb_store_level_bytes{level=\"0\"} 100\nbandb_store_level_bytes{level=\"1\"} 2000"));
  CHECK(Has(text, "bandb_store_level_written_bytes_total{level=\"1\"} 7"));
}

TEST_CASE("a node tells its place, and of each member how far it is") {
  Report report{.version = "1", .start_seconds = 0, .server = {}, .store = {}};
  CHECK_FALSE(Has(ToPrometheus(report), "bandb_cluster"));
  report.cluster = ClusterStatus{.role = NodeRole::kLeader, .term = 4, .leader = 1, .durable_index = 11};
  report.cluster->members = {{.id = 1, .name = "a", .voter = true, .leader = true, .self = true},
                             {.id = 2, .name = "b\"", .voter = true, .trouble = "slow", .matched_index = 9}};
  const std::string text = ToPrometheus(report);
  CHECK(Has(text, "bandb_cluster_is_leader 1"));
  CHECK(Has(text, "bandb_cluster_has_leader 1"));
  CHECK(Has(text, "bandb_cluster_term 4"));
  CHECK(Has(text, "bandb_cluster_voters 2"));
  CHECK(Has(text,
            "bandb_cluster_member_matched_index{member=\"1\",name=\"a\"} 11\n"
            "bandb_cluster_member_matched_index{member=\"2\",name=\"b\\\"\"} 9"));
  CHECK(Has(text, "bandb_cluster_member_is_connected{member=\"1\",name=\"a\"} 1"));
  CHECK(Has(text,
            "bandb_cluster_member_is_well{member=\"1\",name=\"a\"} 1\n"
            "bandb_cluster_member_is_well{member=\"2\",name=\"b\\\"\"} 0"));
  // It knows best itself what keeps it from serving.
  report.cluster->health = absl::ResourceExhaustedError("the disk is full");
  CHECK(Has(ToPrometheus(report), "bandb_cluster_member_is_well{member=\"1\",name=\"a\"} 0"));
}

TEST_CASE("every line is a help text, a type or a sample, and each name comes once") {
  const std::regex comment("# (HELP [a-z_0-9]+ [^\\\\]+|TYPE [a-z_0-9]+ (counter|gauge))");
  const std::regex sample("([a-z_0-9]+)(\\{[a-z]+=\"([^\"\\\\]|\\\\.)*\"\\})? [0-9]+(\\.[0-9]+)?");
  std::set<std::string> typed;
  std::string name;
  for (const std::string& line : LinesOf(ToPrometheus(SomeReport()))) {
    INFO(line);
    std::smatch match;
    if (line.starts_with("# TYPE ")) {
      name = line.substr(7, line.find(' ', 7) - 7);
      CHECK(typed.insert(name).second);
      CHECK(name.ends_with("_total") == line.ends_with(" counter"));
    }
    if (line.starts_with('#')) {
      CHECK(std::regex_match(line, comment));
    } else {
      REQUIRE(std::regex_match(line, match, sample));
      CHECK(match[1] == name);
    }
  }
  CHECK(typed.size() > 50);
}

TEST_CASE("latencies are histograms: buckets that count all up to their limit, a sum and a count") {
  Report report = SomeReport();
  LatencyHistogram histogram;
  histogram.Add(8192, 2);  // the limit of the first bucket that is shown
  histogram.Add(8193);
  histogram.Add(60'000'000'000);
  report.latencies.operations = {{"bandb", "get", histogram}, {"grpc", "put", {}}};
  report.latencies.hooks = {{"before put 1", histogram}};
  const std::string text = ToPrometheus(report);
  const std::string name = "bandb_server_request_duration_seconds";
  CHECK(Has(text, "# TYPE " + name + " histogram\n" + name +
                      "_bucket{protocol=\"bandb\",operation=\"get\",le=\"8.192e-06\"} 2"));
  CHECK(Has(text, name + "_bucket{protocol=\"bandb\",operation=\"get\",le=\"1.6384e-05\"} 3"));
  CHECK(Has(text, name + "_bucket{protocol=\"bandb\",operation=\"get\",le=\"8.589934592\"} 3"));
  CHECK(Has(text, name + "_bucket{protocol=\"bandb\",operation=\"get\",le=\"+Inf\"} 4"));
  CHECK(Has(text, name + "_sum{protocol=\"bandb\",operation=\"get\"} 60.000024577"));
  CHECK(Has(text, name + "_count{protocol=\"bandb\",operation=\"get\"} 4"));
  CHECK(Has(text, name + "_count{protocol=\"grpc\",operation=\"put\"} 0"));
  CHECK(Has(text, "bandb_server_hook_duration_seconds_count{hook=\"before put 1\"} 4"));
}

TEST_CASE("without a store its figures are left out") {
  const std::string text = ToPrometheus({.version = "1", .start_seconds = 0, .server = {}, .store = std::nullopt});
  CHECK(text.find("bandb_store") == std::string::npos);
  CHECK(Has(text, "bandb_server_reads_total 0"));
}

}  // namespace bandb::admin
