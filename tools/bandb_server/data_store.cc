#include "data_store.h"

#include <fmt/format.h>

#include <atomic>
#include <string>
#include <utility>

#include "bandb/db.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/status.h"
#include "cluster_config.h"
#include "disk_watch.h"

namespace bandb::server_program {

namespace {

using absl::StatusCode;

// So long one attempt to be let in takes at most, so that the operator is heard in between.
constexpr absl::Duration kJoinAttempt = absl::Seconds(2);
// How often it is looked whether one that was let in has what it needs.
constexpr int64_t kLookNanos = 100'000'000;

class StandaloneStore final : public DataStore {
 public:
  StandaloneStore(const Config& config, const DataStoreParts& parts)
      : logger_(parts.logger), disk_watch_(parts.files, parts.clock, config.data) {}

  absl::Status Open(const Config& config) {
    Options storage = config.storage;
    storage.logger = logger_;
    storage.listener = &disk_watch_;
    absl::StatusOr<std::unique_ptr<Db>> db = Db::Open(config.data, storage);
    if (!db.ok()) return db.status();
    db_ = *std::move(db);
    return absl::OkStatus();
  }

  Store& store() override { return *db_; }
  Db* db() override { return db_.get(); }
  Stats GetStats() const override { return db_->GetStats(); }
  absl::Status Flush() override { return db_->Flush(); }
  absl::Status CompactRange(std::string_view begin, std::string_view limit) override {
    return db_->CompactRange(begin, limit);
  }
  absl::Status Ready() const override { return disk_watch_.Ready(); }
  absl::Status Look() override {
    disk_watch_.Look([this] { return db_->Resume(); }, logger_);
    return absl::OkStatus();
  }
  bool stopped_for_good() const override { return disk_watch_.stopped_for_good(); }
  absl::Status Close() override { return db_->Close(); }

 private:
  Logger* const logger_;
  DiskWatch disk_watch_;
  std::unique_ptr<Db> db_;
};

// A full disk is waited for by the node itself.
class NodeStore final : public DataStore, private ClusterListener {
 public:
  explicit NodeStore(Logger* logger) : logger_(logger) {}
  // The node tells this object until its end.
  ~NodeStore() override { node_.reset(); }

  // `tls`: what `options.tls` is of.
  absl::Status Open(ClusterOptions options, const PeerTlsFiles& tls, const std::function<bool()>& told_to_end) {
    options.storage.logger = logger_;
    options.listener = this;
    while (true) {
      absl::StatusOr<std::unique_ptr<Cluster>> node = Cluster::Start(options, kJoinAttempt);
      if (node.ok()) {
        node_ = *std::move(node);
        return AwaitCopy(told_to_end);
      }
      const bool waits = absl::IsDeadlineExceeded(node.status()) && !options.join.empty();
      if (!waits) return node.status();
      if (told_to_end()) return base::Error(StatusCode::kCancelled, "stopped before a cluster let this node in");
      // It may be the certificate that it is not let in for, and that may be another one by now.
      if (options.tls == nullptr) continue;
      if (const auto fresh = PeerTls::Load(tls); fresh.ok()) options.tls->Replace(**fresh);
    }
  }

  Store& store() override { return *node_; }
  Cluster* cluster() override { return node_.get(); }
  Stats GetStats() const override { return node_->GetStats(); }
  absl::Status Flush() override { return node_->Flush(); }
  absl::Status CompactRange(std::string_view begin, std::string_view limit) override {
    return node_->CompactRange(begin, limit);
  }
  absl::Status Ready() const override {
    const ClusterStatus status = node_->GetStatus();
    BANDB_RETURN_IF_ERROR(status.health);
    if (status.leader == 0) return base::Error(StatusCode::kUnavailable, "no leader is known");
    return absl::OkStatus();
  }
  absl::Status Look() override { return Failure(); }
  bool stopped_for_good() const override { return !Failure().ok(); }
  absl::Status Close() override { return node_->Stop(); }

 private:
  // A node that is new knows of no members until it has the log, or a copy of the database, however
  // long that takes. It is left at that: begun again it would begin with nothing.
  absl::Status AwaitCopy(const std::function<bool()>& told_to_end) {
    while (node_->GetStatus().members.empty()) {
      BANDB_RETURN_IF_ERROR(Failure());
      if (told_to_end()) return base::Error(StatusCode::kCancelled, "stopped before this node had a copy of the data");
      members_changed_.BlockUntilSet(kLookNanos);
      members_changed_.Reset();
    }
    return absl::OkStatus();
  }

  void OnMembersChanged(uint64_t) override { members_changed_.Set(); }
  void OnLeaderChanged(uint64_t term, uint64_t leader, bool self) override {
    const std::string who = leader == 0 ? "nobody" : self ? "this node" : fmt::format("node {}", leader);
    logger_->Log(LogSeverity::kInfo, fmt::format("term {}: {} leads", term, who));
  }
  void OnRemoved() override {
    logger_->Log(
        LogSeverity::kWarning,
        "this node was removed from the cluster and serves no more; it can join again with an empty directory");
  }
  void OnFailed(const absl::Status& status) override {
    base::MutexLock lock(&mutex_);
    failure_ = status;
  }
  absl::Status Failure() const {
    base::MutexLock lock(&mutex_);
    return failure_;
  }

  Logger* const logger_;
  base::Event members_changed_;
  mutable base::Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Cluster> node_;
};

absl::StatusOr<std::unique_ptr<DataStore>> OpenStandalone(const Config& config, const DataStoreParts& parts) {
  auto standalone = std::make_unique<StandaloneStore>(config, parts);
  const absl::Status opened = standalone->Open(config);
  if (opened.ok()) return standalone;
  // A node's directory is told from one that is in use, say, by what else is in it.
  const absl::StatusOr<bool> is_node = parts.files->Exists(base::JoinPath(config.data, "groups/0/NODE"));
  if (!absl::IsFailedPrecondition(opened) || !is_node.ok() || !*is_node) return opened;
  return base::Annotate(opened,
                        "a cluster's directory is not served standalone; the way back is bandb export, or a backup "
                        "of before, into another directory");
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataStore>> OpenDataStore(const Config& config, const DataStoreParts& parts) {
  if (config.mode == Mode::kStandalone) return OpenStandalone(config, parts);
  BANDB_ASSIGN_OR_RETURN(const bool exists, parts.files->Exists(base::JoinPath(config.data, "IDENTITY")));
  if (!exists && !config.storage.create_if_missing && config.cluster.join.empty()) {
    return base::Error(StatusCode::kNotFound, "{}: there is no database, and storage.create_if_missing is false",
                       config.data);
  }
  auto node = std::make_unique<NodeStore>(parts.logger);
  BANDB_RETURN_IF_ERROR(node->Open(ClusterOptionsOf(config, exists), config.cluster_tls, parts.told_to_end));
  return node;
}

}  // namespace bandb::server_program
