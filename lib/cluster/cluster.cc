// bandb::Cluster over a node: the façade that owns threads, the loop among them.
#include "bandb/cluster.h"

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/file_system.h"
#include "base/status.h"
#include "base/system_env.h"
#include "base/thread.h"
#include "base/thread_executor.h"
#include "cluster/cluster_calls.h"
#include "cluster/join.h"
#include "cluster/lost_quorum.h"
#include "cluster/node.h"
#include "cluster/start_options.h"
#include "kv/host_logger.h"
#include "net/resolver.h"
#include "net/socket_loop.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

// What a node brings along, and what outlives it.
struct OwnWorld {
  explicit OwnWorld(const ClusterOptions& options)
      : OwnWorld(options, std::make_unique<kv::HostLogger>(options.storage.logger)) {}
  OwnWorld(const ClusterOptions& options, std::unique_ptr<kv::HostLogger> host_logger)
      : logger(host_logger.get()),
        env(base::SystemEnvOptions{.threads = options.storage.background_threads}, std::move(host_logger)),
        syncs(1),
        callbacks(1) {}

  // No task of theirs runs any more, nor will.
  void Shutdown() {
    env.Shutdown();
    syncs.Shutdown();
    callbacks.Shutdown();
  }

  // Owned by env.
  const kv::HostLogger* const logger;
  base::SystemEnv env;
  // Syncs wait for nobody, and callbacks may wait for writes.
  base::ThreadExecutor syncs;
  base::ThreadExecutor callbacks;
  absl::Status MakeLoop(const ClusterOptions& options) {
    BANDB_ASSIGN_OR_RETURN(loop, net::SocketLoop::Create(env.env().clock));
    peer_loop = options.tls == nullptr ? loop : options.tls->Over(loop);
    return absl::OkStatus();
  }

  std::shared_ptr<net::SocketLoop> loop;
  // The same, for connections to other nodes and from them.
  std::shared_ptr<base::EventLoop> peer_loop;
  std::shared_ptr<net::Resolver> resolver = std::make_shared<net::SystemResolver>();
};

// Tells the application's listener, on the thread of the callbacks.
class HostListener final : public Node::Listener {
 public:
  HostListener(ClusterListener* listener, base::Executor* callbacks, base::Logger* logger)
      : listener_(listener), callbacks_(callbacks), logger_(logger) {}

  void OnLeaderChanged(raft::Term term, raft::NodeId leader, bool self) override {
    Tell([=](ClusterListener* listener) { listener->OnLeaderChanged(term, leader, self); });
  }
  void OnMembersChanged(uint64_t version) override {
    Tell([=](ClusterListener* listener) { listener->OnMembersChanged(version); });
  }
  void OnRemoved() override {
    Tell([](ClusterListener* listener) { listener->OnRemoved(); });
  }
  void OnFailed(const absl::Status& status) override {
    Tell([=](ClusterListener* listener) { listener->OnFailed(status); });
  }

 private:
  template <typename Code>
  void Tell(Code code) {
    if (listener_ == nullptr) return;
    callbacks_->Post(base::Priority::kHigh, [code, listener = listener_, logger = logger_] {
      if (kv::RunContained([&]() { code(listener); })) return;
      logger->Log(base::LogLevel::kError, "the listener of the cluster threw an exception");
    });
  }

  ClusterListener* const listener_;
  base::Executor* const callbacks_;
  base::Logger* const logger_;
};

class ClusterImpl final : public ClusterCalls {
 public:
  ClusterImpl(std::unique_ptr<OwnWorld> world, std::unique_ptr<HostListener> listener, std::unique_ptr<Node> node,
              uint64_t async_bytes_max)
      : ClusterCalls({.loop = world->loop.get(),
                      .executor = world->env.env().executor,
                      .callbacks = &world->callbacks,
                      .clock = world->env.env().clock},
                     node.get(), async_bytes_max),
        world_(std::move(world)),
        listener_(std::move(listener)),
        node_(std::move(node)),
        thread_(std::make_unique<base::Thread>([loop = world_->loop.get()] { loop->Run(); })) {}

  // In a forked child neither threads nor files are its own: all is left as it is.
  ~ClusterImpl() override {
    Stop().IgnoreError();
    if (!InForkedChild()) return;
    (void)thread_.release();
    (void)node_.release();
    (void)listener_.release();
    (void)world_.release();
  }

  absl::Status Stop() override ABSL_LOCKS_EXCLUDED(stop_mutex_);

 private:
  std::unique_ptr<OwnWorld> world_;
  std::unique_ptr<HostListener> listener_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<base::Thread> thread_;
  base::Mutex stop_mutex_;
  std::optional<absl::Status> stopped_ ABSL_GUARDED_BY(stop_mutex_);
};

absl::Status ClusterImpl::Stop() {
  // Before the mutex, which another thread may have held when the process forked.
  BANDB_RETURN_IF_ERROR(CheckProcess());
  base::MutexLock lock(&stop_mutex_);
  if (stopped_.has_value()) return *stopped_;
  EndNode();
  // What runs on behalf of callers ends, callbacks among it, before the threads do.
  stopped_ = CloseReplica(&node_->replica(), world_->env.env().executor);
  world_->loop->Stop();
  thread_->Join();
  world_->Shutdown();
  node_->LeaveDirectory();
  return *stopped_;
}

// For a log that is only made: nothing runs in the background.
SingleLogOptions CreationLog(const base::Env& env, const NodeOptions& node) {
  SingleLogOptions log;
  log.executor = env.executor;
  log.clock = env.clock;
  log.random = env.random;
  log.logger = env.logger;
  log.segment_bytes = node.segment_bytes;
  return log;
}

// Asks until `enough`, or until the node is let in or refused.
absl::Status AskToJoin(OwnWorld* world, const ClusterOptions& options, const JoinRequest& request,
                       absl::Duration timeout, const std::function<bool()>& enough,
                       const std::function<absl::Status(const JoinTask&)>& let_in) {
  JoinTask::Parts parts{.env = world->env.env(), .loop = world->peer_loop, .resolver = world->resolver};
  JoinTask task(parts, options.join, request);
  base::Clock* const clock = world->env.env().clock;
  const int64_t begun = clock->MonotonicNanos();
  while (!task.ended() && !enough()) {
    world->loop->RunOnce(10'000'000);
    if (absl::Nanoseconds(clock->MonotonicNanos() - begun) > timeout) return task.TimedOut();
  }
  if (!task.ended()) return absl::OkStatus();
  BANDB_RETURN_IF_ERROR(task.status());
  return let_in(task);
}

// What a node is made of that joins.
absl::Status JoinWith(OwnWorld* world, NodeDirectory* directory, const ClusterOptions& options, const std::string& own,
                      absl::Duration timeout) {
  BANDB_ASSIGN_OR_RETURN(const raft::NodeId id, directory->JoiningId());
  const NodeOptions node = NodeOptionsOf(options, own);
  return AskToJoin(
      world, options,
      {.node = id,
       .learner = options.join_as_learner,
       .address = EncodeMemberAddress(node.address),
       .replaces = options.replaces},
      timeout, [] { return false; },
      [&](const JoinTask& task) {
        return directory->Join(node.storage, CreationLog(world->env.env(), node), task.cluster(), task.database_id());
      });
}

// A node that was let in is called by others, and knows nobody until then. It may have moved since,
// and nobody would find it.
absl::Status AwaitMembers(OwnWorld* world, const Node& node, const ClusterOptions& options, const std::string& own,
                          absl::Duration timeout) {
  // The leader has called it, though a copy of the database may be long in coming.
  const auto is_called = [&node] {
    return node.core() == nullptr || node.core()->configuration().Find(node.id()) != nullptr ||
           node.core()->inspect().leader != raft::kNoNode;
  };
  if (options.join.empty() || !node.core()->configuration().members.empty()) return absl::OkStatus();
  const std::string address = EncodeMemberAddress(NodeOptionsOf(options, own).address);
  base::Clock* const clock = world->env.env().clock;
  const int64_t begun = clock->MonotonicNanos();
  const absl::Status told = AskToJoin(world, options, {.node = node.id(), .known = true, .address = address}, timeout,
                                      is_called, [](const JoinTask&) { return absl::OkStatus(); });
  if (told.code() == StatusCode::kNotFound) {
    return base::Error(StatusCode::kFailedPrecondition, "this node was removed from the cluster");
  }
  BANDB_RETURN_IF_ERROR(told);
  while (!is_called()) {
    world->loop->RunOnce(10'000'000);
    if (absl::Nanoseconds(clock->MonotonicNanos() - begun) > timeout) {
      return base::Error(StatusCode::kDeadlineExceeded,
                         "let in, but nobody has called in time: can others reach this node at its address?");
    }
  }
  return absl::OkStatus();
}

// A directory knows what its node is, and `join` is not heeded. But one that a start without `join`
// has begun, as that of a package, would serve by itself forever, and nothing would tell.
void WarnIfAlone(const Node& node, const ClusterOptions& options, base::Logger* logger) {
  if (options.join.empty() || node.core() == nullptr) return;
  const raft::Configuration& known = node.core()->configuration();
  if (known.members.size() != 1 || known.members.front().id != node.id()) return;
  logger->Log(base::LogLevel::kWarning,
              "{}: this node is the only member of its cluster, and stays in it: join asks "
              "nobody. To be let into another cluster, begin with an empty directory",
              options.dir.string());
}

class NoAccept final : public base::AcceptHandler {
  void OnAcceptable() override {}
};

// The address with the port that the system gives for 0.
absl::StatusOr<std::string> KnownAddress(base::EventLoop* loop, const std::string& listen) {
  if (listen.empty() || !listen.ends_with(":0")) return listen;
  NoAccept handler;
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::Listener> listener, loop->Listen({.address = listen}, &handler));
  return listener->address();
}

absl::StatusOr<std::unique_ptr<NodeDirectory>> PrepareDirectory(OwnWorld* world, const ClusterOptions& options,
                                                                const std::string& own, absl::Duration timeout) {
  const base::Env env = world->env.env();
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<NodeDirectory> directory,
                         NodeDirectory::Open(env, options.dir.string(), options.bootstrap || !options.join.empty()));
  if (directory->content() == NodeDirectory::Content::kNode) return directory;
  if (!options.bootstrap) {
    BANDB_RETURN_IF_ERROR(JoinWith(world, directory.get(), options, own, timeout));
    return directory;
  }
  const NodeOptions node = NodeOptionsOf(options, own);
  BANDB_RETURN_IF_ERROR(directory->Bootstrap(node.storage, CreationLog(env, node), EncodeMemberAddress(node.address)));
  return directory;
}

absl::StatusOr<std::unique_ptr<Cluster>> StartNode(const ClusterOptions& options, absl::Duration timeout) {
  BANDB_RETURN_IF_ERROR(CheckStart(options));
  auto world = std::make_unique<OwnWorld>(options);
  const base::Env env = world->env.env();
  BANDB_RETURN_IF_ERROR(world->MakeLoop(options));
  BANDB_ASSIGN_OR_RETURN(const std::string own, KnownAddress(world->loop.get(), options.listen));
  absl::StatusOr<std::unique_ptr<NodeDirectory>> directory = PrepareDirectory(world.get(), options, own, timeout);
  if (!directory.ok()) {
    world->Shutdown();
    return directory.status();
  }
  auto listener = std::make_unique<HostListener>(options.listener, &world->callbacks, env.logger);
  const Node::Parts parts{.env = env,
                          .loop = world->peer_loop,
                          .resolver = world->resolver,
                          .sync_executor = &world->syncs,
                          .listener = listener.get()};
  absl::StatusOr<std::unique_ptr<Node>> node = Node::Open(parts, NodeOptionsOf(options, own), *std::move(directory));
  if (!node.ok()) {
    world->Shutdown();
    return node.status();
  }
  WarnIfAlone(**node, options, env.logger);
  if (const absl::Status told = AwaitMembers(world.get(), **node, options, own, timeout); !told.ok()) {
    (*node)->Stop();
    CloseReplica(&(*node)->replica(), env.executor).IgnoreError();
    world->Shutdown();
    return told;
  }
  return std::unique_ptr<Cluster>(std::make_unique<ClusterImpl>(std::move(world), std::move(listener), *std::move(node),
                                                                options.storage.write_buffer_bytes));
}

// Runs `code` with what a stopped node is opened with.
template <typename Result, typename Code>
absl::StatusOr<Result> WithStoppedNode(const ClusterOptions& options, const Code& code) {
  BANDB_RETURN_IF_ERROR(CheckStart(options));
  auto world = std::make_unique<OwnWorld>(options);
  const base::Env env = world->env.env();
  BANDB_RETURN_IF_ERROR(world->MakeLoop(options));
  absl::StatusOr<Result> result = code(StoppedNodeParts{
      .env = env, .loop = world->loop, .dir = options.dir.string(), .node = NodeOptionsOf(options, options.listen)});
  world->Shutdown();
  return result;
}

}  // namespace

}  // namespace bandb::cluster

namespace bandb {

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Start(const ClusterOptions& options, absl::Duration join_timeout) {
  return cluster::StartNode(options, join_timeout);
}

absl::StatusOr<std::string> Cluster::DescribeSurvivor(const ClusterOptions& options) {
  return cluster::WithStoppedNode<std::string>(options, cluster::DescribeSurvivor);
}

absl::StatusOr<QuorumRecovery> Cluster::RecoverLostQuorum(const ClusterOptions& options,
                                                          const std::vector<std::string>& survivors) {
  return cluster::WithStoppedNode<QuorumRecovery>(options, [&survivors](const cluster::StoppedNodeParts& parts) {
    return cluster::RecoverLostQuorum(parts, survivors);
  });
}

}  // namespace bandb
