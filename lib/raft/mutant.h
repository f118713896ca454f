// BANDB_RAFT_MUTANT(n): true only in a build that defines BANDB_RAFT_MUTATION as n, constant false in every other.
//
// Each use is a known bug that some Raft implementation had, standing beside the line that avoids it. The tests of the
// tests build the core with one of them at a time and require that the simulator finds it; docs/raft.md lists them.
#ifndef BANDB_RAFT_MUTANT_H_
#define BANDB_RAFT_MUTANT_H_

#ifdef BANDB_RAFT_MUTATION
#define BANDB_RAFT_MUTANT(n) ((n) == (BANDB_RAFT_MUTATION))
#else
#define BANDB_RAFT_MUTANT(n) false
#endif

#endif  // BANDB_RAFT_MUTANT_H_
