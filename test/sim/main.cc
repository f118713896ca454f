// bandb_sim: runs simulated clusters and looks for violations. One seed, a range of seeds, or seeds
// until so much CPU time is used; `--help` lists the rest.
//
// Exit code: 0 all well, 1 violation, crash or nondeterminism, 2 wrong usage.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "sim/campaign.h"
#include "sim/simulation.h"

namespace bandb::sim {
namespace {

struct Arguments {
  uint64_t seed = 0;
  bool trace = false;
  bool quiet = false;
  bool keep_going = false;
  std::string range;
  std::string soak;
  uint64_t soak_from = 1'000'000;
  uint64_t require_counting = 0;
  bool require_coverage = false;
  CampaignOptions campaign;
};

template <typename Number>
bool Parse(std::string_view text, Number* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseSeconds(std::string_view text, double* seconds) {
  if (text.empty()) return false;
  double unit = 1;
  if (text.back() == 'm') unit = 60;
  if (text.back() == 'h') unit = 3600;
  if (std::string_view("smh").find(text.back()) != std::string_view::npos) text.remove_suffix(1);
  if (!Parse(text, seconds)) return false;
  *seconds *= unit;
  return *seconds > 0;
}

bool ParseRange(std::string_view text, CampaignOptions* campaign) {
  const size_t dots = text.find("..");
  return dots != std::string_view::npos && Parse(text.substr(0, dots), &campaign->first_seed) &&
         Parse(text.substr(dots + 2), &campaign->last_seed) && campaign->first_seed <= campaign->last_seed;
}

// Tells CLI11 what is wrong with a value, or nothing.
CLI::Validator Checked(bool (*parse)(std::string_view, CampaignOptions*), const char* form) {
  const auto check = [parse, form](const std::string& text) {
    CampaignOptions unused;
    return parse(text, &unused) ? std::string() : fmt::format("{} is not of the form {}", text, form);
  };
  return CLI::Validator(check, form);
}

bool ParseSoak(std::string_view text, CampaignOptions* to) { return ParseSeconds(text, &to->cpu_seconds_max); }

// The option group demands exactly one of the three ways to run.
void Declare(CLI::App* app, Arguments* to) {
  CLI::Option_group* mode = app->add_option_group("mode", "one of these");
  mode->add_option("--seed", to->seed, "one run");
  mode->add_option("--seeds", to->range, "all runs of a range")->check(Checked(&ParseRange, "A..B"));
  mode->add_option("--soak", to->soak, "run after run, until so much CPU time is used")
      ->check(Checked(&ParseSoak, "90s|10m|2h"));
  mode->require_option(1);
  app->add_flag("--trace", to->trace, "with --seed: a readable account of messages, elections, commits and faults");
  app->add_option("--from", to->soak_from, "with --soak: the first seed")->capture_default_str();
  app->add_option("--jobs", to->campaign.jobs, "worker processes")->check(CLI::Range(1, 64))->capture_default_str();
  app->add_option("--verify-determinism", to->campaign.verify_share,
                  "the share of the runs that are made twice, to compare their trace hashes")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app->add_flag("--keep-going", to->keep_going, "do not stop at the first violation");
  app->add_flag("--quiet", to->quiet, "print only the summary, and what is wrong");
  app->add_option("--require-counting", to->require_counting,
                  "fail unless so many runs had enough operations and faults to count")
      ->capture_default_str();
  app->add_flag("--require-coverage", to->require_coverage,
                "fail unless the rare places that the tests ask for were hit often enough");
}

int RunOneSeed(const Arguments& arguments) {
  RunOptions options;
  if (arguments.trace) {
    options.sink = [](std::string_view line) { fmt::print("{}\n", line); };
  } else {
    options.recent_lines = 60;
  }
  const RunReport report = Run(arguments.seed, options);
  for (const std::string& line : report.recent) fmt::print("{}\n", line);
  fmt::print("{}\n{}\n", report.knobs, Describe(report));
  if (!report.violation.empty()) fmt::print("VIOLATION: {}\n{}", report.violation, report.history);
  if (arguments.campaign.verify_share > 0 && Run(arguments.seed, RunOptions{}).hash != report.hash) {
    fmt::print("not deterministic\n");
    return 1;
  }
  return report.violation.empty() ? 0 : 1;
}

int Main(int argc, char** argv) {
  CLI::App app("Runs simulated clusters of Raft cores, each determined by its seed, and looks for violations.",
               "bandb_sim");
  Arguments arguments;
  Declare(&app, &arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  arguments.campaign.verbose = !arguments.quiet;
  arguments.campaign.stop_at_violation = !arguments.keep_going;
  if (arguments.range.empty() && arguments.soak.empty()) return RunOneSeed(arguments);
  if (!arguments.range.empty()) {
    ParseRange(arguments.range, &arguments.campaign);
  } else {
    ParseSoak(arguments.soak, &arguments.campaign);
    arguments.campaign.first_seed = arguments.soak_from;
    arguments.campaign.last_seed = std::numeric_limits<uint32_t>::max() + arguments.soak_from;
  }
  const CampaignReport report = RunCampaign(arguments.campaign);
  fmt::print("{}\n", Describe(report));
  if (report.counting < arguments.require_counting) {
    fmt::print("only {} runs count, {} are required\n", report.counting, arguments.require_counting);
    return 1;
  }
  const std::string missing = arguments.require_coverage ? Missing(report.coverage, kCoverageRequired) : "";
  if (!missing.empty()) {
    fmt::print("not enough: {}\n", missing);
    return 1;
  }
  return report.ok() ? 0 : 1;
}

}  // namespace
}  // namespace bandb::sim

int main(int argc, char** argv) { return bandb::sim::Main(argc, argv); }
