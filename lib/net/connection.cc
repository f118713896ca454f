#include "net/connection.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "net/dispatcher.h"
#include "net/hook_chain.h"

namespace bandb::net {

namespace {
// Gathered into one write: up to 256 KiB of small replies, so that one connection does not hold up
// the turn.
constexpr size_t kPiecesMax = 64;
// Of one read while memory is tight, or from a client that is not known yet.
constexpr size_t kTightReadBytes = 4 << 10;
// After this long without a request the ring of replies is given back.
constexpr int64_t kRingKeptNanos = 1000 * 1000000;
// An input buffer larger than this is given back when it is empty.
constexpr size_t kInputKeptBytes = 512;
}  // namespace

void ConnectionHost::Touch(Connection* connection) {
  if (std::exchange(connection->touched_, true)) return;
  touched.push_back(connection);
}

void ConnectionHost::MarkResumable(Connection* connection) {
  if (std::exchange(connection->resumable_, true)) return;
  resumable.push_back(connection);
}

Connection::Connection(ConnectionHost* host, const Endpoint& endpoint, ConnectionId id,
                       std::unique_ptr<base::Stream> stream, bool refused)
    : host_(host),
      codec_(endpoint.protocol->NewCodec()),
      router_(endpoint.router),
      id_(id),
      stream_(std::move(stream)),
      refused_(refused),
      output_(&host->pool) {
  opened_nanos_ = last_frame_nanos_ = last_taken_nanos_ = host_->loop->NowNanos();
  if (codec_->restricted()) restricted_since_nanos_ = std::max<int64_t>(1, last_frame_nanos_);
  stream_->SetHandler(this);
  WatchReading(!refused);
}

Connection::~Connection() { BANDB_ASSERT(closed()); }

bool Connection::MayStart(Lane lane) const {
  return lane == kLaneFree || lane_in_flight_ == 0 || (lane == lane_ && lane != kLaneExclusive);
}

void Connection::OnReadable() {
  host_->Touch(this);
  if (phase_ == Phase::kLingering) return Discard();
  if (Reads() && !HeldUp() && OverMark()) Pause();
  if (!Reads() || HeldUp()) return WatchReading(false);
  ShedHalfFrame();
  host_->counters->read_calls.Add();
  base::IoResult result;
  const bool small = Unprocessed().size() <= ConnectionHost::kSmallRestBytes;
  if (small ? ReadIntoShared(&result) : ReadIntoInput(&result)) {
    AfterProcess();
    return Account();
  }
  switch (result.state) {
    case base::IoResult::State::kEnd:
      peer_ended_ = true;
      WatchReading(false);
      return AfterProcess();
    case base::IoResult::State::kFailed:
      return Close();
    default:
      return;
  }
}

bool Connection::ReadIntoShared(base::IoResult* result) {
  char* const buffer = host_->read_buffer.get();
  const std::string_view rest = Unprocessed();
  const bool little = host_->MemoryIsTight() || codec_->restricted();
  const size_t bytes_max = little ? kTightReadBytes : ConnectionHost::kReadBytes;
  *result = stream_->Read(buffer + rest.size(), bytes_max);
  if (result->state != base::IoResult::State::kDone) return false;
  NoteRead(result->bytes);
  if (!rest.empty()) std::memcpy(buffer, rest.data(), rest.size());
  const std::string_view bytes(buffer, rest.size() + result->bytes);
  KeepRest(bytes.substr(Process(bytes)));
  return true;
}

bool Connection::ReadIntoInput(base::IoResult* result) {
  const size_t before = input_.size();
  input_.resize(before + ConnectionHost::kReadBytes);
  *result = stream_->Read(input_.data() + before, ConnectionHost::kReadBytes);
  input_.resize(before + (result->state == base::IoResult::State::kDone ? result->bytes : 0));
  if (result->state != base::IoResult::State::kDone) return false;
  NoteRead(result->bytes);
  ProcessInput();
  if (Unprocessed().size() <= ConnectionHost::kSmallRestBytes) {
    const std::string rest(Unprocessed());
    KeepRest(rest);
  } else if (input_start_ > 0) {
    input_.erase(0, input_start_);
    input_start_ = 0;
  }
  return true;
}

void Connection::KeepRest(std::string_view rest) {
  // Swapped for a string that fits, if the old one is much too large.
  if (input_.capacity() > kInputKeptBytes && rest.size() < input_.capacity() / 2) {
    std::string(rest).swap(input_);
  } else {
    input_.assign(rest);
  }
  input_start_ = 0;
}

void Connection::Discard() {
  const base::IoResult result = stream_->Read(host_->read_buffer.get(), ConnectionHost::kReadBytes);
  if (result.state == base::IoResult::State::kEnd || result.state == base::IoResult::State::kFailed) Close();
}

bool Connection::StartFrame(const Frame& frame) {
  if (phase_ == Phase::kDraining) {
    AnswerRefusal(Refusal::kShuttingDown);
    return true;
  }
  switch (host_->dispatcher->Start(*this, frame)) {
    case Dispatcher::Started::kYes:
      return true;
    case Dispatcher::Started::kLaneBusy:
      waiting_for_lane_ = true;
      return false;
    case Dispatcher::Started::kGateClosed:
      break;
  }
  if (gave_up_gate_) {
    host_->counters->overloaded.Add();
    AnswerRefusal(Refusal::kOverloaded);
    return true;
  }
  gated_ = true;
  gated_since_nanos_ = host_->loop->NowNanos();
  host_->gated.push_back(this);
  host_->counters->pauses.Add();
  return false;
}

size_t Connection::Process(std::string_view bytes) {
  size_t used = 0;
  while (Reads() && used < bytes.size()) {
    if (skip_bytes_ > 0) {
      const auto part = std::min<uint64_t>(skip_bytes_, bytes.size() - used);
      skip_bytes_ -= part;
      used += part;
      frame_started_nanos_ = 0;
      continue;
    }
    if (OverMark()) {
      Pause();
      break;
    }
    Frame frame;
    size_t frame_bytes = 0;
    const Cut cut = codec_->Next(bytes.substr(used), &frame, &frame_bytes);
    if (cut == Cut::kIncomplete) break;
    if (cut == Cut::kNothing) {
      used += frame_bytes;
      continue;
    }
    if (cut == Cut::kGoodbye) {
      End({.head = codec_->OkReply()});
      return bytes.size();
    }
    if (cut == Cut::kHeader) {
      if (!AnswerAtHeader(frame, frame_bytes)) break;
      codec_->Skipped();
      skip_bytes_ = frame_bytes;
      continue;
    }
    if (cut == Cut::kTooLong) {
      host_->counters->malformed_frames.Add();
      Refuse(Refusal::kFrameTooLong);
      return bytes.size();
    }
    if (!StartFrame(frame)) break;
    used += frame_bytes;
    NoteFrame(frame.message_id);
    frame_started_nanos_ = 0;
  }
  return used;
}

bool Connection::AnswerAtHeader(const Frame& frame, size_t frame_bytes) {
  if (phase_ == Phase::kDraining) return false;
  if (!router_->Has(frame.message_id)) {
    host_->counters->malformed_frames.Add();
    AnswerRefusal(Refusal::kUnknownMessage);
  } else if (in_flight_ == 0 && output_.empty() && OverShare(frame_bytes)) {
    host_->counters->overloaded.Add();
    AnswerRefusal(Refusal::kOverloaded);
  } else {
    return false;
  }
  NoteFrame(frame.message_id);
  return true;
}

void Connection::ShedHalfFrame() {
  // With something on its way, reading just stops: see OverMark.
  if (phase_ != Phase::kServing || HeldUp() || in_flight_ > 0 || !output_.empty()) return;
  if (Unprocessed().empty() || !OverShare(0)) return;
  ProcessInput();
  AfterProcess();
  if (Reads() && skip_bytes_ > 0) KeepRest({});
  Account();
}

void Connection::ProcessInput() {
  const size_t used = Process(Unprocessed());
  BANDB_ASSERT(used <= Unprocessed().size());
  input_start_ += used;
}

void Connection::Pause() {
  paused_ = true;
  host_->counters->pauses.Add();
}

void Connection::DropInput() {
  std::string().swap(input_);
  input_start_ = 0;
  frame_started_nanos_ = 0;
}

void Connection::AfterProcess() {
  if (!Reads()) return DropInput();
  if (HeldUp() || (Unprocessed().empty() && skip_bytes_ == 0)) {
    frame_started_nanos_ = 0;
  } else if (frame_started_nanos_ == 0) {
    frame_started_nanos_ = host_->loop->NowNanos();
  }
  if (HeldUp()) return;
  if (peer_ended_) {
    phase_ = Phase::kFinishing;
    WatchReading(false);
  } else if (drain_asked_) {
    phase_ = Phase::kDraining;
    WatchReading(true);
  }
}

void Connection::Resume() {
  resumable_ = false;
  if (!Reads() || !HeldUp() || gated_) return;
  host_->Touch(this);
  waiting_for_lane_ = false;
  paused_ = false;
  ProcessInput();
  if (input_start_ == input_.size()) KeepRest({});
  AfterProcess();
  if (Reads() && !HeldUp()) WatchReading(!peer_ended_);
}

void Connection::ResumeAtGate(bool waited_too_long) {
  LeaveGate();
  // It stays held up for a moment, or Resume would do nothing.
  paused_ = true;
  passing_gate_ = true;
  gave_up_gate_ = waited_too_long;
  Resume();
  passing_gate_ = gave_up_gate_ = false;
}

void Connection::AnswerNow(Reply reply) {
  host_->counters->replies.Add();
  if (!reply.ok) host_->counters->error_replies.Add();
  closes_ |= reply.closes;
  host_->Touch(this);
  if (!replies_.empty()) return replies_.PushReady(std::move(reply));
  if (output_.empty()) last_taken_nanos_ = host_->loop->NowNanos();
  output_.Append(reply.head);
  output_.Append(reply.body);
  output_.AppendOwned(std::move(reply.tail));
}

Ticket Connection::Defer(Lane lane, size_t held_bytes, std::unique_ptr<AfterContext> after) {
  ++in_flight_;
  in_flight_bytes_ += held_bytes;
  host_->counters->in_flight.Add();
  if (lane != kLaneFree) {
    ++lane_in_flight_;
    lane_ = lane;
  }
  return {id_, replies_.PushPending(lane, held_bytes, std::move(after)), held_bytes};
}

void Connection::SetAfter(uint64_t sequence, std::unique_ptr<AfterContext> after) {
  ReplyQueue::Place* place = replies_.FindPending(sequence);
  if (place != nullptr) place->after = std::move(after);
}

bool Connection::Complete(uint64_t sequence, Reply reply) {
  ReplyQueue::Place* place = replies_.FindPending(sequence);
  if (place == nullptr) return false;
  host_->Touch(this);
  host_->counters->replies.Add();
  if (!reply.ok) host_->counters->error_replies.Add();
  closes_ |= reply.closes;
  if (place->after != nullptr) host_->dispatcher->RunAfter(*this, *std::exchange(place->after, nullptr), reply);
  --in_flight_;
  in_flight_bytes_ -= place->request_bytes;
  host_->counters->in_flight.Subtract(1);
  if (place->lane != kLaneFree) --lane_in_flight_;
  if (output_.empty()) last_taken_nanos_ = host_->loop->NowNanos();
  replies_.Fill(place, std::move(reply));
  replies_.Drain(&output_);
  if (waiting_for_lane_ && lane_in_flight_ == 0) host_->MarkResumable(this);
  return true;
}

void Connection::Flush() {
  touched_ = false;
  if (phase_ == Phase::kClosed) return;
  // Before a later reply could be taken for the one that is not given.
  if (closes_) return Close();
  if (!Reads()) DropInput();
  if (!output_.empty()) {
    std::array<std::string_view, kPiecesMax> pieces;
    const size_t count = output_.Gather(absl::MakeSpan(pieces));
    host_->counters->write_calls.Add();
    const base::IoResult result = stream_->Write(absl::MakeConstSpan(pieces.data(), count));
    if (result.state == base::IoResult::State::kFailed) return Close();
    if (result.bytes > 0) {
      output_.Consume(result.bytes);
      host_->counters->bytes_written.Add(result.bytes);
      bytes_written_ += result.bytes;
      last_taken_nanos_ = host_->loop->NowNanos();
    }
  }
  if (writing_ != HasOutput()) {
    writing_ = HasOutput();
    stream_->Watch(reading_, writing_);
  }
  if (paused_ && BelowHalf()) host_->MarkResumable(this);
  MaybeFinish();
  Account();
}

void Connection::MaybeFinish() {
  if ((phase_ != Phase::kFinishing && phase_ != Phase::kDraining) || HeldUp() || !replies_.empty() || HasOutput()) {
    return;
  }
  if (peer_ended_) return Close();
  phase_ = Phase::kLingering;
  // Half a frame, if anything: nobody will answer it.
  DropInput();
  linger_until_nanos_ = host_->loop->NowNanos() + host_->limits.linger_nanos;
  stream_->CloseWrite();
  WatchReading(true);
}

void Connection::WatchReading(bool on) {
  if (reading_ == on) return;
  reading_ = on;
  stream_->Watch(reading_, writing_);
}

void Connection::OnWritable() { host_->Touch(this); }
void Connection::OnBroken() { Close(); }

void Connection::Sweep(int64_t now_nanos) {
  const ServerLimits& limits = host_->limits;
  const auto over = [now_nanos](int64_t since_nanos, int64_t timeout_nanos) {
    return timeout_nanos != kNoTimeout && now_nanos - since_nanos > timeout_nanos;
  };
  if (phase_ == Phase::kClosed) return;
  if (phase_ == Phase::kLingering) {
    if (now_nanos >= linger_until_nanos_) Close();
    return;
  }
  if (paused_ && BelowHalf()) host_->MarkResumable(this);
  if (const size_t unsent_bytes = stream_->unsent_bytes(); unsent_bytes != unsent_bytes_) {
    unsent_bytes_ = unsent_bytes;
    last_taken_nanos_ = now_nanos;
  }
  if (HasOutput() && over(last_taken_nanos_, limits.unread_timeout_nanos)) {
    host_->counters->connections_timed_out.Add();
    return Close();
  }
  if (in_flight_ == 0 && over(last_frame_nanos_, kRingKeptNanos)) {
    replies_.Shrink();
    Account();
  }
  if (phase_ != Phase::kServing || SweepRestricted(now_nanos)) return;
  if (frame_started_nanos_ != 0 && over(frame_started_nanos_, limits.frame_timeout_nanos)) {
    host_->counters->connections_timed_out.Add();
    // A frame that is skipped has its reply already.
    return skip_bytes_ > 0 ? Close() : Refuse(Refusal::kFrameTimedOut);
  }
  ShedHalfFrame();
  const bool idle = !HasOutput() && in_flight_ == 0 && !HeldUp();
  if (idle && over(last_frame_nanos_, limits.idle_timeout_nanos)) {
    host_->counters->connections_timed_out.Add();
    phase_ = Phase::kFinishing;
    WatchReading(false);
    host_->Touch(this);
  }
}

void Connection::Forgive(int64_t nanos) {
  if (restricted_since_nanos_ != 0) restricted_since_nanos_ += nanos;
  if (frame_started_nanos_ != 0) frame_started_nanos_ += nanos;
  last_taken_nanos_ += nanos;
  last_frame_nanos_ += nanos;
  gated_since_nanos_ += nanos;
  linger_until_nanos_ += nanos;
}

void Connection::Drain() {
  if (phase_ != Phase::kServing || drain_asked_) return;
  // One more read, for what had arrived when the drain began.
  if (!HeldUp()) OnReadable();
  if (phase_ != Phase::kServing) return;
  drain_asked_ = true;
  AfterProcess();
  host_->Touch(this);
}

void Connection::Refuse(Refusal refusal) { RefuseWith(codec_->CodeOf(refusal), codec_->MessageOf(refusal)); }

void Connection::AnswerRefusal(Refusal refusal) {
  codec_->OnRefused();
  std::string bytes;
  AnswerNow(RefusalReply(*codec_, refusal, &bytes));
}

void Connection::AnswerDenial(const Denial& denial) {
  std::string bytes;
  codec_->AppendError(denial.code, denial.text, &bytes);
  AnswerNow({.head = bytes, .ok = false, .code = denial.code});
}

void Connection::RefuseWith(uint16_t code, std::string_view message) {
  if (!Reads()) return;
  std::string error;
  codec_->AppendError(code, message, &error);
  End({.head = error, .ok = false, .code = code});
}

void Connection::End(Reply last) {
  AnswerNow(std::move(last));
  phase_ = Phase::kFinishing;
  waiting_for_lane_ = paused_ = false;
  LeaveGate();
  WatchReading(false);
  // The input stays where it is: this may be called from the middle of it. Flush drops it.
}

void Connection::LeaveGate() {
  if (std::exchange(gated_, false)) std::erase(host_->gated, this);
}

void Connection::AbandonRequests() {
  replies_.Clear();
  host_->counters->in_flight.Subtract(in_flight_);
  if (in_flight_bytes_ > 0) host_->AddOrphan(in_flight_bytes_);
  in_flight_ = in_flight_bytes_ = lane_in_flight_ = 0;
}

void Connection::Evict() {
  if (!Reads() || !output_.AtFrameEdge()) return Close();
  const Refusal why = in_flight_ > 0 ? Refusal::kOutcomeUnknown : Refusal::kOverloaded;
  output_.Clear();
  AbandonRequests();
  Refuse(why);
}

void Connection::Close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  stream_.reset();
  output_.Clear();
  AbandonRequests();
  DropInput();
  LeaveGate();
  Account();
  host_->retired.push_back(this);
}

}  // namespace bandb::net
