// Three machines whose nodes are a cluster, for single scenarios.
#ifndef BANDB_TEST_WORLD_THREE_MACHINES_H_
#define BANDB_TEST_WORLD_THREE_MACHINES_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "bandb/write_batch.h"
#include "world/world.h"

namespace bandb::world {

class ThreeMachines {
 public:
  explicit ThreeMachines(uint64_t seed, const WorldOptions& options = SmallWorld());

  // What became of it; the world goes on until then.
  absl::Status Write(Machine* machine, const WriteBatch& batch);
  absl::Status Put(Machine* machine, std::string_view key, std::string_view value);
  absl::Status PutWithTtl(Machine* machine, std::string_view key, std::string_view value, absl::Duration ttl);
  absl::Status ChangeCursor(Machine* machine, const cluster::CursorChange& change);
  absl::Status AcceptClock(Machine* machine);
  // A change of the members, asked of this one.
  absl::Status Change(Machine* machine, const raft::Change& change);
  // Linearizable, and of what is applied there. The value, or the name of an error.
  std::string Get(Machine* machine, std::string_view key);
  std::string Local(Machine* machine, std::string_view key);
  // Waits for one, which is another one.
  Machine* AwaitLeader(const Machine* other_than = nullptr);
  // The machine is down with what it had synced, or up again and as far as the leader.
  void Kill(Machine* machine);
  void Restart(Machine* machine);
  // All members have applied all that is in the leader's log.
  void Settle();
  // Of the leader's log.
  raft::Index LastIndex();
  // For people: what happened.
  std::string Report();

  World world;

 private:
  absl::Status Await(Machine* machine, cluster::WriteContent content);
};

}  // namespace bandb::world

#endif  // BANDB_TEST_WORLD_THREE_MACHINES_H_
