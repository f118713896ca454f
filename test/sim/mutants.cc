// bandb_sim_mutants: plants each known bug into the core, in turn, and looks how long the simulator
// needs to find it. test/sim/hunt.sh builds it and runs it; `--help` lists what it can do.
//
// Some bugs show in one run of many. For these the seed that showed them is noted below, so that a
// test need not hunt for minutes. A change of the simulator may make it another seed: nothing is
// lost then but time, and the full hunt tells the new one.
//
// The bugs are planted by mutants.patch, as BANDB_RAFT_MUTANT(n) beside the lines that avoid them,
// in a copy of lib/raft; the numbers up to 45 are those of the traps in docs/raft-traps.md. Exit
// code: 0 if all were caught, 1 if one survived, 2 for wrong usage.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string_view>

#include "base/clock.h"
#include "sim/bug_hunt.h"
#include "sim/campaign.h"
#include "sim/mutation.h"
#include "sim/simulation.h"

namespace bandb::raft {
int mutation_under_test = 0;
}  // namespace bandb::raft

namespace bandb::sim {
namespace {

constexpr PlantedBug kMutants[] = {
    {1, "an entry of an earlier term is committed by counting"},
    {2, "a vote is sent before it is durable"},
    {3, "a follower that hears its leader votes for another"},
    {4, "a request of a lower term is not told the term", 1035},
    {5, "a promise to a leader does not end with its silence"},
    {6, "an answer of an old pre-vote round begins an election"},
    {7, "a learner that is asked does not vote", 10},
    {9, "a restarted voter keeps quiet for far too long"},
    {10, "a change of membership before an entry of the own term is committed, in one step"},
    {11, "a configuration is in force only when it is applied"},
    {12, "a joint configuration of a former leader is never left"},
    {13, "a leader that was removed leads on"},
    {14, "a configuration is not rolled back with its entry"},
    {15, "an acknowledgement of a former membership counts"},
    {17, "a node that was removed hears nothing when it is added again"},
    {18, "messages of another cluster are taken"},
    {19, "leadership is handed to who has not got all of the log"},
    {20, "everything behind the previous entry is cut off, without a conflict"},
    {21, "a previous entry below the floor is taken for a conflict"},
    {22, "a completion of an overtaken write makes other entries durable", 48},
    {23, "a leader whose write failed goes on"},
    {24, "a follower goes on after a failed write"},
    {25, "a duplicate is acknowledged beyond what is durable"},
    {26, "the durable index is not lowered by a truncation"},
    {27, "the leader counts its own entries before they are durable"},
    {30, "the log is given up beyond what the state machine has durably"},
    {31, "a snapshot replaces a log that has more"},
    {33, "entries are acknowledged before they are durable"},
    {34, "a leader with a hung disk leads on", 26},
    {35, "an old acknowledgement lowers what a peer is known to have"},
    {36, "a quorum is counted short"},
    {37, "what is uncommitted has no bound"},
    {38, "a read is served before an entry of the own term is committed"},
    {39, "a read joins a round that began before it was asked", 26},
    {40, "a lease outlives a transfer of leadership"},
    {41, "a lease runs from the answer, not from the question"},
    {42, "a read does not wait for the answers of its round"},
    {43, "a proposal that is in the log is answered with a refusal"},
    {44, "a transfer of leadership never times out", 19},
    {45, "every survivor of a lost quorum fixes the configuration by itself", 39},
    {46, "a restarted voter forgets what it promised to a lease"},
    {47, "a follower commits entries that it was not told to match"},
    {48, "a snapshot carries a configuration that is not committed"},
    {49, "a change of membership in one step, without a joint configuration"},
    {50, "a candidate leads before its own vote is durable"},
    {51, "the commit index is stored ahead of the entries that it speaks of"},
    {52, "a leader that hears no quorum leads on"},
    {53, "entries are handed out before the own disk has them"},
    {54, "of the survivors of a lost quorum the one with the longest log counts as the best", 353},
    {55, "the recovery of a lost quorum keeps those who are lost as voters"},
    {56, "the recovered group keeps the cluster id of the lost one"},
    {57, "the recovered group begins in a term that others may know"},
    {58, "in a joint configuration only the new voters count"},
    {59, "a follower's questions for a read index all have one number"},
    {60, "a vote goes by the part of the log that is durable"},
    {62, "a node that was once bidden to stand forces all its elections", 469},
    {63, "a log of a later term than the stored one is not heeded at a start", 35},
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
bool Hunt(const PlantedBug& mutant, double cpu_limit, bool first_tries) {
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

struct Arguments {
  BugHunt hunt{};
  double cpu_limit = 300;
  bool first_tries = false;
};

void Declare(CLI::App* app, Arguments* to) {
  DeclareHunt(app, &to->hunt);
  app->add_option("--cpu-limit", to->cpu_limit, "CPU seconds after which a bug counts as survived")
      ->check(CLI::Range(1.0, 86400.0))
      ->capture_default_str();
  app->add_flag("--first-tries", to->first_tries, "try the noted seed before the hunt through all of them");
}

int RunOne(const Arguments& arguments) {
  raft::mutation_under_test = arguments.hunt.only;
  RunOptions options;
  options.sink = [](std::string_view line) { fmt::print("{}\n", line); };
  fmt::print("{}\n", Describe(Run(arguments.hunt.seed, options)));
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Plants known bugs into the Raft core, one at a time, and reports how long the simulator needs to catch them.",
      "bandb_sim_mutants");
  Arguments arguments;
  Declare(&app, &arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (arguments.hunt.seed != 0) return RunOne(arguments);
  return RunHunt(kMutants, arguments.hunt, [&arguments](const PlantedBug& mutant) {
    return Hunt(mutant, arguments.cpu_limit, arguments.first_tries);
  });
}

}  // namespace
}  // namespace bandb::sim

int main(int argc, char** argv) { return bandb::sim::Main(argc, argv); }
