// Included before every file of the copy of the core that has the planted bugs (mutants.patch): one
// build has all of them, each asleep until it is named.
#ifndef BANDB_TEST_SIM_MUTATION_H_
#define BANDB_TEST_SIM_MUTATION_H_

namespace bandb::raft {

// The number of the planted bug that is awake; 0: none.
extern int mutation_under_test;

}  // namespace bandb::raft

// Whether the bug `n` is awake. The patch puts it beside the line that avoids the bug.
#define BANDB_RAFT_MUTANT(n) (::bandb::raft::mutation_under_test == (n))

#endif  // BANDB_TEST_SIM_MUTATION_H_
