// Frames: what everything on a BanDB connection is cut into.
//
//   frame := dataLen:u32 msgID:u32 payload[dataLen]          little-endian
//
// A frame carries nothing that tells where it begins, so a reader that loses its place cannot find
// it again: a length above the limit ends the connection. The hard limit is chosen so that no frame
// header can be mistaken for text: the first four bytes of every HTTP and RESP request, read as a
// length, are far above it.
#ifndef BANDB_PROTO_FRAME_H_
#define BANDB_PROTO_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/coding.h"

namespace bandb::proto {

// How messages announce `bytes` that follow, here or further back.
inline void PutLength(std::string* to, std::string_view bytes) {
  base::PutFixed32(to, static_cast<uint32_t>(bytes.size()));
}

inline constexpr size_t kFrameHeaderBytes = 8;
inline constexpr uint32_t kFrameBytesHardMax = 65u << 20;

struct Frame {
  uint32_t message_id = 0;
  std::string_view payload;
  // Header and payload together.
  size_t ByteSize() const { return kFrameHeaderBytes + payload.size(); }
};

enum class CutResult : uint8_t {
  kFrame,       // the bytes begin with a whole frame
  kIncomplete,  // more bytes are needed
  kTooLong,     // the header announces more than the limit; nothing after it can be trusted
};

// Looks at the front of `bytes`; on kFrame `frame` holds a view into them. On kIncomplete
// `bytes_needed` is how many bytes the frame has in all, or the header's size while that is
// incomplete. On kTooLong only `frame->message_id` is set.
CutResult CutFrame(std::string_view bytes, size_t payload_bytes_max, Frame* frame, size_t* bytes_needed);

inline void StoreFrameHeader(char* to, uint32_t message_id, size_t payload_bytes) {
  base::StoreFixed<uint32_t>(to, static_cast<uint32_t>(payload_bytes));
  base::StoreFixed<uint32_t>(to + sizeof(uint32_t), message_id);
}
void AppendFrame(std::string* to, uint32_t message_id, std::string_view payload);

// Collects bytes as they arrive and gives frames out, for clients. Holds at most one frame more
// than it was given.
//
// Usage: Append what was read; then Next until it answers something else than kFrame.
class FrameReader {
 public:
  explicit FrameReader(size_t payload_bytes_max) : payload_bytes_max_(payload_bytes_max) {}

  void Append(std::string_view bytes);
  // `frame` holds a view that is valid until the next Append.
  CutResult Next(Frame* frame);
  // Bytes held that are not yet given out as frames.
  size_t buffered_bytes() const { return buffer_.size() - start_; }

 private:
  const size_t payload_bytes_max_;
  std::string buffer_;
  size_t start_ = 0;  // frames before it were given out
};

}  // namespace bandb::proto

#endif  // BANDB_PROTO_FRAME_H_
