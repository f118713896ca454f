// How long writes wait when a leader dies, in virtual time.
#include <algorithm>
#include <vector>

#include "support/catch.h"
#include "world/three_machines.h"

namespace bandb::world {

TEST_CASE("when a leader dies writes at the others go on within two election timeouts, but for one in a hundred") {
  constexpr uint64_t kSeeds = 25;
  constexpr int kKills = 40;
  std::vector<Nanos> waited;
  Nanos timeout = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    ThreeMachines three(seed);
    World& world = three.world;
    timeout = world.machine(0).options().node.core.election_timeout_nanos;
    for (int kill = 0; kill < kKills; ++kill) {
      Machine* const dead = three.AwaitLeader();
      Machine* const asked = &world.machine((static_cast<size_t>(dead->host()) + kill % 2) % 3);
      REQUIRE(asked != dead);
      const Nanos begin = world.now();
      three.Kill(dead);
      REQUIRE_OK(three.Put(asked, "key", "value"));
      waited.push_back(world.now() - begin);
      three.Restart(dead);
    }
    INFO(three.Report());
    REQUIRE(!world.violation().has_value());
  }
  std::sort(waited.begin(), waited.end());
  const auto millis = [&](size_t of_thousand) { return waited[waited.size() * of_thousand / 1000] / kMilli; };
  INFO("p50 " << millis(500) << " ms, p90 " << millis(900) << " ms, p99 " << millis(990) << " ms, longest "
              << waited.back() / kMilli << " ms, of " << waited.size());
  CHECK(waited[waited.size() * 99 / 100] <= 2 * timeout);
}

}  // namespace bandb::world
