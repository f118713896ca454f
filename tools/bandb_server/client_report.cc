#include "client_report.h"

#include <fmt/format.h>

#include "base/escape.h"
#include "text_table.h"

namespace bandb::server_program {

namespace {

// To the second: "3d04h", "2h05m", "1m03s" or "17s".
std::string ShowAge(absl::Duration age) {
  const int64_t seconds = absl::ToInt64Seconds(age);
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{}d{:02}h", seconds / 86400, seconds / 3600 % 24);
}

std::string Millis(absl::Duration duration) { return fmt::format("{:.3f}", absl::ToDoubleMilliseconds(duration)); }

std::string ShowTime(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone()); }

// What is kept of a key, and whether there was more.
std::string ShowKey(const SlowRequest& request) {
  if (request.key_bytes == 0) return "-";
  std::string shown = '"' + base::Escape(request.key) + '"';
  if (request.key.size() < request.key_bytes) shown += fmt::format("... ({} bytes)", request.key_bytes);
  return shown;
}

}  // namespace

std::string ShowClients(const ClientList& list) {
  std::vector<std::vector<std::string>> rows{
      {"ID", "ADDRESS", "USER", "NAME", "PROTOCOL", "AGE", "IDLE", "IN-FLIGHT", "READ", "WRITTEN", "PENDING", "LAST"}};
  for (const ClientInfo& client : list.clients) {
    rows.push_back({std::to_string(client.id), Shown(client.address), Shown(client.user), Shown(client.name),
                    client.protocol + (client.tls ? "+tls" : ""), ShowAge(client.age), ShowAge(client.idle),
                    std::to_string(client.in_flight), std::to_string(client.bytes_read),
                    std::to_string(client.bytes_written), std::to_string(client.output_bytes),
                    Shown(client.last_operation)});
  }
  std::string text = Align(rows);
  if (list.omitted > 0) text += fmt::format("\nand {} more", list.omitted);
  return text;
}

std::string ClientsJson(const ClientList& list) {
  std::string text;
  for (const ClientInfo& client : list.clients) {
    text += fmt::format(
        R"({}{{"id":"{}","address":{},"user":{},"name":{},"protocol":"{}","tls":{},"age_ms":{},"idle_ms":{},"in_flight":{},)"
        R"("bytes_read":{},"bytes_written":{},"output_bytes":{},"last_operation":{}}})",
        text.empty() ? "" : "\n", client.id, Json(client.address), Json(client.user), Json(client.name),
        client.protocol, client.tls, absl::ToInt64Milliseconds(client.age), absl::ToInt64Milliseconds(client.idle),
        client.in_flight, client.bytes_read, client.bytes_written, client.output_bytes, Json(client.last_operation));
  }
  if (list.omitted > 0) text += fmt::format("\n{{\"omitted\":{}}}", list.omitted);
  return text;
}

std::string ShowSlowRequests(const std::vector<SlowRequest>& requests) {
  std::vector<std::vector<std::string>> rows{
      {"NUMBER", "TIME", "MS", "WAITING", "HOOKS", "STORAGE", "PROTOCOL", "OPERATION", "USER", "ADDRESS", "KEY"}};
  for (const SlowRequest& request : requests) {
    rows.push_back({std::to_string(request.number), ShowTime(request.time), Millis(request.duration),
                    Millis(request.waiting), Millis(request.hooks), Millis(request.storage), request.protocol,
                    request.operation, Shown(request.user), Shown(request.address), ShowKey(request)});
  }
  return Align(rows);
}

std::string SlowRequestsJson(const std::vector<SlowRequest>& requests) {
  std::string text;
  for (const SlowRequest& request : requests) {
    text += fmt::format(
        R"({}{{"number":{},"time":"{}","ms":{},"waiting_ms":{},"hooks_ms":{},"storage_ms":{},"protocol":"{}",)"
        R"("operation":"{}","user":{},"address":{},"key":{},"key_bytes":{}}})",
        text.empty() ? "" : "\n", request.number, ShowTime(request.time), Millis(request.duration),
        Millis(request.waiting), Millis(request.hooks), Millis(request.storage), request.protocol, request.operation,
        Json(request.user), Json(request.address), Json(request.key), request.key_bytes);
  }
  return text;
}

}  // namespace bandb::server_program
