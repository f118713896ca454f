// A small number for the calling thread, to spread threads over padded slots.
#ifndef BANDB_BASE_THREAD_SLOT_H_
#define BANDB_BASE_THREAD_SLOT_H_

#include <cstddef>

namespace bandb::base {

// Numbers are given out in the order in which threads first ask. Nothing that can be seen may
// depend on them: they only spread contention.
size_t ThreadSlot();

}  // namespace bandb::base

#endif  // BANDB_BASE_THREAD_SLOT_H_
