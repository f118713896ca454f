// Imports into a store in this process.
#ifndef BANDB_TOOLS_TRANSFER_STORE_TARGET_H_
#define BANDB_TOOLS_TRANSFER_STORE_TARGET_H_

#include <cstdint>
#include <vector>

#include "bandb/store.h"
#include "transfer/importer.h"

namespace bandb::transfer {

// Writes batches, each after the one before it was taken; the store's own back-pressure slows it.
class StoreTarget final : public ImportTarget {
 public:
  // Lifetime: borrows the store.
  explicit StoreTarget(Store* store) : store_(store) {}

  absl::Status Add(ImportEntry entry, ImportSummary* summary) override;
  absl::Status Finish(ImportSummary* summary) override;

 private:
  absl::Status Flush(bool sync, ImportSummary* summary);
  // For a batch that was refused: each entry by itself.
  absl::Status WriteSingly(ImportSummary* summary);

  Store* const store_;
  std::vector<ImportEntry> pending_;
  uint64_t pending_bytes_ = 0;
  uint64_t unsynced_ = 0;  // bytes that were written and may be lost with the power
};

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_STORE_TARGET_H_
