// A table that the database consists of, or consisted of: its description, its reader, and the end
// of its file.
#ifndef BANDB_STORAGE_VERSION_LIVE_TABLE_H_
#define BANDB_STORAGE_VERSION_LIVE_TABLE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/env.h"
#include "base/mutex.h"
#include "storage/table/block_cache.h"
#include "storage/table/open_files.h"
#include "storage/table/table_reader.h"
#include "storage/version/version_edit.h"

namespace bandb::storage {

// Opens tables, and removes the files of those that are obsolete once nobody reads them any more.
// Lifetime: shared by the engine and by every LiveTable, since readers that outlive the engine
// still hold tables. After Close nothing is opened or removed any more; what was left over is
// found at the next open. Thread safety: any thread.
class TableStore : public std::enable_shared_from_this<TableStore> {
 public:
  // At most `open_files_max` files of tables are open at a time. `files` is env.files if that may
  // end before the executor does, so that a removal which is still to come finds it.
  TableStore(const base::Env& env, std::string engine_dir, std::shared_ptr<BlockCache> cache, uint64_t open_files_max,
             std::shared_ptr<base::FileSystem> files = nullptr);

  // Errors: kFailedPrecondition after Close, and what TableReader::Open says.
  // `suffix`: what comes after the name of the file.
  absl::StatusOr<std::unique_ptr<TableReader>> Open(const TableInfo& info, const std::string& suffix);
  // Has the file removed by a background task.
  void Remove(uint64_t number, std::string suffix) ABSL_LOCKS_EXCLUDED(mutex_);
  // Runs `then` once the removals that were asked for so far are done: now, or at the end of the
  // last of them.
  void WhenRemoved(base::Task then) ABSL_LOCKS_EXCLUDED(mutex_);
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);
  // Closes the file of a table that was not read for a while. False if none is open.
  bool GiveUpFile() { return open_files_->GiveUpOne(); }

  const std::shared_ptr<BlockCache>& cache() const { return cache_; }
  uint64_t open_files() const { return open_files_->open_count(); }

 private:
  void NoteRemoved(uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string engine_dir_;
  const std::shared_ptr<BlockCache> cache_;
  // Shared with the files, which may outlive the store.
  const std::shared_ptr<OpenFiles> open_files_;
  // Shared with removals that are still to come.
  const std::shared_ptr<base::FileSystem> owned_files_;
  base::Mutex mutex_;
  // Null after Close.
  base::FileSystem* files_ ABSL_GUARDED_BY(mutex_);
  base::Executor* executor_ ABSL_GUARDED_BY(mutex_);
  // Files that are being removed, and who waits for which of them.
  std::set<uint64_t> removing_ ABSL_GUARDED_BY(mutex_);
  struct RemovalWaiter {
    std::set<uint64_t> numbers;
    base::Task then;
  };
  std::vector<RemovalWaiter> removal_waiters_ ABSL_GUARDED_BY(mutex_);
};

// Lifetime: shared by every Version that holds the table. When the last of them is gone and the
// table is obsolete, its file is removed.
class LiveTable {
 public:
  // `suffix`: a literal, what comes after the name of the file until SetNamed.
  LiveTable(TableInfo info, std::shared_ptr<TableStore> store, const char* suffix = "")
      : info_(std::move(info)), store_(std::move(store)), suffix_(suffix) {}
  ~LiveTable();
  LiveTable(const LiveTable&) = delete;
  LiveTable& operator=(const LiveTable&) = delete;

  const TableInfo& info() const { return info_; }
  // The reader; opened when it is first needed. Thread safety: any thread.
  absl::StatusOr<const TableReader*> Reader() const ABSL_LOCKS_EXCLUDED(open_mutex_);
  // The same if it is open already, else null; never waits.
  const TableReader* ReaderIfOpen() const { return reader_.load(std::memory_order_acquire); }
  // The file has its name now. Called before any reader but its maker knows of the table.
  void SetNamed() { suffix_.store("", std::memory_order_release); }
  // Called once the manifest edit that removes the table is durable.
  void MarkObsolete() { obsolete_.store(true, std::memory_order_release); }
  // Called once an edit that adds the table again is durable; the caller keeps it meanwhile.
  void MarkNeeded() { obsolete_.store(false, std::memory_order_release); }

 private:
  const TableInfo info_;
  const std::shared_ptr<TableStore> store_;
  std::atomic<const char*> suffix_;
  std::atomic<bool> obsolete_{false};
  mutable base::Mutex open_mutex_;
  mutable std::unique_ptr<TableReader> owned_ ABSL_GUARDED_BY(open_mutex_);
  // What owned_ holds, for readers without a lock.
  mutable std::atomic<const TableReader*> reader_{nullptr};
};

// Shared by versions; see LiveTable.
using TablePtr = std::shared_ptr<LiveTable>;

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_VERSION_LIVE_TABLE_H_
