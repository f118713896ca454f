// Either end of a connection between equals: frames both ways, without replies.
//
//   connecting ──► greeting ──► up ──► down
//
// The handshake comes first. The side that dialed says hello, the other side checks it and says
// hello or refuses, and the side that dialed accepts or refuses in turn. A refusal carries its
// reason. Before it is up a link reads small frames only, so that a stranger costs little.
//
//   dialer  ── hello ──►                       checked by the acceptor
//           ◄── hello or refuse ──             checked by the dialer, which is up if it accepts
//           ── accept or refuse ──►            now the acceptor is up
//   both    ── frames ──►  goodbye             in any order; goodbye carries a reason, too
//
// Frames arrive whole and in order, or not at all. A link that is down stays so: Dialer makes
// another. It does not probe its peer: a side that wants to keep an idle link sends something of
// its own.
//
// Invariants: the output holds at most `output_bytes_high` and one frame; the input one frame and
// one read. Every wait has a deadline. OnDown is told once, and nothing after it.
#ifndef BANDB_NET_FRAME_LINK_H_
#define BANDB_NET_FRAME_LINK_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/event_loop.h"
#include "net/limits.h"
#include "net/link_codec.h"
#include "net/link_stream.h"
#include "net/reply.h"

namespace bandb::net {

class LinkHost;

// Message ids below are the link's own.
inline constexpr uint32_t kFirstLinkMessage = 16;

// Why a link is down, or an attempt to make one failed.
struct LinkEnd {
  enum class Cause : uint8_t {
    kUnresolved,     // the name has no address, or the lookup takes too long
    kUnreachable,    // no connection could be made
    kTimedOut,       // in the connection, the handshake, or for want of life later
    kInsecure,       // it did not come about as secure as it has to be
    kRefusedByPeer,  // in the handshake
    kRefusedHere,    // likewise, by OnHello
    kMalformed,      // the peer does not speak this protocol
    kClosedByPeer,   // with a goodbye
    kLost,           // the connection ended without one
  };
  Cause cause = Cause::kLost;
  // For people, on one line: what came from the peer is escaped and cut.
  std::string reason;
};

// Told about one link, on the loop's thread. Inside any of these the link may be destroyed, closed,
// or given another handler; nothing is told after that.
class LinkHandler {
 public:
  // The peer's hello. An error refuses it, and the peer is told the message.
  virtual absl::Status OnHello(std::string_view hello) = 0;
  virtual void OnUp() = 0;
  // The payload is valid while the link lives and the call lasts.
  virtual void OnFrame(const Frame& frame) = 0;
  // The link is writable again, after it was not.
  virtual void OnWritable() = 0;
  // Not told of what this side closed.
  virtual void OnDown(const LinkEnd& end) = 0;

 protected:
  ~LinkHandler() = default;
};

// Timeouts may be kNoTimeout.
struct LinkOptions {
  size_t frame_bytes_max = 66 << 20;  // with its head, both ways
  size_t hello_bytes_max = 4 << 10;   // likewise, until the link is up
  // Writable until the output has so many bytes, and again when it is down to `low`.
  size_t output_bytes_high = 8 << 20;
  size_t output_bytes_low = 2 << 20;

  int64_t connect_timeout_nanos = int64_t{3} * 1000000000;
  int64_t greeting_timeout_nanos = int64_t{3} * 1000000000;
  int64_t idle_timeout_nanos = int64_t{10} * 1000000000;    // without a byte from the peer, while reading
  int64_t output_timeout_nanos = int64_t{10} * 1000000000;  // without a byte of waiting output taken
};

// Thread safety: the loop's thread. Lifetime: the host and the handler must outlive it.
class FrameLink final : private LinkStreamUser {
 public:
  // `hello` is what the peer is told.
  FrameLink(LinkHost* host, const LinkOptions& options, std::unique_ptr<LinkCodec> codec, std::string hello,
            LinkHandler* handler);
  // Without a word to the peer, or to the handler.
  ~FrameLink();
  FrameLink(const FrameLink&) = delete;
  FrameLink& operator=(const FrameLink&) = delete;

  // One of these, once. After an error the link is down, without OnDown.
  // Errors: as EventLoop::Connect; with a name, of which it is an address, as ConnectFor.
  absl::Status Connect(const std::string& address) { return Connect(address, address); }
  absl::Status Connect(const std::string& name, const std::string& address);
  void Accept(std::unique_ptr<base::Stream> stream);

  void SetHandler(LinkHandler* handler) { handler_ = handler; }

  bool up() const { return phase_ == Phase::kUp; }
  bool writable() const { return up() && !over_mark_; }
  // HOST:PORT of the other end, while there is one.
  std::string_view peer() const { return stream_ == nullptr ? std::string_view() : stream_->peer(); }
  // The connection, and any handshake of its stream.
  bool established() const { return stream_ != nullptr && stream_->established(); }
  // Bytes that wait to be written.
  size_t output_bytes() const { return stream_ == nullptr ? 0 : stream_->output_bytes(); }
  // Bytes that wait to be understood.
  size_t input_bytes() const { return input_.size(); }
  // When the peer was last heard of.
  int64_t last_read_nanos() const { return last_read_nanos_; }

  // Queues a frame, which leaves at the end of the turn. False, and nothing is done, unless the
  // link is writable. The message id is at least kFirstLinkMessage, and the frame within
  // `frame_bytes_max`.
  bool Send(uint32_t message_id, std::string_view payload);
  // The same for a payload too large to copy.
  bool SendOwned(uint32_t message_id, OwnedBytes payload);

  // Frames that come may be no longer than this from now on, with their heads: less than what the
  // options say.
  void SetFrameBytesMax(size_t bytes);
  // Backpressure: off, no frame comes, and the peer is held up once its window is full. On at
  // first. The idle timeout does not count meanwhile.
  void SetReading(bool on);

  // Down, and the handler hears no more. The peer is told the reason, of which the first
  // kReasonBytesMax bytes count, if it still listens.
  void Close(std::string_view reason);

  static constexpr size_t kReasonBytesMax = 256;

 private:
  enum class Phase : uint8_t { kNew, kConnecting, kAwaitingHello, kAwaitingAccept, kUp, kDown };
  enum Control : uint32_t { kHello = 1, kAccept = 2, kRefuse = 3, kGoodbye = 4 };
  // What a callback may have done to the link.
  class Watcher;

  void OnConnected() override;
  void OnInput(std::string_view bytes) override;
  void OnOutputTaken() override;
  void OnResume() override;
  void OnLost(bool ended, const std::string& why) override;

  // How many bytes were used. `watcher` tells whether the link still is.
  size_t Process(std::string_view bytes, const Watcher& watcher);
  void HandleFrame(const Frame& frame, const Watcher& watcher);
  void HandleHello(std::string_view hello, const Watcher& watcher);
  void KeepRest(std::string_view rest);
  size_t FrameBytesMax() const { return up() ? frame_bytes_max_ : options_.hello_bytes_max; }
  bool Reads() const { return phase_ != Phase::kDown && reading_; }
  void BecomeUp();

  void Say(uint32_t message_id, std::string_view payload);
  void AfterAppend();
  // Last words and then down: `end` for the handler.
  void Refuse(std::string_view reason, const LinkEnd& end);
  // Down without a word to the peer.
  void End(const LinkEnd& end);
  void TakeLeave(Control control, std::string_view reason);
  void GoDown();

  void ArmTimer();
  void OnTimer();
  int64_t Deadline() const;
  const char* LateWith() const;

  LinkHost* const host_;
  const LinkOptions options_;
  const std::unique_ptr<LinkCodec> codec_;
  const std::string hello_;
  LinkHandler* handler_;
  std::unique_ptr<LinkStream> stream_;  // null when down
  Phase phase_ = Phase::kNew;
  bool dialed_ = false;
  bool reading_ = true;
  bool over_mark_ = false;
  size_t frame_bytes_max_;
  std::string input_;  // the beginning of a frame, or what waits while reading is off
  std::string head_;   // kept for its memory
  base::TimerId timer_ = base::kNoTimer;
  int64_t phase_began_nanos_ = 0;
  int64_t last_read_nanos_ = 0;
  Watcher* watcher_ = nullptr;
};

// "timed out: no hello in time", for logs and lists.
std::string ToString(const LinkEnd& end);

}  // namespace bandb::net

#endif  // BANDB_NET_FRAME_LINK_H_
