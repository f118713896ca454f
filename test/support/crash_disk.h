// The disk of CrashFileSystem: a tree of files and directories of which part is durable.
//
// A file is what was appended, of which a prefix is synced. After it there may be reserved space,
// which reads as zeros. A directory has its present entries and its durable ones; what lies between
// is a list of pending operations, in the order in which they were made. A crash makes a new disk
// of what is durable and of some of the rest.
//
// Invariants of a file: synced <= bytes; visible <= bytes; bytes <= end or end == 0 for a file that
// reserves without growing. Of the disk: entries == durable + the pending operations, applied in
// order.
//
// Thread safety: none; CrashFileSystem has the mutex.
#ifndef BANDB_TEST_SUPPORT_CRASH_DISK_H_
#define BANDB_TEST_SUPPORT_CRASH_DISK_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "support/fault_plan.h"

namespace bandb::test {

// What becomes of unsynced data and of unsynced directory operations when the power fails. What is
// synced is always kept.
enum class Damage {
  kLost,       // all of it is lost
  kKept,       // all of it is kept
  kPrefix,     // of each file a random prefix is kept; of the directory operations too
  kTorn,       // as kPrefix, and the sector in which the prefix ends holds zeros or garbage; directories are kept
  kReordered,  // each block of a file is kept, or zeros, or garbage, and each directory operation is kept or lost
  kMixed,      // drawn for each file
};
inline constexpr Damage kAllDamages[] = {Damage::kLost, Damage::kKept,      Damage::kPrefix,
                                         Damage::kTorn, Damage::kReordered, Damage::kMixed};
// "lost", "kept" ...
std::string_view DamageName(Damage damage);

struct DiskNode {
  using Ptr = std::shared_ptr<DiskNode>;

  explicit DiskNode(bool is_directory) : directory(is_directory) {}

  // The appended bytes; shared between disks as long as nobody changes them.
  const std::string& bytes() const { return *content; }
  std::string* MutableBytes();
  // What a reader finds: the visible bytes, then reserved zeros.
  uint64_t ReadableSize() const { return end > visible ? end : visible; }
  // Of what the operating system has been handed.
  Unsynced FileUnsynced() const {
    return synced == visible && synced_end == end ? Unsynced::kNothing : Unsynced::kMore;
  }

  const bool directory;

  std::shared_ptr<std::string> content = std::make_shared<std::string>();
  uint64_t visible = 0;     // bytes handed to the operating system
  uint64_t synced = 0;      // bytes that survive power loss
  uint64_t end = 0;         // where the file ends, reserved zeros included
  uint64_t synced_end = 0;  // where it ends on the disk at least
  uint64_t reserved = 0;    // space that is allocated, whether the file ends there or not
  bool unsyncable = false;  // a sync failed: the kernel dropped the dirty pages and will not write them
  bool locked = false;
  int names = 0;

  std::map<std::string, Ptr> entries;
  std::map<std::string, Ptr> durable;
};

class CrashDisk {
 public:
  CrashDisk();

  // Where a path leads. `node` is null if the last part does not exist.
  struct Place {
    DiskNode::Ptr parent;
    std::string name;
    DiskNode::Ptr node;
  };
  // Answers 0 or an error number: ENOENT or ENOTDIR if the parent is missing or no directory.
  int Find(std::string_view path, Place* place) const { return FindFrom(root_, path, place); }
  // The same with a path that begins at a directory.
  int FindFrom(const DiskNode::Ptr& directory, std::string_view path, Place* place) const;
  // Whether a directory was removed: nothing can be made in it.
  bool IsGone(const DiskNode::Ptr& directory) const { return directory != root_ && directory->names == 0; }

  // Each changes the entries and remembers that the change is pending. A null node takes the name
  // away.
  void SetEntry(const DiskNode::Ptr& parent, const std::string& name, const DiskNode::Ptr& node);
  void Move(const Place& from, const Place& to);
  void SyncDirectory(const DiskNode::Ptr& directory);
  Unsynced DirectoryUnsynced(const DiskNode::Ptr& directory) const;

  // Bytes allocated to all files that have a name.
  uint64_t UsedBytes() const;
  // Every file, by path, in order.
  std::map<std::string, DiskNode::Ptr> Files() const;
  const std::string& root_path() const { return root_path_; }

  // What a disk could hold after power loss; all of it is durable.
  CrashDisk AfterPowerLoss(Damage damage, base::Random* random) const;
  // What the operating system holds after the process died: unsynced things stay unsynced. Of what
  // a buffered file had not handed over, a random prefix arrived.
  CrashDisk AfterProcessDeath(base::Random* random) const;

 private:
  // One effect on one directory. The effects of one operation on one directory are kept or lost
  // together.
  struct Effect {
    uint64_t operation;
    DiskNode::Ptr directory;
    std::string name;
    DiskNode::Ptr node;
  };
  using Copies = std::map<const DiskNode*, DiskNode::Ptr>;

  static void Count(const DiskNode::Ptr& before, const DiskNode::Ptr& after);
  void AddPending(uint64_t operation, const DiskNode::Ptr& directory, const std::string& name,
                  const DiskNode::Ptr& node);
  // Bytes for a damaged range: random ones, or those which a removed file had at that place.
  void FillGarbage(base::Random* random, uint64_t offset, char* to, size_t count) const;
  std::string DamagedContent(const DiskNode& file, Damage damage, base::Random* random) const;
  void DamageBlocks(const DiskNode& file, base::Random* random, std::string* content) const;
  // Copies the tree that the durable entries make, after some pending operations.
  DiskNode::Ptr CopyDurable(const DiskNode& from,
                            const std::map<const DiskNode*, std::map<std::string, DiskNode::Ptr>>&, Damage damage,
                            base::Random* random, Copies* copies) const;
  static DiskNode::Ptr CopyWhole(const DiskNode::Ptr& from, Copies* copies);

  std::string root_path_ = "/";
  DiskNode::Ptr root_;
  uint64_t next_operation_ = 1;
  std::vector<Effect> pending_;
  std::vector<std::shared_ptr<const std::string>> removed_;  // the last few, for stale bytes
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_CRASH_DISK_H_
