// Included before every file of the copy of lib/cluster that has the planted bugs (mutants.patch):
// one build has all of them, each asleep until it is named.
#ifndef BANDB_TEST_WORLD_MUTATION_H_
#define BANDB_TEST_WORLD_MUTATION_H_

namespace bandb::cluster {

// The number of the planted bug that is awake; 0: none.
extern int mutation_under_test;

}  // namespace bandb::cluster

// Whether the bug `n` is awake. The patch puts it beside the line that avoids the bug.
#define BANDB_CLUSTER_MUTANT(n) (::bandb::cluster::mutation_under_test == (n))

#endif  // BANDB_TEST_WORLD_MUTATION_H_
