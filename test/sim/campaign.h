// Campaign: many runs, in several processes, and the account of them.
//
// Runs are processes' work and not threads': an assertion that fails ends one worker, and its seed
// is known.
#ifndef BANDB_TEST_SIM_CAMPAIGN_H_
#define BANDB_TEST_SIM_CAMPAIGN_H_

#include <cstdint>
#include <string>

#include "sim/coverage.h"

namespace bandb::sim {

struct CampaignOptions {
  uint64_t first_seed = 1;
  uint64_t last_seed = 1;
  // Ends the campaign early, by CPU seconds of all workers together; 0: no limit.
  double cpu_seconds_max = 0;
  uint32_t jobs = 1;
  // Of the runs, those that are made twice to compare their hashes.
  double verify_share = 0;
  // Prints each run, or only those with something to tell and the summary.
  bool verbose = true;
  // Prints nothing at all; the report has the first violation.
  bool silent = false;
  // Ends at the first violation.
  bool stop_at_violation = true;
};

struct CampaignReport {
  uint64_t runs = 0;
  uint64_t counting = 0;
  uint64_t violations = 0;
  uint64_t crashes = 0;
  uint64_t nondeterministic = 0;
  uint64_t verified = 0;
  uint64_t unavailable = 0;
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
  // XOR of the hashes of all runs, so that two campaigns can be compared.
  uint64_t hash = 0;
  uint64_t first_bad_seed = 0;
  std::string first_violation;

  bool ok() const { return violations + crashes + nondeterministic == 0; }
};

CampaignReport RunCampaign(const CampaignOptions& options);

std::string Describe(const CampaignReport& report);

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_CAMPAIGN_H_
