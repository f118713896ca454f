// What is remembered of a request until its reply leaves: of what kind it is, when it came, and a
// little of its key for the slow log.
#ifndef BANDB_SERVER_REQUEST_MARK_H_
#define BANDB_SERVER_REQUEST_MARK_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/commands.h"

namespace bandb::server {

// Which codec a client speaks to.
enum class ClientProtocol : uint8_t { kBanDb, kRedis, kGrpc };
inline constexpr size_t kClientProtocols = 3;
std::string_view NameOf(ClientProtocol protocol);

// What a request is, for those that measure.
enum class Action : uint8_t {
  kGet,
  kPut,
  kDelete,
  kBatch,
  kScan,
  kTransaction,
  kSnapshot,
  kCursors,
  kOther,
  kWait,  // waits because it was asked to: nobody measures it
};
inline constexpr size_t kMeasuredActions = static_cast<size_t>(Action::kWait);
std::string_view NameOf(Action action);
Action ActionOf(const Command& command);

struct RequestMark {
  static constexpr size_t kKeyBytesMax = 32;

  // The time of a turn of its loop: when the request was there.
  int64_t since_nanos = 0;
  // Likewise, when the store got it; 0: not, or it answered within the turn.
  int64_t submitted_nanos = 0;
  int64_t hook_nanos = 0;  // what pre-hooks took, as far as they were timed
  ClientProtocol protocol = ClientProtocol::kBanDb;
  Action action = Action::kOther;
  // Of the first key that it names.
  uint8_t kept_key_bytes = 0;
  std::array<char, kKeyBytesMax> kept_key{};
  uint32_t key_bytes = 0;

  void Keep(std::string_view key) {
    key_bytes = static_cast<uint32_t>(key.size());
    kept_key_bytes = static_cast<uint8_t>(std::min(key.size(), kKeyBytesMax));
    std::copy_n(key.data(), kept_key_bytes, kept_key.data());
  }
  // The key, or the beginning of it.
  std::string_view key() const { return {kept_key.data(), kept_key_bytes}; }
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_REQUEST_MARK_H_
