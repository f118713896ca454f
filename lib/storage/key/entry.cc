#include "storage/key/entry.h"

#include "base/status.h"

namespace bandb::storage {

absl::Status MalformedEntry(Kind kind) {
  if (kind == Kind::kPutWithExpiry) {
    return base::Error(absl::StatusCode::kDataLoss, "an entry that expires is too short to say when");
  }
  return base::Error(absl::StatusCode::kDataLoss, "an entry of kind {}, which this release does not write",
                     static_cast<int>(kind));
}

}  // namespace bandb::storage
