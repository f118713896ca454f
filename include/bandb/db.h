// An ordered, persistent key-value store in a directory, inside the calling process.
#ifndef BANDB_DB_H_
#define BANDB_DB_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/ingest.h"
#include "bandb/options.h"
#include "bandb/stats.h"
#include "bandb/store.h"

namespace bandb {

namespace internal {
class CheckpointSink;
struct DbAccess;
}  // namespace internal

// Store has the reads and writes; Db adds what concerns one directory on one disk.
//
//   absl::StatusOr<std::unique_ptr<bandb::Db>> db = bandb::Db::Open("/var/lib/app/data");
//   if (!db.ok()) ...
//   absl::Status done = (*db)->Put("name", "Alice", {.sync = true});
//
// After any crash the database is a prefix of the commit order that contains every write
// acknowledged at its level: never a hole, never half a batch.
//
// Thread safety: every method may be called from any thread.
class Db : public Store {
 public:
  // Opens the database in `dir`, recovering from a crash if need be.
  // Errors: kNotFound            there is none and create_if_missing is false
  //         kAlreadyExists       there is one and error_if_exists is true; or the path is that of a file
  //         kFailedPrecondition  another process, or this one, has it open; or its format is newer than this library;
  //                              or it is the directory of a cluster's node
  //         kInvalidArgument     options that make no sense, all of them named; or an empty path
  //         kDataLoss            a checksum failed on bytes that had been synced; nothing was changed on disk
  //         kPermissionDenied, kResourceExhausted, kUnavailable, kInternal  the operating system refused;
  //                              kUnavailable no file descriptor is free; kResourceExhausted there is no memory, or
  //                              not the little room that opening takes, which the message names: nothing is lost
  static absl::StatusOr<std::unique_ptr<Db>> Open(const std::filesystem::path& dir, const Options& options = {});

  // Opens the database in `dir` for reading only. Nothing is created, written, locked or removed,
  // so that a checkpoint, a read-only file system and a directory that one may only read will do.
  // What it shows stays the same until it is closed:
  //   nobody has it open    what Open would find; the logs are read into memory, and stay there
  //   somebody has it open  the state as of their last flush, even if that is being synced only now.
  //                         Stats::as_of_last_flush is true then
  // Everything that would write is kFailedPrecondition: writes, cursors, Flush, CompactRange,
  // CreateCheckpoint, Resume and AcceptClock. All else works. ReadOptions::saw_undurable is set
  // for what was found in a log and is not known to survive power loss; a ChangeReader gives what
  // the logs have and then waits in vain, and there is none as of a last flush
  // (kFailedPrecondition).
  // It keeps nobody from opening the database for writing, which removes tables in time. Those that
  // are open by then, Options::open_files_max at the most, stay readable and keep their space on
  // the disk until it is closed; of others that are gone, reads are kInternal.
  // Of the options those of memory, open files, listener and logger count.
  // Errors: kNotFound            there is none
  //         kFailedPrecondition  its format is newer than this library; or it is the directory of a cluster's node
  //         kInvalidArgument     as Open
  //         kDataLoss            as Open: a checksum failed on bytes that had been synced
  //         kResourceExhausted   the logs hold more than the memory budget has room for, or there is no memory
  //         kUnavailable         no file descriptor is free; or it kept changing while it was read: try again
  //         kPermissionDenied, kInternal  the operating system refused
  static absl::StatusOr<std::unique_ptr<Db>> OpenReadOnly(const std::filesystem::path& dir,
                                                          const Options& options = {});

  // Puts everything written so far into tables. Where the operating system refuses what is needed
  // for a moment (no descriptor, a file that cannot be made), it is tried again for some seconds;
  // then the call ends with the refusal, and the background goes on trying. Errors: kUnavailable no
  // file descriptor is free; kResourceExhausted the disk is full; kInternal the operating system
  // refused; kFailedPrecondition writes are stopped, or the database is closed.
  // Durability: what was written before the call survives power loss when it returns OK.
  virtual absl::Status Flush() = 0;
  // Compacts the tables that hold keys of [begin, limit), so that the space of what was deleted or
  // overwritten, or has expired, is given back, unless a snapshot still sees it. All of them are
  // rewritten, those of the last level too. Empty means unbounded. Returns when it is done, and the
  // tables that were replaced are gone from the disk, but for those that an iterator or another
  // compaction still reads. Errors: kDataLoss, kInternal a table could not be read; the rest is
  // compacted no further; else as Flush, with which it begins.
  virtual absl::Status CompactRange(std::string_view begin, std::string_view limit) = 0;
  // Begins no more compactions, and has those that run stand still; returns at once, while a step
  // of some milliseconds may still be under way. Flushes go on. Writers are slowed and then stopped
  // once too many tables have come of flushes; what comes after such a write waits, as CompactRange
  // does. CompactionStyle::kFifo forgets nothing meanwhile. Nested: as many ContinueCompactions as
  // calls of this have them go on. Close does, too, and the next Open begins with none.
  // Errors: kFailedPrecondition the database is closed, or opened for reading only.
  virtual absl::Status PauseCompactions() = 0;
  // Errors: kFailedPrecondition they are not paused; else as PauseCompactions.
  virtual absl::Status ContinueCompactions() = 0;

  // Writes a large sorted batch, any number of entries, as tables: all of it or, on any error but
  // kUnknown, none, which leaves nothing on disk. Each byte is written once, and neither to the log
  // nor into a memtable. The calling thread asks the source and writes the tables, while all else
  // goes on. Then writers wait for the flush of what was written since the flush that this call
  // begins with, and for the manifest: everything that was written before is in tables then, and
  // what was ingested comes right after it, ahead of what is written later. Meanwhile a write that
  // must not wait is kUnavailable, as when writes are stalled.
  // The tables go as far down as nothing of what is there lies in the range between the first key
  // and the last; a range that level 0 holds some of puts them into level 0, where each counts as
  // one that was flushed. Where another ingest that began later has ended before this one, or very
  // much was written meanwhile, the tables are written once more before they count.
  // Returns Entry::version of the last entry; 0 if there was no entry, and nothing was done.
  // Snapshots and iterators of before do not see it. Options::background_bytes_per_second does not
  // bound it.
  // Errors: kInvalidArgument a key that is not greater than the one before, which the message
  // names, or one of the sizes that Put refuses; kFailedPrecondition the change feed would have a
  // gap (see IngestOptions), the database was closed meanwhile or is only read, or writes are
  // stopped; kResourceExhausted the disk is full; kUnavailable no file descriptor is free;
  // kInternal the operating system refused; kUnknown it may have been done; what the source said.
  // Durability: survives power loss when it returns OK, and so does all that was written before.
  absl::StatusOr<uint64_t> Ingest(IngestSource next, const IngestOptions& options = {});

  // About how many bytes the keys of [begin, limit) take, in memory and, as they are stored, in
  // tables; empty means unbounded. Reads no data, and answers soon however large the range is. Of a
  // table it knows no more than blocks, and of one whose index is not in memory no more than parts
  // of some megabytes. What was deleted or overwritten counts until it is compacted. Errors:
  // kFailedPrecondition the database is closed; kInternal, kDataLoss a table could not be opened.
  absl::StatusOr<uint64_t> ApproximateSize(std::string_view begin, std::string_view limit) const;
  // About how many keys there are in [begin, limit); empty means unbounded. Up to 256 are counted;
  // of more, entries are, as ApproximateSize sees them, less two for each delete, for that is one
  // and hides one. So a key that was overwritten and not compacted since counts as often as it was
  // written, and what a DeleteRange has hidden counts until it is compacted. Errors: likewise.
  absl::StatusOr<uint64_t> ApproximateCount(std::string_view begin, std::string_view limit);
  // Makes a copy of the present state in `dir`, which must not exist, by hard links where the file
  // system allows. The copy can be opened as a database of its own; it keeps the identity of this
  // one. It is made as `dir`.tmp-... and renamed once it is whole, so that there never is a part of
  // a copy in `dir`. Durability: the copy survives power loss when this returns OK. After an error
  // no copy of this call's is there. Errors: kAlreadyExists `dir` is there, or somebody else made
  // it meanwhile; kInvalidArgument its path is empty; kFailedPrecondition the database was closed
  // meanwhile; else as Flush, with which it begins.
  virtual absl::Status CreateCheckpoint(const std::filesystem::path& dir) = 0;
  // Reads every byte of every file that the database consists of, logs and manifest as far as they
  // were written when it comes to them. Errors: kDataLoss names the file and offset of the first
  // damage; kInternal the operating system refused; kFailedPrecondition the database was closed
  // meanwhile. Damage in a log is no loss yet: Flush puts into tables what is in memory still.
  virtual absl::Status VerifyChecksums() = 0;
  // Accepts writes again after the disk was full, once there is space; takes back the tables that
  // were set aside as damaged, if their files were mended meanwhile; and tries at once what the
  // operating system had refused. OK if nothing was wrong.
  // Errors: kFailedPrecondition if the cause was another, and the database must be reopened;
  // kResourceExhausted if there is still no space.
  virtual absl::Status Resume() = 0;
  // Times to live go by the latest time that the system's clock has shown, in this life of the
  // database or an earlier one: it never goes back, so that what has expired for one reader is gone
  // for all. A clock that was ahead by mistake therefore holds expiry until it gets there again;
  // Stats::expiry_ahead_ms tells by how much. Once the clock is right, this call has expiry go by
  // it from now on. Values that counted as expired, and that no compaction has dropped yet, are
  // there again; those that were put with a time to live meanwhile keep the time of then; a
  // snapshot keeps its own.
  // Durability: what it says survives power loss when it returns OK.
  // Errors: kFailedPrecondition writes are stopped, or the database is closed; kResourceExhausted
  // the disk is full; kInternal the operating system refused.
  virtual absl::Status AcceptClock() = 0;
  // What the database has done since it was opened, and what it consists of. After Close the last
  // figures.
  virtual Stats GetStats() const = 0;
  // Waits for running calls and background work, then closes the files; checkpoints and
  // verifications under way end early. Acknowledged writes keep the durability they were promised;
  // nothing is flushed. Later calls answer kFailedPrecondition. Idempotent; the destructor calls
  // it. Must not be called from a callback of the database. In a child that was forked while the
  // database was open it does nothing.
  // Errors: kDataLoss a log no longer holds what was written to it: it is left without a seal, and
  // the next Open goes on with what is whole of it, or says what had been synced and is damaged;
  // kInternal the operating system refused.
  virtual absl::Status Close() = 0;

 protected:
  Db() = default;

  // What both figures of a range come from.
  struct RangeFigures {
    uint64_t bytes = 0;
    uint64_t keys = 0;
  };

 private:
  friend struct internal::DbAccess;
  // As CreateCheckpoint, but that the tables go to the sink. Errors: kUnimplemented it makes none.
  virtual absl::Status DoCheckpoint(const std::filesystem::path& dir, internal::CheckpointSink* sink);
  // Errors: kUnimplemented it takes none.
  virtual absl::StatusOr<uint64_t> DoIngest(IngestSource next, const IngestOptions& options);
  // Errors: kUnimplemented it tells none.
  virtual absl::StatusOr<RangeFigures> DoApproximate(std::string_view begin, std::string_view limit) const;
};

}  // namespace bandb

#endif  // BANDB_DB_H_
