// The log of a cluster as a test has it, and what a replica must make of it.
//
// The model is a sorted map for the user's keys and one for the system's. All that it holds follows
// from the log: state, outcomes, sequences and time.
#ifndef BANDB_TEST_STORAGE_REPLICA_REPLICA_MODEL_H_
#define BANDB_TEST_STORAGE_REPLICA_REPLICA_MODEL_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/random.h"
#include "storage/engine/engine_replica.h"
#include "storage/model/model_state.h"

namespace bandb::test {

struct LogWrite {
  ModelWrite write{};
  bool duplicate = false;
};

// One entry; its index is its place in the log.
struct LogEntry {
  uint64_t term = 1;
  uint64_t commit_time_ms = 0;
  std::vector<LogWrite> writes{};
  // Has the outcomes of the writes kept in the system space, under this key.
  std::string session{};
  std::optional<std::string> membership{};
};

// An entry as a replica takes it. Lifetime: owns what entry() refers to.
class EncodedEntry {
 public:
  EncodedEntry(const LogEntry& entry, uint64_t index);
  EncodedEntry(const EncodedEntry&) = delete;
  EncodedEntry& operator=(const EncodedEntry&) = delete;
  const storage::ReplicaEntry& entry() const { return entry_; }

 private:
  std::deque<std::string> bytes_;
  storage::ReplicaEntry entry_;
};

// As a test tells them apart: OK or ABORTED, of each write.
std::string OutcomesText(absl::Span<const absl::Status> outcomes);

// The state after some entries.
struct ReplicaModel {
  ModelState user{};
  std::map<std::string, std::string> system{};
  storage::ReplicaPosition position{};

  // Applies the next entry; answers what became of its writes.
  std::string Apply(const LogEntry& entry);
  // OK if the replica has applied as much, and holds that: forward, backward and by key. `probes`:
  // keys to ask for besides.
  absl::Status Compare(storage::EngineReplica* replica, const ModelState& probes) const;
};

// What random entries look like.
struct LogShape {
  uint64_t entries = 100;
  uint64_t keys = 30;
  size_t value_bytes_max = 600;
  uint64_t writes_max = 3;
  // One of so many; 0 for none.
  uint64_t conditions = 4;
  // Whether some of them are on ranges.
  bool range_conditions = true;
  uint64_t duplicates = 8;
  uint64_t times_to_live = 0;
  uint64_t range_deletes = 12;
  uint64_t sessions = 2;
  uint64_t memberships = 15;
  // What each of these says; empty: something that is another one each time.
  std::string members{};
  // Of the others, how many hold no write at all.
  uint64_t empty = 6;
};

std::vector<LogEntry> RandomLog(uint64_t seed, const LogShape& shape);

// The models after 0, 1, 2 ... entries, and the outcomes of each entry.
struct LogCourse {
  explicit LogCourse(std::vector<LogEntry> log);

  const std::vector<LogEntry> log;  // that of index 1 comes first
  std::vector<ReplicaModel> models;
  std::vector<std::string> outcomes;

  uint64_t last_index() const { return log.size(); }
  // Applies entry `index`, waiting for room as long as it takes. Errors: what the replica answers;
  // kInternal if the outcomes are not those of the model.
  absl::Status Apply(storage::EngineReplica* replica, base::Executor* executor, uint64_t index) const;
};

// What the replicas of these tests are started with.
storage::ReplicaStart TestStart();

// Has all that is applied in tables, waiting as long as it takes.
absl::Status FlushReplica(storage::EngineReplica* replica, base::Executor* executor);
absl::Status CompactReplica(storage::EngineReplica* replica, base::Executor* executor);
absl::Status CloseReplica(storage::EngineReplica* replica, base::Executor* executor);

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_REPLICA_REPLICA_MODEL_H_
