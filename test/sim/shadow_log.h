// ShadowLog: what the checks remember of a node's log. Terms, digests and configurations, no
// payloads; and everything since the last snapshot that was installed, compacted or not.
#ifndef BANDB_TEST_SIM_SHADOW_LOG_H_
#define BANDB_TEST_SIM_SHADOW_LOG_H_

#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "raft/types/configuration.h"
#include "raft/types/durable_state.h"
#include "raft/types/entry.h"

namespace bandb::sim {

struct ShadowEntry {
  raft::Term term = 0;
  uint64_t digest = 0;
  uint64_t cost_bytes = 0;

  friend bool operator==(const ShadowEntry&, const ShadowEntry&) = default;
};

ShadowEntry MakeShadow(const raft::Entry& entry);

class ShadowLog {
 public:
  raft::Index floor() const { return floor_; }
  raft::Index last() const { return floor_ + entries_.size(); }
  // nullptr where nothing is remembered.
  const ShadowEntry* Find(raft::Index index) const;
  // 0 where nothing is remembered.
  raft::Term TermAt(raft::Index index) const;
  // The latest configuration at or below `index`; at or below the end without one.
  const raft::Configuration& ConfigurationAt(raft::Index index) const;
  const raft::Configuration& configuration() const { return ConfigurationAt(last()); }

  // Entries take their places; whatever was there or after is void. They must join on.
  void Append(const raft::Entries& entries);
  void Reset(const raft::SnapshotMeta& meta);

 private:
  raft::Index floor_ = 0;
  raft::Term floor_term_ = 0;
  std::deque<ShadowEntry> entries_;
  // By the index of their entry; the first is the one in force at the floor.
  std::map<raft::Index, raft::Configuration> configurations_{{0, {}}};
};

}  // namespace bandb::sim

#endif  // BANDB_TEST_SIM_SHADOW_LOG_H_
