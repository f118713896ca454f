// How CrashDisk makes the disk that is found after a crash.
#include <algorithm>

#include "base/assert.h"
#include "support/crash_disk.h"

namespace bandb::test {

namespace {

constexpr uint64_t kSectorBytes = 512;

Damage DrawDamage(base::Random* random) {
  constexpr Damage kChoices[] = {Damage::kLost, Damage::kKept, Damage::kPrefix, Damage::kTorn, Damage::kReordered};
  return kChoices[random->Uniform(std::size(kChoices))];
}

// Often one of the ends, where mistakes are.
uint64_t DrawBetween(base::Random* random, uint64_t low, uint64_t high) {
  if (random->OneIn(4)) return low;
  if (random->OneIn(4)) return high;
  return low + random->Uniform(high - low + 1);
}

}  // namespace

std::string_view DamageName(Damage damage) {
  constexpr std::string_view kNames[] = {"lost", "kept", "prefix", "torn", "reordered", "mixed"};
  return kNames[static_cast<size_t>(damage)];
}

void CrashDisk::FillGarbage(base::Random* random, uint64_t offset, char* to, size_t count) const {
  if (!removed_.empty() && random->OneIn(2)) {
    const std::string& stale = *removed_[random->Uniform(removed_.size())];
    for (size_t i = 0; i < count; ++i) to[i] = offset + i < stale.size() ? stale[offset + i] : '\0';
    return;
  }
  for (size_t i = 0; i < count; ++i) to[i] = static_cast<char>(random->Next());
}

void CrashDisk::DamageBlocks(const DiskNode& file, base::Random* random, std::string* content) const {
  const uint64_t block = random->OneIn(2) ? kSectorBytes : 8 * kSectorBytes;
  *content = file.bytes();
  for (uint64_t begin = file.synced; begin < content->size();) {
    // The rest of the block in which the synced bytes end, then whole blocks.
    const uint64_t end = std::min<uint64_t>((begin / block + 1) * block, content->size());
    switch (random->Uniform(3)) {
      case 0:
        break;
      case 1:
        std::fill(content->begin() + static_cast<ptrdiff_t>(begin), content->begin() + static_cast<ptrdiff_t>(end), 0);
        break;
      default:
        FillGarbage(random, begin, content->data() + begin, end - begin);
    }
    begin = end;
  }
}

std::string CrashDisk::DamagedContent(const DiskNode& file, Damage damage, base::Random* random) const {
  const std::string& bytes = file.bytes();
  if (damage == Damage::kMixed) damage = DrawDamage(random);
  // After a failed sync the kernel knows nothing more of the dirty pages; some may have been
  // written.
  if (file.unsyncable && damage == Damage::kKept) damage = Damage::kLost;
  uint64_t end = file.synced_end;
  std::string content;
  switch (damage) {
    case Damage::kLost:
      content = bytes.substr(0, file.synced);
      break;
    case Damage::kKept:
      content = bytes;
      end = std::max<uint64_t>(file.end, bytes.size());
      break;
    case Damage::kReordered:
      DamageBlocks(file, random, &content);
      end = random->OneIn(2) ? file.end : file.synced_end;
      break;
    case Damage::kPrefix:
    case Damage::kTorn: {
      const uint64_t kept = DrawBetween(random, file.synced, bytes.size());
      content = bytes.substr(0, kept);
      end = random->OneIn(2) ? std::max<uint64_t>(file.end, bytes.size()) : file.synced_end;
      if (damage == Damage::kTorn && kept < bytes.size()) {
        const uint64_t torn_end = std::min<uint64_t>((kept / kSectorBytes + 1) * kSectorBytes, bytes.size());
        content.resize(torn_end);
        if (random->OneIn(2)) FillGarbage(random, kept, content.data() + kept, torn_end - kept);
      }
      break;
    }
    case Damage::kMixed:
      BANDB_UNREACHABLE();
  }
  if (content.size() < end) content.resize(end, '\0');
  return content;
}

DiskNode::Ptr CrashDisk::CopyDurable(const DiskNode& from,
                                     const std::map<const DiskNode*, std::map<std::string, DiskNode::Ptr>>& directories,
                                     Damage damage, base::Random* random, Copies* copies) const {
  DiskNode::Ptr& copy = (*copies)[&from];
  if (copy != nullptr) return copy;
  const DiskNode::Ptr node = copy = std::make_shared<DiskNode>(from.directory);
  if (!from.directory) {
    if (from.synced == from.bytes().size() && from.end == from.synced && from.synced_end == from.synced) {
      node->content = from.content;
    } else {
      *node->content = DamagedContent(from, damage, random);
    }
    node->visible = node->synced = node->end = node->synced_end = node->reserved = node->bytes().size();
    return node;
  }
  const auto found = directories.find(&from);
  for (const auto& [name, child] : found == directories.end() ? from.durable : found->second) {
    const DiskNode::Ptr child_copy = CopyDurable(*child, directories, damage, random, copies);
    node->entries[name] = child_copy;
    ++child_copy->names;
  }
  node->durable = node->entries;
  return node;
}

CrashDisk CrashDisk::AfterPowerLoss(Damage damage, base::Random* random) const {
  Damage for_directories = damage == Damage::kMixed ? DrawDamage(random) : damage;
  const uint64_t first = pending_.empty() ? 0 : pending_.front().operation;
  const uint64_t prefix_end = DrawBetween(random, first, next_operation_);
  const uint64_t subset_seed = random->Next();
  const auto keeps = [&](const Effect& effect) {
    switch (for_directories) {
      case Damage::kLost:
        return false;
      case Damage::kPrefix:
        return effect.operation < prefix_end;
      case Damage::kReordered:
        return base::Random(subset_seed + effect.operation).OneIn(2);
      default:
        return true;
    }
  };
  std::map<const DiskNode*, std::map<std::string, DiskNode::Ptr>> directories;
  for (const Effect& effect : pending_) {
    if (!keeps(effect)) continue;
    auto& entries = directories.emplace(effect.directory.get(), effect.directory->durable).first->second;
    if (effect.node != nullptr) {
      entries[effect.name] = effect.node;
    } else {
      entries.erase(effect.name);
    }
  }
  CrashDisk disk;
  Copies copies;
  disk.root_ = CopyDurable(*root_, directories, damage, random, &copies);
  disk.removed_ = removed_;
  return disk;
}

DiskNode::Ptr CrashDisk::CopyWhole(const DiskNode::Ptr& from, Copies* copies) {
  if (from == nullptr) return nullptr;
  DiskNode::Ptr& copy = (*copies)[from.get()];
  if (copy != nullptr) return copy;
  const DiskNode::Ptr node = copy = std::make_shared<DiskNode>(*from);
  node->locked = false;
  for (auto& [name, child] : node->entries) child = CopyWhole(child, copies);
  for (auto& [name, child] : node->durable) child = CopyWhole(child, copies);
  return node;
}

CrashDisk CrashDisk::AfterProcessDeath(base::Random* random) const {
  CrashDisk disk;
  Copies copies;
  disk.root_ = CopyWhole(root_, &copies);
  disk.removed_ = removed_;
  disk.next_operation_ = next_operation_;
  for (const Effect& effect : pending_) {
    disk.pending_.push_back(
        Effect{effect.operation, CopyWhole(effect.directory, &copies), effect.name, CopyWhole(effect.node, &copies)});
  }
  for (const auto& [path, node] : disk.Files()) {
    if (node->visible == node->bytes().size()) continue;
    node->MutableBytes()->resize(DrawBetween(random, node->visible, node->bytes().size()));
    node->visible = node->bytes().size();
  }
  return disk;
}

}  // namespace bandb::test
