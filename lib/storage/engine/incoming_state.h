// The tables of another replica's state on their way in: written under temporary names, which the
// next open removes, until all of them are there.
//
// A table that the replica has, by the id of the file and by its bytes, is not received again; it
// is kept from being removed meanwhile. One whose bytes are not those that the state tells of is
// dropped, and may be sent again.
#ifndef BANDB_STORAGE_ENGINE_INCOMING_STATE_H_
#define BANDB_STORAGE_ENGINE_INCOMING_STATE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/checksum.h"
#include "base/file_system.h"
#include "storage/engine/replica_state.h"
#include "storage/file/database_files.h"
#include "storage/version/live_table.h"
#include "storage/version/version_set.h"

namespace bandb::storage {

// Whether the parts of a state fit together. Errors: kDataLoss.
absl::Status CheckState(const ReplicaState& state);

// Lifetime: independent of the replica. What was not installed is removed with it, as far as the
// replica is open then.
// Thread safety: one thread at a time.
class IncomingState {
 public:
  struct Target {
    std::shared_ptr<DatabaseFiles> files;
    std::string engine_dir;
    std::shared_ptr<TableStore> tables;
    std::shared_ptr<const Version> version;
    std::function<uint64_t()> new_file_number;
  };

  // `state` has been checked.
  IncomingState(const Target& target, const ReplicaState& state);
  ~IncomingState();
  IncomingState(const IncomingState&) = delete;
  IncomingState& operator=(const IncomingState&) = delete;

  const ReplicaPosition& position() const { return state_.position; }
  size_t table_count() const { return parts_.size(); }
  // Whether bytes of table i are still to come, and from where on.
  bool Wants(size_t i) const { return parts_[i].phase == Phase::kReceiving; }
  uint64_t ReceivedBytes(size_t i) const { return parts_[i].received_bytes; }
  bool IsComplete() const;
  // The next bytes of a table that is wanted; its last ones make it durable, its name excepted.
  // Errors: kDataLoss these are not the bytes of the table, of which nothing was received now; what
  // the file system says, of which the same is true.
  absl::Status Append(size_t i, std::string_view bytes);

  // Of installing, once it is complete: gives table i its name, and reads all of it. Errors:
  // kDataLoss it is not what the state says; as RefusedRead; what the file system says.
  absl::Status Adopt(size_t i);
  // After that, for all: adds them to the edit, whose they are from then on.
  void AddTo(PendingEdit* edit);

 private:
  enum class Phase : uint8_t {
    kReceiving,
    kReceived,  // under its temporary name
    kAdopted,
    kKept,  // was there before
  };
  struct Part {
    Phase phase = Phase::kReceiving;
    // A number of our own; of one that is kept, the one that it has.
    uint64_t number = 0;
    uint64_t received_bytes = 0;
    base::StreamHash64 hash;
    std::unique_ptr<base::AppendableFile> file;
    TablePtr table;
  };

  // The replica's own table that is this one; null if there is none.
  TablePtr FindOwn(const std::vector<std::pair<Uuid, TablePtr>>& own, const StateTable& table) const;
  std::string TemporaryPath(const Part& part) const;
  absl::Status AppendTo(Part* part, const StateTable& table, std::string_view bytes);
  // Back to where nothing was received.
  void Drop(Part* part);

  const std::shared_ptr<DatabaseFiles> files_;
  const std::string engine_dir_;
  const std::shared_ptr<TableStore> tables_;
  const ReplicaState state_;
  // In the order of state_.tables.
  std::vector<Part> parts_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_INCOMING_STATE_H_
