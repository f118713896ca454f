#include "admin/prometheus.h"

#include <fmt/format.h>

#include <string_view>
#include <vector>

namespace bandb::admin {

namespace {

constexpr std::string_view kMicros = "_micros";
constexpr std::string_view kMillis = "_ms";

// The name under which Prometheus knows a figure: base units, and _total for what counts.
std::string NameOf(std::string_view prefix, const Figure& figure) {
  std::string_view stem = figure.name;
  std::string_view unit;
  for (const std::string_view part_of_seconds : {kMicros, kMillis}) {
    if (!stem.ends_with(part_of_seconds)) continue;
    stem.remove_suffix(part_of_seconds.size());
    unit = "_seconds";
  }
  return fmt::format("{}_{}{}{}", prefix, stem, unit, figure.kind == FigureKind::kCounter ? "_total" : "");
}

std::string ValueOf(const Figure& figure) {
  constexpr uint64_t kMicrosPerSecond = 1'000'000;
  constexpr uint64_t kMillisPerSecond = 1000;
  if (figure.name.ends_with(kMillis)) {
    return fmt::format("{}.{:03}", figure.value / kMillisPerSecond, figure.value % kMillisPerSecond);
  }
  if (!figure.name.ends_with(kMicros)) return fmt::format("{}", figure.value);
  return fmt::format("{}.{:06}", figure.value / kMicrosPerSecond, figure.value % kMicrosPerSecond);
}

// Backslashes and line ends would end a label's value.
std::string EscapedLabel(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\n') {
      escaped += "\\n";
    } else {
      if (c == '\\' || c == '"') escaped += '\\';
      escaped += c;
    }
  }
  return escaped;
}

void AppendHead(const std::string& name, const Figure& figure, std::string* text) {
  *text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, figure.help, name,
                       figure.kind == FigureKind::kCounter ? "counter" : "gauge");
}

void AppendSamples(std::string_view prefix, const std::vector<Figure>& figures, std::string* text) {
  for (const Figure& figure : figures) {
    const std::string name = NameOf(prefix, figure);
    AppendHead(name, figure, text);
    *text += fmt::format("{} {}\n", name, ValueOf(figure));
  }
}

// Of several things of a kind, each with its label. The format wants all lines of one name
// together, so the things go inside.
void AppendEach(std::string_view prefix, const std::vector<std::pair<std::string, std::vector<Figure>>>& things,
                std::string* text) {
  if (things.empty()) return;
  for (size_t i = 0; i < things[0].second.size(); ++i) {
    const std::string name = NameOf(prefix, things[0].second[i]);
    AppendHead(name, things[0].second[i], text);
    for (const auto& [label, figures] : things) *text += fmt::format("{}{{{}}} {}\n", name, label, ValueOf(figures[i]));
  }
}

void AppendLevels(const std::vector<LevelStats>& levels, std::string* text) {
  std::vector<std::pair<std::string, std::vector<Figure>>> things;
  for (size_t i = 0; i < levels.size(); ++i) {
    things.emplace_back(fmt::format("level=\"{}\"", i), FiguresOf(levels[i]));
  }
  AppendEach("bandb_store_level", things, text);
}

void AppendMembers(const ClusterStatus& status, std::string* text) {
  std::vector<std::pair<std::string, std::vector<Figure>>> things;
  for (const MemberStatus& member : status.members) {
    things.emplace_back(fmt::format("member=\"{}\",name=\"{}\"", member.id, EscapedLabel(member.name)),
                        FiguresOf(status, member));
  }
  AppendEach("bandb_cluster_member", things, text);
}

// The limits of buckets that are shown: powers of two, in nanoseconds.
constexpr int kFirstLimitBits = 13;
constexpr int kLastLimitBits = 33;

void AppendHistogram(std::string_view name, const std::string& labels, const LatencyHistogram& histogram,
                     std::string* text) {
  for (int bits = kFirstLimitBits; bits <= kLastLimitBits; ++bits) {
    const uint64_t limit_nanos = uint64_t{1} << bits;
    *text += fmt::format("{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, static_cast<double>(limit_nanos) / 1e9,
                         histogram.CountUpTo(limit_nanos));
  }
  *text += fmt::format("{}_bucket{{{},le=\"+Inf\"}} {}\n", name, labels, histogram.count());
  *text += fmt::format("{}_sum{{{}}} {:.9f}\n", name, labels, absl::ToDoubleSeconds(histogram.sum()));
  *text += fmt::format("{}_count{{{}}} {}\n", name, labels, histogram.count());
}

void AppendHistogramHead(std::string_view name, std::string_view help, std::string* text) {
  *text += fmt::format("# HELP {} {}\n# TYPE {} histogram\n", name, help, name);
}

void AppendLatencies(const ServerLatencies& latencies, std::string* text) {
  constexpr std::string_view kRequests = "bandb_server_request_duration_seconds";
  constexpr std::string_view kHooks = "bandb_server_hook_duration_seconds";
  if (!latencies.operations.empty()) {
    AppendHistogramHead(kRequests, "From when a request was there to when its reply was written.", text);
  }
  for (const OperationLatency& one : latencies.operations) {
    AppendHistogram(kRequests, fmt::format("protocol=\"{}\",operation=\"{}\"", one.protocol, one.operation),
                    one.histogram, text);
  }
  if (!latencies.hooks.empty()) AppendHistogramHead(kHooks, "What a hook took.", text);
  for (const HookLatency& one : latencies.hooks) {
    AppendHistogram(kHooks, fmt::format("hook=\"{}\"", EscapedLabel(one.hook)), one.histogram, text);
  }
}

}  // namespace

std::string ToPrometheus(const Report& report) {
  std::string text;
  AppendHead("bandb_build_info", {"", "The version that runs; always 1.", FigureKind::kGauge}, &text);
  text += fmt::format("bandb_build_info{{version=\"{}\"}} 1\n", EscapedLabel(report.version));
  AppendSamples("bandb",
                {{"start_time_seconds", "When the server began to serve, in seconds since 1970.", FigureKind::kGauge,
                  report.start_seconds}},
                &text);
  AppendSamples("bandb_server", FiguresOf(report.server), &text);
  if (report.audit.has_value()) AppendSamples("bandb_audit", FiguresOf(*report.audit), &text);
  AppendLatencies(report.latencies, &text);
  if (report.store.has_value()) {
    AppendSamples("bandb_store", FiguresOf(*report.store), &text);
    AppendLevels(report.store->levels, &text);
  }
  if (report.cluster.has_value()) {
    AppendSamples("bandb_cluster", FiguresOf(*report.cluster), &text);
    AppendMembers(*report.cluster, &text);
  }
  return text;
}

}  // namespace bandb::admin
