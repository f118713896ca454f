#include "cluster/removed_nodes.h"

#include <cstdint>

#include "base/assert.h"
#include "base/status.h"
#include "kv/batch_format.h"
#include "raft/types/configuration_codec.h"

namespace bandb::cluster {

namespace {

constexpr std::string_view kRemovedPrefix = "removed";
constexpr size_t kRemovedKeyBytes = kRemovedPrefix.size() + sizeof(uint64_t);
// A version, and nothing else.
constexpr std::string_view kValue = "\x01";

std::string KeyOf(raft::NodeId id) {
  std::string key(kRemovedPrefix);
  for (int shift = 56; shift >= 0; shift -= 8) key.push_back(static_cast<char>(id >> shift));
  BANDB_ASSERT(key.size() == kRemovedKeyBytes);
  return key;
}

}  // namespace

absl::StatusOr<RemovedNodes> RemovedNodes::Load(Iterator* system) {
  RemovedNodes removed;
  for (system->Seek(kRemovedPrefix);
       system->Valid() && system->key().substr(0, kRemovedPrefix.size()) == kRemovedPrefix; system->Next()) {
    const std::string_view key = system->key();
    raft::NodeId id = 0;
    for (const char c : key.substr(kRemovedPrefix.size())) id = id << 8 | static_cast<uint8_t>(c);
    if (key.size() != kRemovedKeyBytes || id == raft::kNoNode || system->value() != kValue) {
      return base::Error(absl::StatusCode::kDataLoss, "the removed nodes in space 0 are malformed");
    }
    removed.ids_.insert(id);
  }
  BANDB_RETURN_IF_ERROR(system->status());
  return removed;
}

std::vector<raft::NodeId> LeftBetween(std::string_view before, std::string_view after) {
  raft::Configuration old;
  raft::Configuration now;
  std::vector<raft::NodeId> left;
  if (!raft::DecodeConfiguration(before, &old) || !raft::DecodeConfiguration(after, &now)) return left;
  for (const raft::Member& member : old.members) {
    if (now.Find(member.id) == nullptr) left.push_back(member.id);
  }
  return left;
}

std::string KeepRemoved(absl::Span<const raft::NodeId> ids) {
  std::string operations;
  for (const raft::NodeId id : ids) {
    const std::string key = KeyOf(id);
    kv::AppendOperation(&operations, {.kind = kv::Kind::kPut, .key = key, .value = kValue});
  }
  return operations;
}

}  // namespace bandb::cluster
