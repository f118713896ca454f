// What a frame link must know of the bytes that it carries: where a frame ends, and what comes
// before a payload.
//
// A link is no server: it has no replies, so of the words of a server's Codec it needs only these.
#ifndef BANDB_NET_LINK_CODEC_H_
#define BANDB_NET_LINK_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/protocol.h"

namespace bandb::net {

// The bytes of one link, both ways. Thread safety: its loop's thread.
class LinkCodec {
 public:
  virtual ~LinkCodec() = default;
  // As Codec::Next. kTooLong is the answer to whatever cannot be a frame, damage included.
  virtual Cut Next(std::string_view bytes, Frame* frame, size_t* frame_bytes) = 0;
  // What the payload must be preceded by to be a frame, appended.
  virtual void AppendHead(uint32_t message_id, std::string_view payload, std::string* to) const = 0;
};

// Thread safety: any thread.
class LinkProtocol {
 public:
  virtual ~LinkProtocol() = default;
  virtual std::unique_ptr<LinkCodec> NewCodec() const = 0;
};

}  // namespace bandb::net

#endif  // BANDB_NET_LINK_CODEC_H_
