#include "support/crash_state.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace bandb::test {

void CrashFileSystem::State::CallHook(FileCall call) {
  if (!Changes(call)) return;
  Hook called;
  uint64_t mutation = 0;
  {
    base::MutexLock lock(&mutex);
    if (hook == nullptr || plan.stopped()) return;
    called = hook;
    mutation = plan.mutations() + 1;
  }
  called(mutation);
}

void CrashFileSystem::State::CallOpenHook() {
  std::function<void()> called;
  {
    base::MutexLock lock(&mutex);
    called = open_hook;
  }
  if (called) called();
}

int CrashFileSystem::State::TakeSpaceLocked(uint64_t bytes) const {
  if (capacity_bytes == kUnlimited) return bytes > (uint64_t{1} << 40) ? ENOSPC : 0;
  const uint64_t used = disk.UsedBytes();
  return used <= capacity_bytes && bytes <= capacity_bytes - used ? 0 : ENOSPC;
}

CrashFileSystem::Writer::~Writer() {
  // Closing is the kernel's doing, not a call: it hands over what was buffered and makes nothing
  // durable.
  base::MutexLock lock(&state_->mutex);
  if (!first_error_.ok() || state_->plan.stopped()) return;
  node_->visible = node_->bytes().size();
  node_->end = node_->reserved = node_->visible;
}

absl::Status CrashFileSystem::Writer::BeginLocked(FileCall call, std::string_view detail) {
  BANDB_RETURN_IF_ERROR(first_error_);
  return state_->plan.Begin(call, path_, detail);
}

absl::Status CrashFileSystem::Writer::PoisonLocked(const absl::Status& status) {
  if (first_error_.ok()) first_error_ = status;
  return status;
}

absl::Status CrashFileSystem::Writer::Reserve(uint64_t bytes) {
  state_->CallHook(FileCall::kReserve);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(BeginLocked(FileCall::kReserve, fmt::format("{}", bytes)));
  const uint64_t size = node_->bytes().size();
  const uint64_t end = size + std::min(bytes, UINT64_MAX - size);
  const uint64_t held = std::max(node_->reserved, size);
  if (end <= held) return absl::OkStatus();
  const int error_number = state_->TakeSpaceLocked(end - held);
  if (error_number != 0) return base::ErrnoStatus(error_number, path_ + ": reserve");
  node_->reserved = end;
  if (mode_ == base::AppendMode::kWriteThrough) node_->end = end;
  return absl::OkStatus();
}

void CrashFileSystem::Writer::AppendLocked(std::string_view bytes) {
  node_->MutableBytes()->append(bytes);
  if (mode_ == base::AppendMode::kBuffered) return;
  node_->visible = node_->bytes().size();
  node_->end = std::max(node_->end, node_->visible);
}

absl::Status CrashFileSystem::Writer::Append(std::string_view bytes) {
  state_->CallHook(FileCall::kAppend);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(first_error_);
  absl::Status status = BeginLocked(FileCall::kAppend, fmt::format("{}", bytes.size()));
  const bool crashed = state_->plan.stopped();
  const uint64_t end = node_->bytes().size() + bytes.size();
  if (status.ok() && end > node_->reserved) {
    const uint64_t held = std::max<uint64_t>(node_->reserved, node_->bytes().size());
    const int error_number = state_->TakeSpaceLocked(end - held);
    if (error_number != 0) status = base::ErrnoStatus(error_number, path_ + ": append");
  }
  if (status.ok()) {
    AppendLocked(bytes);
    return absl::OkStatus();
  }
  // What a failed append leaves is unknown: here it is half.
  if (!crashed) AppendLocked(bytes.substr(0, bytes.size() / 2));
  return PoisonLocked(status);
}

absl::Status CrashFileSystem::Writer::Sync() {
  state_->CallHook(FileCall::kSync);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(first_error_);
  const absl::Status status = BeginLocked(FileCall::kSync, "");
  if (!status.ok()) {
    if (!state_->plan.stopped()) node_->unsyncable = true;
    return PoisonLocked(status);
  }
  node_->visible = node_->bytes().size();
  node_->end = std::max(node_->end, node_->visible);
  if (state_->plan.IgnoresSync(FileCall::kSync, path_, node_->FileUnsynced())) return absl::OkStatus();
  node_->synced = node_->visible;
  node_->synced_end = node_->end;
  return absl::OkStatus();
}

absl::Status CrashFileSystem::Writer::Close() {
  state_->CallHook(FileCall::kClose);
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(first_error_);
  const absl::Status status = BeginLocked(FileCall::kClose, "");
  if (!status.ok()) return PoisonLocked(status);
  node_->visible = node_->bytes().size();
  node_->end = node_->reserved = node_->visible;
  first_error_ = base::Error(absl::StatusCode::kFailedPrecondition, "{}: the file is closed", path_);
  return absl::OkStatus();
}

uint64_t CrashFileSystem::Writer::Size() const {
  base::MutexLock lock(&state_->mutex);
  return node_->bytes().size();
}

CrashFileSystem::Reader::Reader(std::shared_ptr<State> state, DiskNode::Ptr node, std::string path)
    : state_(std::move(state)), node_(std::move(node)), path_(std::move(path)) {
  base::MutexLock lock(&state_->mutex);
  size_ = node_->ReadableSize();
}

absl::StatusOr<size_t> CrashFileSystem::Reader::Read(uint64_t offset, absl::Span<char> to) const {
  base::MutexLock lock(&state_->mutex);
  BANDB_RETURN_IF_ERROR(state_->plan.Begin(FileCall::kRead, path_, fmt::format("{} at {}", to.size(), offset)));
  const uint64_t size = node_->ReadableSize();
  if (offset >= size) return size_t{0};
  const size_t count = static_cast<size_t>(std::min<uint64_t>(to.size(), size - offset));
  const uint64_t there = std::min<uint64_t>(node_->visible, offset + count);
  const size_t copied = offset < there ? static_cast<size_t>(there - offset) : 0;
  if (copied > 0) std::memcpy(to.data(), node_->bytes().data() + offset, copied);
  std::fill(to.begin() + static_cast<ptrdiff_t>(copied), to.begin() + static_cast<ptrdiff_t>(count), '\0');
  return count;
}

void CrashFileSystem::HeldLock::NameOwner() {
  base::MutexLock lock(&state_->mutex);
  if (state_->plan.stopped()) return;
  *file_->MutableBytes() = "this process\n";
  file_->visible = file_->end = file_->bytes().size();
}

}  // namespace bandb::test
