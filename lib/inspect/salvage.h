// Reads what is sound of damaged files, and says what was passed over.
//
// Of a table every partition and every data block is under a checksum of its own: one that does
// not verify is left out, and the walk goes on with the next. Of a log every record does, and the
// next one after damage is found by its marker.
#ifndef BANDB_INSPECT_SALVAGE_H_
#define BANDB_INSPECT_SALVAGE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "storage/key/cursor.h"
#include "storage/key/range_tombstones.h"
#include "storage/log/log_reader.h"
#include "storage/table/block_cursor.h"
#include "storage/table/table_reader.h"

namespace bandb::inspect {

// A part of a file that could not be read. The status begins with the path and the offset.
struct Loss {
  absl::Status why;
  // Spaced keys between which what is lost lay, as far as that is known: none before `begin`, none
  // after `end`, which themselves may be of the neighbours. Empty: from the first, or to the last.
  std::string begin{};
  std::string end{};
};

struct BlockFound {
  uint64_t partition = 0;
  uint64_t number = 0;  // in the partition
  storage::BlockHandle handle{};
  std::string separator{};  // a spaced key that none of its entries comes after
};

// The sound entries of a table, forward only. Never fails: what cannot be read is noted.
// Lifetime: borrows both. Thread safety: one thread.
class SalvageCursor final : public storage::Cursor {
 public:
  SalvageCursor(const storage::TableReader& table, std::vector<Loss>* losses) : table_(table), losses_(losses) {}

  // Called for each sound block before its entries.
  void OnBlock(std::function<void(const BlockFound&)> on_block) { on_block_ = std::move(on_block); }

  void SeekToFirst() override;
  void Next() override;
  std::string_view value() const override { return entries_.value(); }
  absl::Status status() const override { return absl::OkStatus(); }

  // Nobody walks it in another way.
  void SeekToLast() override;
  void Seek(std::string_view internal_key) override;
  void SeekForPrev(std::string_view internal_key) override;
  void Prev() override;

 private:
  // To the next entry, in whichever block it is.
  void Stand();
  bool LoadNextBlock();
  bool EnterNextPartition();

  const storage::TableReader& table_;
  std::vector<Loss>* const losses_;
  std::function<void(const BlockFound&)> on_block_;
  // The next ones.
  size_t partition_ = 0;
  size_t block_ = 0;
  storage::PartitionRef entered_;
  storage::BlockRef content_;
  storage::BlockCursor entries_;
};

// Entries in memory, in order, forward only.
class EntryCursor final : public storage::Cursor {
 public:
  using Entries = std::vector<std::pair<std::string, std::string>>;

  explicit EntryCursor(Entries entries) : entries_(std::move(entries)) {}

  void SeekToFirst() override;
  void Next() override;
  std::string_view value() const override { return entries_[at_].second; }
  absl::Status status() const override { return absl::OkStatus(); }
  void SeekToLast() override;
  void Seek(std::string_view internal_key) override;
  void SeekForPrev(std::string_view internal_key) override;
  void Prev() override;

 private:
  void Stand();

  const Entries entries_;
  size_t at_ = 0;
};

// What a log holds in the space of users, and how it ends.
struct SalvagedLog {
  EntryCursor::Entries entries{};  // in the order of internal keys
  std::vector<storage::RangeTombstone> tombstones{};
  std::vector<Loss> losses{};
  uint64_t records = 0;
  // None: the file has no header, or one that is damaged, and nothing of it can be read.
  std::optional<storage::FileHeader> header{};
  // kDamaged: in bytes that are no record, which are among the losses.
  storage::LogEnd end = storage::LogEnd::kOpen;
  // Where the last whole record ends, and how long the file is.
  uint64_t valid_bytes = 0;
  uint64_t file_bytes = 0;
  // What must come next; 0: nothing is known.
  storage::Sequence next_sequence = 0;
};

// All whole records of a log, those after damage included. `bytes_max`: what of the file counts.
// `next_sequence`: what its first record must begin with, if that is known; operations that are not
// there, and that no damage before them accounts for, are a loss. So is what the file system
// refuses to read: the rest is read.
// Memory: the log and what is in it.
// Errors: the file cannot be opened.
absl::StatusOr<SalvagedLog> SalvageLog(base::FileSystem* files, const std::string& path, uint64_t bytes_max,
                                       storage::Sequence next_sequence = 0);

}  // namespace bandb::inspect

#endif  // BANDB_INSPECT_SALVAGE_H_
