// What a database tells about itself: typed, cheap to take, no strings to parse.
#ifndef BANDB_STATS_H_
#define BANDB_STATS_H_

#include <cstdint>
#include <vector>

namespace bandb {

// One level of tables.
struct LevelStats {
  uint64_t tables = 0;
  uint64_t bytes = 0;
  uint64_t target_bytes = 0;   // 0 for level 0, which counts tables, and for all that is not levelled
  uint64_t bytes_read = 0;     // by compactions out of this level, since open
  uint64_t bytes_written = 0;  // by flushes and compactions into this level, since open
  uint64_t bytes_moved = 0;    // into this level without rewriting, since open
};

// A compaction that is running.
struct CompactionProgress {
  int level = 0;  // the uppermost that it reads
  int output_level = 0;
  uint64_t input_bytes = 0;    // of the tables that it merges
  uint64_t done_bytes = 0;     // of them, about: what has been merged
  uint64_t written_bytes = 0;  // of the tables that it makes, so far
  bool manual = false;         // part of a CompactRange
};

// Thread safety: a plain value. All counts are since Open unless said otherwise; bytes are bytes on
// disk.
struct Stats {
  // Level 0, where flushes go, first.
  std::vector<LevelStats> levels;

  // Where the data is.
  uint64_t table_bytes = 0;
  uint64_t log_bytes = 0;
  uint64_t memtable_bytes = 0;
  uint64_t immutable_memtables = 0;

  // Writes.
  uint64_t operations_written = 0;
  uint64_t batches_written = 0;
  uint64_t user_bytes_written = 0;  // keys and values
  uint64_t log_bytes_written = 0;
  uint64_t log_syncs = 0;
  uint64_t flushes = 0;
  uint64_t compactions = 0;
  double write_amplification = 0;  // (log + flush + compaction bytes) / user bytes; 0 before the first write

  // Compactions.
  std::vector<CompactionProgress> running_compactions;
  uint64_t compaction_pauses = 0;  // now: calls of PauseCompactions that no ContinueCompactions has followed
  uint64_t throttled_micros = 0;   // time that flushes and compactions waited for background_bytes_per_second
  uint64_t forgotten_tables = 0;   // by CompactionStyle::kFifo
  uint64_t forgotten_bytes = 0;
  uint64_t values_removed = 0;  // by the compaction filter
  uint64_t values_changed = 0;

  // Back-pressure.
  uint64_t stall_count = 0;            // writes that had to wait
  uint64_t stall_micros = 0;           // time that they waited, summed
  uint64_t compaction_debt_bytes = 0;  // what compactions have still to rewrite to bring the levels in shape

  // Reads.
  uint64_t gets = 0;
  uint64_t tables_probed = 0;     // tables that a Get looked at beyond their filter
  uint64_t filter_negatives = 0;  // tables that a filter let a Get skip
  uint64_t block_reads = 0;
  uint64_t block_read_bytes = 0;
  uint64_t open_table_files = 0;  // now; Options::open_files_max bounds it

  // Trouble.
  std::vector<uint64_t> damaged_tables;  // set aside now, by the numbers that are the names of their files
  uint64_t descriptor_shortages = 0;     // times that no file descriptor was free
  uint64_t expiry_ahead_ms = 0;          // by so much the clock was later once than it is now; see Db::AcceptClock
  uint64_t exceptions = 0;               // thrown by listener, logger and callbacks, and dropped

  // Memory.
  uint64_t cache_hits = 0;
  uint64_t cache_misses = 0;
  uint64_t cache_bytes = 0;
  uint64_t pinned_bytes = 0;  // indexes, filters and what readers hold
  uint64_t memory_bytes = 0;  // all that counts against the budget
  uint64_t memory_budget_bytes = 0;

  // Recovery, of the last Open.
  uint64_t recovered_log_records = 0;
  uint64_t dropped_log_bytes = 0;  // the torn tail: written, never acknowledged as durable
  bool as_of_last_flush = false;   // of Db::OpenReadOnly: somebody had it open, and the logs were left aside

  // The change feed.
  uint64_t changes_kept_logs = 0;    // now, beyond those that the database needs
  uint64_t changes_kept_bytes = 0;   // of them
  uint64_t oldest_change = 0;        // the sequence of the oldest change that can be read
  uint64_t cursors = 0;              // now
  uint64_t lost_cursors = 0;         // of them
  uint64_t changes_logs_let_go = 0;  // since open: logs that were kept, and are not any more

  // Versions.
  uint64_t live_snapshots = 0;
  uint64_t oldest_snapshot_sequence = 0;  // 0 if there is none
  uint64_t last_sequence = 0;
};

}  // namespace bandb

#endif  // BANDB_STATS_H_
