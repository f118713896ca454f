// What `bandb_bench db` says: a line for each measurement as it is made, then a table of medians
// and ratios.
//
// Lines and table go to standard output, each line at once, so that a run that is watched through a
// pipe, or that ends early, shows what it has. If standard error is a terminal, it shows what is
// running meanwhile, on a line that is taken away again. Figures of the table are medians over the
// rounds; ratios are of medians.
#ifndef BANDB_TOOLS_BANDB_BENCH_DB_REPORT_H_
#define BANDB_TOOLS_BANDB_BENCH_DB_REPORT_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "histogram.h"

namespace bandb::bench {

// One workload on one store, once.
struct Measurement {
  double operations_per_second = 0;
  HistogramSnapshot latency_nanos;
  double stalled_seconds = 0;  // in operations of more than 10 ms
  std::string description;     // the store's own statistics, for people
};

// Thread safety: one thread.
class DbReport {
 public:
  DbReport();

  // What all stores are given alike, as the first line.
  void Settings(std::string_view text);
  // How many measurements will follow. Prints the heads of their columns.
  void Expect(size_t measurements);
  // Rounds count from 1.
  void Begin(int round, const std::string& workload, const std::string& store);
  void Add(int round, const std::string& workload, const std::string& store, Measurement measurement);
  // The table, in this order of workloads and stores, of which each must have been added at least
  // once.
  void Table(const std::vector<std::string>& workloads, const std::vector<std::string>& stores) const;

 private:
  const bool watched_;
  size_t expected_ = 0;
  size_t added_ = 0;
  // By workload, then by store, a figure a round.
  std::map<std::string, std::map<std::string, std::vector<Measurement>>> measured_;
};

}  // namespace bandb::bench

#endif  // BANDB_TOOLS_BANDB_BENCH_DB_REPORT_H_
