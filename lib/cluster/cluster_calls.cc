#include "cluster/cluster_calls.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "kv/batch_format.h"
#include "kv/host_code.h"
#include "storage/read/db_iterator.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

constexpr uint64_t kAsyncOverheadBytes = 512;
constexpr uint64_t kAsyncBytesMin = 1 << 20;
// A caller waits so much longer than its timeout for the node to say what has become of it.
constexpr int64_t kSlackNanos = 100'000'000;
constexpr int64_t kHandOverNanos = 2'000'000'000;
constexpr absl::Duration kTransferTime = absl::Seconds(10);
constexpr absl::Duration kCursorTime = absl::Seconds(10);
// At the end, for what was acknowledged last.
constexpr absl::Duration kLastCursorsTime = absl::Seconds(2);

int64_t Nanos(absl::Duration duration) {
  if (duration >= absl::Hours(24 * 365)) return base::kForever;
  return std::max<int64_t>(absl::ToInt64Nanoseconds(duration), 0);
}

absl::Status StoppedError() { return base::Error(StatusCode::kFailedPrecondition, "the node was stopped"); }

std::string Encode(const kv::Operation& operation) {
  std::string bytes;
  kv::AppendOperation(&bytes, operation);
  return bytes;
}

}  // namespace

// Shared by the thread that waits and the one that answers, since either may be gone first.
struct ClusterCalls::Waiter {
  base::Event event;
  absl::Status status;

  void Set(absl::Status outcome) {
    status = std::move(outcome);
    event.Set();
  }
};

ClusterCalls::ClusterCalls(const World& world, Node* node, uint64_t async_bytes_max)
    : world_(world),
      node_(node),
      engine_(&node->replica().engine()),
      published_(node->published()),
      log_clock_(node->log_clock()),
      async_bytes_max_(std::max(async_bytes_max, kAsyncBytesMin)),
      feed_({.replica = &node->replica(),
             .index = node->changes(),
             .kept = node->kept(),
             .database = node->identity().database_id,
             .cluster = ClusterIdOf(node->identity()),
             .cursors = node->cursors(),
             .clock = node->log_clock(),
             .change = [this](std::string changes) { return ChangeCursors(std::move(changes), kCursorTime); },
             .check = [this] { return CheckProcess(); }}) {}

absl::Status ClusterCalls::CheckProcess() const {
  if (!InForkedChild()) return absl::OkStatus();
  return base::Error(StatusCode::kFailedPrecondition, "the node was started before a fork, by the parent");
}

int64_t ClusterCalls::DeadlineOf(absl::Duration timeout) const {
  const int64_t nanos = Nanos(timeout);
  const int64_t now = world_.clock->MonotonicNanos();
  return nanos > base::kForever - now ? base::kForever : now + nanos;
}

bool ClusterCalls::OnLoop(base::Task task) const {
  base::MutexLock lock(&mutex_);
  if (ended_) return false;
  world_.loop->Post(std::move(task));
  return true;
}

// ---- Writes. ----

void ClusterCalls::Submit(ClientWritePtr write) {
  {
    base::MutexLock lock(&mutex_);
    if (!ended_) {
      // One post for all that come before the loop looks.
      if (incoming_.empty()) world_.loop->Post([this] { TakeIncoming(); });
      incoming_.push_back(std::move(write));
      return;
    }
  }
  write->Complete(StoppedError());
}

void ClusterCalls::TakeIncoming() {
  std::vector<ClientWritePtr> writes;
  {
    base::MutexLock lock(&mutex_);
    writes.swap(incoming_);
  }
  for (ClientWritePtr& write : writes) node_->Write(std::move(write));
}

absl::Status ClusterCalls::WriteAndWait(WriteContent content, absl::Duration timeout, uint64_t* opened) {
  BANDB_RETURN_IF_ERROR(CheckProcess());
  const int64_t nanos = Nanos(timeout);
  content.deadline_nanos = DeadlineOf(timeout);
  auto waiter = std::make_shared<Waiter>();
  auto write = std::make_shared<ClientWrite>(std::move(content),
                                             [waiter](absl::Status status) { waiter->Set(std::move(status)); });
  Submit(write);
  const auto end = [&] {
    if (opened != nullptr) *opened = write->opened();
    return std::move(waiter->status);
  };
  if (world_.executor->Wait(&waiter->event, nanos)) return end();
  if (write->Withdraw()) return base::Error(StatusCode::kDeadlineExceeded, "given up before it was passed on");
  if (world_.executor->Wait(&waiter->event, kSlackNanos)) return end();
  return base::Error(StatusCode::kUnknown, "given up while the write was being agreed on");
}

absl::Status ClusterCalls::ChangeCursors(std::string changes, absl::Duration timeout) {
  return WriteAndWait({.operations = std::move(changes), .kind = CommandKind::kCursors}, timeout);
}

absl::Status ClusterCalls::DoPut(std::string_view key, std::string_view value, const WriteOptions& options) {
  BANDB_RETURN_IF_ERROR(kv::CheckKey(engine_->limits(), key.size()));
  BANDB_RETURN_IF_ERROR(kv::CheckValue(engine_->limits(), value.size()));
  return WriteAndWait({.operations = Encode({.kind = kv::Kind::kPut, .key = key, .value = value})}, options.timeout);
}

absl::Status ClusterCalls::DoDelete(std::string_view key, const WriteOptions& options) {
  BANDB_RETURN_IF_ERROR(kv::CheckKey(engine_->limits(), key.size()));
  return WriteAndWait({.operations = Encode({.kind = kv::Kind::kDelete, .key = key, .value = {}})}, options.timeout);
}

absl::Status ClusterCalls::DoWrite(const WriteBatch& batch, const WriteOptions& options) {
  BANDB_RETURN_IF_ERROR(kv::CheckBatch(engine_->limits(), batch));
  return WriteAndWait(
      {.conditions = WriteBatchAccess::Conditions(batch), .operations = WriteBatchAccess::Operations(batch)},
      options.timeout);
}

template <typename Callback>
void ClusterCalls::Call(Callback done, absl::Status status) {
  RunHostCode([&]() { std::move(done)(std::move(status)); });
}

// The engine was entered for it.
template <typename Callback>
void ClusterCalls::PostCall(Callback done, absl::Status status) {
  world_.callbacks->Post(base::Priority::kHigh, [this, done = std::move(done), status = std::move(status)]() mutable {
    Call(std::move(done), std::move(status));
    engine_->Leave();
  });
}

void ClusterCalls::DoWriteAsync(WriteBatch batch, const WriteOptions& options, WriteCallback done) {
  if (absl::Status process = CheckProcess(); !process.ok()) return Call(std::move(done), std::move(process));
  if (!engine_->Enter()) return Call(std::move(done), StoppedError());
  if (absl::Status refused = kv::CheckBatch(engine_->limits(), batch); !refused.ok()) {
    return PostCall(std::move(done), std::move(refused));
  }
  const uint64_t bytes = batch.ByteSize() + kAsyncOverheadBytes;
  const uint64_t others = async_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  // One alone may be as large as a batch may be.
  if (others != 0 && others + bytes > async_bytes_max_) {
    async_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    return PostCall(
        std::move(done),
        base::Error(StatusCode::kUnavailable, "overloaded: {} bytes of asynchronous writes are on their way", others));
  }
  const bool impatient = options.timeout <= absl::ZeroDuration();
  WriteContent content{.conditions = WriteBatchAccess::Conditions(batch),
                       .operations = WriteBatchAccess::Operations(batch),
                       .deadline_nanos = impatient ? base::kForever : DeadlineOf(options.timeout),
                       .impatient = impatient};
  Submit(std::make_shared<ClientWrite>(
      std::move(content), [this, bytes, done = std::move(done)](absl::Status status) mutable {
        auto last = [this, bytes, done = std::move(done)](absl::Status outcome) mutable {
          Call(std::move(done), std::move(outcome));
          async_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
        };
        PostCall(std::move(last), std::move(status));
      }));
}

// ---- Reads. ----

bool ClusterCalls::MayReadNow(const ReadOptions& options) const {
  return options.snapshot != nullptr || published_.MayReadNow(options.consistency, world_.clock);
}

absl::Status ClusterCalls::AwaitRead(const ReadOptions& options) {
  BANDB_RETURN_IF_ERROR(CheckProcess());
  if (MayReadNow(options)) return absl::OkStatus();
  if (options.only_cached) return base::Error(StatusCode::kUnavailable, "others have to be asked first");
  auto waiter = std::make_shared<Waiter>();
  ClientRead read{.deadline_nanos = DeadlineOf(options.timeout),
                  .done = [waiter](absl::Status status) { waiter->Set(std::move(status)); }};
  if (!OnLoop([node = node_, read = std::move(read)]() mutable { node->Read(std::move(read)); })) return StoppedError();
  if (world_.executor->Wait(&waiter->event, Nanos(options.timeout))) return std::move(waiter->status);
  return base::Error(StatusCode::kDeadlineExceeded, "no majority has said in time that the read would be up to date");
}

absl::Status ClusterCalls::DoGet(std::string_view key, PinnedValue* value, const ReadOptions& options) {
  if (absl::Status ready = AwaitRead(options); !ready.ok()) {
    *value = PinnedValue();
    return ready;
  }
  const absl::Status got = engine_->Get(key, options, value);
  if (const uint64_t ahead_ms = log_clock_->ahead_ms(); ahead_ms != 0 && value->expiry() != absl::InfiniteFuture()) {
    value->SetExpiryMillis(ExpiryByTheClock(value->expiry(), ahead_ms));
  }
  return got;
}

std::vector<absl::StatusOr<std::string>> ClusterCalls::DoMultiGet(absl::Span<const std::string_view> keys,
                                                                  const ReadOptions& options) {
  if (const absl::Status ready = AwaitRead(options); !ready.ok()) {
    return std::vector<absl::StatusOr<std::string>>(keys.size(), ready);
  }
  return engine_->MultiGet(keys, options);
}

std::unique_ptr<Iterator> ClusterCalls::DoNewIterator(const ReadOptions& options) {
  if (absl::Status ready = AwaitRead(options); !ready.ok()) return storage::NewErrorIterator(std::move(ready));
  return ShowByTheClock(engine_->NewIterator(options), log_clock_->ahead_ms());
}

void ClusterCalls::DoReadBarrierAsync(const ReadOptions& options, ReadCallback ready) {
  if (absl::Status process = CheckProcess(); !process.ok()) return Call(std::move(ready), std::move(process));
  if (!engine_->Enter()) return Call(std::move(ready), StoppedError());
  if (MayReadNow(options)) return PostCall(std::move(ready), absl::OkStatus());
  auto shared = std::make_shared<ReadCallback>(std::move(ready));
  ClientRead read{.deadline_nanos = DeadlineOf(options.timeout),
                  .done = [this, shared](absl::Status status) { PostCall(std::move(*shared), std::move(status)); }};
  if (OnLoop([node = node_, read = std::move(read)]() mutable { node->Read(std::move(read)); })) return;
  PostCall(std::move(*shared), StoppedError());
}

// ---- Sessions. ----

absl::StatusOr<uint64_t> ClusterCalls::OpenSession(absl::Duration timeout) {
  auto waiter = std::make_shared<Waiter>();
  auto nonce = std::make_shared<uint64_t>();
  BANDB_RETURN_IF_ERROR(CheckProcess());
  if (!OnLoop([node = node_, nonce, waiter] {
        *nonce = node->DrawNonce();
        waiter->Set(absl::OkStatus());
      })) {
    return StoppedError();
  }
  while (!world_.executor->Wait(&waiter->event, base::kForever)) {
  }
  uint64_t session = kNoSession;
  BANDB_RETURN_IF_ERROR(WriteAndWait({.session = *nonce, .number = kOpenNumber}, timeout, &session));
  BANDB_ASSERT(session != kNoSession);
  return session;
}

absl::Status ClusterCalls::WriteOnce(uint64_t session, uint64_t number, const WriteBatch& batch,
                                     const WriteOptions& options) {
  if (session == kNoSession || !IsNumber(number)) {
    return base::Error(StatusCode::kInvalidArgument, "session {} has no command {}", session, number);
  }
  BANDB_RETURN_IF_ERROR(kv::CheckBatch(engine_->limits(), batch));
  return WriteAndWait({.session = session,
                       .number = number,
                       .conditions = WriteBatchAccess::Conditions(batch),
                       .operations = WriteBatchAccess::Operations(batch)},
                      options.timeout);
}

absl::Status ClusterCalls::CloseSession(uint64_t session, absl::Duration timeout) {
  if (session == kNoSession) return base::Error(StatusCode::kInvalidArgument, "0 is not a session");
  return WriteAndWait({.session = session, .number = kCloseNumber}, timeout);
}

// ---- Administration. ----

absl::Status ClusterCalls::AcceptClock(absl::Duration timeout) {
  return WriteAndWait({.kind = CommandKind::kAcceptClock}, timeout);
}

absl::Status ClusterCalls::AwaitChange(const std::function<absl::StatusOr<raft::Change>()>& make,
                                       absl::Duration timeout) {
  const int64_t deadline = DeadlineOf(timeout);
  return AwaitAdministration(deadline, [node = node_, make, deadline](Node::Done done) {
    absl::StatusOr<raft::Change> change = make();
    if (!change.ok()) return std::move(done)(change.status());
    node->Change(*std::move(change), deadline, std::move(done));
  });
}

absl::Status ClusterCalls::AwaitAdministration(int64_t deadline, const std::function<void(Node::Done done)>& run) {
  BANDB_RETURN_IF_ERROR(CheckProcess());
  auto waiter = std::make_shared<Waiter>();
  const auto set = [waiter](absl::Status status) { waiter->Set(std::move(status)); };
  // The member that was named may be known to others already.
  ClientRead read{.deadline_nanos = deadline, .done = [run, set](absl::Status known) {
                    if (known.ok()) return run(set);
                    const bool late = known.code() == StatusCode::kDeadlineExceeded;
                    set(late ? base::Error(StatusCode::kUnavailable, "{}", base::Message(known)) : std::move(known));
                  }};
  if (!OnLoop([node = node_, read = std::move(read)]() mutable { node->Read(std::move(read)); })) return StoppedError();
  // The node ends it in time.
  while (!world_.executor->Wait(&waiter->event, base::kForever)) {
  }
  return std::move(waiter->status);
}

absl::Status ClusterCalls::PromoteMember(std::string_view member, absl::Duration timeout) {
  const auto make = [this, name = std::string(member)]() -> absl::StatusOr<raft::Change> {
    BANDB_ASSIGN_OR_RETURN(const raft::NodeId id, node_->FindMember(name));
    return raft::Change{.kind = raft::ChangeKind::kAddVoter, .node = id, .other = raft::kNoNode, .address = {}};
  };
  return AwaitChange(make, timeout);
}

absl::Status ClusterCalls::RemoveMember(std::string_view member, absl::Duration timeout) {
  const auto make = [this, name = std::string(member)]() -> absl::StatusOr<raft::Change> {
    BANDB_ASSIGN_OR_RETURN(const raft::NodeId id, node_->FindMember(name));
    return raft::Change{.kind = raft::ChangeKind::kRemove, .node = id, .other = raft::kNoNode, .address = {}};
  };
  return AwaitChange(make, timeout);
}

absl::Status ClusterCalls::ReplaceMember(std::string_view member, std::string_view by, absl::Duration timeout) {
  const auto make = [this, old = std::string(member), next = std::string(by)]() -> absl::StatusOr<raft::Change> {
    BANDB_ASSIGN_OR_RETURN(const raft::NodeId other, node_->FindMember(old));
    BANDB_ASSIGN_OR_RETURN(const raft::NodeId id, node_->FindMember(next));
    return raft::Change{.kind = raft::ChangeKind::kReplace, .node = id, .other = other, .address = {}};
  };
  return AwaitChange(make, timeout);
}

absl::Status ClusterCalls::TransferLeadership(std::string_view to) {
  const int64_t deadline = DeadlineOf(kTransferTime);
  return AwaitAdministration(deadline, [node = node_, name = std::string(to), deadline](Node::Done done) {
    raft::NodeId id = raft::kNoNode;
    if (!name.empty()) {
      const absl::StatusOr<raft::NodeId> found = node->FindMember(name);
      if (!found.ok()) return std::move(done)(found.status());
      id = *found;
    }
    node->Transfer(id, deadline, std::move(done));
  });
}

absl::Status ClusterCalls::Flush() {
  BANDB_RETURN_IF_ERROR(CheckProcess());
  auto waiter = std::make_shared<Waiter>();
  if (!OnLoop(
          [node = node_, waiter] { node->Flush([waiter](absl::Status status) { waiter->Set(std::move(status)); }); })) {
    return StoppedError();
  }
  // A flush ends, also with the node.
  while (!world_.executor->Wait(&waiter->event, base::kForever)) {
  }
  return std::move(waiter->status);
}

absl::Status ClusterCalls::CompactRange(std::string_view begin, std::string_view limit) {
  BANDB_RETURN_IF_ERROR(Flush());
  auto waiter = std::make_shared<Waiter>();
  engine_->CompactRange(begin, limit, [waiter](absl::Status status) { waiter->Set(std::move(status)); });
  while (!world_.executor->Wait(&waiter->event, base::kForever)) {
  }
  return std::move(waiter->status);
}

absl::Status ClusterCalls::DoCheckpoint(const std::filesystem::path& dir, internal::CheckpointSink* sink) {
  BANDB_RETURN_IF_ERROR(Flush());
  return engine_->CreateCheckpoint(dir.string(), sink);
}

ClusterStatus ClusterCalls::GetStatus() const {
  if (absl::Status process = CheckProcess(); !process.ok()) return {.health = std::move(process)};
  auto waiter = std::make_shared<Waiter>();
  auto status = std::make_shared<ClusterStatus>();
  if (OnLoop([node = node_, waiter, status] {
        *status = node->Status();
        waiter->Set(absl::OkStatus());
      })) {
    while (!world_.executor->Wait(&waiter->event, base::kForever)) {
    }
    return std::move(*status);
  }
  base::MutexLock lock(&mutex_);
  return last_status_;
}

Stats ClusterCalls::GetStats() const {
  if (InForkedChild()) return {};
  Stats stats = engine_->GetStats();
  // What it is ahead of clocks as they were accepted is no news.
  stats.expiry_ahead_ms -= std::min(stats.expiry_ahead_ms, log_clock_->ahead_ms());
  feed_.FillStats(&stats);
  return stats;
}

// A lock of the engine may have been held by a thread that the child does not have.
Snapshot ClusterCalls::DoGetSnapshot() { return InForkedChild() ? Snapshot() : engine_->GetSnapshot(); }

void ClusterCalls::EndNode() {
  // From here on nothing is acknowledged that the last write of it would miss.
  node_->cursors()->End(StoppedError());
  if (std::string moved = node_->cursors()->Moved(); !moved.empty()) {
    // If it comes to nothing, their consumers get some commits again.
    ChangeCursors(std::move(moved), kLastCursorsTime).IgnoreError();
  }
  // A leader leaves the others a leader, if one of them can be.
  auto handed_over = std::make_shared<Waiter>();
  if (OnLoop([node = node_, handed_over] {
        node->HandOver([handed_over](const absl::Status&) { handed_over->event.Set(); });
      })) {
    world_.executor->Wait(&handed_over->event, kHandOverNanos);
  }
  auto stopped = std::make_shared<Waiter>();
  {
    base::MutexLock lock(&mutex_);
    if (ended_) return;
    ended_ = true;
    world_.loop->Post([this, stopped] {
      TakeIncoming();
      node_->Stop();
      stopped->event.Set();
    });
  }
  while (!world_.executor->Wait(&stopped->event, base::kForever)) {
  }
  base::MutexLock lock(&mutex_);
  last_status_ = node_->Status();
}

}  // namespace bandb::cluster
