#include "sim/campaign.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/assert.h"
#include "base/random.h"
#include "sim/simulation.h"

namespace bandb::sim {
namespace {

// What a worker writes through its pipe: before a run and after it. Smaller than a pipe's atomic
// write.
struct Note {
  bool finished = false;
  bool violation = false;
  bool counts = false;
  bool verified = false;
  bool differs = false;
  bool unavailable = false;
  uint64_t seed = 0;
  uint64_t hash = 0;
  uint64_t operations = 0;
  uint64_t faults = 0;
  uint64_t elections = 0;
  uint64_t commits = 0;
  uint64_t events = 0;
  uint64_t checks = 0;
  uint64_t configuration_changes = 0;
  uint64_t snapshots = 0;
  Coverage coverage;
  double cluster_hours = 0;
  double cpu_seconds = 0;
  char reason[256] = {};
};
static_assert(sizeof(Note) <= 512, "must fit an atomic write to a pipe");

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

// Whether the hash of this seed is to be verified: a property of the seed, so that it does not
// depend on the jobs.
bool ToVerify(uint64_t seed, double share) { return base::Random(~seed).Chance(share); }

void Send(int fd, const Note& note) {
  const ssize_t written = write(fd, &note, sizeof(note));
  if (written != static_cast<ssize_t>(sizeof(note))) _exit(3);
}

// One line, in one write, so that the lines of several workers do not mix.
void Print(const std::string& text) {
  const std::string line = text + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

void RunSeed(uint64_t seed, const CampaignOptions& options, int fd) {
  Note note;
  note.seed = seed;
  Send(fd, note);
  const double before = CpuSeconds();
  const RunReport report = Run(seed, RunOptions{});
  note.finished = true;
  note.violation = !report.violation.empty();
  note.counts = report.counts;
  note.unavailable = report.unavailable;
  note.hash = report.hash;
  note.operations = report.operations.total();
  note.faults = report.nemesis.total();
  note.elections = report.elections;
  note.commits = report.commits;
  note.events = report.events;
  note.checks = report.checks;
  note.configuration_changes = report.configuration_changes;
  note.snapshots = report.network.snapshots;
  note.coverage = report.coverage;
  note.cluster_hours = report.cluster_hours;
  // The cost of a run is that of one run; the second one is a check of the machinery.
  note.cpu_seconds = CpuSeconds() - before;
  note.verified = ToVerify(seed, options.verify_share);
  if (note.verified) note.differs = Run(seed, RunOptions{}).hash != report.hash;
  report.violation.copy(note.reason, sizeof(note.reason) - 1);
  if (!options.silent && (options.verbose || note.violation || note.differs)) Print(Describe(report));
  if (note.violation && !options.silent) {
    Print(fmt::format("VIOLATION in seed {}: {}\n{}{}", seed, report.violation, report.history, report.knobs));
  }
  if (note.differs) Print(fmt::format("seed {} is not deterministic", seed));
  Send(fd, note);
}

// Far more than any run is known to take.
constexpr double kCpuSecondsOfOneRun = 120;

// A run that does not end by itself must not outlive the campaign. The kernel ends its worker, and
// that counts as a crash in the seed that was running.
void LimitCpu(double seconds) {
  rlimit limit{};
  limit.rlim_cur = limit.rlim_max = static_cast<rlim_t>(seconds + kCpuSecondsOfOneRun);
  const int set = setrlimit(RLIMIT_CPU, &limit);
  BANDB_ASSERT(set == 0);
}

[[noreturn]] void Work(const CampaignOptions& options, uint32_t worker, int fd) {
  if (options.cpu_seconds_max > 0) LimitCpu(options.cpu_seconds_max / options.jobs);
  for (uint64_t seed = options.first_seed + worker; seed <= options.last_seed && seed != 0; seed += options.jobs) {
    if (options.cpu_seconds_max > 0 && CpuSeconds() * options.jobs > options.cpu_seconds_max) break;
    RunSeed(seed, options, fd);
  }
  std::fflush(stdout);
  _exit(0);
}

struct Worker {
  pid_t pid = 0;
  uint64_t running_seed = 0;
};

void Take(const Note& note, CampaignReport* report) {
  ++report->runs;
  report->counting += note.counts ? 1 : 0;
  report->violations += note.violation ? 1 : 0;
  report->verified += note.verified ? 1 : 0;
  report->nondeterministic += note.differs ? 1 : 0;
  report->unavailable += note.unavailable ? 1 : 0;
  report->operations += note.operations;
  report->faults += note.faults;
  report->elections += note.elections;
  report->commits += note.commits;
  report->events += note.events;
  report->checks += note.checks;
  report->configuration_changes += note.configuration_changes;
  report->snapshots += note.snapshots;
  report->coverage.Add(note.coverage);
  report->cluster_hours += note.cluster_hours;
  report->cpu_seconds += note.cpu_seconds;
  report->hash ^= note.hash;
  if (!(note.violation || note.differs) || report->first_bad_seed != 0) return;
  report->first_bad_seed = note.seed;
  report->first_violation = note.violation ? note.reason : "not deterministic";
}

}  // namespace

CampaignReport RunCampaign(const CampaignOptions& options) {
  CampaignReport report;
  int ends[2];
  const int made = pipe(ends);
  BANDB_ASSERT(made == 0);
  std::vector<Worker> workers(options.jobs);
  std::fflush(stdout);
  for (uint32_t i = 0; i < options.jobs; ++i) {
    workers[i].pid = fork();
    BANDB_ASSERT(workers[i].pid >= 0);
    if (workers[i].pid == 0) {
      close(ends[0]);
      Work(options, i, ends[1]);
    }
  }
  close(ends[1]);
  Note note;
  while (read(ends[0], &note, sizeof(note)) == static_cast<ssize_t>(sizeof(note))) {
    Worker& worker = workers[(note.seed - options.first_seed) % options.jobs];
    worker.running_seed = note.finished ? 0 : note.seed;
    if (!note.finished) continue;
    Take(note, &report);
    if (!report.ok() && options.stop_at_violation) {
      for (const Worker& w : workers) kill(w.pid, SIGTERM);
      break;
    }
  }
  close(ends[0]);
  for (Worker& worker : workers) {
    int status = 0;
    waitpid(worker.pid, &status, 0);
    const bool stopped = WIFSIGNALED(status) && (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGPIPE);
    if (worker.running_seed == 0 || stopped) continue;
    ++report.crashes;
    if (report.first_bad_seed == 0) {
      report.first_bad_seed = worker.running_seed;
      report.first_violation = "an assertion failed";
    }
    if (!options.silent)
      Print(fmt::format("CRASH in seed {}: the worker ended with status {:#x}", worker.running_seed, status));
  }
  return report;
}

std::string Describe(const CampaignReport& r) {
  const double minutes = r.cpu_seconds / 60;
  return fmt::format(
      "{} runs ({} count, {} proved that no quorum was left), {} violations, {} crashes, {} of {} verified differ\n"
      "{} operations, {} faults, {} elections, {} commits, {} configurations, {} snapshots, {} events, {} checks\n{}\n"
      "{:.1f} cluster-hours in {:.2f} CPU-minutes: {:.1f} cluster-hours per CPU-minute; hash {:016x}",
      r.runs, r.counting, r.unavailable, r.violations, r.crashes, r.nondeterministic, r.verified, r.operations,
      r.faults, r.elections, r.commits, r.configuration_changes, r.snapshots, r.events, r.checks, Describe(r.coverage),
      r.cluster_hours, minutes, minutes > 0 ? r.cluster_hours / minutes : 0, r.hash);
}

}  // namespace bandb::sim
