#include "admin/stats_json.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "admin/cluster_words.h"

namespace bandb::admin {

namespace {

using Json = nlohmann::ordered_json;

Json ObjectOf(const std::vector<Figure>& figures) {
  Json object = Json::object();
  for (const Figure& figure : figures) object[std::string(figure.name)] = figure.value;
  return object;
}

Json ObjectOf(const Stats& stats) {
  Json object = ObjectOf(FiguresOf(stats));
  Json levels = Json::array();
  for (const LevelStats& level : stats.levels) levels.push_back(ObjectOf(FiguresOf(level)));
  object["levels"] = std::move(levels);
  return object;
}

void AddLatency(const LatencyHistogram& histogram, Json* object) {
  const auto micros = [](absl::Duration duration) { return absl::ToDoubleMicroseconds(duration); };
  (*object)["count"] = histogram.count();
  (*object)["sum_micros"] = micros(histogram.sum());
  (*object)["p50_micros"] = micros(histogram.Quantile(0.5));
  (*object)["p90_micros"] = micros(histogram.Quantile(0.9));
  (*object)["p99_micros"] = micros(histogram.Quantile(0.99));
  (*object)["p999_micros"] = micros(histogram.Quantile(0.999));
  (*object)["max_micros"] = micros(histogram.max());
}

Json RequestsOf(const ServerLatencies& latencies) {
  Json all = Json::array();
  for (const OperationLatency& one : latencies.operations) {
    Json object = {{"protocol", one.protocol}, {"operation", one.operation}};
    AddLatency(one.histogram, &object);
    all.push_back(std::move(object));
  }
  return all;
}

Json HooksOf(const ServerLatencies& latencies) {
  Json all = Json::array();
  for (const HookLatency& one : latencies.hooks) {
    Json object = {{"hook", one.hook}};
    AddLatency(one.histogram, &object);
    all.push_back(std::move(object));
  }
  return all;
}

Json MembersOf(const ClusterStatus& status) {
  Json all = Json::array();
  for (const MemberStatus& member : status.members) {
    all.push_back({{"name", member.name},
                   {"id", std::to_string(member.id)},
                   {"kind", KindOf(member)},
                   {"peer_address", member.peer_address},
                   {"client_address", member.client_address},
                   {"leader", member.leader},
                   {"self", member.self},
                   {"connected", member.self || member.connected},
                   {"matched_index", member.self ? status.durable_index : member.matched_index},
                   {"snapshot_bytes_sent", member.snapshot_bytes_sent},
                   {"snapshot_bytes", member.snapshot_bytes},
                   {"trouble", TroubleOf(status, member)}});
  }
  return all;
}

Json ClusterOf(const ClusterStatus& status) {
  return {{"cluster_id", std::to_string(status.cluster_id)},
          {"node_id", std::to_string(status.node_id)},
          {"role", RoleName(status.role)},
          {"health", HealthOf(status)},
          {"leader", std::to_string(status.leader)},
          {"leader_name", LeaderName(status)},
          {"term", status.term},
          {"commit_index", status.commit_index},
          {"applied_index", status.applied_index},
          {"last_index", status.last_index},
          {"durable_index", status.durable_index},
          {"flushed_index", status.flushed_index},
          {"members_version", status.members_version},
          {"members_changing", status.members_changing},
          {"members", MembersOf(status)}};
}

// Never throws for bytes that are not UTF-8, wherever they came from.
std::string OneLine(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string ToJson(const ClusterStatus& status) { return OneLine(ClusterOf(status)); }

std::string MembersToJson(const ClusterStatus& status) { return OneLine(MembersOf(status)); }

std::string ToJson(const Report& report) {
  Json object = Json::object();
  object["version"] = report.version;
  object["start_seconds"] = report.start_seconds;
  object["server"] = ObjectOf(FiguresOf(report.server));
  object["store"] = report.store.has_value() ? ObjectOf(*report.store) : Json(nullptr);
  object["audit"] = report.audit.has_value() ? ObjectOf(FiguresOf(*report.audit)) : Json(nullptr);
  object["cluster"] = report.cluster.has_value() ? ClusterOf(*report.cluster) : Json(nullptr);
  object["requests"] = RequestsOf(report.latencies);
  object["hooks"] = HooksOf(report.latencies);
  // Never throws for bytes that are not UTF-8, however the version came to have some.
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace bandb::admin
