// What the application says about values that compactions rewrite.
#include "bandb/compaction_filter.h"

#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

class TestFilter final : public CompactionFilter {
 public:
  Decision Filter(int level, std::string_view key, std::string_view value, std::string* changed) override {
    CHECK(level > 0);
    ++asked[std::string(key)];
    return decide(key, value, changed);
  }

  std::function<Decision(std::string_view key, std::string_view value, std::string* changed)> decide =
      [](std::string_view, std::string_view value, std::string* changed) {
        if (value == "useless") return Decision::kRemove;
        if (value == "long") {
          *changed = "short";
          return Decision::kChange;
        }
        if (value == "throws") throw std::runtime_error("no");
        return Decision::kKeep;
      };
  std::map<std::string, int> asked;
};

class FilterWorld {
 public:
  explicit FilterWorld(CompactionStyle style = CompactionStyle::kLevelled) : style_(style) { Open(); }
  void Open() {
    db.reset();
    Options options = SmallOptions();
    options.compaction_filter = &filter;
    options.compaction_style = style_;
    options.compression = Compression::kNone;
    if (style_ == CompactionStyle::kTiered) options.level0_tables = 2;
    db = MustOpen(env.env(), "/db", options);
  }
  void Put(const std::string& key, const std::string& value) { REQUIRE_OK(db->Put(key, value)); }
  void Compact() { REQUIRE_OK(db->CompactRange({}, {})); }
  std::string Get(const std::string& key, const Snapshot* snapshot = nullptr) {
    const auto value = db->Get(key, {.snapshot = snapshot});
    if (absl::IsNotFound(value.status())) return "-";
    REQUIRE_OK(value.status());
    return *value;
  }

  TestEnv env{1};
  TestFilter filter;
  std::unique_ptr<Db> db;

 private:
  const CompactionStyle style_;
};

}  // namespace

TEST_CASE("a filter keeps, removes and changes values as compactions come to them, for good") {
  FilterWorld world;
  world.Put("a", "kept");
  world.Put("b", "useless");
  world.Put("c", "long");
  // A flush asks nothing.
  REQUIRE_OK(world.db->Flush());
  CHECK(world.Get("b") == "useless");
  CHECK(world.filter.asked.empty());
  world.Compact();
  for (int opening = 0; opening < 2; ++opening) {
    CHECK(world.Get("a") == "kept");
    CHECK(world.Get("b") == "-");
    CHECK(world.Get("c") == "short");
    world.Open();
  }
  CHECK(world.filter.asked["a"] > 0);
}

TEST_CASE("a value that a filter changes keeps its version, and a condition on that holds") {
  FilterWorld world;
  world.Put("c", "long");
  const absl::StatusOr<Entry> before = world.db->GetEntry("c");
  REQUIRE_OK(before.status());
  world.Compact();
  const absl::StatusOr<Entry> after = world.db->GetEntry("c");
  REQUIRE_OK(after.status());
  CHECK(after->value == "short");
  CHECK(after->version == before->version);
  WriteBatch batch;
  batch.RequireVersion("c", before->version);
  batch.Delete("c");
  CHECK_OK(world.db->Write(batch));
}

TEST_CASE("what it did is counted") {
  FilterWorld world;
  world.Put("b", "useless");
  world.Put("c", "long");
  world.Compact();
  CHECK(world.db->GetStats().values_removed == 1);
  CHECK(world.db->GetStats().values_changed == 1);
  CHECK(world.db->GetStats().exceptions == 0);
}

TEST_CASE("a removed value brings no older one to light") {
  FilterWorld world;
  world.Put("a", "first");
  world.Compact();
  world.Put("a", "useless");
  REQUIRE_OK(world.db->Flush());
  // In the upper of two levels, where the merge is within level 0 or goes down in steps.
  for (int i = 0; i < 10; ++i) {
    world.Put("b" + std::to_string(i), "useless");
    REQUIRE_OK(world.db->Flush());
    world.env.executor().RunReady();
    CHECK((world.Get("a") == "-" || world.Get("a") == "useless"));
  }
  world.Compact();
  CHECK(world.Get("a") == "-");
  world.Put("a", "again");
  world.Compact();
  CHECK(world.Get("a") == "again");
}

TEST_CASE("a removed value hides an older one that lies below what is merged") {
  FilterWorld world(CompactionStyle::kTiered);
  world.Put("a", "first");
  for (int i = 0; i < 20; ++i) world.Put("k" + std::to_string(i), std::string(1000, 'x'));
  world.Compact();
  // Two small runs become one, above the large one.
  world.Put("a", "useless");
  world.Put("z", "kept");
  REQUIRE_OK(world.db->Flush());
  world.Put("b", "kept");
  REQUIRE_OK(world.db->Flush());
  world.env.executor().RunReady();
  REQUIRE(world.db->GetStats().levels[5].tables == 1);
  REQUIRE(world.db->GetStats().values_removed == 1);
  CHECK(world.Get("a") == "-");
  CHECK(world.Get("z") == "kept");
  world.Compact();
  CHECK(world.Get("a") == "-");
}

TEST_CASE("what a snapshot sees is left alone while it lives") {
  FilterWorld world;
  world.Put("a", "useless");
  auto snapshot = std::make_unique<Snapshot>(world.db->GetSnapshot());
  world.Put("b", "useless");
  world.Compact();
  CHECK(world.filter.asked.count("a") == 0);
  CHECK(world.Get("a", snapshot.get()) == "useless");
  CHECK(world.Get("a") == "useless");
  CHECK(world.Get("b") == "-");
  snapshot.reset();
  world.Compact();
  CHECK(world.Get("a") == "-");
}

TEST_CASE("of a key with several versions it is asked about the newest alone, and never about deletes") {
  FilterWorld world;
  for (const char* value : {"one", "two", "three"}) {
    world.Put("a", value);
    REQUIRE_OK(world.db->Flush());
  }
  REQUIRE_OK(world.db->Delete("d"));
  std::string seen;
  world.filter.decide = [&](std::string_view, std::string_view value, std::string*) {
    seen += value;
    return CompactionFilter::Decision::kKeep;
  };
  world.Compact();
  CHECK(seen.find("one") == std::string::npos);
  CHECK(seen.find("three") != std::string::npos);
  CHECK(world.filter.asked.count("d") == 0);
}

TEST_CASE("a changed value keeps its time to live, and one that is too large changes nothing") {
  FilterWorld world;
  WriteBatch batch;
  batch.PutWithTtl("a", "long", absl::Seconds(100));
  REQUIRE_OK(world.db->Write(batch));
  world.Put("b", "huge");
  world.filter.decide = [](std::string_view key, std::string_view, std::string* changed) {
    *changed = key == "b" ? std::string(65 << 20, 'x') : "short";
    return CompactionFilter::Decision::kChange;
  };
  world.Compact();
  CHECK(world.Get("a") == "short");
  CHECK(world.Get("b") == "huge");
  world.env.clock().AdvanceMillis(100'001);
  CHECK(world.Get("a") == "-");
}

TEST_CASE("a filter that throws changes nothing, and its exceptions are counted") {
  FilterWorld world;
  world.Put("a", "throws");
  world.Put("b", "useless");
  world.Compact();
  CHECK(world.Get("a") == "throws");
  CHECK(world.Get("b") == "-");
  CHECK(world.db->GetStats().exceptions > 0);
}

}  // namespace bandb::test
