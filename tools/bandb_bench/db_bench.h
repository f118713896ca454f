// `bandb_bench db`: the embedded store and its peers, side by side in one process, workload by workload.
//
// Each workload is run on each store in turn before the next begins, the whole several times over, so that whatever the
// machine does meanwhile falls on all of them alike. A store is opened for one workload and closed after it: what it
// still has to compact then does not run into another's time. Figures are medians over the rounds; ratios are of
// medians.
#ifndef BANDB_TOOLS_BANDB_BENCH_DB_BENCH_H_
#define BANDB_TOOLS_BANDB_BENCH_DB_BENCH_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/random.h"
#include "db_subject.h"

namespace bandb::bench {

struct DbBenchOptions {
  std::string dir = "./bandb-bench";
  // Empty: all.
  std::vector<std::string> workloads;
  std::vector<std::string> subjects;
  uint64_t keys = 1'000'000;
  uint64_t reads = 500'000;
  uint64_t synced = 2'000;
  uint32_t value_bytes = 100;
  int rounds = 3;
  int threads = 16;  // of fillsync with several writers
  uint64_t seed = 1;
  SubjectSettings settings;
};

std::vector<std::string> WorkloadNames();
std::vector<std::string> SubjectNames();

// One workload on one store, once.
struct Measurement {
  double operations_per_second = 0;
  base::HistogramSnapshot latency_nanos;
  double stalled_seconds = 0;  // in operations of more than 10 ms
};

class DbBench {
 public:
  // Lifetime: borrows the clock.
  DbBench(base::Clock* clock, DbBenchOptions options);
  // Runs everything and prints a table of medians and ratios.
  absl::Status Run();

 private:
  struct Workload {
    std::string name;
    bool fresh = false;  // begins with an empty store
    int writers = 0;     // sync writers; 0: one thread
  };
  friend std::vector<std::string> WorkloadNames();
  static const std::vector<Workload>& Workloads();

  std::string DirOf(const SubjectKind& kind, const Workload& workload) const;
  absl::StatusOr<Measurement> RunOne(const SubjectKind& kind, const Workload& workload);
  // The operations of a workload, one call each; `writer` numbers the threads.
  absl::Status Operate(Subject* subject, const Workload& workload, int writer, base::Histogram* latency,
                       uint64_t* operations);
  absl::Status OperateOnce(Subject* subject, const Workload& workload, uint64_t i, base::Random* random,
                           std::string* key, uint64_t* counted);
  uint64_t CountFor(const Workload& workload) const;
  void PrintTable() const;

  base::Clock* const clock_;
  const DbBenchOptions options_;
  std::vector<SubjectKind> kinds_;
  std::string value_;
  // By workload, then by store, a figure a round.
  std::map<std::string, std::map<std::string, std::vector<Measurement>>> measured_;
  std::map<std::string, std::string> descriptions_;
};

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_DB_BENCH_H_
