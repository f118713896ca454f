// A large sorted batch, which becomes tables without passing through memory; see Db::Ingest.
#ifndef BANDB_INGEST_H_
#define BANDB_INGEST_H_

#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace bandb {

// One entry of the batch: `key` has `value` from then on, as after a Put.
// Lifetime: the bytes stay until the source is called again.
struct IngestEntry {
  std::string_view key{};
  std::string_view value{};
  // When the value is gone, as with WriteBatch::PutUntil. Infinite: never.
  absl::Time expiry = absl::InfiniteFuture();
};

// Gives the entries one by one, each key greater than the one before, bytewise: true with the next
// one in `*entry`, which is empty before the call; false at the end. An error gives the ingest up.
// It may read the database and write to it; what it writes comes before what is ingested.
using IngestSource = absl::FunctionRef<absl::StatusOr<bool>(IngestEntry* entry)>;

// What an ingest may do.
struct IngestOptions {
  // The change feed does not give what is ingested. It begins again after it: every log that was
  // kept goes, readers that go on from before are told kOutOfRange, and every cursor is lost until
  // it is reset. So an ingest is refused while logs are kept (Options::changes_keep_bytes) or there
  // are cursors that are not lost, unless this is set. Default: refused.
  bool allow_gap_in_changes = false;
};

}  // namespace bandb

#endif  // BANDB_INGEST_H_
