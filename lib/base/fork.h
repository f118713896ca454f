// Whether this process is the one that it was.
//
// A forked child has a copy of every object and none of the threads: what waits for a thread would
// wait forever, and what is mapped is the parent's. So an owner of threads or files asks before
// using them.
#ifndef BANDB_BASE_FORK_H_
#define BANDB_BASE_FORK_H_

#include <cstdint>

namespace bandb::base {

// How many forks led from the process that first asked to this one: a number that has changed since
// an object was made says that the object is the parent's. Thread safety: any thread; as cheap as a
// load.
uint64_t Forks();

}  // namespace bandb::base

#endif  // BANDB_BASE_FORK_H_
