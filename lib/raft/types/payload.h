// Payload: bytes that nobody changes any more, cheap to share.
//
// An entry's bytes are in the leader's log, in a message to every peer and in the log writer's
// queue at the same time. A Payload is a slice of a reference-counted buffer, sixteen bytes to
// copy. The buffer is one allocation: the count, the size and the bytes. A receiver cuts the
// payloads of a whole message out of the one buffer that it read.
#ifndef BANDB_RAFT_TYPES_PAYLOAD_H_
#define BANDB_RAFT_TYPES_PAYLOAD_H_

#include <atomic>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <string_view>
#include <utility>

#include "base/assert.h"

namespace bandb::raft {

// Lifetime: the bytes live as long as any Payload that shares their buffer; a small slice keeps a
// large buffer alive.
// Thread safety: as of a std::shared_ptr<const ...>: distinct objects may share bytes between
// threads.
class Payload {
 public:
  static constexpr size_t kBytesMax = std::numeric_limits<uint32_t>::max();

  Payload() = default;
  // Copies `bytes`, at most kBytesMax of them.
  explicit Payload(std::string_view bytes) : buffer_(Buffer::Make(bytes)), size_(static_cast<uint32_t>(bytes.size())) {}
  Payload(const Payload& other) : buffer_(other.buffer_), offset_(other.offset_), size_(other.size_) {
    if (buffer_ != nullptr) buffer_->references.fetch_add(1, std::memory_order_relaxed);
  }
  Payload(Payload&& other) noexcept
      : buffer_(std::exchange(other.buffer_, nullptr)),
        offset_(std::exchange(other.offset_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  Payload& operator=(Payload other) noexcept {
    std::swap(buffer_, other.buffer_);
    std::swap(offset_, other.offset_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Payload() {
    if (buffer_ != nullptr) buffer_->Release();
  }

  std::string_view bytes() const {
    return buffer_ == nullptr ? std::string_view() : std::string_view(buffer_->bytes() + offset_, size_);
  }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // `size` bytes from `offset`, which must lie inside; shares the buffer.
  Payload Slice(size_t offset, size_t size) const {
    BANDB_ASSERT(offset <= size_);
    BANDB_ASSERT(size <= size_ - offset);
    Payload slice(*this);
    slice.offset_ += static_cast<uint32_t>(offset);
    slice.size_ = static_cast<uint32_t>(size);
    return slice;
  }

  friend bool operator==(const Payload& a, const Payload& b) { return a.bytes() == b.bytes(); }

 private:
  struct Buffer {
    std::atomic<uint32_t> references{1};

    char* bytes() { return reinterpret_cast<char*>(this + 1); }

    static Buffer* Make(std::string_view from) {
      if (from.empty()) return nullptr;
      BANDB_ASSERT(from.size() <= kBytesMax);
      auto* buffer = new (::operator new(sizeof(Buffer) + from.size())) Buffer;
      std::memcpy(buffer->bytes(), from.data(), from.size());
      return buffer;
    }
    void Release() {
      if (references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      this->~Buffer();
      ::operator delete(this);
    }
  };

  Buffer* buffer_ = nullptr;
  uint32_t offset_ = 0;
  uint32_t size_ = 0;
};

}  // namespace bandb::raft

#endif  // BANDB_RAFT_TYPES_PAYLOAD_H_
