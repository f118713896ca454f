#include "storage/version/live_table.h"

#include <utility>

#include "base/status.h"
#include "storage/file/file_names.h"
#include "storage/file/refused_read.h"
#include "storage/table/table_builder.h"

namespace bandb::storage {

namespace {

// A table must be the one that the manifest describes: a file may hold another whole table, and
// readers rely on the order that the manifest states. What comes before the first key
// shows when the first block is read.
bool IsAsDescribed(const TableReader& reader, const TableInfo& info) {
  if (!(reader.properties().figures() == info.figures())) return false;
  const std::string_view smallest = SpacedKey(info.smallest);
  const std::string_view largest = SpacedKey(info.largest);
  for (const RangeTombstone& tombstone : reader.tombstones().tombstones()) {
    if (tombstone.begin < smallest || tombstone.limit > largest) return false;
  }
  if (reader.last_separator().empty()) return true;
  const int order = CompareSpacedKeys(reader.last_separator(), largest);
  return order < 0 || (order == 0 && Trailer(info.largest) != kTombstoneLimitTrailer);
}

}  // namespace

TableStore::TableStore(const base::Env& env, std::string engine_dir, std::shared_ptr<BlockCache> cache,
                       uint64_t open_files_max, std::shared_ptr<base::FileSystem> files)
    : engine_dir_(std::move(engine_dir)),
      cache_(std::move(cache)),
      open_files_(std::make_shared<OpenFiles>(env.files, open_files_max)),
      owned_files_(std::move(files)),
      files_(env.files),
      executor_(env.executor) {}

absl::StatusOr<std::unique_ptr<TableReader>> TableStore::Open(const TableInfo& info, const std::string& suffix) {
  const std::string path = base::JoinPath(engine_dir_, TableName(info.number) + suffix);
  absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> opened = open_files_->Open(path);
  if (!opened.ok()) return RefusedRead(opened.status(), path, 0);
  std::unique_ptr<base::RandomAccessFile> file = *std::move(opened);
  if (file->Size() != info.file_bytes) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: offset {}: the table has {} bytes, the manifest says {}", path,
                       std::min(file->Size(), info.file_bytes), file->Size(), info.file_bytes);
  }
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<TableReader> reader,
                         TableReader::Open(std::move(file), path, cache_.get(), info.smallest));
  if (!IsAsDescribed(*reader, info)) {
    return base::Error(absl::StatusCode::kDataLoss,
                       "{}: offset {}: the table is not the one that the manifest describes", path,
                       reader->file().meta_index().offset);
  }
  return reader;
}

void TableStore::Remove(uint64_t number, std::string suffix) {
  base::MutexLock lock(&mutex_);
  if (files_ == nullptr) return;
  removing_.insert(number);
  // A file that cannot be removed now is found and removed at the next open.
  executor_->Post(base::Priority::kLow,
                  [store = shared_from_this(), files = files_, number, suffix = std::move(suffix)]() {
                    files->Remove(base::JoinPath(store->engine_dir_, TableName(number) + suffix)).IgnoreError();
                    store->NoteRemoved(number);
                  });
}

void TableStore::NoteRemoved(uint64_t number) {
  std::vector<base::Task> ready;
  {
    base::MutexLock lock(&mutex_);
    removing_.erase(number);
    std::erase_if(removal_waiters_, [&](RemovalWaiter& waiter) {
      waiter.numbers.erase(number);
      if (!waiter.numbers.empty()) return false;
      ready.push_back(std::move(waiter.then));
      return true;
    });
  }
  for (base::Task& then : ready) std::move(then)();
}

void TableStore::WhenRemoved(base::Task then) {
  {
    base::MutexLock lock(&mutex_);
    if (!removing_.empty()) {
      removal_waiters_.push_back({removing_, std::move(then)});
      return;
    }
  }
  std::move(then)();
}

void TableStore::Close() {
  open_files_->Close();
  base::MutexLock lock(&mutex_);
  files_ = nullptr;
  executor_ = nullptr;
}

LiveTable::~LiveTable() {
  if (obsolete_.load(std::memory_order_acquire)) store_->Remove(info_.number, suffix_.load(std::memory_order_acquire));
}

absl::StatusOr<const TableReader*> LiveTable::Reader() const {
  if (const TableReader* reader = reader_.load(std::memory_order_acquire)) return reader;
  base::MutexLock lock(&open_mutex_);
  if (owned_ == nullptr) {
    BANDB_ASSIGN_OR_RETURN(owned_, store_->Open(info_, suffix_.load(std::memory_order_acquire)));
    reader_.store(owned_.get(), std::memory_order_release);
  }
  return owned_.get();
}

}  // namespace bandb::storage
