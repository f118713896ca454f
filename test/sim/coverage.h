// Coverage: how often a run came to places that faults hit by luck only. The faults aim at them
// (nemesis_aimed.cc), and a campaign can require that they were hit (bandb_sim --require-coverage).
#ifndef BANDB_TEST_SIM_COVERAGE_H_
#define BANDB_TEST_SIM_COVERAGE_H_

#include <cstdint>
#include <string>

namespace bandb::sim {

struct Coverage {
  // Processes that died while a snapshot was being installed.
  uint64_t install_crashes = 0;
  // Leaders that died in a joint configuration; of these, those that sent a peer a snapshot
  // meanwhile.
  uint64_t joint_leader_crashes = 0;
  uint64_t joint_snapshot_leader_crashes = 0;
  // Truncations of a log of which some writes were under way.
  uint64_t truncations_under_way = 0;
  // Groups that were recovered after they had lost their quorum in a joint configuration.
  uint64_t joint_quorum_losses = 0;
  // Processes that started from a log whose last term is later than the stored one.
  uint64_t starts_ahead = 0;

  void Add(const Coverage& other);
};

// What each run of the tests has to come to.
inline constexpr Coverage kCoverageRequired = {200, 100, 20, 100, 20, 20};

// Names the counters of `coverage` that are below those of `required`; empty if none is.
std::string Missing(const Coverage& coverage, const Coverage& required);
// One line.
std::string Describe(const Coverage& coverage);

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_COVERAGE_H_
