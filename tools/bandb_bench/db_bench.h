// `bandb_bench db`: the embedded store and its peers, side by side in one process, workload by
// workload.
//
// Each workload is run on each store in turn before the next begins, the whole several times over,
// so that whatever the machine does meanwhile falls on all of them alike. A store is opened for one
// workload and closed after it: what it still has to compact then does not run into another's time.
#ifndef BANDB_TOOLS_BANDB_BENCH_DB_BENCH_H_
#define BANDB_TOOLS_BANDB_BENCH_DB_BENCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/random.h"
#include "db_report.h"
#include "db_subject.h"
#include "histogram.h"

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
  // Between opening a store and its workload, for what earlier ones left to the background.
  int rest_seconds = 0;
  uint64_t seed = 1;
  SubjectSettings settings;
};

std::vector<std::string> WorkloadNames();
std::vector<std::string> SubjectNames();

class DbBench {
 public:
  // Lifetime: borrows the clock and the report.
  DbBench(base::Clock* clock, DbReport* report, DbBenchOptions options);
  // Runs everything and tells the report as it goes.
  // Errors: those of a store, which end the run.
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
  absl::Status Operate(Subject* subject, const Workload& workload, int writer, Histogram* latency,
                       uint64_t* operations);
  absl::Status OperateOnce(Subject* subject, const Workload& workload, uint64_t i, base::Random* random,
                           std::string* key, uint64_t* counted);
  // All of it in one call.
  absl::Status Ingest(Subject* subject, uint64_t count) const;
  uint64_t CountFor(const Workload& workload) const;
  std::vector<Workload> WorkloadsToRun() const;
  absl::Status MeasureAll();

  base::Clock* const clock_;
  DbReport* const report_;
  const DbBenchOptions options_;
  std::vector<SubjectKind> kinds_;
  std::string value_;
};

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_DB_BENCH_H_
