// JoinTask: a node that is no member asks until it is let in, or refused for good.
#ifndef BANDB_CLUSTER_JOIN_H_
#define BANDB_CLUSTER_JOIN_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/env.h"
#include "base/event_loop.h"
#include "cluster/joiner.h"
#include "cluster/node_words.h"
#include "net/link_host.h"
#include "net/log_budget.h"
#include "net/resolver.h"
#include "storage/file/file_header.h"

namespace bandb::cluster {

// Thread safety: the loop's thread. Lifetime: what it borrows outlives it.
class JoinTask {
 public:
  struct Parts {
    base::Env env;
    std::shared_ptr<base::EventLoop> loop;
    std::shared_ptr<net::Resolver> resolver;
  };

  JoinTask(const Parts& parts, std::vector<std::string> addresses, const JoinRequest& request);
  ~JoinTask();

  bool ended() const { return ended_; }
  // Of one that has ended. Errors: kFailedPrecondition the node was removed already; else what the
  // cluster refused it with.
  const absl::Status& status() const { return status_; }
  raft::ClusterId cluster() const { return cluster_; }
  const storage::Uuid& database_id() const { return database_id_; }
  // What to say of one that took too long: what it last heard.
  absl::Status TimedOut() const;

 private:
  void Ask();
  void Take(const absl::StatusOr<Joiner::Answer>& answer);

  const Parts parts_;
  const std::vector<std::string> addresses_;
  const std::string request_;
  net::LinkHost host_;
  Joiner joiner_;
  base::TimerId timer_ = base::kNoTimer;
  net::LogBudget log_budget_;
  size_t asked_ = 0;  // how often
  bool ended_ = false;
  absl::Status status_;
  raft::ClusterId cluster_ = 0;
  storage::Uuid database_id_{};
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_JOIN_H_
