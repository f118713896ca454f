// Put in front of every file of the core in the build of bandb_sim_mutants, where BANDB_RAFT_MUTATION is this variable:
// one build has all planted bugs, each asleep until it is named.
#ifndef BANDB_TEST_SIM_MUTATION_H_
#define BANDB_TEST_SIM_MUTATION_H_

namespace bandb::raft {

// The number of the planted bug that is awake; 0: none.
extern int mutation_under_test;

}  // namespace bandb::raft

#endif  // BANDB_TEST_SIM_MUTATION_H_
