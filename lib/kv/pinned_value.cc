#include "bandb/pinned_value.h"

#include <utility>

#include "base/assert.h"

namespace bandb {

PinnedValue& PinnedValue::operator=(PinnedValue&& other) noexcept {
  if (this == &other) return *this;
  Reset();
  pinned_ = std::exchange(other.pinned_, {});
  owner_ = std::exchange(other.owner_, nullptr);
  release_ = std::exchange(other.release_, nullptr);
  copy_ = std::move(other.copy_);
  other.copy_.clear();
  expires_ = std::exchange(other.expires_, false);
  expiry_ms_ = other.expiry_ms_;
  version_ = std::exchange(other.version_, 0);
  return *this;
}

void PinnedValue::Reset() {
  if (owner_ != nullptr) release_(std::exchange(owner_, nullptr));
  release_ = nullptr;
  pinned_ = {};
  copy_.clear();
  expires_ = false;
  version_ = 0;
}

void PinnedValue::Pin(std::string_view bytes, void* owner, Release release) {
  BANDB_ASSERT(owner != nullptr);
  BANDB_ASSERT(release != nullptr);
  Reset();
  pinned_ = bytes;
  owner_ = owner;
  release_ = release;
}

void PinnedValue::Copy(std::string_view bytes) {
  // Not through Reset first: the bytes may lie in what is pinned.
  copy_.assign(bytes);
  if (owner_ != nullptr) release_(std::exchange(owner_, nullptr));
  release_ = nullptr;
  pinned_ = {};
  expires_ = false;
  version_ = 0;
}

}  // namespace bandb
