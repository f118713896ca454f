#include "net/length_codec.h"

#include "base/coding.h"

namespace bandb::test {

net::Cut LengthCodec::Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) {
  if (bytes.size() < kHeadBytes) return net::Cut::kIncomplete;
  const auto length = base::LoadFixed<uint32_t>(bytes.data());
  frame->message_id = base::LoadFixed<uint32_t>(bytes.data() + 4);
  *frame_bytes = kHeadBytes + length;
  if (bytes.size() < *frame_bytes) return net::Cut::kHeader;
  frame->payload = bytes.substr(kHeadBytes, length);
  return net::Cut::kFrame;
}

void LengthCodec::AppendHead(uint32_t message_id, std::string_view payload, std::string* to) const {
  base::PutFixed32(to, static_cast<uint32_t>(payload.size()));
  base::PutFixed32(to, message_id);
}

std::string LengthFrame(uint32_t message_id, std::string_view payload) {
  std::string frame;
  LengthCodec().AppendHead(message_id, payload, &frame);
  return frame.append(payload);
}

}  // namespace bandb::test
