#include "support/crash_disk.h"

#include <algorithm>
#include <cerrno>

#include "base/assert.h"

namespace bandb::test {

namespace {

constexpr size_t kRemovedMax = 8;

std::vector<std::string> SplitPath(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    BANDB_ASSERT(part != "..");
    if (!part.empty() && part != ".") parts.emplace_back(part);
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return parts;
}

void ListFiles(const DiskNode& directory, const std::string& prefix, std::map<std::string, DiskNode::Ptr>* files) {
  for (const auto& [name, node] : directory.entries) {
    if (node->directory) {
      ListFiles(*node, prefix + name + "/", files);
    } else {
      files->emplace(prefix + name, node);
    }
  }
}

}  // namespace

std::string* DiskNode::MutableBytes() {
  if (content.use_count() > 1) content = std::make_shared<std::string>(*content);
  return content.get();
}

CrashDisk::CrashDisk() : root_(std::make_shared<DiskNode>(true)) {}

int CrashDisk::FindFrom(const DiskNode::Ptr& directory, std::string_view path, Place* place) const {
  place->parent = nullptr;
  place->name.clear();
  place->node = directory;
  for (std::string& part : SplitPath(path)) {
    if (place->node == nullptr) return ENOENT;
    if (!place->node->directory) return ENOTDIR;
    place->parent = place->node;
    const auto found = place->parent->entries.find(part);
    place->node = found == place->parent->entries.end() ? nullptr : found->second;
    place->name = std::move(part);
  }
  return 0;
}

void CrashDisk::Count(const DiskNode::Ptr& before, const DiskNode::Ptr& after) {
  if (before != nullptr) --before->names;
  if (after != nullptr) ++after->names;
}

void CrashDisk::AddPending(uint64_t operation, const DiskNode::Ptr& directory, const std::string& name,
                           const DiskNode::Ptr& node) {
  pending_.push_back(Effect{operation, directory, name, node});
}

void CrashDisk::SetEntry(const DiskNode::Ptr& parent, const std::string& name, const DiskNode::Ptr& node) {
  const auto found = parent->entries.find(name);
  const DiskNode::Ptr before = found == parent->entries.end() ? nullptr : found->second;
  Count(before, node);
  if (node != nullptr) {
    parent->entries[name] = node;
  } else {
    parent->entries.erase(name);
  }
  AddPending(next_operation_++, parent, name, node);
  if (before != nullptr && !before->directory && before->names == 0) {
    removed_.push_back(before->content);
    if (removed_.size() > kRemovedMax) removed_.erase(removed_.begin());
  }
}

void CrashDisk::Move(const Place& from, const Place& to) {
  if (from.node == to.node) return;
  SetEntry(to.parent, to.name, from.node);
  SetEntry(from.parent, from.name, nullptr);
  // One operation: within a directory both halves are kept or lost together.
  pending_.back().operation = pending_[pending_.size() - 2].operation;
}

void CrashDisk::SyncDirectory(const DiskNode::Ptr& directory) {
  directory->durable = directory->entries;
  std::erase_if(pending_, [&](const Effect& effect) { return effect.directory == directory; });
}

Unsynced CrashDisk::DirectoryUnsynced(const DiskNode::Ptr& directory) const {
  Unsynced unsynced = Unsynced::kNothing;
  for (const Effect& effect : pending_) {
    if (effect.directory != directory) continue;
    if (effect.node != nullptr) return Unsynced::kMore;
    unsynced = Unsynced::kRemovals;
  }
  return unsynced;
}

uint64_t CrashDisk::UsedBytes() const {
  uint64_t used = 0;
  // A file with two names counts twice, which is of no consequence here.
  for (const auto& [path, node] : Files()) used += std::max<uint64_t>(node->bytes().size(), node->reserved);
  return used;
}

std::map<std::string, DiskNode::Ptr> CrashDisk::Files() const {
  std::map<std::string, DiskNode::Ptr> files;
  ListFiles(*root_, "/", &files);
  return files;
}

}  // namespace bandb::test
