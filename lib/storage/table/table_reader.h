// Reads a table (table_format.h): the file, and what is kept of it in memory as long as it is open.
//
// Open reads and verifies everything but data blocks and, where the table is cut into partitions,
// their indexes and filters. Those are read when they are needed, through the cache, and verified
// each time that they come from the file: the checksum, the form, the order of the keys, and that
// they lie where the index says. So code that walks tables may rely on their order, even if a table
// was made up with right checksums.
#ifndef BANDB_STORAGE_TABLE_TABLE_READER_H_
#define BANDB_STORAGE_TABLE_TABLE_READER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "storage/key/internal_key.h"
#include "storage/key/range_tombstones.h"
#include "storage/table/block_cache.h"
#include "storage/table/table_file.h"
#include "storage/table/table_format.h"
#include "storage/table/table_index.h"
#include "storage/table/table_meta.h"
#include "storage/table/table_partition.h"

namespace bandb::storage {

// What a Get found. Reused for many Gets; Find sets all members.
struct GetResult {
  bool found = false;
  bool filtered = false;  // the filter says that nothing is there
  Kind kind = Kind::kDelete;
  Sequence sequence = 0;
  std::string_view value;  // lies in `block`
  BlockRef block;          // keeps the value alive; Detach it to hand the value on
};

// Errors of all calls that read: as TableFile.
// Lifetime: the cache must outlive it; cursors must not outlive it, results of Get may.
// Thread safety: const methods from any thread, any number of calls at once.
class TableReader {
 public:
  // Does not check whose database the table belongs to: header() tells. An entry before the
  // internal key `smallest`, if that is given, is damage.
  static absl::StatusOr<std::unique_ptr<TableReader>> Open(std::unique_ptr<base::RandomAccessFile> file,
                                                           std::string path, BlockCache* cache,
                                                           std::string_view smallest = {});
  TableReader(const TableReader&) = delete;
  TableReader& operator=(const TableReader&) = delete;
  ~TableReader();

  // Finds the first entry at or after the internal key if it has the same spaced key. With the
  // FilterHash of that the filter is asked first. Does not look at range tombstones: the caller
  // does, once for many tables. `entered`: what Prepare returned for the key; may be null.
  absl::Status Get(std::string_view internal_key, bool fill_cache, GetResult* result,
                   std::optional<uint64_t> filter_hash = std::nullopt, PartitionRef* entered = nullptr) const;
  // As Get, without reading the file. False, and nothing is known, if that would take what is not
  // in the cache.
  bool GetCached(std::string_view internal_key, GetResult* result, std::optional<uint64_t> filter_hash = std::nullopt,
                 PartitionRef* entered = nullptr) const;
  // Asks for the memory that Get will look at first. Empty if that is not in the cache.
  PartitionRef Prepare(std::string_view internal_key, uint64_t filter_hash) const;
  const FragmentedTombstones& tombstones() const { return meta_.tombstones(); }

  const FileHeader& header() const { return file_.header(); }
  const TableProperties& properties() const { return meta_.properties(); }
  const std::string& path() const { return file_.path(); }
  const TableFile& file() const { return file_; }
  const TableMeta& meta() const { return meta_; }
  // No entry is beyond this spaced key; empty if the table has no entries.
  const std::string& last_separator() const { return last_separator_; }
  // Where in the file an entry with this key would be: exactly if that partition is in memory,
  // else at its beginning. Never reads.
  uint64_t ApproximateOffset(std::string_view internal_key) const;
  // Of what is kept as long as the table is open; also counted by the cache.
  uint64_t memory_bytes() const { return memory_bytes_; }

  // Reads the whole file again, past the cache, and checks every checksum, the order of all keys
  // and the counts. The message names the offset of the first damage.
  absl::Status VerifyChecksums() const;

  // Partition k of meta(), as long as the reference lives; kept for others, too, if `fill_cache`.
  absl::StatusOr<PartitionRef> Enter(size_t k, bool fill_cache = true) const;
  // The same if it is in memory, else empty.
  PartitionRef EnterCached(size_t k) const { return PartitionRef(&slots_[k]); }
  static const TablePartition& At(const PartitionRef& partition) {
    return *static_cast<const TablePartition*>(partition.get());
  }

  // Reads data block i of a partition through the cache; `readahead` may be null.
  absl::StatusOr<BlockRef> ReadDataBlock(const TablePartition& partition, size_t i, bool fill_cache,
                                         const ReadaheadBuffer* readahead) const;
  // The payload of a data block where it lies in the buffer, checked as any other; empty as of
  // TableFile.
  absl::StatusOr<std::string_view> DataBlockInPlace(const TablePartition& partition, size_t i,
                                                    const ReadaheadBuffer& readahead) const;
  // Counts memory of a reader of the table against the budget of the cache.
  BlockCache::PinnedCharge ChargePinned(uint64_t bytes) const { return cache_->ChargePinned(bytes); }
  // Has it counted that somebody who reads needed a block that was not in the cache.
  void CountRead(const BlockHandle& block) const { cache_->CountRead(block.end() - block.offset); }

 private:
  static void FindInBlock(BlockRef block, std::string_view internal_key, GetResult* result);
  TableReader(TableFile file, TableMeta meta, BlockCache* cache, std::string_view smallest);
  // Reads partition k from the file and checks that it is the one which the list of them means.
  absl::StatusOr<std::unique_ptr<TablePartition>> ReadPartition(size_t k) const;
  // Looks for the entry in a partition. False: the block is needed that `block` then names.
  bool GetIn(const TablePartition& partition, std::string_view internal_key, std::optional<uint64_t> filter_hash,
             GetResult* result, size_t* block) const;
  // Reads a data block from the file and checks all that can be checked.
  absl::StatusOr<BlockRef> ReadChecked(const TablePartition& partition, size_t i,
                                       const ReadaheadBuffer* readahead) const;
  // Whether the entries lie where the index and the manifest say.
  absl::Status CheckPlace(const TablePartition& partition, size_t i, const Block& entries) const;
  absl::Status VerifyPartition(size_t k, uint64_t* entries) const;
  absl::Status VerifyDataBlock(const TablePartition& partition, size_t i, uint64_t* entries) const;

  const TableFile file_;
  const std::string smallest_;
  const TableMeta meta_;
  std::string last_separator_;  // set by Open
  BlockCache* const cache_;
  const std::unique_ptr<PartitionSlot[]> slots_;
  const uint64_t memory_bytes_;
  const BlockCache::PinnedCharge charge_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_TABLE_TABLE_READER_H_
