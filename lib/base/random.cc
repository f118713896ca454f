#include "base/random.h"

#include <sys/random.h>

#include <bit>

#include "base/assert.h"

namespace bandb::base {

Random::Random(uint64_t seed) {
  for (uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15ull;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    word = z ^ (z >> 31);
  }
}

uint64_t Random::Next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t Random::Uniform(uint64_t limit) {
  BANDB_ASSERT(limit > 0);
  // Lemire's multiplication; the bias of at most limit / 2^64 is of no consequence here.
  return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * limit) >> 64);
}

int64_t Random::Between(int64_t low, int64_t high) {
  BANDB_ASSERT(low <= high);
  const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;
  const uint64_t offset = span == 0 ? Next() : Uniform(span);
  return static_cast<int64_t>(static_cast<uint64_t>(low) + offset);
}

bool Random::Chance(double probability) { return Double() < probability; }

double Random::Double() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

uint64_t SeedFromOs() {
  uint64_t seed = 0;
  // At most 256 bytes are never interrupted once the pool is ready; the first call at boot may be.
  while (getrandom(&seed, sizeof(seed), 0) != static_cast<ssize_t>(sizeof(seed))) {
  }
  return seed;
}

}  // namespace bandb::base
