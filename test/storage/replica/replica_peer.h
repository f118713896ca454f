// Another replica of the same log, whose state a test installs: it has a disk of its own, and its
// tables lie otherwise.
#ifndef BANDB_TEST_STORAGE_REPLICA_REPLICA_PEER_H_
#define BANDB_TEST_STORAGE_REPLICA_REPLICA_PEER_H_

#include <cstdint>
#include <memory>

#include "storage/engine/engine_replica.h"
#include "storage/replica/replica_model.h"
#include "support/test_env.h"

namespace bandb::test {

class ReplicaPeer {
 public:
  // Lifetime: the course is borrowed.
  ReplicaPeer(uint64_t seed, const LogCourse* course);
  ~ReplicaPeer();

  // Applies up to this entry, in several tables; all that is durable then. A part of it compacted,
  // now and then.
  absl::Status ApplyTo(uint64_t index);
  storage::EngineReplica& replica() { return *replica_; }
  TestEnv& env() { return env_; }

 private:
  const LogCourse* const course_;
  base::Random random_;
  TestEnv env_;
  std::unique_ptr<storage::EngineReplica> replica_;
};

// Sends whatever is wanted, piece by piece, and counts the tables that were.
absl::StatusOr<uint64_t> SendState(const storage::PinnedState& from, storage::IncomingState* to, size_t piece_bytes);

absl::Status InstallState(storage::EngineReplica* replica, base::Executor* executor,
                          std::unique_ptr<storage::IncomingState> state);

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_REPLICA_REPLICA_PEER_H_
