#include "cluster/snapshot_in.h"

#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"
#include "cluster/node_directory.h"
#include "cluster/peer_protocol.h"
#include "cluster/replica_state_codec.h"
#include "proto/peer_message.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

absl::Status RefusedFrame(std::string_view what) {
  return base::Error(StatusCode::kInvalidArgument, "of a snapshot: {}", what);
}

}  // namespace

// One chunk a step.
class SnapshotIn::AppendJob final : public base::Job {
 public:
  struct Result {
    absl::Status status;
    uint64_t bytes = 0;
  };

  AppendJob(std::shared_ptr<Partial> partial, std::vector<Chunk> chunks, std::shared_ptr<Result> result,
            std::shared_ptr<base::EventLoop> loop, base::Task done)
      : partial_(std::move(partial)),
        chunks_(std::move(chunks)),
        result_(std::move(result)),
        loop_(std::move(loop)),
        done_(std::move(done)) {}

  Next Step() override {
    Chunk& chunk = chunks_[next_++];
    result_->status = partial_->state->Append(chunk.table, chunk.bytes);
    if (result_->status.ok()) result_->bytes += chunk.bytes.size();
    if (result_->status.ok() && next_ < chunks_.size()) return Next::kAgain;
    partial_.reset();
    loop_->Post(std::move(done_));
    return Next::kDone;
  }

 private:
  std::shared_ptr<Partial> partial_;
  std::vector<Chunk> chunks_;
  const std::shared_ptr<Result> result_;
  const std::shared_ptr<base::EventLoop> loop_;
  base::Task done_;
  size_t next_ = 0;
};

SnapshotIn::SnapshotIn(const PeerSelf& self, const SnapshotOptions& options, const Parts& parts)
    : self_(self), options_(options), parts_(parts) {}

SnapshotIn::~SnapshotIn() { Discard(); }

base::Task SnapshotIn::Later(std::function<void()> task) const {
  return [alive = std::weak_ptr<const bool>(alive_), task = std::move(task)] {
    if (!alive.expired()) task();
  };
}

void SnapshotIn::EnterPhase(Phase phase) {
  phase_ = phase;
  progress_nanos_ = parts_.loop->NowNanos();
}

// --- What the sender says ---

absl::Status SnapshotIn::OnFrame(raft::NodeId from, uint32_t id, std::string_view payload) {
  uint64_t stream = 0;
  if (!DecodeStream(&payload, &stream)) return RefusedFrame("a frame without a stream");
  if (id == FrameId(PeerFrame::kSnapshotBegin)) return Begin(from, stream, payload);
  // What was on its way when a stream ended may still come.
  if (phase_ == Phase::kIdle || !linked_ || from != from_ || stream != stream_) return absl::OkStatus();
  progress_nanos_ = parts_.loop->NowNanos();
  if (id == FrameId(PeerFrame::kSnapshotHead)) return TakeHead(payload);
  if (id == FrameId(PeerFrame::kSnapshotChunk)) return TakeChunk(payload);
  BANDB_ASSERT(id == FrameId(PeerFrame::kSnapshotStopped));
  if (phase_ == Phase::kInstalling) {
    linked_ = false;
  } else {
    Abandon();
  }
  return absl::OkStatus();
}

absl::Status SnapshotIn::Begin(raft::NodeId from, uint64_t stream, std::string_view rest) {
  uint64_t head_bytes = 0;
  if (!DecodeSnapshotBegin(rest, &head_bytes)) return RefusedFrame("a malformed beginning");
  if (phase_ == Phase::kInstalling) {
    if (parts_.owner->MaySendSnapshotFrame(from)) {
      parts_.owner->SendSnapshotFrame(from, FrameId(PeerFrame::kSnapshotDone),
                                      std::make_unique<std::string>(EncodeSnapshotDone(
                                          stream, absl::UnavailableError("another snapshot is being installed"))));
    }
    return absl::OkStatus();
  }
  if (phase_ != Phase::kIdle) Refuse(absl::AbortedError("another snapshot has come"));
  from_ = from;
  stream_ = stream;
  linked_ = true;
  head_bytes_ = head_bytes;
  EnterPhase(Phase::kHeading);
  return absl::OkStatus();
}

absl::Status SnapshotIn::TakeHead(std::string_view rest) {
  if (phase_ != Phase::kHeading || rest.empty() || rest.size() > kSnapshotPieceBytesMax ||
      rest.size() > head_bytes_ - head_.size()) {
    return RefusedFrame("more of a head than was announced");
  }
  head_.append(rest);
  if (head_.size() < head_bytes_) return absl::OkStatus();
  const absl::Status status = DecodeHead();
  head_ = std::string();
  if (status.code() == StatusCode::kFailedPrecondition) {
    Refuse(status);
    return absl::OkStatus();
  }
  if (!status.ok()) {
    Abandon();
    return status;
  }
  EnterPhase(Phase::kPreparing);
  Advance();
  return absl::OkStatus();
}

// Errors: kInvalidArgument; kFailedPrecondition it is of a newer release.
absl::Status SnapshotIn::DecodeHead() {
  base::ByteReader reader(head_);
  std::string_view encoded;
  if (!reader.ReadLengthPrefixed(&encoded) || !proto::DecodePeerMessage(encoded, self_.versions, &message_)) {
    return RefusedFrame("a head without a message");
  }
  if (message_.kind != raft::MessageKind::kSnapshot || message_.cluster != self_.cluster || message_.group != 0 ||
      message_.from != from_ || message_.to != self_.node) {
    return RefusedFrame("a head that is not for this node, or of another");
  }
  absl::StatusOr<storage::ReplicaState> state = DecodeReplicaState(reader.rest());
  if (state.status().code() == StatusCode::kFailedPrecondition) return state.status();
  if (!state.ok()) return RefusedFrame(base::Message(state.status()));
  if (state->position.applied.index != message_.snapshot->index ||
      state->position.applied.term != message_.snapshot->term) {
    return RefusedFrame("a state at another place of the log");
  }
  const absl::StatusOr<raft::SnapshotMeta> meta = MetaOf(state->position);
  if (!meta.ok() || meta->configuration != message_.snapshot->configuration) {
    return RefusedFrame("a state of other members");
  }
  for (const storage::StateTable& table : state->tables) {
    if (table.info.file_bytes == 0) return RefusedFrame("a table without bytes");
  }
  head_state_.assign(reader.rest());
  state_ = *std::move(state);
  return absl::OkStatus();
}

absl::Status SnapshotIn::TakeChunk(std::string_view rest) {
  WantedTable at;
  std::string_view bytes;
  if (phase_ != Phase::kReceiving || !DecodeSnapshotChunk(rest, &at, &bytes)) return RefusedFrame("no chunk");
  if (wanted_.empty() || !(at == wanted_.front()) || bytes.size() > partial_->table_bytes[at.table] - at.offset) {
    return RefusedFrame("bytes that are not wanted");
  }
  received_bytes_ += bytes.size();
  if (received_bytes_ - taken_bytes_ > kSnapshotBacklogBytesMax) return RefusedFrame("more bytes than any window has");
  wanted_.front().offset += bytes.size();
  if (wanted_.front().offset == partial_->table_bytes[at.table]) wanted_.pop_front();
  queue_.push_back({at.table, std::string(bytes)});
  Advance();
  return absl::OkStatus();
}

// --- What the executor does ---

void SnapshotIn::Advance() {
  if (busy_) return;
  if (phase_ == Phase::kPreparing) return Prepare();
  if (phase_ == Phase::kReceiving && !queue_.empty()) Append();
}

void SnapshotIn::Prepare() {
  if (partial_ != nullptr && partial_->head_state == head_state_) return SendWanted();
  Discard();
  auto partial = std::make_shared<Partial>();
  partial->head_state = std::exchange(head_state_, {});
  for (const storage::StateTable& table : state_.tables) partial->table_bytes.push_back(table.info.file_bytes);
  auto status = std::make_shared<absl::Status>();
  base::Task done = Later([this, epoch = epoch_, partial, status]() { Prepared(epoch, partial, *status); });
  busy_ = true;
  parts_.executor->Post(base::Priority::kNormal, [receive = parts_.receive, loop = parts_.loop, partial, status,
                                                  state = std::exchange(state_, {}), done = std::move(done)]() mutable {
    absl::StatusOr<std::unique_ptr<storage::IncomingState>> received = receive(state);
    *status = received.status();
    if (received.ok()) partial->state = *std::move(received);
    partial.reset();
    loop->Post(std::move(done));
  });
}

void SnapshotIn::Prepared(uint64_t epoch, const std::shared_ptr<Partial>& partial, const absl::Status& status) {
  busy_ = false;
  // Also of a stream that has ended: the next one may go on with it.
  if (status.ok()) partial_ = partial;
  if (epoch != epoch_) return Advance();
  if (status.ok()) return SendWanted();
  raft::Message message = std::move(message_);
  Refuse(status);
  if (status.code() == StatusCode::kInvalidArgument) parts_.owner->OnBehind(std::move(message));
}

void SnapshotIn::SendWanted() {
  std::vector<WantedTable> wanted;
  for (size_t i = 0; i < partial_->state->table_count(); ++i) {
    if (partial_->state->Wants(i)) wanted.push_back({i, partial_->state->ReceivedBytes(i)});
  }
  received_bytes_ = taken_bytes_ = 0;
  wanted_.assign(wanted.begin(), wanted.end());
  EnterPhase(Phase::kReceiving);
  Say(FrameId(PeerFrame::kSnapshotWanted), EncodeSnapshotWanted(stream_, wanted));
  if (phase_ == Phase::kReceiving && partial_->state->IsComplete()) HandOver();
}

void SnapshotIn::Append() {
  auto result = std::make_shared<AppendJob::Result>();
  base::Task done = Later([this, epoch = epoch_, result] { Appended(epoch, result->bytes, result->status); });
  busy_ = true;
  parts_.executor->Start(base::Priority::kNormal, std::make_unique<AppendJob>(partial_, std::exchange(queue_, {}),
                                                                              result, parts_.loop, std::move(done)));
}

void SnapshotIn::Appended(uint64_t epoch, uint64_t bytes, const absl::Status& status) {
  busy_ = false;
  // What does not fit its checksum may have been announced wrongly.
  if (status.code() == StatusCode::kDataLoss) Discard();
  if (epoch != epoch_) return Advance();
  if (!status.ok()) return Refuse(status);
  progress_nanos_ = parts_.loop->NowNanos();
  taken_bytes_ += bytes;
  Say(FrameId(PeerFrame::kSnapshotTaken), EncodeSnapshotTaken(stream_, taken_bytes_));
  if (phase_ != Phase::kReceiving) return;
  if (partial_->state->IsComplete()) return HandOver();
  Advance();
}

void SnapshotIn::HandOver() {
  EnterPhase(Phase::kInstalling);
  std::unique_ptr<storage::IncomingState> state = std::move(partial_->state);
  partial_.reset();
  parts_.owner->OnReceived(std::exchange(message_, {}), std::move(state));
}

void SnapshotIn::Installed(const absl::Status& status) {
  if (phase_ != Phase::kInstalling) return;
  if (linked_) Say(FrameId(PeerFrame::kSnapshotDone), EncodeSnapshotDone(stream_, status));
  if (phase_ == Phase::kInstalling) Abandon();
}

// --- Ends ---

void SnapshotIn::Say(uint32_t id, std::string payload) {
  // A sender that does not read what little there is to say will see the end of its patience.
  if (!parts_.owner->MaySendSnapshotFrame(from_)) return Abandon();
  parts_.owner->SendSnapshotFrame(from_, id, std::make_unique<std::string>(std::move(payload)));
}

void SnapshotIn::Refuse(const absl::Status& why) {
  const raft::NodeId from = from_;
  Say(FrameId(PeerFrame::kSnapshotDone), EncodeSnapshotDone(stream_, why));
  Abandon();
  parts_.owner->OnRefused(from, why);
}

void SnapshotIn::Abandon() {
  ++epoch_;
  EnterPhase(Phase::kIdle);
  linked_ = false;
  head_ = head_state_ = std::string();
  state_ = {};
  message_ = {};
  wanted_.clear();
  queue_.clear();
}

void SnapshotIn::Discard() {
  if (partial_ == nullptr) return;
  // Its files are removed with it.
  parts_.executor->Post(base::Priority::kNormal, [partial = std::exchange(partial_, nullptr)] {});
}

void SnapshotIn::OnLinkLost(raft::NodeId from) {
  if (phase_ == Phase::kIdle || from != from_) return;
  if (phase_ == Phase::kInstalling) {
    linked_ = false;
  } else {
    Abandon();
  }
}

void SnapshotIn::CheckProgress() {
  const int64_t waited = parts_.loop->NowNanos() - progress_nanos_;
  const bool for_sender = phase_ == Phase::kHeading || (phase_ == Phase::kReceiving && !busy_ && queue_.empty());
  if (for_sender && waited >= options_.progress_timeout_nanos) {
    return Refuse(absl::DeadlineExceededError("the sender sends nothing"));
  }
  if (phase_ == Phase::kIdle && !busy_ && waited >= options_.keep_nanos) Discard();
}

}  // namespace bandb::cluster
