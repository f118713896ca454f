// A file system in memory that crashes, fails and rots on demand.
//
// It keeps apart what is durable and what is not, as the contract of base/file_system.h says and no
// better: a file's bytes are durable up to its last Sync, a name is durable once its directory was
// synced. CrashImage yields, at any moment and without disturbing what runs, a new file system with
// what a disk could then hold. A scenario is thus run once with a hook that takes images at each
// crash point, or stopped at one of them with StopAt, from which on every call fails.
//
// Paths are taken from one root, whether they begin with a slash or not. A sector of 512 bytes is
// written whole or not at all as far as its synced bytes are concerned.
//
// Thread safety: any thread, any number of calls at once. The hook is called by the thread that
// makes the call, with no lock held.
#ifndef BANDB_TEST_SUPPORT_CRASH_FILE_SYSTEM_H_
#define BANDB_TEST_SUPPORT_CRASH_FILE_SYSTEM_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "support/crash_disk.h"
#include "support/fault_plan.h"

namespace bandb::test {

class CrashFileSystem final : public base::FileSystem {
 public:
  // Called before a call that changes something takes effect, with the number of that call, from 1.
  using Hook = std::function<void(uint64_t mutation)>;

  CrashFileSystem();
  ~CrashFileSystem() override;

  absl::StatusOr<std::unique_ptr<base::AppendableFile>> Create(const std::string& path, base::AppendMode mode) override;
  absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> Open(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(const std::string& path) override;
  absl::StatusOr<uint64_t> FileSize(const std::string& path) override;
  absl::StatusOr<bool> Exists(const std::string& path) override;
  absl::Status CreateDirs(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status RenameDirectory(const std::string& from, const std::string& to) override;
  // One crash point: the bytes are those that are there, so that only the sync shows.
  absl::Status WriteOver(const std::string& path, uint64_t offset, std::string_view bytes) override;
  absl::Status Link(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveDir(const std::string& path) override;
  absl::Status SyncDir(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<base::FileLock>> Lock(const std::string& path) override;
  absl::StatusOr<bool> IsLocked(const std::string& path) override;
  // The same disk, faults and counts.
  absl::StatusOr<std::unique_ptr<base::FileSystem>> Pin(const std::string& path) override;
  absl::StatusOr<uint64_t> FreeBytes(const std::string& path) override;

  // Crashes.
  // -----------------------------------------------------------------------------------------------------

  // Calls that changed something so far: the crash points.
  uint64_t mutations() const;
  // All calls so far.
  uint64_t calls() const;
  // From mutation `n` on, counted from 1, every call fails with kInternal. Stop: from now on.
  void StopAt(uint64_t n);
  void Stop();
  void SetHook(Hook hook);
  // Called before a file is opened for reading.
  void SetOpenHook(std::function<void()> hook);
  // The file system that is found after power loss at this moment. Same state, damage and seed:
  // same image.
  std::unique_ptr<CrashFileSystem> CrashImage(Damage damage, uint64_t seed) const;
  // The one that is found after the process died: what was handed to the operating system is there,
  // and still not durable. A write-through file keeps all that was appended, and its reserved
  // zeros.
  std::unique_ptr<CrashFileSystem> ProcessDeathImage(uint64_t seed) const;

  // Faults.
  // ------------------------------------------------------------------------------------------------------

  void Inject(const Fault& fault);
  void ClearFaults();
  // How many calls failed on purpose.
  uint64_t failures() const;
  // Space that is left for appends and reservations. A removed file gives back its own.
  void SetFreeBytes(uint64_t bytes);

  // Taking out syncs: the call answers OK and makes nothing durable. By kind and path, or by
  // number.
  void IgnoreSyncs(FileCall call, std::string_view pattern);
  void IgnoreSyncNumber(uint64_t number);
  uint64_t syncs_ignored() const;
  std::vector<FaultPlan::SyncCall> syncs() const;

  // Rot: changes the disk without anybody's knowledge, durably. Files must exist and be that long.
  // -------------------

  std::map<std::string, uint64_t> Files() const;
  std::string Content(const std::string& path) const;
  void SetContent(const std::string& path, std::string_view content);
  void FlipByte(const std::string& path, uint64_t offset, uint8_t mask);
  void Truncate(const std::string& path, uint64_t size);
  void SwapRanges(const std::string& path_a, uint64_t offset_a, const std::string& path_b, uint64_t offset_b,
                  uint64_t bytes);
  void SwapFiles(const std::string& path_a, const std::string& path_b);

  // For people: one line a call, the last ones.
  std::string Log() const;
  std::string LastCall() const;

 private:
  struct State;
  class Writer;
  class Reader;
  class HeldLock;

  // A directory that a path leads to by name until the name was pinned.
  struct PinnedDirectory {
    std::string name;
    DiskNode::Ptr node;
  };

  explicit CrashFileSystem(CrashDisk disk);
  CrashFileSystem(std::shared_ptr<State> state, std::vector<PinnedDirectory> pinned);

  // The innermost pinned directory that a path lies in; null if there is none.
  const PinnedDirectory* PinnedFor(std::string_view path) const;
  // As CrashDisk::Find. With the state's mutex held.
  int FindLocked(std::string_view path, CrashDisk::Place* place) const;
  // The same for a name that is to be given to something.
  int FindToMakeLocked(std::string_view path, CrashDisk::Place* place) const;

  // The files share it: they may outlive the file system.
  const std::shared_ptr<State> state_;
  const std::vector<PinnedDirectory> pinned_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_CRASH_FILE_SYSTEM_H_
