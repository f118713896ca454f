// What can be set, with its default, unit and effect.
#ifndef BANDB_OPTIONS_H_
#define BANDB_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace bandb {

class CompactionFilter;
class EventListener;
class Logger;
class Snapshot;

// How the blocks of tables are compressed. Which of them BanDB can do was decided when it was
// built.
enum class Compression : int { kNone = 0, kLz4 = 1, kZstd = 2 };

// In which shape compactions keep the tables. A database may be opened with another one each time:
// what is there is brought into the new shape in the background.
enum class CompactionStyle : int {
  // Levels, each ten times as large as the one above and sorted as a whole. The least space and the
  // fewest tables for a read; each byte is rewritten several times on each level.
  kLevelled = 0,
  // Sorted runs, of which level0_tables neighbours of about one size become one: each byte is
  // rewritten a few times, for reads that look into more runs and for more space. A table of level
  // 0 is a run, and so is each level below. At rest there are fewer than three times level0_tables
  // of them, and all but the oldest hold no more than twice as much as that one: so three times its
  // space at the most, and as much again while all are merged into one. That takes long where there
  // is much: with background_threads of three or more, smaller merges go on meanwhile.
  kTiered = 1,
  // First in, first out: a buffer that forgets by itself. Nothing is merged but small tables with
  // their neighbours; the oldest tables are dropped whole, unread, once all together are larger
  // than fifo_bytes_max, or the newest write in one is older than fifo_age_max.
  // What readers see: for each key the writes to it that are forgotten are older than those that
  // are not. So a key has its latest value, or none: an older value never comes to light again, and
  // neither does a deleted key, by Delete or by DeleteRange. In a database that was always of this
  // style more is true: what is there is what the writes from some sequence on made of nothing.
  // Keys overwritten again and again are not forgotten; what they held is dropped with its table.
  // A snapshot keeps what it sees from being forgotten, with all that is newer, for as long as it
  // lives, and an open iterator keeps its tables: then the bounds do not hold. What is in no table
  // yet is not forgotten: up to write_buffer_bytes more. Conditions find what readers would find.
  // The change feed does not tell of it, and its cursors are not forgotten: a table with some is
  // rewritten without the rest. A damaged table goes when its time comes, unread; but one that has
  // cursors, too, stays, and all that is newer with it: then the bounds do not hold any more (see
  // Stats::damaged_tables). Forgetting survives a crash. Values with a time to live expire as
  // always; the space is given back as above.
  // CompactRange flushes and does no more. Writers never wait for compactions; reads look into each
  // table's filter. Not in a cluster, whose members would forget at different times.
  kFifo = 2,
};

// How to open a database. Two settings matter to most users: memory_budget_bytes and
// background_threads. Open refuses settings that make no sense and names all of them at once.
struct Options {
  // Create the database if the directory holds none. Default: yes.
  bool create_if_missing = true;
  // Refuse to open a database that exists (kAlreadyExists). Default: no.
  bool error_if_exists = false;

  // All memory that the database may use, in bytes: memtables, cache, indexes and filters, what
  // iterators pin, and working space. 0, the default, derives it from the settings below:
  // write_buffer_bytes + block_cache_bytes + 64 MiB. If given, it must cover that sum.
  uint64_t memory_budget_bytes = 0;
  // Threads for flushes and compactions. 1 to 64; default 2. One is always free for flushes when
  // there are two or more.
  int background_threads = 2;

  // Memory for writes that are not yet in a table, in bytes. 64 KiB to 2 GiB; default 64 MiB.
  // Larger: fewer compactions, longer recovery. A memtable is frozen and flushed at half of it, so
  // that writing goes on meanwhile.
  uint64_t write_buffer_bytes = 64ull << 20;
  // Memory for blocks read from tables, in bytes. 0 to 1 TiB; default 64 MiB.
  uint64_t block_cache_bytes = 64ull << 20;
  // Uncompressed size at which a data block is cut, in bytes. 512 to 1 MiB; default 4 KiB. Smaller:
  // quicker point reads, larger indexes.
  uint32_t block_bytes = 4096;
  // Bits of Bloom filter for each key. 0 (no filters) to 32; default 10, which lets 1 % of needless
  // reads through.
  int bloom_bits_per_key = 10;
  // How blocks are compressed. A block that does not shrink by an eighth is stored as it is.
  // Default: LZ4 where BanDB was built with it, else none. Open refuses what BanDB was built
  // without.
  Compression compression = kDefaultCompression;
  // The same for the last level, which holds most of the data where it is levelled or tiered, if
  // another one is better there: kZstd, say, which is smaller and slower. Default: as
  // `compression`. Where the two differ, tables are rewritten on their way into the last level, not
  // moved. Tables that are there stay as they are until they are rewritten; CompactRange does that.
  std::optional<Compression> compression_last_level{};
  // Size at which a table file is cut, in bytes. 64 KiB to 1 GiB; default 32 MiB.
  uint64_t table_bytes = 32ull << 20;
  // The shape in which tables are kept; see above. Default: levels.
  CompactionStyle compaction_style = CompactionStyle::kLevelled;
  // Of kFifo, which takes at least one of the two: the bytes that all tables may have together, 0
  // for no such bound (the default), else write_buffer_bytes to 1 PiB; and the age at which tables
  // are forgotten, a millisecond or more. Default: no bound of age. Age counts from the flush that
  // wrote the newest of a table, or from the merge if another style has merged it, by the clock
  // that times to live go by.
  uint64_t fifo_bytes_max = 0;
  absl::Duration fifo_age_max = absl::InfiniteDuration();
  // Tables in level 0 at which they are compacted; of kTiered, sorted runs of about one size. 1 to
  // 64; default 4. Where it is levelled, fewer are compacted when many iterators have read them.
  int level0_tables = 4;
  // Bytes in the first level below 0 that holds data. 64 KiB to 1 TiB; default 256 MiB. Each
  // further level is ten times larger.
  uint64_t level_base_bytes = 256ull << 20;

  // Bytes that flushes and compactions write in a second at the most, over some seconds. 0, the
  // default, is no limit, else 64 KiB to 1 TiB. Flushes go first; compactions get what they leave,
  // at least an eighth. Writers wait once either falls behind, as on a slow disk.
  uint64_t background_bytes_per_second = 0;

  // Table files that are kept open at a time. 8 to 1048576; 0, the default, takes half of the files
  // that the process may have open (RLIMIT_NOFILE), 8192 at the most. A table beyond that is opened
  // again when a block of it is read that is not in the cache. About ten more files may be open at
  // times: logs, the manifest, what is being written.
  int open_files_max = 0;

  // Logs that the database does not need any more and that are kept for the change feed
  // (bandb/changes.h), in bytes; the oldest go first. 0, the default, keeps none: then a reader
  // finds what has not been flushed yet. Where the disk is full, Resume gives them up.
  uint64_t changes_keep_bytes = 0;
  // For how long at the most, within changes_keep_bytes, but for those that a cursor still needs.
  // Zero: only what cursors need. Looked at whenever a memtable has been flushed. Default: no limit
  // of time.
  absl::Duration changes_keep_for = absl::InfiniteDuration();

  // Asked about the values that compactions rewrite (bandb/compaction_filter.h). May be null. Not
  // in a cluster. Lifetime: must outlive the database.
  CompactionFilter* compaction_filter = nullptr;

  // Told of flushes, compactions, stalls and errors. May be null. Lifetime: must outlive the
  // database.
  EventListener* listener = nullptr;
  // Receives log messages. May be null. Lifetime: must outlive the database.
  Logger* logger = nullptr;

#ifdef BANDB_BUILT_WITHOUT_LZ4
  // What `compression` is unless set.
  static constexpr Compression kDefaultCompression = Compression::kNone;
#else
  // What `compression` is unless set.
  static constexpr Compression kDefaultCompression = Compression::kLz4;
#endif
};

// What one write asks for.
struct WriteOptions {
  // False: an acknowledged write survives the death of the process, but not of the machine, like
  // write(2). True: it survives power loss, like write(2) and fdatasync(2). Writes that wait at the
  // same time share one fdatasync.
  bool sync = false;
  // How long to wait where the store is stalled, or has no leader. When it has passed and the write
  // was not yet submitted: kDeadlineExceeded, not done. A submitted write whose outcome the time
  // does not suffice to learn: kUnknown.
  absl::Duration timeout = absl::InfiniteDuration();
};

// What a read must see in a cluster. For Db all are the same.
enum class Consistency : int {
  kLinearizable,  // everything acknowledged before the read began
  kLease,         // the same, as long as clocks keep to the written bounds; quicker
  kLocal,         // what this node has applied
};

// What one read asks for.
struct ReadOptions {
  // Read this state instead of the present one. Errors: kInvalidArgument if it is of another store
  // or empty.
  // Lifetime: must live until the call returns; an iterator keeps what it needs.
  const Snapshot* snapshot = nullptr;
  // Iterators stay within [lower_bound, upper_bound); empty means unbounded.
  std::string lower_bound{}, upper_bound{};
  // An iterator gives up once it has passed so many entries in all that show nothing (deleted,
  // expired or overwritten ones): then it is not Valid, with status() kUnavailable and a
  // resume_key(). 0: never.
  uint64_t skips_max = 0;
  // Keep the blocks that are read in the cache. Of a long walk only the first blocks are kept: one
  // that has read half a mebibyte of a table in a row leaves the cache alone.
  bool fill_cache = true;
  // Get and its relatives answer from memory or not at all: what would have to wait for the disk is
  // kUnavailable, and may be asked again without this, by a thread that may wait. Iterators take no
  // notice of it.
  bool only_cached = false;
  // If given, set to whether the answer depends on a write that may still be lost with the
  // machine's power; for an iterator: whether there was any when it was made. An empty batch that
  // is written with `sync` after the read is acknowledged once that is not so any more.
  bool* saw_undurable = nullptr;
  Consistency consistency = Consistency::kLinearizable;
  // How long to wait for the asked consistency: kDeadlineExceeded when it has passed.
  absl::Duration timeout = absl::InfiniteDuration();
};

}  // namespace bandb

#endif  // BANDB_OPTIONS_H_
