// What BanNet must know of the bytes that it serves: where a frame ends, and how to say no.
//
// BanNet routes by message id and knows nothing else of a protocol; its user implements this. Each
// connection has a codec of its own, with whatever state the protocol has.
#ifndef BANDB_NET_PROTOCOL_H_
#define BANDB_NET_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace bandb::net {

struct Frame {
  uint32_t message_id = 0;
  std::string_view payload;
};

enum class Cut : uint8_t {
  kFrame,
  kHeader,      // the payload is not there yet; what is known of the frame is its message id and its size
  kIncomplete,  // not even that
  kTooLong,     // nothing after it can be trusted
  kNothing,     // bytes that ask for nothing: no request, no reply
  kGoodbye,     // the last request: it is answered with OkReply, and the connection ends
};

// Why BanNet itself answers a request, or a connection, with an error.
enum class Refusal : uint8_t {
  kUnknownMessage,
  kOverloaded,          // for want of memory: not done
  kOutcomeUnknown,      // for want of memory, with requests on their way; the connection is closed after the error
  kFrameTooLong,        // likewise
  kFrameTimedOut,       // likewise
  kNotKnownInTime,      // likewise: see Codec::restricted
  kTooManyConnections,  // likewise
  kShuttingDown,        // likewise
  kHookFailed,          // a hook or handler threw
};

// Why a request is not allowed; a code of 0: it is.
struct Denial {
  uint16_t code = 0;
  std::string text{};
};

// The bytes of one connection. Thread safety: its loop's thread.
class Codec {
 public:
  virtual ~Codec() = default;
  // Looks at the front of `bytes`. kFrame: `frame` is a view of them, or of what the codec keeps
  // until the next call, and `frame_bytes` how many it took; likewise kNothing. kHeader:
  // `frame->message_id` and `frame_bytes` are those of the frame that begins here. The same bytes
  // may come again, with or without more after them, until they were taken or skipped.
  virtual Cut Next(std::string_view bytes, Frame* frame, size_t* frame_bytes) = 0;
  // The frame of the last kHeader was refused: what comes next are the bytes after it.
  virtual void Skipped() {}
  // BanNet answers the last frame, or header, with an error itself: what it asks for is not done.
  virtual void OnRefused() {}
  // The last frame is served although memory is full, since it gives some back or takes none.
  virtual bool NeedsNoMemory() const { return false; }
  // Memory of its own that grows with what the client asks.
  virtual size_t held_bytes() const { return 0; }
  // The largest payload that a frame may have now.
  virtual size_t payload_bytes_max() const = 0;
  // Whether its client may ask for this. Before anything else is done about it.
  virtual Denial Admit(uint32_t /*message_id*/) { return {}; }
  // The client is not known yet: it gets small limits and little time, see ServerLimits.
  virtual bool restricted() const { return false; }
  // Who it is; empty: nobody knows, or it does not matter. Lifetime: until the next call of
  // anything.
  virtual std::string_view user() const { return {}; }
  // Whole reply frames, appended.
  virtual void AppendError(uint16_t code, std::string_view message, std::string* to) const = 0;
  virtual uint16_t CodeOf(Refusal refusal) const = 0;
  virtual std::string_view MessageOf(Refusal refusal) const = 0;
  // The reply to a request that a hook dropped. Lifetime: that of the codec.
  virtual std::string_view OkReply() const = 0;
};

// Thread safety: any thread.
class Protocol {
 public:
  virtual ~Protocol() = default;
  // For a new connection. Lifetime: the protocol must outlive it.
  virtual std::unique_ptr<Codec> NewCodec() const = 0;
};

}  // namespace bandb::net

#endif  // BANDB_NET_PROTOCOL_H_
