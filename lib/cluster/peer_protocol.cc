#include "cluster/peer_protocol.h"

#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/coding.h"

namespace bandb::cluster {

namespace {

class PeerCodec final : public net::LinkCodec {
 public:
  net::Cut Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) override {
    proto::Frame cut;
    switch (proto::CutFrame(bytes, kPeerPayloadBytesMax, &cut, frame_bytes)) {
      case proto::CutResult::kFrame:
        *frame = {cut.message_id, cut.payload};
        *frame_bytes = cut.ByteSize();
        return net::Cut::kFrame;
      case proto::CutResult::kIncomplete:
        if (bytes.size() < proto::kFrameHeaderBytes) return net::Cut::kIncomplete;
        frame->message_id = cut.message_id;
        return net::Cut::kHeader;
      case proto::CutResult::kTooLong:
        break;
    }
    return net::Cut::kTooLong;
  }

  void AppendHead(uint32_t message_id, std::string_view payload, std::string* to) const override {
    BANDB_ASSERT(payload.size() <= kPeerPayloadBytesMax);
    base::PutFixed32(to, static_cast<uint32_t>(payload.size()));
    base::PutFixed32(to, message_id);
  }
};

}  // namespace

std::unique_ptr<net::LinkCodec> PeerProtocol::NewCodec() const { return std::make_unique<PeerCodec>(); }

}  // namespace bandb::cluster
