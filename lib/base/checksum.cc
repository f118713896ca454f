#include "base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace bandb::base {

uint64_t Hash64(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

uint64_t BlockChecksum(uint64_t file_seed, uint64_t offset, std::string_view bytes) {
  // An odd multiplier maps offsets to seeds one to one, so that two places of a file never share a
  // seed.
  return Hash64(bytes, file_seed ^ (offset * 0x9e3779b97f4a7c15ull));
}

}  // namespace bandb::base
