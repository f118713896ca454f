#include "proto/frame.h"

namespace bandb::proto {

CutResult CutFrame(std::string_view bytes, size_t payload_bytes_max, Frame* frame, size_t* bytes_needed) {
  if (bytes.size() < kFrameHeaderBytes) {
    // A length too large is known to be so from its four bytes; waiting for the rest would help
    // only an attacker.
    if (bytes.size() >= sizeof(uint32_t) && base::LoadFixed<uint32_t>(bytes.data()) > payload_bytes_max) {
      frame->message_id = 0;
      return CutResult::kTooLong;
    }
    *bytes_needed = kFrameHeaderBytes;
    return CutResult::kIncomplete;
  }
  const size_t payload_bytes = base::LoadFixed<uint32_t>(bytes.data());
  frame->message_id = base::LoadFixed<uint32_t>(bytes.data() + sizeof(uint32_t));
  if (payload_bytes > payload_bytes_max) return CutResult::kTooLong;
  if (bytes.size() - kFrameHeaderBytes < payload_bytes) {
    *bytes_needed = kFrameHeaderBytes + payload_bytes;
    return CutResult::kIncomplete;
  }
  frame->payload = bytes.substr(kFrameHeaderBytes, payload_bytes);
  return CutResult::kFrame;
}

void AppendFrame(std::string* to, uint32_t message_id, std::string_view payload) {
  base::PutFixed32(to, static_cast<uint32_t>(payload.size()));
  base::PutFixed32(to, message_id);
  to->append(payload);
}

void FrameReader::Append(std::string_view bytes) {
  buffer_.erase(0, start_);
  start_ = 0;
  buffer_.append(bytes);
}

CutResult FrameReader::Next(Frame* frame) {
  size_t bytes_needed = 0;
  const CutResult result = CutFrame(std::string_view(buffer_).substr(start_), payload_bytes_max_, frame, &bytes_needed);
  if (result == CutResult::kFrame) start_ += frame->ByteSize();
  return result;
}

}  // namespace bandb::proto
