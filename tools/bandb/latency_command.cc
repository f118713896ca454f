#include "latency_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "arguments.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/status.h"
#include "client/client.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"
#include "units/units.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;
using standard_streams::Write;

constexpr const char* kFooter =
    "A request takes from when it was there to be read to when its reply was written; a hook is named by what it is "
    "on, in\n"
    "the order of registration. Without --watch since the server was started. Durations are at most a sixteenth too "
    "long.\n"
    "The user needs the right to administer.\n"
    "\n"
    "Exit codes: 0 done; 2 usage; 3 server or connection error.\n"
    "\n"
    "Examples:\n"
    "  bandb latency\n"
    "  bandb latency --watch 1s --count 10";

constexpr double kShares[] = {0.5, 0.9, 0.99, 0.999};

std::string Line(std::string_view name, const LatencyHistogram& histogram, double seconds) {
  std::string line = fmt::format("{:<30} {:>12}", name, histogram.count());
  if (seconds > 0) line += fmt::format(" {:>10.0f}", static_cast<double>(histogram.count()) / seconds);
  for (const double share : kShares) line += fmt::format(" {:>9}", ShowDuration(histogram.Quantile(share)));
  return line + fmt::format(" {:>9}\n", ShowDuration(histogram.max()));
}

std::string JsonLine(std::string_view name, const LatencyHistogram& histogram) {
  std::string line = fmt::format("{{\"name\": \"{}\", \"count\": {}", name, histogram.count());
  const auto micros = [](absl::Duration duration) { return absl::ToDoubleMicroseconds(duration); };
  line += fmt::format(", \"sum_micros\": {}", micros(histogram.sum()));
  constexpr std::string_view kNames[] = {"p50", "p90", "p99", "p999"};
  for (size_t i = 0; i < std::size(kNames); ++i) {
    line += fmt::format(", \"{}_micros\": {}", kNames[i], micros(histogram.Quantile(kShares[i])));
  }
  return line + fmt::format(", \"max_micros\": {}}}\n", micros(histogram.max()));
}

struct LatencyFlags {
  std::string watch;
  uint64_t count = 0;  // 0: until it is interrupted
  bool json = false;
};

void Show(const Figures& figures, double seconds, bool json) {
  if (!json) {
    const std::string table = ShowLatencies(figures, seconds);
    return Write(stdout, table.empty() ? "no requests\n" : table);
  }
  for (const auto& [name, histogram] : figures.histograms) {
    if (histogram.count() > 0) Write(stdout, JsonLine(name, histogram));
  }
}

absl::Status Watch(client::Client* client, absl::Duration interval, const LatencyFlags& flags) {
  base::SystemClock clock;
  base::Event never;
  BANDB_ASSIGN_OR_RETURN(Figures before, AskFigures(client));
  int64_t before_nanos = clock.MonotonicNanos();
  for (uint64_t i = 0; flags.count == 0 || i < flags.count; ++i) {
    never.BlockUntilSet(absl::ToInt64Nanoseconds(interval));
    BANDB_ASSIGN_OR_RETURN(Figures now, AskFigures(client));
    const int64_t now_nanos = clock.MonotonicNanos();
    if (i > 0 && !flags.json) Write(stdout, "\n");
    Show(Since(now, before), static_cast<double>(now_nanos - before_nanos) / 1e9, flags.json);
    std::fflush(stdout);
    before = std::move(now);
    before_nanos = now_nanos;
  }
  return absl::OkStatus();
}

absl::Status Run(const client::Target& target, std::optional<absl::Duration> interval, const LatencyFlags& flags) {
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<client::Client> client, client::Client::Connect(target));
  if (interval.has_value()) return Watch(client.get(), *interval, flags);
  BANDB_ASSIGN_OR_RETURN(const Figures figures, AskFigures(client.get()));
  Show(figures, 0, flags.json);
  return absl::OkStatus();
}

}  // namespace

Figures Since(const Figures& now, const Figures& before) {
  Figures since = now;
  for (auto& [name, histogram] : since.histograms) {
    const auto found = before.histograms.find(name);
    if (found != before.histograms.end()) histogram = histogram.Since(found->second);
  }
  return since;
}

std::string ShowLatencies(const Figures& figures, double seconds) {
  std::string table;
  for (const auto& [name, histogram] : figures.histograms) {
    if (histogram.count() > 0) table += Line(name, histogram, seconds);
  }
  if (table.empty()) return table;
  std::string titles = fmt::format("{:<30} {:>12}", "", "count");
  if (seconds > 0) titles += fmt::format(" {:>10}", "per s");
  for (const std::string_view title : {"p50", "p90", "p99", "p99.9", "max"}) titles += fmt::format(" {:>9}", title);
  return titles + "\n" + table;
}

int RunLatency(const client::Target& target, std::vector<std::string> arguments) {
  CLI::App app("Prints how long the requests of a server took, by protocol and operation, and its hooks.",
               "bandb latency");
  app.footer(kFooter);
  LatencyFlags flags;
  app.add_option("--watch", flags.watch, "go on, each time with what came in this time")->type_name("DURATION");
  app.add_option("--count", flags.count, "with --watch: this many times [until it is interrupted]")
      ->check(CLI::Range(1.0, 1e15).description(""))
      ->type_name("N");
  app.add_flag("--json", flags.json, "an object on each line; times in microseconds");
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  const std::optional<absl::Duration> interval = units::ParseDuration(flags.watch);
  const bool is_watch_good =
      interval.has_value() && *interval >= absl::Milliseconds(10) && *interval <= absl::Hours(24);
  if ((!flags.watch.empty() && !is_watch_good) || (flags.watch.empty() && flags.count > 0)) {
    Print(stderr, "bandb latency: --watch takes 10ms to 24h, and --count needs it\n");
    return kUsage;
  }
  const absl::Status status = Run(target, flags.watch.empty() ? std::optional<absl::Duration>() : interval, flags);
  if (status.ok()) return kDone;
  Print(stderr, "(error) {}\n", base::Message(status));
  return kServerError;
}

}  // namespace bandb::cli
