// One accepted connection: a state machine from bytes to frames to replies to bytes.
//
//   serving ──► draining ──► finishing ──► lingering ──► closed
//
// Serving, it reads what the socket has (once a turn), cuts frames and starts them. It is *held up* when the next frame
// may not start yet: the lane is taken, or a limit is reached (backpressure). What was read stays in `input_`, reading
// stops, and Resume goes on. Draining, it answers what it had read, and what arrives meanwhile with a refusal; without
// anything to answer it is at the next phase at once. Finishing, it starts nothing, but unanswered requests are
// answered and replies leave. Lingering, it has said everything, closed its writing side, and reads to nowhere until
// the peer closes, so that the last reply is not lost to a reset. Whatever breaks the connection closes it at once;
// tickets then find nothing.
//
// Invariants: one reply for each frame started, in order. Input is held up to one read beyond a whole frame. Nothing is
// allocated for bytes that have not arrived, but for as much again as has.
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

// Thread safety: the loop's thread. Lifetime: the host must outlive it. It is destroyed only between turns: who closes
// it finds it in ConnectionHost::retired.
class Connection final : private base::StreamHandler {
 public:
  // A connection that is `refused` serves nothing and is on its way out from the start.
  Connection(ConnectionHost* host, ConnectionId id, std::unique_ptr<base::Stream> stream, bool refused);
  ~Connection();

  ConnectionId id() const { return id_; }
  std::string_view peer() const { return stream_ == nullptr ? std::string_view() : stream_->peer(); }
  bool closed() const { return phase_ == Phase::kClosed; }
  bool refused() const { return refused_; }
  // All the memory that it was last seen to hold.
  int64_t accounted_bytes() const { return accounted_bytes_; }

  // Unanswered requests of the lane that is taken.
  size_t lane_in_flight() const { return lane_in_flight_; }

  // For the dispatcher: whether a request of this lane may start, its reply now, or a place for one to come.
  bool MayStart(Lane lane) const;
  void AnswerNow(Reply reply);
  Ticket Defer(Lane lane, size_t held_bytes, std::unique_ptr<AfterContext> after);
  // False if nothing waits under this number.
  bool Complete(uint64_t sequence, Reply reply);

  // Goes on where it was held up.
  void Resume();
  // Writes what waits, once, and sees what follows from that.
  void Flush();
  // Closes what took too long.
  void Sweep(int64_t now_nanos);
  // Answers what was read, refuses what comes until that is done, then closes.
  void Drain();
  // Says why, then closes.
  void Refuse(Refusal refusal);
  void RefuseWith(uint16_t code, std::string_view message);
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
  // Starts the frames in front of `bytes`; how many bytes they took.
  size_t Process(std::string_view bytes);
  // Likewise of `input_`, which stays allocated meanwhile: `bytes` are views of it.
  void ProcessInput();
  // Stops reading until output and requests in flight have halved.
  void Pause();
  void KeepRest(std::string_view rest);
  void AfterProcess();
  // Not while frames of it are being processed.
  void DropInput();
  void AnswerRefusal(Refusal refusal);
  // May read and cut frames.
  bool Reads() const { return phase_ == Phase::kServing || phase_ == Phase::kDraining; }
  bool HeldUp() const { return waiting_for_lane_ || paused_; }
  bool OverMark() const;
  bool BelowHalf() const;
  bool HoldsTooMuch() const;
  void WatchReading(bool on);
  void MaybeFinish();
  void Account();
  std::string_view Unprocessed() const { return std::string_view(input_).substr(input_start_); }

  ConnectionHost* const host_;
  const ConnectionId id_;
  std::unique_ptr<base::Stream> stream_;
  const bool refused_;
  Phase phase_ = Phase::kServing;

  std::string input_;       // read, but not yet processed
  size_t input_start_ = 0;  // what of it is
  OutputQueue output_;
  ReplyQueue replies_;

  size_t in_flight_ = 0;
  size_t in_flight_bytes_ = 0;
  size_t lane_in_flight_ = 0;  // those that are not of the free lane
  Lane lane_ = kLaneFree;      // theirs

  bool waiting_for_lane_ = false;
  bool paused_ = false;
  bool reading_ = false;
  bool writing_ = false;
  bool peer_ended_ = false;
  bool drain_asked_ = false;
  bool touched_ = false;    // in the host's list
  bool resumable_ = false;  // likewise

  int64_t frame_started_nanos_ = 0;  // 0: no frame is half read
  int64_t last_taken_nanos_ = 0;     // when output was last empty or shrank
  int64_t last_frame_nanos_ = 0;
  int64_t linger_until_nanos_ = 0;
  int64_t accounted_bytes_ = 0;
};

}  // namespace bandb::net

#endif  // BANDB_NET_CONNECTION_H_
