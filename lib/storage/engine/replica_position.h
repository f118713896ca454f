// How far a replica has applied the log of its cluster, and what it is started with.
#ifndef BANDB_STORAGE_ENGINE_REPLICA_POSITION_H_
#define BANDB_STORAGE_ENGINE_REPLICA_POSITION_H_

#include <cstdint>
#include <string>

#include "storage/file/identity.h"
#include "storage/key/internal_key.h"
#include "storage/version/version_edit.h"

namespace bandb::storage {

// What the entries up to one of the log have made, all of it from the log alone: the same on every
// replica.
struct ReplicaPosition {
  AppliedPosition applied;
  Sequence last_sequence = 0;
  // The same after the last entry that did something for a user; all after it is the owner's own.
  Sequence user_sequence = 0;
  // The time that reads go by.
  uint64_t commit_time_ms = 0;
  // The committed one, as the owner encodes it.
  std::string membership;
};

struct ReplicaStart {
  // Of a cluster: a directory with any other is refused, and one that is made gets it.
  Identity identity{};
  // Where the log begins for a directory that no replica has written: one that is made, or that a
  // standalone database left. Sequences and times go on from what is found there.
  AppliedPosition applied{};
  std::string membership{};
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_REPLICA_POSITION_H_
