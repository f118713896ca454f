// The numbers of messages and errors: fixed, listed in docs/protocol.md.
#ifndef BANDB_PROTO_MESSAGE_ID_H_
#define BANDB_PROTO_MESSAGE_ID_H_

#include <cstdint>

#include "absl/status/status.h"

namespace bandb::proto {

// 1-5 the original protocol; 6-15 reserved; 16-255 BanDB; 256-1023 administration; from 65536
// users' own routes.
enum class MessageId : uint32_t {
  kPut = 1,
  kGet = 2,
  kDelete = 3,
  kOk = 4,
  kError = 5,
  kHello = 16,
  kPing = 17,
  kBatch = 18,
  kScan = 19,
  kStats = 20,
  kChanges = 21,
  kAcknowledge = 22,
  kCursors = 23,
  kSnapshot = 24,
  kAdmin = 256,
};
inline constexpr uint32_t kFirstUserMessageId = 65536;

// The code in an error reply: 0-16 are absl::StatusCode, 256 and up BanDB's own, 32768 and up those
// of hooks.
enum class ErrorCode : uint16_t {
  kOverloaded = 256,          // not done, try again later
  kTooLarge = 257,            // the request, or the reply it would have, exceeds the frame limit
  kNotLeader = 258,           // the message is the leader's client address
  kUnknownMessage = 259,      // no such message id
  kMalformed = 260,           // the payload does not add up
  kTooManyConnections = 261,  // the server closes this connection
  kShuttingDown = 262,        // not done; the server closes this connection
  kTimedOut = 263,            // a frame was not completed in time; the server closes this connection
  kHookFailed = 264,          // the host's code failed: not done; or took too long
  kUnsupportedVersion = 265,  // HELLO: no version in common
};
inline constexpr uint16_t kFirstHookErrorCode = 32768;

constexpr uint16_t ToCode(ErrorCode code) { return static_cast<uint16_t>(code); }
constexpr uint16_t ToCode(absl::StatusCode code) { return static_cast<uint16_t>(code); }

// The code for a failed status of the store. kUnavailable, which the store answers when it is
// stalled, becomes kOverloaded.
uint16_t CodeFor(const absl::Status& status);
// What a client makes of a code: the absl code itself; kUnavailable for overloaded, too many
// connections, not leader and shutting down; kInvalidArgument for malformed, unknown message and
// too large; kDeadlineExceeded for timed out; kInternal for a failed hook; kUnimplemented for a
// version; kAborted for the codes of hooks; else kUnknown.
absl::StatusCode StatusCodeFor(uint16_t code);

}  // namespace bandb::proto

#endif  // BANDB_PROTO_MESSAGE_ID_H_
