// ConfigurationHistory: the configurations that are in the log, from the one in force at its
// floor to the latest.
//
// The latest is in force as soon as it is in the log (Raft thesis, 4.1), so a truncation takes it
// back, and a snapshot at some index must carry the one of that index and no later one. Invariants:
// ascending by index; the first is in force at the floor; at most two are not committed, since a
// leader changes one thing at a time.
#ifndef BANDB_RAFT_CONFIGURATION_HISTORY_H_
#define BANDB_RAFT_CONFIGURATION_HISTORY_H_

#include <utility>
#include <vector>

#include "base/assert.h"
#include "raft/restart.h"
#include "raft/types/configuration.h"

namespace bandb::raft {

class ConfigurationHistory {
 public:
  explicit ConfigurationHistory(const Restart& restart) : all_{restart.floor.configuration} {
    all_.insert(all_.end(), restart.configurations.begin(), restart.configurations.end());
  }

  const Configuration& Latest() const { return all_.back(); }
  // The one in force at `index`, which is not below the floor.
  const Configuration& At(Index index) const {
    size_t i = all_.size() - 1;
    while (i > 0 && all_[i].index > index) --i;
    return all_[i];
  }
  void Append(Configuration configuration) {
    BANDB_ASSERT(configuration.index > Latest().index);
    all_.push_back(std::move(configuration));
  }
  // True if that took a configuration back.
  bool TruncateFrom(Index first) {
    const size_t before = all_.size();
    while (all_.size() > 1 && all_.back().index >= first) all_.pop_back();
    return all_.size() != before;
  }
  void CompactTo(Index floor) {
    while (all_.size() > 1 && all_[1].index <= floor) all_.erase(all_.begin());
  }
  void Reset(const Configuration& configuration) { all_.assign(1, configuration); }
  size_t size() const { return all_.size(); }

 private:
  std::vector<Configuration> all_;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_CONFIGURATION_HISTORY_H_
