#include "storage/db_model.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("a database answers like a sorted map, whatever is done to it") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    DbModel model(seed);
    model.Run(3000);
  }
}

}  // namespace bandb::test
