#include "changes/key_filter.h"

#include <fmt/format.h>

#include <vector>

#include "support/catch.h"

namespace bandb::changes {

namespace {

KeyFilter Make(const ChangesOptions& options) {
  absl::StatusOr<KeyFilter> filter = KeyFilter::Make(options);
  REQUIRE_OK(filter.status());
  return *std::move(filter);
}

bool Wants(const KeyFilter& filter, std::string_view key) {
  return filter.Wants({.kind = kv::Kind::kPut, .key = key, .value = "v"});
}

bool WantsRange(const KeyFilter& filter, std::string_view begin, std::string_view limit) {
  return filter.Wants({.kind = kv::Kind::kRangeDelete, .key = begin, .value = limit});
}

}  // namespace

TEST_CASE("a range of keys is half open, and a range delete is wanted where it meets it") {
  ChangesOptions options;
  options.lower_bound = "b";
  options.upper_bound = "d";
  const KeyFilter filter = Make(options);
  CHECK_FALSE(Wants(filter, ""));
  CHECK_FALSE(Wants(filter, "a"));
  CHECK(Wants(filter, "b"));
  CHECK(Wants(filter, "czz"));
  CHECK_FALSE(Wants(filter, "d"));
  CHECK(WantsRange(filter, "a", "c"));
  CHECK(WantsRange(filter, "a", "z"));
  CHECK(WantsRange(filter, "c", "z"));
  CHECK_FALSE(WantsRange(filter, "a", "b"));
  CHECK_FALSE(WantsRange(filter, "d", "e"));
  const KeyFilter all = Make({});
  CHECK(Wants(all, ""));
  CHECK(WantsRange(all, "", "a"));
}

TEST_CASE("each key belongs to exactly one part, and a range delete to all") {
  std::vector<KeyFilter> parts;
  for (uint32_t part = 0; part < 3; ++part) {
    ChangesOptions options;
    options.part = part;
    options.parts = 3;
    parts.push_back(Make(options));
  }
  std::vector<int> counts(parts.size());
  for (int i = 0; i < 3000; ++i) {
    int found = 0;
    for (size_t part = 0; part < parts.size(); ++part) {
      if (!Wants(parts[part], fmt::format("key{}", i))) continue;
      ++found;
      ++counts[part];
    }
    CHECK(found == 1);
  }
  for (const int count : counts) CHECK(count > 800);
  for (const KeyFilter& filter : parts) CHECK(WantsRange(filter, "a", "b"));
  // Consumers that were started with an earlier release must agree with later ones.
  CHECK(Wants(parts[0], "key0") + 2 * Wants(parts[1], "key0") + 4 * Wants(parts[2], "key0") == 1);
}

TEST_CASE("parts that there are not are refused") {
  for (const auto& [part, number] : std::vector<std::pair<uint32_t, uint32_t>>{{0, 0}, {1, 1}, {7, 7}, {0, 65537}}) {
    ChangesOptions options;
    options.part = part;
    options.parts = number;
    CHECK_CODE(KeyFilter::Make(options).status(), kInvalidArgument);
  }
}

}  // namespace bandb::changes
