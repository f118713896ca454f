#include "storage/compaction/write_pressure.h"

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

WritePressure PressureAt(uint64_t level0_tables, size_t stuck = 0) {
  std::vector<LevelTable> tables;
  for (uint64_t i = 1; i <= level0_tables; ++i) tables.push_back({0, Describe(i, "a", "z", i, i)});
  const auto version = MakeVersion(tables);
  REQUIRE_OK(version.status());
  return PressureOf(**version, {.level0_tables = 4}, stuck);
}

}  // namespace

TEST_CASE("pressure grows from three times the trigger of level 0 to eight times, where writers stop") {
  CHECK(PressureAt(0).permille == 0);
  CHECK(PressureAt(12).permille == 0);
  CHECK(PressureAt(13).permille == 50);
  CHECK(PressureAt(22).permille == 500);
  CHECK(PressureAt(31).permille == 950);
  CHECK_FALSE(PressureAt(31).stops);
  CHECK(PressureAt(32).permille == 1000);
  CHECK(PressureAt(32).stops);
  CHECK(PressureAt(40).permille == 1000);
}

TEST_CASE("tables that no compaction can take away hold nobody up, unless there are very many") {
  CHECK(PressureAt(40, 40).permille == 0);
  CHECK(PressureAt(42, 20).permille == 500);
  CHECK(PressureAt(64 + 32, 64 + 32).stops);
  CHECK_FALSE(PressureAt(64 + 31, 64 + 31).stops);
}

TEST_CASE("writers wait in proportion to their bytes and to the pressure") {
  CHECK(WriteDelayNanos(0, 1 << 20) == 0);
  CHECK(WriteDelayNanos(1000, 8 << 20) == 1'000'000'000);
  CHECK(WriteDelayNanos(500, 8 << 20) == 500'000'000);
  CHECK(WriteDelayNanos(1000, 0) == 0);
}

}  // namespace bandb::storage
