// bandb_sim: runs simulated clusters and looks for violations.
//
//   bandb_sim --seed N [--trace]           one run, with a readable account of everything that happened
//   bandb_sim --seeds A..B                 a range of seeds
//   bandb_sim --soak 90s|10m|2h            seeds from --from on, until so much CPU time is used
//   --from N                               the first seed of a soak (default 1000000)
//   --jobs N                               worker processes (default 1)
//   --verify-determinism SHARE             runs this share of the seeds twice and compares the hashes (default 0)
//   --keep-going                           does not stop at the first violation
//   --quiet                                only the summary, and what is wrong
//   --require-counting N                   fails unless so many runs had enough operations and faults
//
// Exit code: 0 all well, 1 violation, crash or nondeterminism, 2 wrong usage.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/campaign.h"
#include "sim/simulation.h"

namespace bandb::sim {
namespace {

struct Arguments {
  std::optional<uint64_t> seed;
  bool trace = false;
  bool range = false;
  bool soak = false;
  uint64_t soak_from = 1'000'000;
  uint64_t require_counting = 0;
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

// Takes the flag at `*i`, and its value if it has one. False if it is none.
bool ParseFlag(const std::vector<std::string_view>& args, size_t* i, Arguments* to) {
  const std::string_view flag = args[*i];
  if (flag == "--trace") return to->trace = true;
  if (flag == "--quiet") return !(to->campaign.verbose = false);
  if (flag == "--keep-going") return !(to->campaign.stop_at_violation = false);
  if (*i + 1 >= args.size()) return false;
  const std::string_view value = args[++*i];
  if (flag == "--seed") return Parse(value, &to->seed.emplace());
  if (flag == "--seeds") return to->range = ParseRange(value, &to->campaign);
  if (flag == "--soak") return to->soak = ParseSeconds(value, &to->campaign.cpu_seconds_max);
  if (flag == "--from") return Parse(value, &to->soak_from);
  if (flag == "--jobs") return Parse(value, &to->campaign.jobs) && to->campaign.jobs >= 1 && to->campaign.jobs <= 64;
  if (flag == "--verify-determinism") return Parse(value, &to->campaign.verify_share);
  if (flag == "--require-counting") return Parse(value, &to->require_counting);
  return false;
}

int RunOneSeed(const Arguments& arguments) {
  RunOptions options;
  if (arguments.trace) {
    options.sink = [](std::string_view line) { fmt::print("{}\n", line); };
  } else {
    options.recent_lines = 60;
  }
  const RunReport report = Run(*arguments.seed, options);
  for (const std::string& line : report.recent) fmt::print("{}\n", line);
  fmt::print("{}\n{}\n", report.knobs, Describe(report));
  if (!report.violation.empty()) fmt::print("VIOLATION: {}\n{}", report.violation, report.history);
  if (arguments.campaign.verify_share > 0 && Run(*arguments.seed, RunOptions{}).hash != report.hash) {
    fmt::print("not deterministic\n");
    return 1;
  }
  return report.violation.empty() ? 0 : 1;
}

int Main(const std::vector<std::string_view>& args) {
  Arguments arguments;
  for (size_t i = 0; i < args.size(); ++i) {
    if (!ParseFlag(args, &i, &arguments)) {
      fmt::print(stderr, "bandb_sim: cannot make sense of '{}'; see the head of test/sim/main.cc\n", args[i]);
      return 2;
    }
  }
  const int modes = (arguments.seed.has_value() ? 1 : 0) + (arguments.range ? 1 : 0) + (arguments.soak ? 1 : 0);
  if (modes != 1) {
    fmt::print(stderr, "bandb_sim: one of --seed, --seeds, --soak is needed\n");
    return 2;
  }
  if (arguments.seed.has_value()) return RunOneSeed(arguments);
  if (arguments.soak) {
    arguments.campaign.first_seed = arguments.soak_from;
    arguments.campaign.last_seed = std::numeric_limits<uint32_t>::max() + arguments.soak_from;
  }
  const CampaignReport report = RunCampaign(arguments.campaign);
  fmt::print("{}\n", Describe(report));
  if (report.counting < arguments.require_counting) {
    fmt::print("only {} runs count, {} are required\n", report.counting, arguments.require_counting);
    return 1;
  }
  return report.ok() ? 0 : 1;
}

}  // namespace
}  // namespace bandb::sim

int main(int argc, char** argv) { return bandb::sim::Main({argv + 1, argv + argc}); }
