// Logs that the database does not need any more and that are kept for the change feed, and when
// they are let go.
#ifndef BANDB_STORAGE_LOG_KEPT_LOG_H_
#define BANDB_STORAGE_LOG_KEPT_LOG_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bandb::storage {

// A log that is written no more, holds something, and survives power loss.
struct KeptLog {
  uint64_t number = 0;
  // So much of it counts.
  uint64_t bytes = 0;
  // Of its operations.
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  // No commit of an earlier log is later than the one, none of this one is later than the other.
  uint64_t begin_ms = 0;
  uint64_t end_ms = 0;
  // Records of users' operations in it.
  uint64_t commits = 0;

  friend bool operator==(const KeptLog&, const KeptLog&) = default;
};

struct KeepPolicy {
  // All of them together; 0: none is kept.
  uint64_t keep_bytes = 0;
  // Those whose last commit is no older; UINT64_MAX: whatever its age.
  uint64_t keep_ms = UINT64_MAX;
  uint64_t now_ms = 0;
  // Whatever its age, one with operations after this sequence: a cursor has still to read them.
  uint64_t floor = UINT64_MAX;
};

// What they count as together.
uint64_t KeptBytes(const std::vector<KeptLog>& logs);
// Of these logs, oldest first, how many of the oldest go.
size_t LogsToLetGo(const std::vector<KeptLog>& logs, const KeepPolicy& policy);

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_LOG_KEPT_LOG_H_
