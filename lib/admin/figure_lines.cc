#include "admin/figure_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace bandb::admin {

namespace {

void AppendAll(std::string_view prefix, const std::vector<Figure>& figures, std::string* text) {
  for (const Figure& figure : figures) *text += fmt::format("{}.{} {}\n", prefix, figure.name, figure.value);
}

void Append(std::string name, const LatencyHistogram& histogram, std::string* text) {
  std::replace(name.begin(), name.end(), ' ', '_');
  *text += fmt::format("{} {} {}", name, absl::ToInt64Nanoseconds(histogram.sum()),
                       absl::ToInt64Nanoseconds(histogram.max()));
  for (size_t i = 0; i < LatencyHistogram::kBuckets; ++i) {
    if (histogram.CountIn(i) > 0) *text += fmt::format(" {}:{}", i, histogram.CountIn(i));
  }
  *text += '\n';
}

}  // namespace

std::string ToLines(const Report& report) {
  std::string text = fmt::format("version {}\nstart_seconds {}\n", report.version, report.start_seconds);
  AppendAll("server", FiguresOf(report.server), &text);
  if (report.audit.has_value()) AppendAll("audit", FiguresOf(*report.audit), &text);
  if (report.store.has_value()) {
    AppendAll("store", FiguresOf(*report.store), &text);
    for (size_t i = 0; i < report.store->levels.size(); ++i) {
      AppendAll(fmt::format("store.level.{}", i), FiguresOf(report.store->levels[i]), &text);
    }
  }
  if (report.cluster.has_value()) AppendAll("cluster", FiguresOf(*report.cluster), &text);
  for (const OperationLatency& one : report.latencies.operations) {
    Append(fmt::format("request.{}.{}", one.protocol, one.operation), one.histogram, &text);
  }
  for (const HookLatency& one : report.latencies.hooks) Append("hook." + one.hook, one.histogram, &text);
  return text;
}

}  // namespace bandb::admin
