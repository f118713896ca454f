// The builder of recovery beside Version::Apply: the same versions, and the same edits refused.
#include "storage/version/version_builder.h"

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

struct Edit {
  VersionEdit edit;
  std::vector<TablePtr> added;

  void Add(int level, TableInfo info) {
    edit.added.push_back({level, info});
    added.push_back(std::make_shared<LiveTable>(std::move(info), nullptr));
  }
};

// Mostly one that fits: it takes out some tables, moves some, and puts in others.
Edit RandomEdit(const Version& version, uint64_t* next_number, Sequence* next_sequence, base::Random* random) {
  Edit edit;
  for (int level = 0; level < kLevels; ++level) {
    for (const TablePtr& table : version.level(level)) {
      if (!random->OneIn(6)) continue;
      edit.edit.deleted.push_back({random->OneIn(80) ? (level + 1) % kLevels : level, table->info().number});
      if (level > 0 && random->OneIn(3)) edit.Add(1 + (level % (kLevels - 1)), table->info());
    }
  }
  for (uint64_t count = random->Uniform(4); count > 0; --count) {
    const int level = static_cast<int>(random->Uniform(3)) * 3;
    const uint64_t begin = random->Uniform(400);
    const std::string first = fmt::format("k{:03}", begin), last = fmt::format("k{:03}", begin + random->Uniform(4));
    const Sequence largest = *next_sequence + random->Uniform(3);
    const Sequence smallest = random->OneIn(60) ? 1 + largest / 2 : *next_sequence;
    *next_sequence = largest + 1;
    // Now and then one that is there.
    const uint64_t number = random->OneIn(80) ? 1 + *next_number / 2 : (*next_number)++;
    edit.Add(level, random->OneIn(3) && level > 0 ? DescribeUpTo(number, first, last + "x")
                                                  : Describe(number, first, last, smallest, largest));
  }
  return edit;
}

}  // namespace

TEST_CASE("of many edits a builder makes what applying each of them makes, and refuses those that do not fit") {
  size_t fitted = 0, refused = 0, largest = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    base::Random random(seed);
    VersionBuilder builder;
    auto version = std::make_shared<const Version>();
    uint64_t next_number = 1;
    Sequence next_sequence = 1;
    for (int i = 0; i < 60; ++i) {
      const Edit edit = RandomEdit(*version, &next_number, &next_sequence, &random);
      const auto applied = version->Apply(edit.edit, edit.added);
      const absl::Status built = builder.Apply(edit.edit, edit.added);
      REQUIRE(built.code() == applied.status().code());
      if (!built.ok()) {
        ++refused;
        break;
      }
      ++fitted;
      version = *applied;
      const auto made = builder.Build();
      REQUIRE_OK(made.status());
      for (int level = 0; level < kLevels; ++level) {
        REQUIRE((*made)->level(level) == version->level(level));
        REQUIRE((*made)->LevelBytes(level) == version->LevelBytes(level));
      }
      REQUIRE((*made)->RangeTombstoneTables() == version->RangeTombstoneTables());
      largest = std::max<size_t>(largest, version->TableCount());
    }
  }
  CHECK(fitted > 1000);
  CHECK(refused > 100);
  CHECK(largest > 8);
}

TEST_CASE("an edit costs a builder little, however many tables there are") {
  VersionBuilder builder;
  const auto info = [](uint64_t number) {
    const std::string key = fmt::format("k{:07}", number * 7919 % 1'000'003);
    return Describe(number, key, key);
  };
  // With as many steps for each as there are tables this takes an hour.
  constexpr uint64_t kTables = 60'000;
  for (uint64_t number = 1; number <= kTables; ++number) {
    Edit edit;
    edit.Add(6, info(number));
    REQUIRE_OK(builder.Apply(edit.edit, edit.added));
  }
  for (uint64_t number = 1; number <= kTables; number += 2) {
    Edit edit;
    edit.edit.deleted.push_back({6, number});
    REQUIRE_OK(builder.Apply(edit.edit, edit.added));
  }
  const auto version = builder.Build();
  REQUIRE_OK(version.status());
  CHECK((*version)->level(6).size() == kTables / 2);
}

}  // namespace bandb::storage
