// How work in the background ended.
#ifndef BANDB_STORAGE_ENGINE_JOB_END_H_
#define BANDB_STORAGE_ENGINE_JOB_END_H_

#include <cstdint>

#include "absl/status/status.h"

namespace bandb::storage {

// How work in the background ended.
struct JobEnd {
  absl::Status status;
  // Lifecycle::resumes() from before whatever went wrong.
  uint64_t resumes_seen = 0;
  // Tables that could not be read were set aside.
  bool damage_set_aside = false;
  // A snapshot, or another clock, has come in between: it is looked at again.
  bool given_up = false;
  // The operating system refused what has changed nothing, so that the work may be tried again.
  bool may_pass = false;
  // Of the state that the work was done on.
  uint64_t generation = 0;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_JOB_END_H_
