// A codec without bytes: what the service has of a call that came through a door.
#ifndef BANDB_SERVER_DOOR_CODEC_H_
#define BANDB_SERVER_DOOR_CODEC_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/codec.h"
#include "server/door.h"

namespace bandb::server {

// Of one call at a time. Thread safety: the loop's thread.
class DoorCodec final : public Codec {
 public:
  explicit DoorCodec(size_t payload_bytes_max) : payload_bytes_max_(payload_bytes_max) {}
  void Serve(DoorCall* call) { call_ = call; }

  ClientProtocol protocol() const override { return ClientProtocol::kGrpc; }
  Session& session() override { return call_->session; }
  bool restricted() const override { return call_->session.is_nobody(); }
  std::string_view user() const override { return call_->session.name(); }
  net::Denial Admit(uint32_t message_id) override;
  // There are no frames.
  net::Cut Next(std::string_view, net::Frame*, size_t*) override { return net::Cut::kTooLong; }
  size_t payload_bytes_max() const override { return payload_bytes_max_; }
  void AppendError(uint16_t, std::string_view, std::string*) const override {}
  uint16_t CodeOf(net::Refusal refusal) const override;
  std::string_view MessageOf(net::Refusal) const override { return {}; }
  std::string_view OkReply() const override { return {}; }

  Failure Decode(uint32_t message_id, std::string_view payload, Command* command) override;
  // Leaves the outcome in the call.
  net::Reply Encode(Outcome* outcome, net::Quota* quota, std::string* bytes) override;

 private:
  const size_t payload_bytes_max_;
  DoorCall* call_ = nullptr;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_DOOR_CODEC_H_
