// The least that a link can carry its frames in.
#ifndef BANDB_TEST_NET_LENGTH_CODEC_H_
#define BANDB_TEST_NET_LENGTH_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/link_codec.h"

namespace bandb::test {

// length:u32 id:u32 payload
class LengthCodec final : public net::LinkCodec {
 public:
  static constexpr size_t kHeadBytes = 8;
  net::Cut Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) override;
  void AppendHead(uint32_t message_id, std::string_view payload, std::string* to) const override;
};

class LengthProtocol final : public net::LinkProtocol {
 public:
  std::unique_ptr<net::LinkCodec> NewCodec() const override { return std::make_unique<LengthCodec>(); }
};

// A frame as LengthCodec has it.
std::string LengthFrame(uint32_t message_id, std::string_view payload);

}  // namespace bandb::test

#endif  // BANDB_TEST_NET_LENGTH_CODEC_H_
