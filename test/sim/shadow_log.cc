#include "sim/shadow_log.h"

#include <iterator>

#include "base/assert.h"
#include "base/checksum.h"
#include "raft/types/configuration_codec.h"

namespace bandb::sim {

ShadowEntry MakeShadow(const raft::Entry& entry) {
  return {entry.term, base::Hash64(entry.payload.bytes(), static_cast<uint64_t>(entry.kind) + 1),
          raft::CostBytes(entry)};
}

const ShadowEntry* ShadowLog::Find(raft::Index index) const {
  return index > floor_ && index <= last() ? &entries_[index - floor_ - 1] : nullptr;
}

raft::Term ShadowLog::TermAt(raft::Index index) const {
  if (index == floor_) return floor_term_;
  const ShadowEntry* entry = Find(index);
  return entry == nullptr ? 0 : entry->term;
}

const raft::Configuration& ShadowLog::ConfigurationAt(raft::Index index) const {
  return std::prev(configurations_.upper_bound(std::max(index, configurations_.begin()->first)))->second;
}

void ShadowLog::Append(const raft::Entries& entries) {
  for (const raft::Entry& entry : entries) {
    BANDB_ASSERT(entry.index > floor_);
    BANDB_ASSERT(entry.index <= last() + 1);
    entries_.resize(entry.index - floor_ - 1);
    configurations_.erase(configurations_.upper_bound(entry.index - 1), configurations_.end());
    entries_.push_back(MakeShadow(entry));
    raft::Configuration configuration;
    if (entry.kind == raft::EntryKind::kConfiguration &&
        raft::DecodeConfiguration(entry.payload.bytes(), &configuration)) {
      configurations_[entry.index] = std::move(configuration);
    }
  }
}

void ShadowLog::Reset(const raft::SnapshotMeta& meta) {
  floor_ = meta.index;
  floor_term_ = meta.term;
  entries_.clear();
  configurations_.clear();
  configurations_[meta.index] = meta.configuration;
}

}  // namespace bandb::sim
