// Noise for the decoder of what nodes say to each other: what it takes must come back as the same
// message.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "proto/peer_message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  bandb::raft::Message message;
  if (!bandb::proto::DecodePeerMessage(bytes, {}, &message)) return 0;
  std::string encoded;
  bandb::proto::EncodePeerMessage(message, &encoded);
  bandb::raft::Message again;
  BANDB_ASSERT(bandb::proto::DecodePeerMessage(encoded, {}, &again));
  std::string twice;
  bandb::proto::EncodePeerMessage(again, &twice);
  BANDB_ASSERT(encoded == twice);
  return 0;
}
