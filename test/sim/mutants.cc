// bandb_sim_mutants: plants each known bug into the core, in turn, and looks how long the simulator needs to find it.
//
//   bandb_sim_mutants                    all of them
//   bandb_sim_mutants --mutant N         one
//   bandb_sim_mutants --mutant N --seed S  one run with that bug, with its trace
//   bandb_sim_mutants --cpu-limit S      gives up on a bug after so many CPU seconds (default 300)
//   bandb_sim_mutants --first-tries      tries the noted seed before the hunt through all of them
//
// Some bugs show in one run of many. For these the seed that showed them is noted below, so that a test need not hunt
// for minutes. A change of the simulator may make it another seed: nothing is lost then but time, and the full hunt
// tells the new one.
//
// The bugs stand in lib/raft beside the lines that avoid them, as BANDB_RAFT_MUTANT(n); the numbers up to 45 are those
// of the traps in docs/raft.md. Exit code: 0 if all were caught.
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "sim/campaign.h"
#include "sim/mutation.h"
#include "sim/simulation.h"

namespace bandb::raft {
int mutation_under_test = 0;
}  // namespace bandb::raft

namespace bandb::sim {
namespace {

struct Mutant {
  int number;
  const char* what;
  // A seed that is known to show it; 0: the first ones do.
  uint64_t seed = 0;
};

constexpr Mutant kMutants[] = {
    {1, "an entry of an earlier term is committed by counting"},
    {2, "a vote is sent before it is durable"},
    {3, "a follower that hears its leader votes for another"},
    {4, "a request of a lower term is not told the term", 311},
    {6, "an answer of an old pre-vote round begins an election"},
    {7, "a learner that is asked does not vote", 34},
    {10, "a change of membership before an entry of the own term is committed, in one step"},
    {11, "a change of membership in one step, without a joint configuration"},
    {12, "a joint configuration of a former leader is never left"},
    {13, "a leader that was removed leads on"},
    {14, "a configuration is not rolled back with its entry"},
    {15, "an acknowledgement of a former membership counts"},
    {18, "messages of another cluster are taken"},
    {20, "everything behind the previous entry is cut off, without a conflict"},
    {21, "a previous entry below the floor is taken for a conflict"},
    {22, "a completion of an overtaken write makes other entries durable", 67},
    {23, "a leader whose write failed goes on"},
    {25, "a duplicate is acknowledged beyond what is durable"},
    {26, "the durable index is not lowered by a truncation"},
    {27, "the leader counts its own entries before they are durable"},
    {31, "a snapshot replaces a log that has more"},
    {33, "entries are acknowledged before they are durable"},
    {34, "a leader with a hung disk leads on", 18},
    {35, "an old acknowledgement lowers what a peer is known to have"},
    {36, "a quorum is counted short"},
    {38, "a read is served before an entry of the own term is committed"},
    {39, "a read joins a round that began before it was asked", 97},
    {40, "a lease outlives a transfer of leadership"},
    {41, "a lease runs from the answer, not from the question"},
    {42, "a read does not wait for the answers of its round"},
    {44, "a transfer of leadership never times out"},
    {46, "a restarted voter forgets what it promised to a lease"},
    {47, "a follower commits entries that it was not told to match"},
    {48, "a snapshot carries a configuration that is not committed"},
};

double Seconds() { return static_cast<double>(base::SystemClock().MonotonicNanos()) / 1e9; }

CampaignReport RunFrom(uint64_t first_seed, uint64_t last_seed, double cpu_limit) {
  CampaignOptions options;
  options.first_seed = first_seed;
  options.last_seed = last_seed;
  options.cpu_seconds_max = cpu_limit;
  options.silent = true;
  return RunCampaign(options);
}

// True if it was caught.
bool Hunt(const Mutant& mutant, double cpu_limit, bool first_tries) {
  raft::mutation_under_test = mutant.number;
  const double began = Seconds();
  CampaignReport report;
  if (first_tries && mutant.seed != 0) report = RunFrom(mutant.seed, mutant.seed, cpu_limit);
  if (report.ok()) report = RunFrom(1, 1'000'000, cpu_limit);
  const bool caught = !report.ok();
  fmt::print("{:>3}  {}  {:>5} runs {:>7.1f} s  {}\n", mutant.number, caught ? "caught  " : "SURVIVED", report.runs,
             Seconds() - began, mutant.what);
  if (caught) fmt::print("{:>14}seed {}: {}\n", "", report.first_bad_seed, report.first_violation);
  std::fflush(stdout);
  return caught;
}

template <typename Number>
bool Parse(std::string_view text, Number* number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return error == std::errc() && end == text.data() + text.size();
}

struct Arguments {
  // 0: all of them.
  int only = 0;
  uint64_t seed = 0;
  double cpu_limit = 300;
  bool first_tries = false;
};

// Takes the flag at `*i`, and its value if it has one. False if it is none.
bool ParseFlag(const std::vector<std::string_view>& args, size_t* i, Arguments* to) {
  const std::string_view flag = args[*i];
  if (flag == "--first-tries") return to->first_tries = true;
  if (*i + 1 >= args.size()) return false;
  const std::string_view value = args[++*i];
  if (flag == "--mutant") return Parse(value, &to->only);
  if (flag == "--seed") return Parse(value, &to->seed);
  if (flag == "--cpu-limit") return Parse(value, &to->cpu_limit);
  return false;
}

int Main(const std::vector<std::string_view>& args) {
  Arguments arguments;
  for (size_t i = 0; i < args.size(); ++i) {
    if (ParseFlag(args, &i, &arguments)) continue;
    fmt::print(stderr, "bandb_sim_mutants: cannot make sense of '{}'; see the head of test/sim/mutants.cc\n", args[i]);
    return 2;
  }
  if (arguments.seed != 0) {
    raft::mutation_under_test = arguments.only;
    RunOptions options;
    options.sink = [](std::string_view line) { fmt::print("{}\n", line); };
    fmt::print("{}\n", Describe(Run(arguments.seed, options)));
    return 0;
  }
  int caught = 0;
  int hunted = 0;
  for (const Mutant& mutant : kMutants) {
    if (arguments.only != 0 && mutant.number != arguments.only) continue;
    ++hunted;
    caught += Hunt(mutant, arguments.cpu_limit, arguments.first_tries) ? 1 : 0;
  }
  fmt::print("{} of {} planted bugs caught\n", caught, hunted);
  return hunted > 0 && caught == hunted ? 0 : 1;
}

}  // namespace
}  // namespace bandb::sim

int main(int argc, char** argv) { return bandb::sim::Main({argv + 1, argv + argc}); }
