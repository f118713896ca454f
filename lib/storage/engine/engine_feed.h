// What the engine knows of its change feed: which places in it there are, which logs are kept for
// it, and the cursors.
//
// The logs are those of LogSet, which lets them go as the policy made here says. A sequence alone
// is no place: see changes/change_token.h. An epoch that has ended is remembered, with its end, as
// long as anything of it can be read, so that a token of writes that power loss took back is told
// from one of writes that are there.
#ifndef BANDB_STORAGE_ENGINE_ENGINE_FEED_H_
#define BANDB_STORAGE_ENGINE_ENGINE_FEED_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bandb/changes.h"
#include "bandb/options.h"
#include "bandb/stats.h"
#include "base/env.h"
#include "base/mutex.h"
#include "changes/change_token.h"
#include "changes/cursor_table.h"
#include "storage/commit/log_set.h"
#include "storage/file/file_header.h"
#include "storage/version/version_edit.h"

namespace bandb::storage {

// Thread safety: any thread, once Start has run. Lock order: its mutex before that of the LogSet.
class EngineFeed {
 public:
  // In tables: the last sequence, and the last one of a user's operation.
  struct Flushed {
    Sequence user = 0;
    Sequence last = 0;
  };
  struct Parts {
    base::FileSystem* files;
    std::string engine_dir;
    LogSet* logs;
    const std::atomic<Sequence>* last_sequence;
    std::function<uint64_t()> now_ms;
    std::function<Flushed()> flushed;
    // Of a snapshot of this database.
    std::function<absl::StatusOr<Sequence>(const Snapshot&)> snapshot_sequence;
  };
  EngineFeed(Parts parts, const Options& options);

  // Opening, by one thread. The last of the epochs is the present one.
  void Start(const Uuid& database_id, std::vector<Epoch> epochs);
  absl::Status LoadCursor(std::string_view key, std::string_view value) ABSL_LOCKS_EXCLUDED(mutex_);
  // All cursors were loaded, or cannot be: then a caller that asks for one is told so. Until then,
  // and if not, as much is kept as may be.
  void CursorsLoaded(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  // A reader that has come to the last of a user's operations has seen all that is in tables,
  // whatever the system wrote after it. By one thread at a time, and it never goes back.
  void NoteFlushed(const Flushed& flushed);
  // Which of the epochs are needed when these are the oldest operation that can be read, and the
  // last one that there is.
  static void ForgetEpochs(Sequence oldest, Sequence last, std::vector<Epoch>* epochs);

  // Places.
  struct Beginning {
    changes::ChangePlace place;
    uint64_t not_before_ms = 0;
  };
  // Errors: as Store::ReadChanges.
  absl::StatusOr<Beginning> Resolve(const ChangesFrom& from, bool undurable) const ABSL_LOCKS_EXCLUDED(mutex_);
  // In the epoch in which the operation of that sequence was written.
  changes::ChangePlace PlaceAt(Sequence sequence) const;
  // Up to here commits may be given: no further than gets see, and than a token may name.
  Sequence Bound(bool undurable) const;
  // kOutOfRange, with the oldest token.
  absl::Status Gone() const;

  // Logs.
  // Some that are not lost; true while they are not known.
  bool HasCursors() const ABSL_LOCKS_EXCLUDED(mutex_);
  bool keeps_logs() const { return policy_.keep_bytes != 0; }
  // As LogSet::LetGo; cursors whose logs go are lost from then on.
  std::vector<uint64_t> LetGo(uint64_t needed_from) ABSL_LOCKS_EXCLUDED(mutex_);
  // The same where what comes next is in none: nothing is kept, and every cursor is lost.
  std::vector<uint64_t> LetAllGo(uint64_t needed_from) ABSL_LOCKS_EXCLUDED(mutex_);
  // Of those that are kept, the oldest, whatever it is kept for. Empty: none is.
  std::vector<uint64_t> LetOldestGo() ABSL_LOCKS_EXCLUDED(mutex_);
  LogSet& logs() const { return *parts_.logs; }
  const Uuid& database_id() const { return database_id_; }
  std::string LogPath(uint64_t number) const;
  // Shared by readers, and closed once it is let go and none of them is reading. Errors: as
  // FileSystem::Open.
  absl::StatusOr<std::shared_ptr<base::RandomAccessFile>> OpenLog(uint64_t number) ABSL_LOCKS_EXCLUDED(mutex_);

  // Cursors. Those that are made, moved and dropped here are written down by the caller.
  // `value`: what is written down of it.
  absl::StatusOr<WriteBatch> AddCursor(std::string_view name, const ChangesFrom& from, std::string* value)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Errors: kOutOfRange one that was added was lost before it was written down.
  absl::Status CheckNotLost(std::string_view name) const ABSL_LOCKS_EXCLUDED(mutex_);
  void RemoveCursor(std::string_view name) ABSL_LOCKS_EXCLUDED(mutex_);
  // Only the one of which this was written down, and not one that was made again.
  void RemoveCursor(std::string_view name, std::string_view value) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<WriteBatch> BeginReset(std::string_view name, const ChangesFrom& from) ABSL_LOCKS_EXCLUDED(mutex_);
  // Errors: kOutOfRange what comes next at its new place is gone already.
  absl::Status EndReset(std::string_view name, bool done) ABSL_LOCKS_EXCLUDED(mutex_);
  // Errors: kNotFound.
  absl::Status CheckCursor(std::string_view name) const ABSL_LOCKS_EXCLUDED(mutex_);
  // True if something has to be written down. Errors: as Store::Acknowledge.
  absl::StatusOr<bool> MoveCursor(std::string_view name, std::string_view token) ABSL_LOCKS_EXCLUDED(mutex_);
  WriteBatch TakeMoved(std::vector<changes::CursorTable::Underway>* taken) ABSL_LOCKS_EXCLUDED(mutex_);
  void Written(const std::vector<changes::CursorTable::Underway>& taken, bool done) ABSL_LOCKS_EXCLUDED(mutex_);
  bool AnyMoved() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Without their lags.
  absl::StatusOr<std::vector<CursorInfo>> Cursors() const ABSL_LOCKS_EXCLUDED(mutex_);

  // An operation of the system's was committed: by one thread at a time.
  void NoteSystem(Sequence first, Sequence last);

  void FillStats(Stats* stats) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // Errors: as Store::ReadChanges for a token.
  absl::Status CheckPlace(const changes::ChangePlace& place) const;
  absl::Status CheckKept(Sequence sequence) const;
  // The same place, as far as what was written by users goes, but that it may be after what is
  // gone.
  Sequence PassOver(Sequence sequence) const;
  Beginning PassOver(const changes::ChangePlace& place) const;
  // Cursors before this miss what is gone.
  Sequence NeededFrom() const;
  absl::StatusOr<Beginning> ResolveTime(absl::Time time, Sequence bound) const;
  absl::Status Lost(std::string_view name) const;
  absl::StatusOr<const changes::Cursor*> FindCursor(std::string_view name) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Sequence LastUserSequence() const;
  std::vector<uint64_t> LetGoBy(KeepPolicy policy, uint64_t needed_from) ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<uint64_t> LetGoLocked(uint64_t needed_from, const KeepPolicy& policy)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Parts parts_;
  // Its time and floor are filled in when it is used.
  const KeepPolicy policy_;
  // Constant once Start has run.
  Uuid database_id_;
  std::vector<Epoch> epochs_;
  // The last operations, from the one to the other, if they are the system's.
  std::atomic<Sequence> system_from_{0};
  std::atomic<Sequence> system_to_{0};
  std::atomic<uint64_t> let_go_{0};
  // No user's operation comes after the one, up to the other.
  std::atomic<Sequence> idle_from_{0};
  std::atomic<Sequence> idle_to_{0};

  mutable base::Mutex mutex_;
  changes::CursorTable cursors_ ABSL_GUARDED_BY(mutex_);
  absl::Status cursors_loaded_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, std::shared_ptr<base::RandomAccessFile>> files_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_ENGINE_FEED_H_
