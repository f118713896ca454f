// What bounds a frame server. Every queue in it is bounded in bytes by one of these.
#ifndef BANDB_NET_LIMITS_H_
#define BANDB_NET_LIMITS_H_

#include <cstddef>
#include <cstdint>

namespace bandb::net {

inline constexpr int64_t kNoTimeout = INT64_MAX;

struct ServerLimits {
  int64_t connections_max = 10000;
  // Per loop: connections that are being told that they are refused; beyond this many they are just
  // closed.
  size_t refused_max = 64;
  // Per connection; at the mark it is not read until half is done.
  size_t in_flight_requests_max = 1024;
  size_t in_flight_bytes_max = 4 << 20;
  size_t output_bytes_max = 1 << 20;
  // All connections; see Quota.
  int64_t memory_bytes_max = 256 << 20;

  // Per connection whose client is not known yet: one request in flight, what it may leave untaken
  // of its replies, and the time in which it must become known.
  size_t restricted_output_bytes_max = 4 << 10;
  int64_t restricted_timeout_nanos = int64_t{5} * 1000000000;

  int64_t frame_timeout_nanos = int64_t{30} * 1000000000;   // from a frame's first byte to its last
  int64_t unread_timeout_nanos = int64_t{10} * 1000000000;  // without a byte of waiting output taken
  int64_t idle_timeout_nanos = kNoTimeout;                  // without a frame
  int64_t gate_timeout_nanos = int64_t{1} * 1000000000;     // at a closed gate, see Route
  int64_t linger_nanos = int64_t{1} * 1000000000;           // for the peer to take our last words
};

}  // namespace bandb::net

#endif  // BANDB_NET_LIMITS_H_
