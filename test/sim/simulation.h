// One run: a seed from beginning to end, and what came of it.
//
// First everything may fail. When enough has happened, the healing: a random set of nodes, large
// enough to be a quorum of every configuration that might still be in force, is repaired and
// connected; the rest stays as broken as it is. The set must then serve clients, and all its
// members must come to the same state, within a bounded time. At last the history of the clients
// must be linearizable.
#ifndef BANDB_TEST_SIM_SIMULATION_H_
#define BANDB_TEST_SIM_SIMULATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sim/history.h"
#include "sim/knobs.h"
#include "sim/nemesis.h"
#include "sim/network.h"
#include "sim/trace.h"
#include "sim/workload.h"

namespace bandb::sim {

struct RunOptions {
  Trace::Sink sink;
  // Lines kept for the report of a violation.
  size_t recent_lines = 0;
};

struct RunReport {
  uint64_t seed = 0;
  uint64_t hash = 0;
  // Empty if all was well.
  std::string violation;
  // The end of the trace, if a violation was found and lines were kept.
  std::vector<std::string> recent;
  // The violating history of a key, if it was the clients who noticed.
  std::string history;
  // Whether the run was eventful enough to count as a test.
  bool counts = false;
  // No quorum of nodes with intact disks existed; shown, not assumed.
  bool unavailable = false;
  Nanos virtual_time = 0;
  // Virtual time summed over the runs of a cluster, in hours.
  double cluster_hours = 0;
  uint64_t events = 0;
  uint64_t checks = 0;
  uint64_t elections = 0;
  uint64_t commits = 0;
  uint64_t configuration_changes = 0;
  Workload::Counters operations;
  Nemesis::Counters nemesis;
  // Up to the healing.
  Coverage coverage;
  Network::Counters network;
  std::string knobs;
};

RunReport Run(uint64_t seed, const RunOptions& options);

// One line for people.
std::string Describe(const RunReport& report);

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_SIMULATION_H_
