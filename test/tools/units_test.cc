#include "units/units.h"

#include "support/catch.h"

namespace bandb::units {
namespace {

TEST_CASE("sizes are numbers with a unit, in powers of 1024 or of 1000") {
  CHECK(ParseSize("0 B") == 0u);
  CHECK(ParseSize("64 MiB") == 64u << 20);
  CHECK(ParseSize("64MiB") == 64u << 20);
  CHECK(ParseSize("64MB") == 64'000'000u);
  CHECK(ParseSize("2 kB") == 2000u);
  CHECK(ParseSize("2 KB") == 2000u);
  CHECK(ParseSize("3 TB") == 3'000'000'000'000u);
  CHECK(ParseSize("1.5 GiB") == 3u << 29);
  CHECK(ParseSize("0.001 MB") == 1000u);
  CHECK(ParseSize("16777215 TiB") == 16777215ull << 40);
  for (const char* bad :
       {"", "64", "MiB", "64  MiB", "64 mb", "64M", "6.4 B", "0.1 KiB", "1. MiB", ".5 MiB", "1.0001 GiB", "-1 B",
        "64 MiB ", "16777216 TiB", "16777215.999 TiB ", "99999999999999999999 B"}) {
    INFO(bad);
    CHECK_FALSE(ParseSize(bad).has_value());
  }
}

TEST_CASE("durations are numbers with a unit, or never") {
  CHECK(ParseDuration("5 s") == absl::Seconds(5));
  CHECK(ParseDuration("5ms") == absl::Milliseconds(5));
  CHECK(ParseDuration("0.5 s") == absl::Milliseconds(500));
  CHECK(ParseDuration("2 min") == absl::Minutes(2));
  CHECK(ParseDuration("2m") == absl::Minutes(2));
  CHECK(ParseDuration("30 sec") == absl::Seconds(30));
  CHECK(ParseDuration("1 h") == absl::Hours(1));
  CHECK(ParseDuration("7 d") == absl::Hours(168));
  CHECK(ParseDuration("never") == absl::InfiniteDuration());
  for (const char* bad : {"", "5", "s", "5 M", "-5 s", "Never", "99999999999999999999 s"}) {
    INFO(bad);
    CHECK_FALSE(ParseDuration(bad).has_value());
  }
}

TEST_CASE("what is shown reads back as the same") {
  for (const uint64_t bytes :
       {uint64_t{0}, uint64_t{1}, uint64_t{1000}, uint64_t{1} << 20, uint64_t{3} << 29, UINT64_MAX}) {
    CHECK(ParseSize(ShowSize(bytes)) == bytes);
  }
  CHECK(ShowSize(192 << 20) == "192 MiB");
  for (const absl::Duration duration : {absl::ZeroDuration(), absl::Milliseconds(1500), absl::Seconds(300),
                                        absl::Hours(24), absl::InfiniteDuration()}) {
    CHECK(ParseDuration(ShowDuration(duration)) == duration);
  }
  CHECK(ShowDuration(absl::Seconds(300)) == "5 min");
}

}  // namespace
}  // namespace bandb::units
