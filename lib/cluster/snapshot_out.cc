#include "cluster/snapshot_out.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"
#include "cluster/peer_protocol.h"
#include "cluster/replica_state_codec.h"
#include "proto/peer_message.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

// The longest that a receiver which finds damage can put off that the state is described again, in
// rests of damage.
constexpr int64_t kDescribeAgainRestsMax = 64;

absl::Status Unexpected(std::string_view what) {
  return base::Error(StatusCode::kInvalidArgument, "of a snapshot: {}", what);
}

// Of a read of what is sent: a table is damaged or gone, or its disk refuses it. Else it is a
// shortage that may pass, or the database is closed.
bool IsOwnDamage(const absl::Status& status) {
  return status.code() == StatusCode::kDataLoss || status.code() == StatusCode::kInternal;
}

}  // namespace

struct SnapshotOut::Source {
  explicit Source(storage::PinnedState state) : pinned(std::move(state)) {}

  absl::StatusOr<std::string> ReadPiece(uint64_t stream, const WantedTable& at, uint64_t bytes);

  const storage::PinnedState pinned;
  // Nobody waits for its description any more.
  std::atomic<bool> abandoned{false};
  absl::Status status;
  storage::ReplicaState state;
  // Of the loop's thread.
  bool described = false;
  int64_t described_nanos = 0;
  // The file that was read last.
  uint64_t open_table = 0;
  std::unique_ptr<base::RandomAccessFile> file;
};

absl::StatusOr<std::string> SnapshotOut::Source::ReadPiece(uint64_t stream, const WantedTable& at, uint64_t bytes) {
  if (file == nullptr || open_table != at.table) {
    BANDB_ASSIGN_OR_RETURN(file, pinned.OpenTable(at.table));
    open_table = at.table;
  }
  std::string piece(bytes, '\0');
  BANDB_ASSIGN_OR_RETURN(const size_t got, file->Read(at.offset, absl::MakeSpan(piece)));
  if (got < bytes) {
    return base::Error(StatusCode::kDataLoss, "table {} of the snapshot ends at {}", state.tables[at.table].info.number,
                       at.offset + got);
  }
  return EncodeSnapshotChunk(stream, at, piece);
}

// One table a step.
class SnapshotOut::DescribeJob final : public base::Job {
 public:
  DescribeJob(std::shared_ptr<Source> source, std::shared_ptr<base::EventLoop> loop, base::Task done)
      : source_(std::move(source)), loop_(std::move(loop)), done_(std::move(done)) {
    source_->state.database_id = source_->pinned.database_id();
    source_->state.position = source_->pinned.position();
  }

  Next Step() override {
    if (source_->abandoned) return Next::kDone;
    storage::ReplicaState& state = source_->state;
    if (state.tables.size() < source_->pinned.table_count()) {
      absl::StatusOr<storage::StateTable> table = source_->pinned.DescribeTable(state.tables.size());
      if (table.ok()) {
        state.tables.push_back(*std::move(table));
        return Next::kAgain;
      }
      source_->status = table.status();
    }
    loop_->Post(std::move(done_));
    return Next::kDone;
  }

 private:
  const std::shared_ptr<Source> source_;
  const std::shared_ptr<base::EventLoop> loop_;
  base::Task done_;
};

SnapshotOut::SnapshotOut(raft::NodeId to, const SnapshotOptions& options, const Parts& parts, base::Random random)
    : to_(to), options_(options), parts_(parts), random_(random) {
  BANDB_ASSERT(options_.piece_bytes > 0);
  BANDB_ASSERT(options_.piece_bytes <= kSnapshotPieceBytesMax);
  BANDB_ASSERT(options_.window_bytes > 0);
  BANDB_ASSERT(options_.window_bytes + options_.piece_bytes <= kSnapshotBacklogBytesMax);
}

SnapshotOut::~SnapshotOut() {
  parts_.loop->Cancel(rest_timer_);
  parts_.loop->Cancel(throttle_timer_);
  LetGo();
}

base::Task SnapshotOut::Later(std::function<void()> task) const {
  return [alive = std::weak_ptr<const bool>(alive_), task = std::move(task)] {
    if (!alive.expired()) task();
  };
}

void SnapshotOut::EnterPhase(Phase phase) {
  phase_ = phase;
  progress_nanos_ = parts_.loop->NowNanos();
}

void SnapshotOut::Start(const raft::SendSnapshot& send) {
  if (phase_ != Phase::kIdle) {
    // And is not reported: the core would take it for the end of the one that follows.
    Tell("another snapshot follows");
    EndStream(Phase::kIdle);
  }
  send_ = send;
  wanted_bytes_ = taken_bytes_ = 0;
  const int64_t left = rest_until_nanos_ - parts_.loop->NowNanos();
  if (left <= 0) return Begin();
  EnterPhase(Phase::kWaiting);
  rest_timer_ = parts_.loop->After(left, [this] {
    rest_timer_ = base::kNoTimer;
    Begin();
  });
}

void SnapshotOut::Begin() {
  // What failed long ago says nothing.
  if (parts_.loop->NowNanos() - rest_until_nanos_ >= options_.keep_nanos) failures_ = 0;
  if (source_ != nullptr && !parts_.meta_at(source_->pinned.position().applied.index).has_value()) LetGo();
  if (source_ != nullptr && source_->described) return Offer();
  EnterPhase(Phase::kDescribing);
  if (source_ == nullptr) Describe();
}

void SnapshotOut::Describe() {
  source_ = std::make_shared<Source>(parts_.pin());
  // It reads the whole database: flushes go first, and compactions have their turn.
  parts_.executor->Start(
      base::Priority::kLow,
      std::make_unique<DescribeJob>(source_, parts_.loop, Later([this, source = source_] { Described(source); })));
}

void SnapshotOut::Described(const std::shared_ptr<Source>& source) {
  if (source != source_) return;
  source_->described = true;
  source_->described_nanos = parts_.loop->NowNanos();
  const absl::Status status = source_->status;
  if (!status.ok()) {
    LetGo();
    return FailOwn(status);
  }
  if (phase_ == Phase::kDescribing) Offer();
}

void SnapshotOut::Offer() {
  EnterPhase(Phase::kOffering);
  const raft::Index index = source_->pinned.position().applied.index;
  std::optional<raft::SnapshotMeta> meta = parts_.meta_at(index);
  if (!meta.has_value()) {
    LetGo();
    return Fail(base::Error(StatusCode::kUnavailable, "the log does not reach back to the snapshot at {}", index));
  }
  if (!parts_.owner->MaySendSnapshotFrame(to_)) return Fail(absl::UnavailableError("no link with room"));
  if (send_.message.snapshot != nullptr) meta->id = send_.message.snapshot->id;
  raft::Message message = send_.message;
  message.snapshot = std::make_shared<const raft::SnapshotMeta>(*std::move(meta));
  std::string head, encoded;
  proto::EncodePeerMessage(message, &encoded);
  base::PutLengthPrefixed(&head, encoded);
  head += EncodeReplicaState(source_->state);
  if (head.size() > kSnapshotHeadBytesMax) {
    return Fail(base::Error(StatusCode::kResourceExhausted, "{} tables are more than a snapshot may name",
                            source_->state.tables.size()));
  }
  stream_ = random_.Next();
  const auto queue = [this](PeerFrame frame, std::string payload) {
    pending_.emplace_back(FrameId(frame), std::make_unique<std::string>(std::move(payload)));
  };
  queue(PeerFrame::kSnapshotBegin, EncodeSnapshotBegin(stream_, head.size()));
  for (size_t at = 0; at < head.size(); at += options_.piece_bytes) {
    queue(PeerFrame::kSnapshotHead,
          EncodeSnapshotHead(stream_, std::string_view(head).substr(at, options_.piece_bytes)));
  }
  Pump();
}

// --- What the receiver says ---

absl::Status SnapshotOut::OnFrame(uint32_t id, std::string_view payload) {
  uint64_t stream = 0;
  if (!DecodeStream(&payload, &stream)) return Unexpected("a frame without a stream");
  // What was on its way when a stream ended may still come.
  if (!Streaming() || stream != stream_) return absl::OkStatus();
  if (id == FrameId(PeerFrame::kSnapshotWanted)) return TakeWanted(payload);
  if (id == FrameId(PeerFrame::kSnapshotTaken)) return TakeTaken(payload);
  BANDB_ASSERT(id == FrameId(PeerFrame::kSnapshotDone));
  return TakeDone(payload);
}

absl::Status SnapshotOut::TakeWanted(std::string_view rest) {
  std::vector<WantedTable> wanted;
  if (phase_ != Phase::kOffering || !pending_.empty())
    return Unexpected("a list of wanted tables that was not asked for");
  if (!DecodeSnapshotWanted(rest, &wanted)) return Unexpected("a malformed list of wanted tables");
  const std::vector<storage::StateTable>& tables = source_->state.tables;
  uint64_t bytes = 0;
  for (const WantedTable& at : wanted) {
    if (at.table >= tables.size() || at.offset >= tables[at.table].info.file_bytes) {
      return Unexpected("wanted tables or bytes that do not exist");
    }
    bytes += tables[at.table].info.file_bytes - at.offset;
  }
  wanted_.assign(wanted.begin(), wanted.end());
  wanted_bytes_ = bytes;
  read_bytes_ = taken_bytes_ = 0;
  EnterPhase(Phase::kSending);
  Pump();
  return absl::OkStatus();
}

absl::Status SnapshotOut::TakeTaken(std::string_view rest) {
  uint64_t bytes = 0;
  if (phase_ != Phase::kSending || !DecodeSnapshotTaken(rest, &bytes) || bytes < taken_bytes_ || bytes > read_bytes_) {
    return Unexpected("taken what was not sent");
  }
  if (bytes > taken_bytes_) progress_nanos_ = parts_.loop->NowNanos();
  taken_bytes_ = bytes;
  Pump();
  return absl::OkStatus();
}

absl::Status SnapshotOut::TakeDone(std::string_view rest) {
  absl::Status status;
  if (!DecodeSnapshotDone(rest, &status)) return Unexpected("a malformed end");
  if (!status.ok()) {
    FailByReceiver(status);
    return absl::OkStatus();
  }
  if (phase_ != Phase::kInstalling) return Unexpected("installed what was not sent");
  EndStream(Phase::kIdle);
  failures_ = 0;
  describe_again_rests_ = 1;
  LetGo();
  Report(true, {});
  return absl::OkStatus();
}

// --- What is sent ---

void SnapshotOut::Pump() {
  if (phase_ != Phase::kOffering && phase_ != Phase::kSending) return;
  while (!pending_.empty() && parts_.owner->MaySendSnapshotFrame(to_)) {
    auto [id, payload] = std::move(pending_.front());
    pending_.pop_front();
    parts_.owner->SendSnapshotFrame(to_, id, std::move(payload));
  }
  if (phase_ != Phase::kSending || !pending_.empty() || reading_) return;
  if (wanted_.empty()) {
    if (taken_bytes_ == wanted_bytes_) EnterPhase(Phase::kInstalling);
    return;
  }
  if (read_bytes_ - taken_bytes_ < options_.window_bytes && !HeldBack()) ReadNext();
}

bool SnapshotOut::HeldBack() {
  if (options_.bytes_per_second_max == 0) return false;
  const int64_t now = parts_.loop->NowNanos();
  if (now >= may_read_nanos_) return false;
  if (throttle_timer_ == base::kNoTimer) {
    throttle_timer_ = parts_.loop->After(may_read_nanos_ - now, [this] {
      throttle_timer_ = base::kNoTimer;
      Pump();
    });
  }
  return true;
}

void SnapshotOut::ReadNext() {
  const WantedTable at = wanted_.front();
  const uint64_t left = source_->state.tables[at.table].info.file_bytes - at.offset;
  const uint64_t bytes = std::min<uint64_t>(left, options_.piece_bytes);
  reading_ = true;
  auto piece = std::make_shared<absl::StatusOr<std::string>>(std::string());
  base::Task done = Later([this, piece, bytes, stream = stream_] { TakePiece(stream, std::move(*piece), bytes); });
  parts_.executor->Post(base::Priority::kNormal, [source = source_, loop = parts_.loop, at, bytes, piece,
                                                  stream = stream_, done = std::move(done)]() mutable {
    *piece = source->ReadPiece(stream, at, bytes);
    loop->Post(std::move(done));
  });
}

void SnapshotOut::TakePiece(uint64_t stream, absl::StatusOr<std::string> payload, uint64_t bytes) {
  reading_ = false;
  if (phase_ != Phase::kSending || stream != stream_) return Pump();
  if (!payload.ok()) {
    Tell("the snapshot cannot be read");
    return FailOwn(payload.status());
  }
  pending_.emplace_back(FrameId(PeerFrame::kSnapshotChunk), std::make_unique<std::string>(*std::move(payload)));
  read_bytes_ += bytes;
  WantedTable& at = wanted_.front();
  at.offset += bytes;
  if (at.offset == source_->state.tables[at.table].info.file_bytes) wanted_.pop_front();
  if (options_.bytes_per_second_max != 0) {
    const double seconds = static_cast<double>(bytes) / static_cast<double>(options_.bytes_per_second_max);
    may_read_nanos_ =
        std::max(may_read_nanos_, parts_.loop->NowNanos()) + static_cast<int64_t>(seconds * 1'000'000'000);
  }
  Pump();
}

// --- Ends ---

void SnapshotOut::Tell(std::string_view why) {
  if (!Streaming() || !parts_.owner->MaySendSnapshotFrame(to_)) return;
  parts_.owner->SendSnapshotFrame(to_, FrameId(PeerFrame::kSnapshotStopped),
                                  std::make_unique<std::string>(EncodeSnapshotStopped(stream_, why)));
}

void SnapshotOut::EndStream(Phase phase) {
  parts_.loop->Cancel(std::exchange(rest_timer_, base::kNoTimer));
  parts_.loop->Cancel(std::exchange(throttle_timer_, base::kNoTimer));
  pending_.clear();
  wanted_.clear();
  stream_ = 0;
  kept_since_nanos_ = parts_.loop->NowNanos();
  EnterPhase(phase);
}

void SnapshotOut::Fail(const absl::Status& why) { Rest(why, NextRestNanos(options_.rest_nanos_max)); }

void SnapshotOut::FailOwn(const absl::Status& why) {
  const bool damaged = IsOwnDamage(why);
  if (damaged) LetGo();
  if (phase_ == Phase::kDescribing || Streaming()) damaged ? Rest(why, options_.damage_rest_nanos) : Fail(why);
  if (damaged) parts_.owner->OnOwnDamage(why);
}

// Of damage that it has found: either something of what is sent is not any more what it was
// described as, or the receiver's disk is bad, or the receiver lies. Another description tells, and
// reads the whole database, so that a receiver must not bring it about all the time.
void SnapshotOut::FailByReceiver(const absl::Status& status) {
  const absl::Status why = base::Annotate(status, "the receiver");
  if (status.code() != StatusCode::kDataLoss) return Fail(why);
  const int64_t age = parts_.loop->NowNanos() - source_->described_nanos;
  if (age >= describe_again_rests_ * options_.damage_rest_nanos) {
    describe_again_rests_ = std::min(2 * describe_again_rests_, kDescribeAgainRestsMax);
    LetGo();
  }
  Rest(why, NextRestNanos(options_.damage_rest_nanos));
}

int64_t SnapshotOut::NextRestNanos(int64_t max) const {
  int64_t rest = options_.rest_nanos_min;
  for (uint64_t i = 0; i < failures_ && rest < max; ++i) rest = std::min(2 * rest, max);
  return rest;
}

void SnapshotOut::Rest(const absl::Status& why, int64_t nanos) {
  EndStream(Phase::kResting);
  why_ = base::Message(why);
  ++failures_;
  rest_until_nanos_ = parts_.loop->NowNanos() + nanos;
  rest_timer_ = parts_.loop->After(nanos, [this] {
    rest_timer_ = base::kNoTimer;
    EndStream(Phase::kIdle);
    Report(false, why_);
  });
}

void SnapshotOut::Report(bool ok, std::string_view why) {
  parts_.owner->OnStreamEnd({.to = to_, .session = send_.message.session, .ok = ok}, why);
}

void SnapshotOut::LetGo() {
  if (source_ == nullptr) return;
  source_->abandoned = true;
  // Its files may be removed with it.
  parts_.executor->Post(base::Priority::kNormal, [source = std::exchange(source_, nullptr)] {});
}

void SnapshotOut::Stop() {
  if (phase_ != Phase::kIdle) {
    Tell("not needed any more");
    EndStream(Phase::kIdle);
    Report(false, "not needed any more");
  }
  LetGo();
}

void SnapshotOut::OnLinkLost(std::string_view why) {
  if (Streaming()) Fail(base::Error(StatusCode::kUnavailable, "the link is lost: {}", why));
}

void SnapshotOut::CheckProgress() {
  const int64_t waited = parts_.loop->NowNanos() - progress_nanos_;
  const auto late = [&](int64_t timeout, std::string_view what) {
    if (waited < timeout) return;
    Tell(what);
    Fail(base::Error(StatusCode::kDeadlineExceeded, "{}", what));
  };
  if (phase_ == Phase::kOffering)
    return late(options_.prepare_timeout_nanos, "the receiver does not say what it wants");
  if (phase_ == Phase::kSending) return late(options_.progress_timeout_nanos, "the receiver takes nothing");
  if (phase_ == Phase::kInstalling) return late(options_.install_timeout_nanos, "the receiver does not install");
  const int64_t kept = parts_.loop->NowNanos() - kept_since_nanos_;
  if (phase_ == Phase::kIdle && kept >= options_.keep_nanos) LetGo();
}

}  // namespace bandb::cluster
