// One accepted connection: a state machine from bytes to frames to replies to bytes.
//
//   serving ──► draining ──► finishing ──► lingering ──► closed
//
// Serving, it reads what the socket has (once a turn), cuts frames and starts them. It is *held up*
// when the next frame may not start yet: the lane is taken, or a limit is reached (backpressure).
// What was read stays in `input_`, reading stops, and Resume goes on. Draining, it answers what it
// had read, and what arrives meanwhile with a refusal; without anything to answer it is at the next
// phase at once. Finishing, it starts nothing, but unanswered requests are answered and replies
// leave. Lingering, it has said everything, closed its writing side, and reads to nowhere until the
// peer closes, so that the last reply is not lost to a reset. Whatever breaks the connection closes
// it at once; tickets then find nothing.
//
// A frame that cannot be served whatever its payload says (its message id is unknown, memory is too
// short for it) is answered when its header is there, and its payload is skipped as it comes.
//
// Invariants: one reply for each frame started, in order. Input is held up to one read beyond a
// whole frame. Nothing is allocated for bytes that have not arrived, but for as much again as has.
#ifndef BANDB_NET_CONNECTION_H_
#define BANDB_NET_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "net/connection_host.h"
#include "net/output_queue.h"
#include "net/protocol.h"
#include "net/reply.h"
#include "net/reply_queue.h"
#include "net/router.h"

namespace bandb::net {

// What an operator is told of a connection. Lifetime: views of it, for use at once.
struct ConnectionView {
  ConnectionId id{};
  std::string_view peer{};
  const Codec* codec = nullptr;
  bool is_encrypted = false;
  int64_t opened_nanos = 0;
  int64_t last_frame_nanos = 0;  // when it opened, if there was none
  uint32_t last_message_id = 0;  // 0: there was none
  size_t in_flight = 0;
  size_t output_bytes = 0;  // of replies that it has not taken
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
};

// Thread safety: the loop's thread. Lifetime: the host must outlive it. It is destroyed only
// between turns: a closed one is in ConnectionHost::retired.
class Connection final : private base::StreamHandler {
 public:
  // A connection that is `refused` serves nothing and is on its way out from the start.
  Connection(ConnectionHost* host, const Endpoint& endpoint, ConnectionId id, std::unique_ptr<base::Stream> stream,
             bool refused);
  ~Connection();

  ConnectionId id() const { return id_; }
  std::string_view peer() const { return stream_ == nullptr ? std::string_view() : stream_->peer(); }
  Codec* codec() { return codec_.get(); }
  // The client sends nothing more.
  bool peer_ended() const { return peer_ended_; }
  const Router& router() const { return *router_; }
  bool closed() const { return phase_ == Phase::kClosed; }
  bool refused() const { return refused_; }
  // Since when its client is not known; 0: it is known, or nobody asks.
  int64_t restricted_since_nanos() const { return codec_->restricted() ? restricted_since_nanos_ : 0; }
  // All memory that it keeps, alone or with others: what would be free without it.
  int64_t kept_bytes() const {
    return static_cast<int64_t>(HeldBytes() + StreamBytes() + output_.shared_bytes() + replies_.shared_bytes());
  }

  // Unanswered requests.
  size_t in_flight() const { return in_flight_; }
  // Replies that the client has not taken.
  bool HasOutput() const { return !output_.empty() || (stream_ != nullptr && stream_->unsent_bytes() > 0); }
  // Unanswered requests of the lane that is taken.
  size_t lane_in_flight() const { return lane_in_flight_; }

  // For the dispatcher: whether a request of this lane may start, its reply now, or a place for one
  // to come.
  bool MayStart(Lane lane) const;
  // Not while others wait that were there before.
  bool MayPass(const Gate* gate) {
    gate_ = gate;
    return gate->IsOpen() && (passing_gate_ || host_->gated.empty());
  }
  void AnswerNow(Reply reply);
  Ticket Defer(Lane lane, size_t held_bytes, std::unique_ptr<AfterContext> after);
  // What the post-hooks of a deferred request will be told.
  void SetAfter(uint64_t sequence, std::unique_ptr<AfterContext> after);
  // False if nothing waits under this number.
  bool Complete(uint64_t sequence, Reply reply);

  ConnectionView View() const;

  // Goes on where it was held up.
  void Resume();
  // Likewise, from a gate; what may not pass now is answered "overloaded" if it `waited_too_long`.
  void ResumeAtGate(bool waited_too_long);
  int64_t gated_since_nanos() const { return gated_since_nanos_; }
  const Gate* gate() const { return gate_; }
  // Since when what is started now could have been, but for a gate.
  int64_t waits_since_nanos() const { return passing_gate_ ? gated_since_nanos_ : host_->loop->NowNanos(); }
  // Writes what waits, once, and sees what follows from that.
  void Flush();
  // Closes what took too long.
  void Sweep(int64_t now_nanos);
  // So much time passed in which the process did not run: it is nobody's timeout.
  void Forgive(int64_t nanos);
  // Answers what was read, refuses what comes until that is done, then closes.
  void Drain();
  // Says why, then closes.
  void Refuse(Refusal refusal);
  void RefuseWith(uint16_t code, std::string_view message);
  // Answers one request with an error of BanNet's own.
  void AnswerRefusal(Refusal refusal);
  void AnswerDenial(const Denial& denial);
  // Gives up all it holds and closes, with an error if the client can read one: between two
  // replies.
  void Evict();
  void Close();

 private:
  friend class ConnectionHost;
  enum class Phase : uint8_t { kServing, kDraining, kFinishing, kLingering, kClosed };

  void OnReadable() override;
  void OnWritable() override;
  void OnBroken() override;

  bool ReadIntoShared(base::IoResult* result);
  bool ReadIntoInput(base::IoResult* result);
  void Discard();
  // False if the frame must wait.
  bool StartFrame(const Frame& frame);
  // Starts the frames that `bytes` begin with; how many bytes they took.
  size_t Process(std::string_view bytes);
  // Likewise of `input_`, which stays allocated meanwhile: `bytes` are views of it.
  void ProcessInput();
  // Stops reading until output and requests in flight have halved.
  void Pause();
  void KeepRest(std::string_view rest);
  void AfterProcess();
  // Gives the last reply of all: nothing more is read.
  void End(Reply last);
  // Not while frames of it are being processed.
  void DropInput();
  // May read and cut frames.
  bool Reads() const { return phase_ == Phase::kServing || phase_ == Phase::kDraining; }
  bool HeldUp() const { return waiting_for_lane_ || paused_ || gated_; }
  bool OverMark() const;
  size_t OutputBytesMax() const;
  size_t InFlightMax() const;
  // Closes one whose client did not become known in time; true if it did.
  bool SweepRestricted(int64_t now_nanos);
  bool BelowHalf() const;
  // Memory is tight, and this keeps more than its share of what is left.
  bool OverShare(size_t more_bytes) const;
  bool HoldsTooMuch() const;
  size_t HeldBytes() const;
  // What its stream keeps: counted, but nothing that holding it up would make less.
  size_t StreamBytes() const { return stream_ == nullptr ? 0 : stream_->held_bytes(); }
  // Answers a frame whose payload is not there yet, if that is possible: it is skipped then.
  bool AnswerAtHeader(const Frame& frame, size_t frame_bytes);
  // Skips the frame that is half read, if memory is tight and it is too large for that.
  void ShedHalfFrame();
  void LeaveGate();
  // Lets go of requests on their way; what they hold is still counted until they are done.
  void AbandonRequests();
  void WatchReading(bool on);
  void MaybeFinish();
  void NoteRead(size_t bytes) {
    host_->counters->bytes_read.Add(bytes);
    bytes_read_ += bytes;
  }
  void NoteFrame(uint32_t message_id) {
    host_->counters->frames_read.Add();
    last_frame_nanos_ = host_->loop->NowNanos();
    last_message_id_ = message_id;
  }
  void Account();
  std::string_view Unprocessed() const { return std::string_view(input_).substr(input_start_); }

  ConnectionHost* const host_;
  const std::unique_ptr<Codec> codec_;
  const Router* const router_;
  const ConnectionId id_;
  std::unique_ptr<base::Stream> stream_;
  const bool refused_;
  Phase phase_ = Phase::kServing;

  std::string input_;       // read, but not yet processed
  size_t input_start_ = 0;  // what of it is
  OutputQueue output_;
  ReplyQueue replies_;

  uint64_t skip_bytes_ = 0;  // still to come, of a frame that was answered without its payload

  size_t in_flight_ = 0;
  size_t in_flight_bytes_ = 0;
  size_t lane_in_flight_ = 0;  // those that are not of the free lane
  Lane lane_ = kLaneFree;      // theirs

  bool waiting_for_lane_ = false;
  bool paused_ = false;
  const Gate* gate_ = nullptr;  // the last it came to
  bool gated_ = false;          // in the host's list
  bool passing_gate_ = false;   // in ResumeAtGate
  bool gave_up_gate_ = false;   // likewise
  bool reading_ = false;
  bool writing_ = false;
  bool peer_ended_ = false;
  bool drain_asked_ = false;
  bool closes_ = false;     // a reply asked for that
  bool touched_ = false;    // in the host's list
  bool resumable_ = false;  // likewise

  int64_t gated_since_nanos_ = 0;
  int64_t restricted_since_nanos_ = 0;  // 0: the client is known
  int64_t frame_started_nanos_ = 0;     // 0: no frame is half read
  int64_t last_taken_nanos_ = 0;        // when output was last empty or shrank
  size_t unsent_bytes_ = 0;             // of the stream, when last looked at
  int64_t last_frame_nanos_ = 0;
  int64_t opened_nanos_ = 0;
  uint32_t last_message_id_ = 0;
  uint64_t bytes_read_ = 0;
  uint64_t bytes_written_ = 0;
  int64_t linger_until_nanos_ = 0;
  int64_t accounted_bytes_ = 0;
};

}  // namespace bandb::net

#endif  // BANDB_NET_CONNECTION_H_
