// A replica with the calls of a Db, so that what tests a Db tests a replica: each write becomes an
// entry of a log, which the owner of the test keeps, and is applied at once.
//
// The log survives whatever happens to the replica, and is applied again from the durable position
// on when it is opened, where each entry must end as it did. So nothing that was acknowledged is
// ever lost. Time is the log's: before a read that comes later than the last entry, an entry that
// moves nothing but time is applied, as a leader has it.
#ifndef BANDB_TEST_STORAGE_REPLICA_REPLICA_DB_H_
#define BANDB_TEST_STORAGE_REPLICA_REPLICA_DB_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bandb/db.h"
#include "base/env.h"
#include "storage/engine/engine_replica.h"

namespace bandb::test {

struct ReplicaDbEntry {
  uint64_t commit_time_ms = 0;
  bool has_write = false;
  std::string conditions{};
  std::string operations{};  // with absolute times
  absl::StatusCode outcome = absl::StatusCode::kOk;
};
using ReplicaDbLog = std::vector<ReplicaDbEntry>;

// Checkpoints are not a replica's: kUnimplemented. Thread safety: one thread.
class ReplicaDb final : public Db {
 public:
  // Lifetime: the log is borrowed. Errors: as EngineReplica::Open and Apply;
  // kInternal an entry ends otherwise than before.
  static absl::StatusOr<std::unique_ptr<ReplicaDb>> Open(const base::Env& env, const std::string& dir,
                                                         const Options& options, ReplicaDbLog* log);
  ~ReplicaDb() override { Close().IgnoreError(); }

  absl::Status Flush() override;
  absl::Status CompactRange(std::string_view begin, std::string_view limit) override;
  absl::Status PauseCompactions() override { return replica_->engine().PauseCompactions(); }
  absl::Status ContinueCompactions() override { return replica_->engine().ContinueCompactions(); }
  absl::Status CreateCheckpoint(const std::filesystem::path& dir) override;
  absl::Status VerifyChecksums() override { return replica_->engine().VerifyChecksums(); }
  absl::Status Resume() override { return replica_->engine().Resume(); }
  absl::Status AcceptClock() override { return absl::UnimplementedError("the time of a replica is its log's"); }
  Stats GetStats() const override { return replica_->engine().GetStats(); }
  absl::Status Close() override;
  storage::EngineReplica& replica() { return *replica_; }
  // That reads go by: the clock's, or, while no writes are taken, that of the last entry.
  uint64_t TimeMs();

 private:
  ReplicaDb(const base::Env& env, ReplicaDbLog* log, std::unique_ptr<storage::EngineReplica> replica)
      : env_(env), log_(log), replica_(std::move(replica)) {}

  absl::Status DoPut(std::string_view key, std::string_view value, const WriteOptions& options) override;
  absl::Status DoDelete(std::string_view key, const WriteOptions& options) override;
  absl::Status DoWrite(const WriteBatch& batch, const WriteOptions& options) override;
  void DoWriteAsync(WriteBatch batch, const WriteOptions& options, WriteCallback done) override;
  absl::Status DoGet(std::string_view key, PinnedValue* value, const ReadOptions& options) override;
  std::vector<absl::StatusOr<std::string>> DoMultiGet(absl::Span<const std::string_view> keys,
                                                      const ReadOptions& options) override;
  std::unique_ptr<Iterator> DoNewIterator(const ReadOptions& options) override;
  Snapshot DoGetSnapshot() override;
  void DoReadBarrierAsync(const ReadOptions& options, ReadCallback ready) override;

  uint64_t NowMs() const { return static_cast<uint64_t>(env_.clock->WallMillis()); }
  // Appends and applies. What is refused was never in the log.
  absl::Status Commit(ReplicaDbEntry entry);
  // Waits for room as long as it takes.
  absl::Status Apply(uint64_t index, const ReplicaDbEntry& entry);
  // A replica that takes no writes stays at its time.
  void MoveTime();

  const base::Env env_;
  ReplicaDbLog* const log_;
  const std::unique_ptr<storage::EngineReplica> replica_;
  bool closed_ = false;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_REPLICA_REPLICA_DB_H_
