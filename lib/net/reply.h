// A reply on its way to a connection, and the ticket by which one that comes later finds its place.
#ifndef BANDB_NET_REPLY_H_
#define BANDB_NET_REPLY_H_

#include <cstdint>
#include <string_view>
#include <utility>

namespace bandb::net {

// Bytes that somebody else keeps until told to let them go; for replies too large to copy.
class OwnedBytes {
 public:
  using Release = void (*)(void* owner);

  OwnedBytes() = default;
  OwnedBytes(std::string_view bytes, void* owner, Release release) : bytes_(bytes), owner_(owner), release_(release) {}
  OwnedBytes(OwnedBytes&& other) noexcept
      : bytes_(std::exchange(other.bytes_, {})),
        owner_(std::exchange(other.owner_, nullptr)),
        release_(other.release_) {}
  OwnedBytes& operator=(OwnedBytes&& other) noexcept {
    if (this != &other) {
      Reset();
      bytes_ = std::exchange(other.bytes_, {});
      owner_ = std::exchange(other.owner_, nullptr);
      release_ = other.release_;
    }
    return *this;
  }
  ~OwnedBytes() { Reset(); }

  std::string_view bytes() const { return bytes_; }
  void Reset() {
    if (owner_ != nullptr) release_(std::exchange(owner_, nullptr));
    bytes_ = {};
  }

 private:
  std::string_view bytes_;
  void* owner_ = nullptr;
  Release release_ = nullptr;
};

// One whole reply frame, in up to three parts: `head` and `body` are copied, `tail` is kept as it is.
struct Reply {
  std::string_view head;
  std::string_view body{};
  OwnedBytes tail{};
  // How the request ended, for counters and hooks.
  bool ok = true;
  uint16_t code = 0;
};

// Names a connection for ever: a slot of a loop's table, and how often it was used.
struct ConnectionId {
  uint32_t index = 0;
  uint32_t generation = 0;  // 0: no connection
  bool operator==(const ConnectionId& other) const { return index == other.index && generation == other.generation; }
};

// The place of a reply that comes later. Worth nothing once its connection is gone; it can be copied, used once.
struct Ticket {
  ConnectionId connection;
  uint64_t sequence = 0;
};

}  // namespace bandb::net

#endif  // BANDB_NET_REPLY_H_
