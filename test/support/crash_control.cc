// What tests do to a CrashFileSystem from outside: crashes, faults and rot.
#include <algorithm>

#include "base/assert.h"
#include "support/crash_state.h"

namespace bandb::test {

namespace {

DiskNode::Ptr MustFind(const CrashDisk& disk, const std::string& path) {
  CrashDisk::Place place;
  const int error_number = disk.Find(path, &place);
  BANDB_ASSERT(error_number == 0);
  BANDB_ASSERT(place.node != nullptr && !place.node->directory);
  return place.node;
}

std::string Readable(const DiskNode& node) {
  std::string content = node.bytes().substr(0, node.visible);
  content.resize(node.ReadableSize(), '\0');
  return content;
}

void Overwrite(DiskNode* node, std::string content) {
  node->content = std::make_shared<std::string>(std::move(content));
  node->visible = node->synced = node->end = node->synced_end = node->reserved = node->bytes().size();
}

}  // namespace

uint64_t CrashFileSystem::mutations() const {
  base::MutexLock lock(&state_->mutex);
  return state_->plan.mutations();
}

uint64_t CrashFileSystem::calls() const {
  base::MutexLock lock(&state_->mutex);
  return state_->plan.calls();
}

void CrashFileSystem::StopAt(uint64_t n) {
  base::MutexLock lock(&state_->mutex);
  state_->plan.StopAt(n);
}

void CrashFileSystem::Stop() {
  base::MutexLock lock(&state_->mutex);
  state_->plan.Stop();
}

void CrashFileSystem::SetHook(Hook hook) {
  base::MutexLock lock(&state_->mutex);
  state_->hook = std::move(hook);
}

void CrashFileSystem::SetOpenHook(std::function<void()> hook) {
  base::MutexLock lock(&state_->mutex);
  state_->open_hook = std::move(hook);
}

std::unique_ptr<CrashFileSystem> CrashFileSystem::CrashImage(Damage damage, uint64_t seed) const {
  base::Random random(seed);
  base::MutexLock lock(&state_->mutex);
  return std::unique_ptr<CrashFileSystem>(new CrashFileSystem(state_->disk.AfterPowerLoss(damage, &random)));
}

std::unique_ptr<CrashFileSystem> CrashFileSystem::ProcessDeathImage(uint64_t seed) const {
  base::Random random(seed);
  base::MutexLock lock(&state_->mutex);
  return std::unique_ptr<CrashFileSystem>(new CrashFileSystem(state_->disk.AfterProcessDeath(&random)));
}

void CrashFileSystem::Inject(const Fault& fault) {
  base::MutexLock lock(&state_->mutex);
  state_->plan.Inject(fault);
}

void CrashFileSystem::ClearFaults() {
  base::MutexLock lock(&state_->mutex);
  state_->plan.ClearFaults();
}

uint64_t CrashFileSystem::failures() const {
  base::MutexLock lock(&state_->mutex);
  return state_->plan.failures();
}

void CrashFileSystem::SetFreeBytes(uint64_t bytes) {
  base::MutexLock lock(&state_->mutex);
  const uint64_t used = state_->disk.UsedBytes();
  state_->capacity_bytes = used + std::min(bytes, State::kUnlimited - used);
}

void CrashFileSystem::IgnoreSyncs(FileCall call, std::string_view pattern) {
  BANDB_ASSERT(call == FileCall::kSync || call == FileCall::kSyncDir);
  base::MutexLock lock(&state_->mutex);
  state_->plan.IgnoreSyncs(call, pattern);
}

void CrashFileSystem::IgnoreSyncNumber(uint64_t number) {
  base::MutexLock lock(&state_->mutex);
  state_->plan.IgnoreSyncNumber(number);
}

uint64_t CrashFileSystem::syncs_ignored() const {
  base::MutexLock lock(&state_->mutex);
  return state_->plan.syncs_ignored();
}

std::vector<FaultPlan::SyncCall> CrashFileSystem::syncs() const {
  base::MutexLock lock(&state_->mutex);
  return state_->plan.syncs();
}

std::map<std::string, uint64_t> CrashFileSystem::Files() const {
  base::MutexLock lock(&state_->mutex);
  std::map<std::string, uint64_t> sizes;
  for (const auto& [path, node] : state_->disk.Files()) sizes[path] = node->ReadableSize();
  return sizes;
}

std::string CrashFileSystem::Content(const std::string& path) const {
  base::MutexLock lock(&state_->mutex);
  return Readable(*MustFind(state_->disk, path));
}

void CrashFileSystem::SetContent(const std::string& path, std::string_view content) {
  base::MutexLock lock(&state_->mutex);
  Overwrite(MustFind(state_->disk, path).get(), std::string(content));
}

void CrashFileSystem::FlipByte(const std::string& path, uint64_t offset, uint8_t mask) {
  base::MutexLock lock(&state_->mutex);
  const DiskNode::Ptr node = MustFind(state_->disk, path);
  BANDB_ASSERT(offset < node->bytes().size());
  BANDB_ASSERT(mask != 0);
  char& byte = (*node->MutableBytes())[offset];
  byte = static_cast<char>(static_cast<uint8_t>(byte) ^ mask);
}

void CrashFileSystem::Truncate(const std::string& path, uint64_t size) {
  base::MutexLock lock(&state_->mutex);
  const DiskNode::Ptr node = MustFind(state_->disk, path);
  BANDB_ASSERT(size <= node->ReadableSize());
  std::string content = Readable(*node);
  content.resize(size);
  Overwrite(node.get(), std::move(content));
}

void CrashFileSystem::SwapRanges(const std::string& path_a, uint64_t offset_a, const std::string& path_b,
                                 uint64_t offset_b, uint64_t bytes) {
  base::MutexLock lock(&state_->mutex);
  std::string* const a = MustFind(state_->disk, path_a)->MutableBytes();
  std::string* const b = MustFind(state_->disk, path_b)->MutableBytes();
  BANDB_ASSERT(offset_a + bytes <= a->size());
  BANDB_ASSERT(offset_b + bytes <= b->size());
  BANDB_ASSERT(a != b || offset_a + bytes <= offset_b || offset_b + bytes <= offset_a);
  std::swap_ranges(a->begin() + static_cast<ptrdiff_t>(offset_a), a->begin() + static_cast<ptrdiff_t>(offset_a + bytes),
                   b->begin() + static_cast<ptrdiff_t>(offset_b));
}

void CrashFileSystem::SwapFiles(const std::string& path_a, const std::string& path_b) {
  base::MutexLock lock(&state_->mutex);
  const DiskNode::Ptr a = MustFind(state_->disk, path_a);
  const DiskNode::Ptr b = MustFind(state_->disk, path_b);
  std::string content_a = Readable(*a);
  Overwrite(a.get(), Readable(*b));
  Overwrite(b.get(), std::move(content_a));
}

std::string CrashFileSystem::Log() const {
  base::MutexLock lock(&state_->mutex);
  return state_->plan.LogText();
}

std::string CrashFileSystem::LastCall() const {
  base::MutexLock lock(&state_->mutex);
  return std::string(state_->plan.last_call());
}

}  // namespace bandb::test
