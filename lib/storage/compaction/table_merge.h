// Merges entries into new tables: the work of flushes and compactions, in bounded steps.
#ifndef BANDB_STORAGE_COMPACTION_TABLE_MERGE_H_
#define BANDB_STORAGE_COMPACTION_TABLE_MERGE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bandb/compaction_filter.h"
#include "base/file_system.h"
#include "base/random.h"
#include "storage/compaction/version_keeper.h"
#include "storage/file/file_header.h"
#include "storage/key/cursor.h"
#include "storage/key/range_tombstones.h"
#include "storage/table/table_builder.h"
#include "storage/version/version.h"

namespace bandb::storage {

struct MergeInputs {
  std::unique_ptr<Cursor> cursor;
  std::vector<RangeTombstone> tombstones;
  SnapshotHorizon horizon;
  // For dropping what is gone: the version that the outputs go into. Null keeps everything that
  // says "gone".
  std::shared_ptr<const Version> version;
  int output_level = 0;
  // Outputs are cut where they would overlap too much of these.
  std::vector<TablePtr> grandparents;
  // What users have written is left out.
  bool systems_only = false;
  // If given, asked about the newest value of each user's key that no snapshot sees, without its
  // expiry, that is: what becomes of it. `*changed` is what takes its place after kChange.
  std::function<CompactionFilter::Decision(std::string_view key, std::string_view value, std::string* changed)>
      filter{};
};

struct MergeOutputs {
  base::FileSystem* files = nullptr;
  std::string engine_dir;
  Uuid database_id;
  TableOptions table_options;
  // Size at which a table is cut; tables are cut between keys, never between versions of one.
  uint64_t table_bytes = UINT64_MAX;
  std::function<uint64_t()> new_file_number;
  base::Random random{0};
  // What comes after the name of each table, which then is none yet.
  std::string name_suffix{};
  // If given, says when each table is finished, which is its creation time then.
  std::function<uint64_t()> finish_time_ms{};
  // Counts what the table that is being made holds in memory, if given. Outlives the merge.
  std::atomic<uint64_t>* memory_bytes = nullptr;
};

// Thread safety: one thread at a time.
class TableMerge {
 public:
  TableMerge(MergeInputs inputs, MergeOutputs outputs);
  // Tables that were begun and are not part of a finished merge are removed.
  ~TableMerge();

  // Works off about `bytes` of input. True when everything is written and durable, the directory
  // excepted.
  // Errors: of reading or writing; the merge is then at its end.
  absl::StatusOr<bool> Step(uint64_t bytes);
  // What it failed of: a table that could not be read, a file that could not be made, or one that
  // could not be written.
  enum class Failure : uint8_t { kNone, kReading, kMaking, kWriting };
  Failure failure() const { return failure_; }
  // The tables, in key order, once Step answered true. From then on they are the caller's.
  std::vector<TableInfo> TakeTables();
  uint64_t input_entries() const { return input_entries_; }
  // Of tables, so far.
  uint64_t written_bytes() const { return finished_bytes_ + (builder_ == nullptr ? 0 : builder_->FileBytes()); }

 private:
  absl::StatusOr<bool> DoStep(uint64_t bytes);
  absl::Status AddEntry(std::string_view internal_key, std::string_view value);
  // Asks the filter, and adds what it leaves of the entry.
  absl::Status AddFiltered(std::string_view internal_key, std::string_view value);
  absl::Status AddAsDelete(std::string_view internal_key);
  bool ShouldCutBefore(std::string_view spaced_key);
  std::string PathOf(uint64_t number) const;
  absl::Status BeginTable();
  // Finishes the present table: it ends before `limit` (a spaced key; empty: at the end of all).
  absl::Status FinishTable(std::string_view limit);
  absl::Status AddTombstones(std::string_view begin, std::string_view limit);
  void CountMemory();

  MergeInputs inputs_;
  MergeOutputs outputs_;
  const FragmentedTombstones tombstones_;
  VersionKeeper keeper_;
  bool started_ = false;
  Failure failure_ = Failure::kNone;
  uint64_t input_entries_ = 0;
  std::string key_;  // scratch
  std::string changed_;
  uint64_t finished_bytes_ = 0;

  // The present table.
  std::unique_ptr<base::AppendableFile> file_;
  std::unique_ptr<TableBuilder> builder_;
  uint64_t number_ = 0;
  std::string lower_bound_;  // its tombstones begin here; empty for the first table
  size_t grandparent_ = 0;
  uint64_t grandparent_bytes_ = 0;
  uint64_t counted_bytes_ = 0;  // of it, in outputs_.memory_bytes

  std::vector<TableInfo> tables_;
  std::vector<uint64_t> unclaimed_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_COMPACTION_TABLE_MERGE_H_
