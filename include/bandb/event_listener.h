// What a store tells the application as it happens.
#ifndef BANDB_EVENT_LISTENER_H_
#define BANDB_EVENT_LISTENER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace bandb {

// A memtable became a table.
struct FlushInfo {
  uint64_t table_number = 0;  // 0 if everything in the memtable was already gone
  uint64_t table_bytes = 0;
  uint64_t entries = 0;
  absl::Duration duration;
};

// Tables were merged into others, or moved down a level as they are.
struct CompactionInfo {
  int input_level = 0;
  int output_level = 0;
  uint64_t input_tables = 0;
  uint64_t input_bytes = 0;
  uint64_t output_tables = 0;
  uint64_t output_bytes = 0;  // 0 for a move
  bool moved = false;
  absl::Duration duration;
};

// A table that cannot be read as it should be was set aside: it stays where it is and is read, but
// no compaction touches it any more, until Resume or the next Open; or, if only the operating
// system refuses to read it, until some time has passed.
struct TableDamage {
  uint64_t table_number = 0;  // NNNNNN.tbl
  int level = 0;
  // kDataLoss: what was read is wrong; kInternal: the operating system refused;
  // kFailedPrecondition: another release has written it. Names file and offset.
  absl::Status status;
};

// Writers wait, or no longer wait.
enum class StallState : int { kNone = 0, kSlowed = 1, kStopped = 2 };

// Implemented by the application. Every method does nothing by default.
// Thread safety: called from background threads, several at once, never with a lock of BanDB held.
// An implementation may call the store's reading methods; it must not block for long, since
// background work waits for it, and must not write but with WriteAsync, and must not call Close,
// Flush or CompactRange. What it throws is dropped, counted and logged.
class EventListener {
 public:
  virtual ~EventListener() = default;
  // A memtable was flushed.
  virtual void OnFlush(const FlushInfo&) {}
  // A compaction was installed.
  virtual void OnCompaction(const CompactionInfo&) {}
  // Writers began or ceased to wait.
  virtual void OnStallChanged(StallState /*before*/, StallState /*now*/) {}
  // The store stopped accepting writes. kResourceExhausted: Resume once there is space. Else
  // reopen; told once more if writes were stopped for want of space before.
  virtual void OnBackgroundError(const absl::Status&) {}
  // A compaction met a table that it could not read. Reads and writes go on. Told once for each
  // table, until Resume.
  virtual void OnTableDamaged(const TableDamage&) {}
};

}  // namespace bandb

#endif  // BANDB_EVENT_LISTENER_H_
