// What the database consists of, and the manifest that says so.
//
// Holds the present ManifestState, the manifest file, the numbers that files get, and the edits
// that wait for their turn. Edits are written one at a time, in the order they come: a thread that
// brings one while none is being written writes it, and all that others bring meanwhile. An edit is
// durable in the manifest before its owner installs it, and installed before the next one is made
// to fit. Once the manifest has grown, a new one takes its place; an edit that is too large for a
// record of its own is written as a new manifest, which says what the edit makes of all.
//
// Lock order: the owner's mutex before this one's. The owner is never called with this one's held.
#ifndef BANDB_STORAGE_VERSION_VERSION_SET_H_
#define BANDB_STORAGE_VERSION_VERSION_SET_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "storage/file/file_header.h"
#include "storage/version/manifest.h"
#include "storage/version/version_edit.h"

namespace bandb::storage {

struct PendingEdit;

// The work that an edit comes from; told how the edit ended.
class EditSource {
 public:
  virtual ~EditSource() = default;
  // Its turn has come: `present` is what the edit will change, and nothing changes that before the
  // edit has ended. Fills in what only now can be known. Called once at most, without locks held.
  // Errors: the edit ends so, and changes nothing; kAborted it is of a state that was replaced.
  virtual absl::Status Prepare(const ManifestState& present, PendingEdit* edit) = 0;
  // OK: the edit is durable and installed. Called once, without locks held.
  virtual void Installed(const absl::Status& status) = 0;
};

// A change that is asked for.
struct PendingEdit {
  VersionEdit edit;
  // The tables of edit.added, in their order.
  std::vector<TablePtr> added;
  std::unique_ptr<EditSource> source;
  // Nothing of what memory holds beside the tables stays.
  bool replaces_all = false;
  // It only lets tables go, and so is written also while a full disk stops all else.
  bool gives_room = false;
  // What it adds was never in memory: readers see it from now on, and its last sequence is the last
  // of all.
  bool publishes = false;
  // What the edit makes of the present state; filled in when its turn comes.
  ManifestState result;
};

// Thread safety: any thread, but where a method says otherwise.
class VersionSet {
 public:
  // Called by the thread that writes edits, one call at a time, without locks held.
  class Owner {
   public:
    virtual ~Owner() = default;
    // A time at or after all commit times in the tables, and whatever merges went by.
    virtual uint64_t EditTimeMs() const = 0;
    virtual FileHeader NewHeader(FileType type) = 0;
    // OK if an edit may be written; otherwise it ends with this status, and nothing was changed.
    virtual absl::Status MayWriteEdit() const = 0;
    // The edit is durable. Calls Install, under the mutex that guards what the owner keeps beside
    // the state.
    virtual void InstallEdit(PendingEdit* edit) = 0;
    // It is unknown what the manifest says now, or no manifest can be made: no edit may follow.
    virtual void ManifestFailed(const absl::Status& status) = 0;
  };

  // A manifest is not replaced before it has `roll_bytes_min` bytes. Lifetime: borrows `files` and
  // the owner.
  VersionSet(base::FileSystem* files, std::string engine_dir, uint64_t roll_bytes_min, Owner* owner);

  // Opening, by one thread: the first number that is free; then the state of the open database, for
  // which a manifest is made. Errors: as Manifest::CreateCurrent; `*unchanged` is set where the one
  // that CURRENT names is surely still the old one, and nothing of a new one is left.
  void SetNextFileNumber(uint64_t number);
  absl::Status Start(ManifestState state, const FileHeader& header, bool* unchanged) ABSL_LOCKS_EXCLUDED(mutex_);

  // The same for a database that is only read: nothing is written, and no edit may follow.
  void StartReading(ManifestState state) ABSL_LOCKS_EXCLUDED(mutex_);

  uint64_t NewFileNumber() { return next_file_number_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t next_file_number() const { return next_file_number_.load(std::memory_order_relaxed); }
  std::shared_ptr<const Version> version() const ABSL_LOCKS_EXCLUDED(mutex_);
  ManifestState state() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Shared with those that read the file while a new one may take its place. Null if the database
  // is only read.
  std::shared_ptr<Manifest> manifest() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Has the edit written, installed, and its source told. The calling thread may end up doing that
  // for others, too.
  void Apply(PendingEdit edit) ABSL_LOCKS_EXCLUDED(mutex_);
  // For Owner::InstallEdit: the edit's result is the state from now on. Returns the tables that it
  // has replaced, which are marked obsolete: to be let go of without locks held.
  std::vector<TablePtr> Install(PendingEdit* edit) ABSL_LOCKS_EXCLUDED(mutex_);
  // Writes a last edit and closes the manifest. Nothing else may be under way.
  absl::Status Close(const VersionEdit& last) ABSL_LOCKS_EXCLUDED(mutex_);

  // Errors: kInternal the members contradict each other.
  absl::Status CheckInvariants() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // False when there is none left: then another thread may begin to write.
  bool TakeEdit(PendingEdit* edit) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Write(PendingEdit* edit) ABSL_LOCKS_EXCLUDED(mutex_);
  // Begins a new manifest when the present one has grown.
  void RollManifest() ABSL_LOCKS_EXCLUDED(mutex_);
  // Has one that says `state` take its place. Errors: the present one still counts; but where
  // something has failed that was written, the owner was told, and no edit may follow.
  absl::Status ReplaceManifest(ManifestState state) ABSL_LOCKS_EXCLUDED(mutex_);
  // The size at which a manifest that began with so many bytes is replaced.
  uint64_t RollBytes(uint64_t begun_bytes) const;

  base::FileSystem* const files_;
  const std::string engine_dir_;
  const uint64_t roll_bytes_min_;
  Owner* const owner_;
  std::atomic<uint64_t> next_file_number_{1};
  // The writing thread's.
  uint64_t roll_bytes_ = 0;

  mutable base::Mutex mutex_;
  ManifestState state_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Manifest> manifest_ ABSL_GUARDED_BY(mutex_);
  std::deque<PendingEdit> edits_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_VERSION_VERSION_SET_H_
