// Regions: memory of its own for each, and a refusal where the system has none.
#include "base/region.h"

#include <memory>

#include "support/catch.h"

namespace bandb::base {

TEST_CASE("a region is zeros of the size that was asked for") {
  const std::unique_ptr<Region> region = Region::Map(100'000);
  REQUIRE(region != nullptr);
  REQUIRE(region->size() == 100'000);
  CHECK(region->data()[0] == 0);
  CHECK(region->data()[99'999] == 0);
  region->data()[99'999] = 1;
  CHECK(region->data()[99'999] == 1);
}

TEST_CASE("a region that the system has no memory for is refused") {
  // More than an address space.
  CHECK(Region::Map(size_t{1} << 62) == nullptr);
}

}  // namespace bandb::base
