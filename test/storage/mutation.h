// Included by the files of the copy of lib/storage that has the planted bugs (mutants.patch): one
// build has all of them, each asleep until it is named.
#ifndef BANDB_TEST_STORAGE_MUTATION_H_
#define BANDB_TEST_STORAGE_MUTATION_H_

namespace bandb::storage {

// The number of the planted bug that is awake, which BANDB_STORAGE_MUTANT in the environment names;
// 0: none.
extern int mutation_under_test;

}  // namespace bandb::storage

// Whether the bug `n` is awake. The patch puts it beside the line that avoids the bug.
#define BANDB_STORAGE_MUTANT(n) (::bandb::storage::mutation_under_test == (n))

#endif  // BANDB_TEST_STORAGE_MUTATION_H_
