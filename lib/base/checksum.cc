#include "base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace bandb::base {

struct StreamHash64::State {
  XXH3_state_t hash;
};

StreamHash64::StreamHash64() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->hash); }
StreamHash64::~StreamHash64() = default;
StreamHash64::StreamHash64(StreamHash64&&) noexcept = default;
StreamHash64& StreamHash64::operator=(StreamHash64&&) noexcept = default;

void StreamHash64::Add(std::string_view bytes) { XXH3_64bits_update(&state_->hash, bytes.data(), bytes.size()); }

uint64_t StreamHash64::Value() const { return XXH3_64bits_digest(&state_->hash); }

uint64_t Hash64(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

uint64_t BlockChecksum(uint64_t file_seed, uint64_t offset, std::string_view bytes) {
  // An odd multiplier maps offsets to seeds one to one, so that two places of a file never share a
  // seed.
  return Hash64(bytes, file_seed ^ (offset * 0x9e3779b97f4a7c15ull));
}

}  // namespace bandb::base
