// BanDB's own protocol, docs/protocol.md: frames with a message id, in the bytes of lib/proto.
#ifndef BANDB_SERVER_FRAME_CODEC_H_
#define BANDB_SERVER_FRAME_CODEC_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/protocol.h"
#include "server/codec.h"
#include "server/commands.h"

namespace bandb::server {

// The code and text that BanDB answers a refusal of BanNet's with.
Failure ToFailure(net::Refusal refusal);

class FrameCodec final : public Codec {
 public:
  // Until the client has logged in, where that is asked for.
  static constexpr uint32_t kRestrictedFrameBytes = 4 << 10;
  struct Limits {
    uint32_t frame_bytes_max = 0;
    uint32_t batch_operations_max = 0;
  };
  explicit FrameCodec(const Limits& limits, UserRegistry* users = nullptr) : Codec(users), limits_(limits) {}

  net::Cut Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) override;
  size_t payload_bytes_max() const override {
    return restricted() ? std::min(kRestrictedFrameBytes, limits_.frame_bytes_max) : limits_.frame_bytes_max;
  }
  net::Denial Admit(uint32_t message_id) override;
  void AppendError(uint16_t code, std::string_view message, std::string* to) const override;
  uint16_t CodeOf(net::Refusal refusal) const override;
  std::string_view MessageOf(net::Refusal refusal) const override;
  std::string_view OkReply() const override;

  bool HasMessages() const override { return true; }
  // A message id of the host's has no command: it is malformed.
  Failure Decode(uint32_t message_id, std::string_view payload, Command* command) override;
  net::Reply Encode(Outcome* outcome, net::Quota* quota, std::string* bytes) override;

  // For the table of messages.
  static Failure DecodePut(const FrameCodec& codec, std::string_view payload, Command* command);
  static Failure DecodeGet(const FrameCodec& codec, std::string_view payload, Command* command);
  static Failure DecodeDelete(const FrameCodec& codec, std::string_view payload, Command* command);
  static Failure DecodeBatch(const FrameCodec& codec, std::string_view payload, Command* command);
  static Failure DecodeScan(const FrameCodec& codec, std::string_view payload, Command* command);
  static Failure DecodeSnapshot(const FrameCodec& codec, std::string_view payload, Command* command);
  static Failure DecodeChanges(const FrameCodec& codec, std::string_view payload, Command* command);
  static Failure DecodeAcknowledge(const FrameCodec& codec, std::string_view payload, Command* command);
  static Failure DecodeCursors(const FrameCodec& codec, std::string_view payload, Command* command);
  static Failure DecodeHello(const FrameCodec& codec, std::string_view payload, Command* command);
  static Failure DecodePing(const FrameCodec& codec, std::string_view payload, Command* command);
  static Failure DecodeStats(const FrameCodec& codec, std::string_view payload, Command* command);

 private:
  net::Reply EncodeFailure(const Failure& failure, std::string* bytes) const;
  net::Reply EncodeValue(PinnedValue* value, net::Quota* quota, std::string* bytes) const;
  net::Reply EncodeBody(std::string_view body, std::string* bytes) const;
  net::Reply EncodeHello(const HelloAnswer& hello, std::string* bytes);

  const Limits limits_;
  // The client knows more than the original protocol.
  bool said_hello_ = false;
};

class FrameProtocol final : public net::Protocol {
 public:
  explicit FrameProtocol(const FrameCodec::Limits& limits, UserRegistry* users = nullptr)
      : limits_(limits), users_(users) {}
  std::unique_ptr<net::Codec> NewCodec() const override { return std::make_unique<FrameCodec>(limits_, users_); }

 private:
  const FrameCodec::Limits limits_;
  UserRegistry* const users_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_FRAME_CODEC_H_
