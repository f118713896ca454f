// The entries of a store in this process, for an export.
#ifndef BANDB_TOOLS_TRANSFER_STORE_SOURCE_H_
#define BANDB_TOOLS_TRANSFER_STORE_SOURCE_H_

#include <memory>
#include <string>

#include "bandb/store.h"
#include "transfer/exporter.h"

namespace bandb::transfer {

// The entries of [begin, limit) that `snapshot` sees; an empty limit is unbounded. Lifetime:
// borrows the store and the snapshot.
std::unique_ptr<EntrySource> MakeStoreSource(Store* store, const Snapshot* snapshot, std::string begin,
                                             std::string limit);

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_STORE_SOURCE_H_
