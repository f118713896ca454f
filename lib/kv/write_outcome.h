// What a status says of a write.
#ifndef BANDB_KV_WRITE_OUTCOME_H_
#define BANDB_KV_WRITE_OUTCOME_H_

#include "absl/status/status.h"

namespace bandb::kv {

// Whether a write that ended so has changed nothing, and never will: kUnknown alone leaves it open.
inline bool WasNotDone(const absl::Status& status) {
  return !status.ok() && status.code() != absl::StatusCode::kUnknown;
}

}  // namespace bandb::kv

#endif  // BANDB_KV_WRITE_OUTCOME_H_
