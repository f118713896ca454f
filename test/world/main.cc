// bandb_cluster_sim: runs simulated clusters of the nodes that ship, and looks for violations. One
// seed, a range of seeds, or seeds until so much time is used; `--help` lists the rest.
//
// Exit code: 0 all well, 1 violation or nondeterminism, 2 wrong usage. A crash of a run says its
// seed.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "world/run.h"

namespace bandb::world {
namespace {

struct Arguments {
  uint64_t seed = 0;
  std::string range;
  double hours = 0;
  uint64_t from = 1'000'000;
  bool trace = false;
  bool quiet = false;
  bool keep_going = false;
  bool require_coverage = false;
  uint64_t verify_one_in = 0;
};

// For who looks at a crash.
volatile std::sig_atomic_t seed_now = 0;

void SayTheSeed(int) {
  char text[64];
  const int bytes = std::snprintf(text, sizeof(text), "CRASH of seed %ld\n", static_cast<long>(seed_now));
  if (bytes > 0) std::fwrite(text, 1, static_cast<size_t>(bytes), stderr);
  std::_Exit(1);
}

bool ParseRange(std::string_view text, uint64_t* first, uint64_t* last) {
  const size_t dots = text.find("..");
  if (dots == std::string_view::npos) return false;
  const auto parse = [](std::string_view part, uint64_t* number) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), *number);
    return error == std::errc() && end == part.data() + part.size();
  };
  return parse(text.substr(0, dots), first) && parse(text.substr(dots + 2), last) && *first <= *last;
}

void Declare(CLI::App* app, Arguments* to) {
  CLI::Option_group* mode = app->add_option_group("mode", "one of these");
  mode->add_option("--seed", to->seed, "one run");
  mode->add_option("--seeds", to->range, "all runs of a range, A..B");
  mode->add_option("--hours", to->hours, "run after run, for so many hours of time")->check(CLI::Range(0.001, 1000.0));
  mode->require_option(1);
  app->add_flag("--trace", to->trace, "with --seed: a readable account, and what the nodes have logged");
  app->add_option("--from", to->from, "with --hours: the first seed")->capture_default_str();
  app->add_option("--verify-one-in", to->verify_one_in, "of so many runs one is made twice, to compare their hashes");
  app->add_flag("--keep-going", to->keep_going, "do not stop at the first violation");
  app->add_flag("--quiet", to->quiet, "print only the summary, and what is wrong");
  app->add_flag("--require-coverage", to->require_coverage, "fail unless enough happened for this to be a test");
}

// True if all was well.
bool RunSeed(uint64_t seed, const Arguments& arguments, Totals* totals) {
  RunOptions options;
  if (arguments.trace) {
    options.sink = [](std::string_view line) { fmt::print("{}\n", line); };
    options.with_logs = true;
  }
  seed_now = static_cast<std::sig_atomic_t>(seed);
  const RunReport report = Run(seed, options);
  totals->Add(report);
  if (!arguments.quiet || !report.violation.empty()) fmt::print("{}\n", Describe(report));
  if (arguments.trace) fmt::print("{}", report.logs);
  if (!report.violation.empty()) fmt::print("VIOLATION (seed {}): {}\n{}", seed, report.violation, report.history);
  std::fflush(stdout);
  if (arguments.verify_one_in == 0 || seed % arguments.verify_one_in != 0) return report.violation.empty();
  const bool same = Run(seed, RunOptions{}).hash == report.hash;
  if (!same) fmt::print("seed {} is not deterministic\n", seed);
  return same && report.violation.empty();
}

int Main(int argc, char** argv) {
  CLI::App app("Runs simulated clusters of the nodes that ship, each determined by its seed, and looks for violations.",
               "bandb_cluster_sim");
  Arguments arguments;
  Declare(&app, &arguments);
  uint64_t first = 0;
  uint64_t last = 0;
  try {
    app.parse(argc, argv);
    if (!arguments.range.empty() && !ParseRange(arguments.range, &first, &last)) {
      throw CLI::ValidationError("--seeds", arguments.range + " is not of the form A..B");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (arguments.range.empty()) first = last = arguments.seed;
  if (arguments.hours > 0) {
    first = arguments.from;
    last = UINT64_MAX;
  }
  std::signal(SIGABRT, &SayTheSeed);
  std::signal(SIGSEGV, &SayTheSeed);
  base::SystemClock clock;
  const int64_t begun = clock.MonotonicNanos();
  const auto seconds = [&] { return static_cast<double>(clock.MonotonicNanos() - begun) / 1e9; };
  Totals totals;
  bool well = true;
  for (uint64_t seed = first; seed <= last && (well || arguments.keep_going); ++seed) {
    if (arguments.hours > 0 && seconds() > 3600 * arguments.hours) break;
    well = RunSeed(seed, arguments, &totals) && well;
  }
  if (totals.runs > 1) fmt::print("{}in {:.1f} s\n", Describe(totals), seconds());
  const std::string missing = arguments.require_coverage ? Missing(totals) : "";
  if (!missing.empty()) fmt::print("not enough: {}\n", missing);
  return well && missing.empty() ? 0 : 1;
}

}  // namespace
}  // namespace bandb::world

int main(int argc, char** argv) { return bandb::world::Main(argc, argv); }
