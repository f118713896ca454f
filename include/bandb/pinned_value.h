// A value read without being copied.
#ifndef BANDB_PINNED_VALUE_H_
#define BANDB_PINNED_VALUE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace bandb {

// The result of Store::GetPinned: bytes that lie in a block of the cache or in a memtable and stay
// there as long as this object lives, also after the store has closed. A long-lived one keeps its
// block out of the cache's budget, so use it and let it go.
//
// Thread safety: const use from any thread; the rest by one thread at a time.
class PinnedValue {
 public:
  // Called once, to let go of what the value lies in.
  using Release = void (*)(void* owner);

  // Holds nothing.
  PinnedValue() = default;
  ~PinnedValue() { Reset(); }
  PinnedValue(PinnedValue&& other) noexcept { *this = static_cast<PinnedValue&&>(other); }
  PinnedValue& operator=(PinnedValue&& other) noexcept;
  PinnedValue(const PinnedValue&) = delete;
  PinnedValue& operator=(const PinnedValue&) = delete;

  // Valid until this object is changed or destroyed.
  std::string_view value() const { return owner_ == nullptr ? std::string_view(copy_) : pinned_; }
  // When the value expires; infinite: never. In whole milliseconds.
  absl::Time expiry() const { return expires_ ? absl::FromUnixMillis(expiry_ms_) : absl::InfiniteFuture(); }
  // The version of the value; see Entry::version. 0: the store tells none.
  uint64_t version() const { return version_; }
  // Lets go of the bytes; value() is then empty.
  void Reset();

  // For implementations of Store: bytes that live until `release(owner)`, `owner` not null.
  void Pin(std::string_view bytes, void* owner, Release release);
  // For implementations of Store: keeps a copy.
  void Copy(std::string_view bytes);
  // For implementations of Store, after one of these: when it expires.
  void SetExpiryMillis(int64_t expiry_ms) {
    expires_ = true;
    expiry_ms_ = expiry_ms;
  }
  // For implementations of Store, after Pin or Copy: the version.
  void SetVersion(uint64_t version) { version_ = version; }

 private:
  std::string_view pinned_;
  void* owner_ = nullptr;
  Release release_ = nullptr;
  std::string copy_;
  bool expires_ = false;
  int64_t expiry_ms_ = 0;
  uint64_t version_ = 0;
};

}  // namespace bandb

#endif  // BANDB_PINNED_VALUE_H_
