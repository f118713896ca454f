// What BanNet must know of the bytes that it serves: where a frame ends, and how to say no.
//
// BanNet routes by message id and knows nothing else of a protocol; its user implements this.
#ifndef BANDB_NET_PROTOCOL_H_
#define BANDB_NET_PROTOCOL_H_

#include <cstddef>
#include <cstdint>
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
};

// Why BanNet itself answers a request, or a connection, with an error.
enum class Refusal : uint8_t {
  kUnknownMessage,
  kOverloaded,          // for want of memory: not done
  kOutcomeUnknown,      // for want of memory, with requests on their way; the connection is closed after the error
  kFrameTooLong,        // likewise
  kFrameTimedOut,       // likewise
  kTooManyConnections,  // likewise
  kShuttingDown,        // likewise
  kHookFailed,          // a hook or handler threw
};

// Thread safety: const methods from any thread.
class Protocol {
 public:
  virtual ~Protocol() = default;
  // Looks at the front of `bytes`. kFrame: `frame` is a view of them and `frame_bytes` how many it
  // took. kHeader: `frame->message_id` and `frame_bytes` are those of the frame that begins here.
  virtual Cut Next(std::string_view bytes, Frame* frame, size_t* frame_bytes) const = 0;
  // Whether a frame may have a payload of this size.
  virtual bool Fits(size_t payload_bytes) const = 0;
  // Whole reply frames, appended.
  virtual void AppendError(uint16_t code, std::string_view message, std::string* to) const = 0;
  virtual uint16_t CodeOf(Refusal refusal) const = 0;
  virtual std::string_view MessageOf(Refusal refusal) const = 0;
  // The reply to a request that a hook dropped. Lifetime: that of the protocol.
  virtual std::string_view OkReply() const = 0;
};

}  // namespace bandb::net

#endif  // BANDB_NET_PROTOCOL_H_
