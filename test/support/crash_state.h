// What a CrashFileSystem and its open files share: not for use outside them.
#ifndef BANDB_TEST_SUPPORT_CRASH_STATE_H_
#define BANDB_TEST_SUPPORT_CRASH_STATE_H_

#include <memory>
#include <string>
#include <utility>

#include "base/mutex.h"
#include "base/status.h"
#include "support/crash_file_system.h"

namespace bandb::test {

struct CrashFileSystem::State {
  static constexpr uint64_t kUnlimited = UINT64_MAX;

  explicit State(CrashDisk d) : disk(std::move(d)) {}

  // The hook's turn, before a call that changes something. Outside the lock.
  void CallHook(FileCall call) ABSL_LOCKS_EXCLUDED(mutex);
  void CallOpenHook() ABSL_LOCKS_EXCLUDED(mutex);
  // 0 if `bytes` more fit on the disk, else ENOSPC.
  int TakeSpaceLocked(uint64_t bytes) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  mutable base::Mutex mutex;
  CrashDisk disk ABSL_GUARDED_BY(mutex);
  FaultPlan plan ABSL_GUARDED_BY(mutex);
  uint64_t capacity_bytes ABSL_GUARDED_BY(mutex) = kUnlimited;
  Hook hook ABSL_GUARDED_BY(mutex);
  std::function<void()> open_hook ABSL_GUARDED_BY(mutex);
};

// An open appendable file.
class CrashFileSystem::Writer final : public base::AppendableFile {
 public:
  Writer(std::shared_ptr<State> state, DiskNode::Ptr node, std::string path, base::AppendMode mode)
      : state_(std::move(state)), node_(std::move(node)), path_(std::move(path)), mode_(mode) {}
  ~Writer() override;

  absl::Status Reserve(uint64_t bytes) override;
  absl::Status Append(std::string_view bytes) override;
  absl::Status Sync() override;
  absl::Status Close() override;
  uint64_t Size() const override;

 private:
  absl::Status BeginLocked(FileCall call, std::string_view detail) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex);
  absl::Status PoisonLocked(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex);
  void AppendLocked(std::string_view bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(state_->mutex);

  const std::shared_ptr<State> state_;
  const DiskNode::Ptr node_;
  const std::string path_;
  const base::AppendMode mode_;
  absl::Status first_error_ ABSL_GUARDED_BY(state_->mutex);
};

class CrashFileSystem::Reader final : public base::RandomAccessFile {
 public:
  Reader(std::shared_ptr<State> state, DiskNode::Ptr node, std::string path);

  absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> to) const override;
  void Prefetch(uint64_t, uint64_t) const override {}
  uint64_t Size() const override { return size_; }

 private:
  const std::shared_ptr<State> state_;
  const DiskNode::Ptr node_;
  const std::string path_;
  uint64_t size_;
};

class CrashFileSystem::HeldLock final : public base::FileLock {
 public:
  // With the state's mutex held.
  HeldLock(std::shared_ptr<State> state, DiskNode::Ptr file, DiskNode::Ptr directory)
      : state_(std::move(state)), file_(std::move(file)), directory_(std::move(directory)) {
    file_->locked = directory_->locked = true;
  }
  ~HeldLock() override {
    base::MutexLock lock(&state_->mutex);
    file_->locked = directory_->locked = false;
  }
  void NameOwner() override;
  absl::Status CheckHeld() const override { return absl::OkStatus(); }

 private:
  const std::shared_ptr<State> state_;
  const DiskNode::Ptr file_;
  const DiskNode::Ptr directory_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_CRASH_STATE_H_
