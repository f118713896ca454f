// A reply on its way to a connection, and the ticket by which one that comes later finds its place.
#ifndef BANDB_NET_REPLY_H_
#define BANDB_NET_REPLY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace bandb::net {

// Bytes that an owner keeps until told to let them go; for replies too large to copy.
class OwnedBytes {
 public:
  using Release = void (*)(void* owner);

  OwnedBytes() = default;
  // `own_bytes` is the memory that nobody but this keeps: 0 if the owner counts it (see
  // Quota::Share).
  OwnedBytes(std::string_view bytes, size_t own_bytes, void* owner, Release release)
      : bytes_(bytes), own_bytes_(own_bytes), owner_(owner), release_(release) {}
  // Keeps the string.
  static OwnedBytes Of(std::string&& bytes);
  OwnedBytes(OwnedBytes&& other) noexcept
      : bytes_(std::exchange(other.bytes_, {})),
        own_bytes_(std::exchange(other.own_bytes_, 0)),
        owner_(std::exchange(other.owner_, nullptr)),
        release_(other.release_) {}
  OwnedBytes& operator=(OwnedBytes&& other) noexcept {
    if (this != &other) {
      Reset();
      bytes_ = std::exchange(other.bytes_, {});
      own_bytes_ = std::exchange(other.own_bytes_, 0);
      owner_ = std::exchange(other.owner_, nullptr);
      release_ = other.release_;
    }
    return *this;
  }
  ~OwnedBytes() { Reset(); }

  std::string_view bytes() const { return bytes_; }
  size_t own_bytes() const { return own_bytes_; }
  // Of bytes(), what is counted elsewhere.
  size_t shared_bytes() const { return own_bytes_ == 0 ? bytes_.size() : 0; }
  void Reset() {
    if (owner_ != nullptr) release_(std::exchange(owner_, nullptr));
    bytes_ = {};
    own_bytes_ = 0;
  }

 private:
  std::string_view bytes_;
  size_t own_bytes_ = 0;
  void* owner_ = nullptr;
  Release release_ = nullptr;
};

// One whole reply frame, in up to three parts: `head` and `body` are copied, `tail` is kept as it
// is.
struct Reply {
  std::string_view head;
  std::string_view body{};
  OwnedBytes tail{};
  // How the request ended, for counters and hooks.
  bool ok = true;
  uint16_t code = 0;
  // Nothing is said: the connection is closed.
  bool closes = false;
};

// Names a connection, never used twice: a slot of a loop's table, and how often it was used.
struct ConnectionId {
  uint32_t index = 0;
  uint32_t generation = 0;  // 0: no connection
  bool operator==(const ConnectionId& other) const { return index == other.index && generation == other.generation; }
};

// The place of a reply that comes later. It can be copied, and must be used once, also when its
// connection is gone: what the request holds counts as memory until then.
struct Ticket {
  ConnectionId connection;
  uint64_t sequence = 0;
  size_t held_bytes = 0;
};

}  // namespace bandb::net

#endif  // BANDB_NET_REPLY_H_
