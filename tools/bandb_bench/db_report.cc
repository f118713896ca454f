#include "db_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace bandb::bench {

namespace {

// The columns of a measurement and of the table, in the units that people read.
struct Figures {
  double rate = 0;
  double p99_us = 0;
  double p999_us = 0;
  double longest_ms = 0;
  double stalled_seconds = 0;
};

Figures FiguresOf(const Measurement& measurement) {
  return {measurement.operations_per_second, static_cast<double>(measurement.latency_nanos.Percentile(99)) / 1e3,
          static_cast<double>(measurement.latency_nanos.Percentile(99.9)) / 1e3,
          static_cast<double>(measurement.latency_nanos.max()) / 1e6, measurement.stalled_seconds};
}

double Median(const std::vector<Figures>& rounds, double Figures::*figure) {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (const Figures& round : rounds) values.push_back(round.*figure);
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Figures Medians(const std::vector<Measurement>& measurements) {
  std::vector<Figures> rounds;
  rounds.reserve(measurements.size());
  for (const Measurement& measurement : measurements) rounds.push_back(FiguresOf(measurement));
  return {Median(rounds, &Figures::rate), Median(rounds, &Figures::p99_us), Median(rounds, &Figures::p999_us),
          Median(rounds, &Figures::longest_ms), Median(rounds, &Figures::stalled_seconds)};
}

// `last` is the round of a measurement, the ratio of a line of the table.
void PrintHeads(std::string_view last) {
  fmt::print("{:17} {:9} {:>12} {:>9} {:>9} {:>9} {:>9}  {}\n", "workload", "store", "operations/s", "p99 us",
             "p99.9 us", "max ms", "stalled s", last);
  std::fflush(stdout);
}

void PrintLine(const std::string& workload, const std::string& store, const Figures& figures, std::string_view last) {
  fmt::print("{:17} {:9} {:>12.0f} {:>9.1f} {:>9.1f} {:>9.1f} {:>9.2f}  {}\n", workload, store, figures.rate,
             figures.p99_us, figures.p999_us, figures.longest_ms, figures.stalled_seconds, last);
  std::fflush(stdout);
}

}  // namespace

DbReport::DbReport() : watched_(::isatty(STDERR_FILENO) != 0) {}

void DbReport::Settings(std::string_view text) { fmt::print("{}\n", text); }

void DbReport::Expect(size_t measurements) {
  expected_ = measurements;
  fmt::print("\nas they are measured:\n");
  PrintHeads("round");
}

void DbReport::Begin(int round, const std::string& workload, const std::string& store) {
  if (!watched_) return;
  fmt::print(stderr, "\r\x1b[K{} of {}: {} on {}, round {}", added_ + 1, expected_, workload, store, round);
  std::fflush(stderr);
}

void DbReport::Add(int round, const std::string& workload, const std::string& store, Measurement measurement) {
  ++added_;
  if (watched_) {
    fmt::print(stderr, "\r\x1b[K");
    std::fflush(stderr);
  }
  PrintLine(workload, store, FiguresOf(measurement), std::to_string(round));
  measured_[workload][store].push_back(std::move(measurement));
}

void DbReport::Table(const std::vector<std::string>& workloads, const std::vector<std::string>& stores) const {
  fmt::print("\nmedians of the rounds:\n");
  PrintHeads("bandb is");
  for (const std::string& workload : workloads) {
    const auto& row = measured_.at(workload);
    const auto own = row.find("bandb");
    for (const std::string& store : stores) {
      const Figures figures = Medians(row.at(store));
      std::string ratio;
      if (own != row.end() && store != "bandb") {
        ratio = fmt::format("{:.2f}x", Medians(own->second).rate / figures.rate);
      }
      PrintLine(workload, store, figures, ratio);
    }
  }
  for (const auto& [workload, row] : measured_) {
    for (const auto& [store, rounds] : row) {
      const std::string& text = rounds.back().description;
      if (!text.empty()) fmt::print("{} {}: {}\n", workload, store, text);
    }
  }
}

}  // namespace bandb::bench
