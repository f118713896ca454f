#include "offline_store.h"

#include <utility>

#include "bandb/cluster.h"
#include "bandb/db.h"
#include "base/file_system.h"
#include "base/posix_file_system.h"
#include "base/status.h"

namespace bandb::cli {

namespace {

// A sole voter leads within moments of its start.
constexpr absl::Duration kLeadTimeout = absl::Seconds(30);

// A bound that is met only by the logs of a database with a write buffer as large.
constexpr uint64_t kReadBudgetBytes = 1 << 30;

class OfflineDb final : public OfflineStore {
 public:
  explicit OfflineDb(std::unique_ptr<Db> db) : db_(std::move(db)) {}
  Store* store() override { return db_.get(); }
  Stats GetStats() const override { return db_->GetStats(); }
  absl::Status Close() override { return db_->Close(); }

 private:
  const std::unique_ptr<Db> db_;
};

class OfflineNode final : public OfflineStore {
 public:
  explicit OfflineNode(std::unique_ptr<Cluster> node) : node_(std::move(node)) {}
  Store* store() override { return node_.get(); }
  Stats GetStats() const override { return node_->GetStats(); }
  absl::Status Close() override { return node_->Stop(); }

 private:
  const std::unique_ptr<Cluster> node_;
};

absl::StatusOr<std::unique_ptr<OfflineStore>> OpenNode(const std::string& directory) {
  ClusterOptions options;
  options.dir = directory;
  options.storage.changes_keep_bytes = kKeepAllChanges;
  absl::StatusOr<std::unique_ptr<Cluster>> started = Cluster::Start(options);
  if (absl::IsInvalidArgument(started.status())) {
    return base::Error(
        absl::StatusCode::kFailedPrecondition,
        "{}: its node is one of several members, without which it cannot know what is acknowledged; ask a "
        "running server of the cluster ({})",
        directory, base::Message(started.status()));
  }
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<Cluster> node, std::move(started));
  // The log is applied to its end by then.
  const absl::Status read = node->Get("", {.timeout = kLeadTimeout}).status();
  if (!read.ok() && !absl::IsNotFound(read)) return read;
  return std::make_unique<OfflineNode>(std::move(node));
}

// What a directory is that was refused as a database: a node's, or none that can be opened.
absl::StatusOr<std::unique_ptr<OfflineStore>> OpenRefused(const std::string& directory, const absl::Status& refused) {
  base::PosixFileSystem files;
  const absl::StatusOr<bool> is_node = files.Exists(base::JoinPath(directory, "groups/0/NODE"));
  if (!absl::IsFailedPrecondition(refused) || !is_node.ok() || !*is_node) return refused;
  return OpenNode(directory);
}

}  // namespace

absl::StatusOr<std::unique_ptr<OfflineStore>> OfflineStore::OpenToRead(const std::string& directory) {
  Options options;
  options.memory_budget_bytes = kReadBudgetBytes;
  absl::StatusOr<std::unique_ptr<Db>> db = Db::OpenReadOnly(directory, options);
  if (!db.ok()) return OpenRefused(directory, db.status());
  if ((*db)->GetStats().as_of_last_flush) {
    return base::Error(absl::StatusCode::kFailedPrecondition,
                       "{}: a server, or another program, has it open; ask that server, or take a checkpoint",
                       directory);
  }
  return std::make_unique<OfflineDb>(*std::move(db));
}

absl::StatusOr<std::unique_ptr<OfflineStore>> OfflineStore::OpenToWrite(const std::string& directory) {
  base::PosixFileSystem files;
  Options options;
  BANDB_ASSIGN_OR_RETURN(const bool exists, files.Exists(base::JoinPath(directory, "IDENTITY")));
  if (exists) options.changes_keep_bytes = kKeepAllChanges;
  absl::StatusOr<std::unique_ptr<Db>> db = Db::Open(directory, options);
  if (!db.ok()) return OpenRefused(directory, db.status());
  return std::make_unique<OfflineDb>(*std::move(db));
}

}  // namespace bandb::cli
