// bandb_cluster_sim_mutants: plants each known bug into the owner of the core, in turn, and looks
// how long the simulator of what ships needs to find it. `--help` lists what it can do.
//
// The bugs are planted by mutants.patch, as BANDB_CLUSTER_MUTANT(n) beside the lines that avoid
// them, in a copy of lib/cluster. An assertion of the node that fails counts as found: each run is
// a process of its own. Exit code: 0 if all were caught, 1 if one survived, 2 for wrong usage.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/clock.h"
#include "sim/bug_hunt.h"
#include "world/mutation.h"
#include "world/run.h"

namespace bandb::cluster {
int mutation_under_test = 0;
}  // namespace bandb::cluster

namespace bandb::world {
namespace {

constexpr sim::PlantedBug kMutants[] = {
    {1, "messages leave before the writes that they rest on are durable"},
    {2, "messages wait for the log, and not for term and vote", 82},
    {3, "a write is answered by its index, whatever the term"},
    {4, "the log is not synced, and counts as if it were"},
    {5, "an install empties the log before the state is durable"},
    {7, "the log is deleted up to what is applied, durable or not"},
    {8, "segments that a reset has voided are deleted before it is durable"},
    {9, "a forwarded write is answered before it is applied"},
    {10, "sessions are not read again after an install"},
    {11, "sessions are not read at a start"},
    {12, "what a session repeats is done again"},
    {13, "the leader forgets the session of a forwarded write"},
    {14, "a forwarded write of unknown fate is told as not done"},
    {15, "a write of unknown fate is told as not done when its node ends"},
    {17, "a read that was refused is served"},
    {18, "a leader serves reads as if it were alone"},
    {19, "at a start later entries do not void earlier ones"},
    {20, "term and vote do not go along into the next segment", 397},
    {21, "what a start finds in the log is not made durable"},
    {22, "a segment that was left for the next one is not synced"},
    {24, "a new leader gives times before it knows the time of the log"},
    {25, "readers of the change feed are given commands that had no effect"},
    {26, "a memtable is flushed before the change index is durable"},
    {27, "the change index goes on after an install as if there had been none"},
    {28, "readers of the change feed are not told what the log has let go"},
    {29, "what acknowledges moves a cursor back"},
    {30, "what a cursor needs is let go for its age"},
    {31, "cursors are not read again after an install"},
    {32, "what acknowledges moves any cursor of that name"},
    {33, "a member never comes to know its cursors"},
};

double Seconds() { return static_cast<double>(base::SystemClock().MonotonicNanos()) / 1e9; }

// What is wrong with a run, in a process of its own; empty if nothing.
std::string RunApart(uint64_t seed) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    // What an assertion says is no news here.
    std::freopen("/dev/null", "w", stderr);
    const std::string violation = Run(seed, RunOptions{}).violation.substr(0, 200);
    const bool written = write(ends[1], violation.data(), violation.size()) == static_cast<ssize_t>(violation.size());
    std::_Exit(written ? 0 : 3);
  }
  close(ends[1]);
  std::string violation;
  char buffer[256];
  for (ssize_t bytes = 0; (bytes = read(ends[0], buffer, sizeof(buffer))) > 0;) violation.append(buffer, bytes);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (violation.empty() && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) violation = "the process died";
  return violation;
}

// True if it was caught.
bool Hunt(const sim::PlantedBug& mutant, uint64_t runs_max) {
  cluster::mutation_under_test = mutant.number;
  const double began = Seconds();
  std::string violation = mutant.seed == 0 ? "" : RunApart(mutant.seed);
  uint64_t seed = mutant.seed;
  uint64_t runs = mutant.seed == 0 ? 0 : 1;
  for (uint64_t next = 1; violation.empty() && next <= runs_max; ++next, ++runs) violation = RunApart(seed = next);
  const bool caught = !violation.empty();
  fmt::print("{:>3}  {}  {:>4} runs {:>6.1f} s  {}\n", mutant.number, caught ? "caught  " : "SURVIVED", runs,
             Seconds() - began, mutant.what);
  if (caught) fmt::print("{:>13}seed {}: {}\n", "", seed, violation.substr(0, violation.find('\n')));
  std::fflush(stdout);
  return caught;
}

struct Arguments {
  sim::BugHunt hunt{};
  uint64_t runs = 300;
};

void Declare(CLI::App* app, Arguments* to) {
  sim::DeclareHunt(app, &to->hunt);
  app->add_option("--runs", to->runs, "runs after which a bug counts as survived")->capture_default_str();
}

int RunOne(const Arguments& arguments) {
  cluster::mutation_under_test = arguments.hunt.only;
  RunOptions options;
  options.sink = [](std::string_view line) { fmt::print("{}\n", line); };
  const RunReport report = Run(arguments.hunt.seed, options);
  fmt::print("{}\n{}\n{}", Describe(report), report.violation, report.history);
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("Plants known bugs into the owner of the Raft core, and reports how soon the simulator catches them.",
               "bandb_cluster_sim_mutants");
  Arguments arguments;
  Declare(&app, &arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (arguments.hunt.seed != 0) return RunOne(arguments);
  return sim::RunHunt(kMutants, arguments.hunt,
                      [&arguments](const sim::PlantedBug& mutant) { return Hunt(mutant, arguments.runs); });
}

}  // namespace
}  // namespace bandb::world

int main(int argc, char** argv) { return bandb::world::Main(argc, argv); }
