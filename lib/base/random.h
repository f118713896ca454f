// Pseudo-random numbers: the only ones in BanDB. xoshiro256** (Blackman and Vigna, 2018), its state
// filled by splitmix64.
//
// The same seed gives the same numbers on every machine, so a simulated run is one number long. Not
// for secrets.
#ifndef BANDB_BASE_RANDOM_H_
#define BANDB_BASE_RANDOM_H_

#include <cstdint>

namespace bandb::base {

// Thread safety: one thread at a time. Components that run on several threads take a fork each.
class Random {
 public:
  explicit Random(uint64_t seed);

  // All 64-bit values, equally likely.
  uint64_t Next();
  // [0, limit), limit > 0.
  uint64_t Uniform(uint64_t limit);
  // [low, high], both included.
  int64_t Between(int64_t low, int64_t high);
  // True in one of `n` calls, n > 0.
  bool OneIn(uint64_t n) { return Uniform(n) == 0; }
  // True with this probability; below 0 never, above 1 always.
  bool Chance(double probability);
  // [0, 1).
  double Double();
  // A generator of its own whose numbers say nothing of this one's.
  Random Fork() { return Random(Next()); }

 private:
  uint64_t state_[4];
};

// A seed from the operating system, for production. Simulations pass their own.
uint64_t SeedFromOs();

}  // namespace bandb::base

#endif  // BANDB_BASE_RANDOM_H_
