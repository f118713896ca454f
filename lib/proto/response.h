// Replies, byte by byte. All integers little-endian.
//
//   OK (id 4)    := 0x00 body
//   ERROR (id 5) := 0x01 code:u16 messageLen:u32 message
//
//   body of PUT, DELETE, BATCH := nothing
//   body of GET := valueLen:u32 value
//   body of HELLO := version:u16 features:u64 frameBytesMax:u32 keyBytesMax:u32 valueBytesMax:u32 inFlightMax:u32
//                    nameLen:u32 name ...                          a client ignores bytes after those it knows
//   body of PING  := the bytes of the request
//   body of SCAN  := count:u32 entry[count] cursorLen:u32 cursor   no cursor: the range is done
//   entry         := keyLen:u32 valueLen:u32 [expiresMs:u64, if asked for] key value
//   body of SNAPSHOT, taken or renewed := id:u64 leaseMs:u32 tokenLen:u32 token     no token where it was renewed
//   body of STATS := textLen:u32 text                              lines "name value\n"
//
// A client of the original protocol reads only the first byte of an error.
#ifndef BANDB_PROTO_RESPONSE_H_
#define BANDB_PROTO_RESPONSE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "base/coding.h"
#include "proto/frame.h"
#include "proto/message_id.h"

namespace bandb::proto {

inline constexpr char kStatusOk = 0x00;
inline constexpr char kStatusError = 0x01;

// The frame of OK without a body, and what comes before the value in the reply to GET.
inline constexpr size_t kOkFrameBytes = kFrameHeaderBytes + 1;
inline constexpr size_t kValueHeadBytes = kOkFrameBytes + sizeof(uint32_t);

// A view of the constant frame that answers PUT, DELETE and BATCH.
std::string_view OkFrame();
// Header, status and length of a reply to GET whose value follows; `to` has room for
// kValueHeadBytes.
void StoreValueHead(char* to, size_t value_bytes);
// Header and status of an OK reply with a body that follows; `to` has room for kOkFrameBytes.
void StoreOkHead(char* to, size_t body_bytes);

// Messages are cut at this size, so that an error always fits.
inline constexpr size_t kErrorMessageBytesMax = 1024;
// A whole frame.
void AppendError(std::string* to, uint16_t code, std::string_view message);

struct HelloReply {
  uint16_t version = 0;
  uint64_t features = 0;
  uint32_t frame_bytes_max = 0;
  uint32_t key_bytes_max = 0;
  uint32_t value_bytes_max = 0;
  uint32_t in_flight_max = 0;
  std::string_view name;
};
// Bodies, without header and status.
void AppendHelloBody(std::string* to, const HelloReply& hello);

struct ScanEntry {
  std::string_view key;
  std::string_view value;
  uint64_t expires_ms = 0;  // since 1970; 0: never, or it was not asked for
};
// `expiries`: as the request has it.
inline constexpr size_t ScanEntryHeadBytes(bool expiries) {
  return 2 * sizeof(uint32_t) + (expiries ? sizeof(uint64_t) : 0);
}
void AppendScanEntry(std::string* to, const ScanEntry& entry, bool expiries);

struct SnapshotReply {
  uint64_t id = 0;
  uint32_t lease_ms = 0;
  std::string_view token{};  // of the change feed, if there is one: after what the snapshot shows
};
void AppendSnapshotBody(std::string* to, const SnapshotReply& snapshot);

struct Reply {
  bool ok = false;
  std::string_view body;  // if ok
  uint16_t code = 0;      // if not
  std::string_view message;
  // OK, or what the code means with the message.
  absl::Status ToStatus() const;
};

// For clients: false if it is not a reply or does not add up. An error without detail has the code
// of kUnknown.
bool DecodeReply(const Frame& frame, Reply* reply);
bool DecodeValueBody(std::string_view body, std::string_view* value);
bool DecodeHelloBody(std::string_view body, HelloReply* hello);
bool DecodeSnapshotBody(std::string_view body, SnapshotReply* snapshot);
bool DecodeTextBody(std::string_view body, std::string_view* text);

// Walks the body of the reply to a SCAN that asked for `expiries` or did not. Usage:
// while (reader.Next(&entry)) ...; then Complete() tells whether it was well-formed, and
// next_cursor() what to ask with next.
class ScanBodyReader {
 public:
  explicit ScanBodyReader(std::string_view body, bool expiries = false);
  bool Next(ScanEntry* entry);
  bool Complete() const { return complete_; }
  std::string_view next_cursor() const { return next_cursor_; }

 private:
  void ReadEnd();

  base::ByteReader reader_;
  const bool expiries_;
  uint32_t left_ = 0;
  bool complete_ = false;
  std::string_view next_cursor_;
};

}  // namespace bandb::proto

#endif  // BANDB_PROTO_RESPONSE_H_
