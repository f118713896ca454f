// The wire of lib/proto, as BanNet wants it.
#ifndef BANDB_SERVER_WIRE_PROTOCOL_H_
#define BANDB_SERVER_WIRE_PROTOCOL_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "net/protocol.h"

namespace bandb::server {

class WireProtocol final : public net::Protocol {
 public:
  explicit WireProtocol(uint32_t frame_bytes_max) : frame_bytes_max_(frame_bytes_max) {}

  net::Cut Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) const override;
  bool Fits(size_t payload_bytes) const override { return payload_bytes <= frame_bytes_max_; }
  void AppendError(uint16_t code, std::string_view message, std::string* to) const override;
  uint16_t CodeOf(net::Refusal refusal) const override;
  std::string_view MessageOf(net::Refusal refusal) const override;
  std::string_view OkReply() const override;

 private:
  const uint32_t frame_bytes_max_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_WIRE_PROTOCOL_H_
