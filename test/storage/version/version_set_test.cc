#include "storage/version/version_set.h"

#include <functional>

#include "storage/engine/engine_fixture.h"

namespace bandb::storage {

namespace {

constexpr char kDir[] = "/engine";

// What an engine does about edits, and what it was told.
struct Fixture final : VersionSet::Owner {
  Fixture() : versions(&env.files(), kDir, 0, this) {
    REQUIRE_OK(env.files().CreateDirs(kDir));
    REQUIRE_OK(env.files().SyncDir("/"));
    versions.SetNextFileNumber(10);
    bool unchanged = false;
    REQUIRE_OK(versions.Start({}, NewHeader(FileType::kManifest), &unchanged));
    CHECK_OK(versions.CheckInvariants());
  }
  ~Fixture() override = default;

  uint64_t EditTimeMs() const override { return 1234; }
  FileHeader NewHeader(FileType type) override {
    return {.type = type, .database_id = Uuid{}, .file_id = RandomUuid(&env.random())};
  }
  absl::Status MayWriteEdit() const override { return stopped; }
  void InstallEdit(PendingEdit* edit) override {
    if (before_install) before_install();
    obsolete = Numbers(versions.Install(edit));
    ++installed;
  }
  void ManifestFailed(const absl::Status& status) override { failure = status; }

  struct Source final : EditSource {
    explicit Source(std::vector<absl::Status>* outcomes_of) : outcomes(outcomes_of) {}
    absl::Status Prepare(const ManifestState& /*present*/, PendingEdit* /*edit*/) override { return absl::OkStatus(); }
    void Installed(const absl::Status& status) override { outcomes->push_back(status); }
    std::vector<absl::Status>* outcomes;
  };
  // An edit that puts a table into level 0.
  PendingEdit Flush(uint64_t number, Sequence sequence) {
    PendingEdit edit;
    const TableInfo info = Describe(number, "a", "b", sequence, sequence);
    edit.edit.added.push_back({0, info});
    edit.edit.last_sequence = sequence;
    edit.added.push_back(std::make_shared<LiveTable>(info, tables));
    edit.source = std::make_unique<Source>(&outcomes);
    return edit;
  }
  // What the next open finds.
  ManifestState Recovered(test::CrashFileSystem* files) {
    auto recovered = RecoverManifest(files, kDir, Uuid{}, tables);
    REQUIRE_OK(recovered.status());
    return std::move(recovered->state);
  }

  test::TestEnv env{1};
  const std::shared_ptr<TableStore> tables =
      std::make_shared<TableStore>(env.env(), kDir, std::make_shared<BlockCache>(1 << 20), 10);
  absl::Status stopped;
  absl::Status failure;
  std::function<void()> before_install;
  int installed = 0;
  std::vector<uint64_t> obsolete;
  std::vector<absl::Status> outcomes;
  VersionSet versions;
};

}  // namespace

TEST_CASE("an edit is durable before it is installed, and installed before its source is told") {
  Fixture f;
  f.before_install = [&]() {
    CHECK(f.outcomes.empty());
    CHECK(f.versions.version()->level(0).empty());
    const auto image = f.env.files().CrashImage(test::Damage::kLost, 1);
    CHECK(f.Recovered(image.get()).version->level(0).size() == 1);
  };
  f.versions.Apply(f.Flush(f.versions.NewFileNumber(), 5));
  CHECK(f.installed == 1);
  REQUIRE(f.outcomes.size() == 1);
  CHECK_OK(f.outcomes[0]);
  const ManifestState state = f.versions.state();
  CHECK(state.version->level(0).size() == 1);
  CHECK(state.last_sequence == 5);
  CHECK(state.commit_time_ms == 1234);
  CHECK(state.next_file_number == f.versions.next_file_number());
  CHECK_OK(f.versions.CheckInvariants());
}

TEST_CASE("an edit that comes while another is written waits for its turn") {
  Fixture f;
  PendingEdit second = f.Flush(f.versions.NewFileNumber(), 6);
  f.before_install = [&]() {
    if (second.source == nullptr) return;
    f.versions.Apply(std::move(second));
    CHECK(f.installed == 0);
  };
  f.versions.Apply(f.Flush(f.versions.NewFileNumber(), 5));
  CHECK(f.installed == 2);
  CHECK(f.outcomes.size() == 2);
  CHECK(f.versions.version()->level(0).size() == 2);
}

TEST_CASE("an edit that replaces tables hands them out, but not those that it moves") {
  Fixture f;
  const uint64_t first = f.versions.NewFileNumber();
  const uint64_t second = f.versions.NewFileNumber();
  f.versions.Apply(f.Flush(first, 5));
  f.versions.Apply(f.Flush(second, 6));
  PendingEdit edit;
  edit.source = std::make_unique<Fixture::Source>(&f.outcomes);
  edit.edit.deleted = {{0, first}, {0, second}};
  const TablePtr moved = f.versions.version()->level(0)[0];
  edit.edit.added.push_back({6, moved->info()});
  edit.added.push_back(moved);
  f.versions.Apply(std::move(edit));
  CHECK(f.obsolete == std::vector<uint64_t>{first});
  CHECK(f.versions.version()->level(0).empty());
  CHECK(Numbers(f.versions.version()->level(6)) == std::vector<uint64_t>{second});
}

TEST_CASE("an edit that may not be written, or does not fit, changes nothing") {
  Fixture f;
  const uint64_t bytes = f.versions.manifest()->Size();
  f.stopped = absl::InternalError("stopped");
  f.versions.Apply(f.Flush(f.versions.NewFileNumber(), 5));
  f.stopped = absl::OkStatus();
  PendingEdit unfit;
  unfit.source = std::make_unique<Fixture::Source>(&f.outcomes);
  unfit.edit.deleted.push_back({0, 99});
  f.versions.Apply(std::move(unfit));
  REQUIRE(f.outcomes.size() == 2);
  CHECK_CODE(f.outcomes[0], kInternal);
  CHECK_CODE(f.outcomes[1], kDataLoss);
  CHECK(f.installed == 0);
  CHECK_OK(f.failure);
  CHECK(f.versions.manifest()->Size() == bytes);
}

TEST_CASE("after an edit that could not be written it is unknown what the manifest says, and the owner is told") {
  Fixture f;
  f.env.files().Inject({.calls = {test::FileCall::kSync}, .pattern = "*MANIFEST*", .count = 1});
  f.versions.Apply(f.Flush(f.versions.NewFileNumber(), 5));
  REQUIRE(f.outcomes.size() == 1);
  CHECK_CODE(f.outcomes[0], kInternal);
  CHECK_CODE(f.failure, kInternal);
  CHECK(f.installed == 0);
}

TEST_CASE("a manifest that has grown makes way for a new one that says the same") {
  Fixture f;
  const uint64_t first = f.versions.manifest()->number();
  for (Sequence sequence = 1; sequence <= 30; ++sequence) {
    f.versions.Apply(f.Flush(f.versions.NewFileNumber(), sequence));
    REQUIRE_OK(f.versions.CheckInvariants());
  }
  CHECK(f.versions.manifest()->number() > first);
  CHECK(f.Recovered(&f.env.files()).version->level(0).size() == 30);
}

namespace {

// One that adds more tables with long bounds than a record is to name.
PendingEdit LargeEdit(Fixture* f) {
  PendingEdit edit;
  edit.source = std::make_unique<Fixture::Source>(&f->outcomes);
  const std::string tail(60'000, 'x');
  for (int i = 0; i < 100; ++i) {
    const TableInfo info =
        Describe(f->versions.NewFileNumber(), fmt::format("{:03}a{}", i, tail), fmt::format("{:03}b{}", i, tail), 1, 1);
    edit.edit.added.push_back({6, info});
    edit.added.push_back(std::make_shared<LiveTable>(info, f->tables));
  }
  edit.edit.last_sequence = 1;
  return edit;
}

}  // namespace

TEST_CASE("an edit that is too large for a record counts by a new manifest, whole or not at all") {
  Fixture f;
  const uint64_t first = f.versions.manifest()->number();
  size_t images = 0, news = 0;
  f.env.files().SetHook([&](uint64_t) {
    const auto image = f.env.files().CrashImage(test::Damage::kKept, 1 + images++);
    const size_t tables = f.Recovered(image.get()).version->level(6).size();
    REQUIRE((tables == 0 || tables == 100));
    news += tables == 100 ? 1 : 0;
  });
  f.versions.Apply(LargeEdit(&f));
  f.env.files().SetHook(nullptr);
  CHECK(images > 5);
  CHECK(news > 0);
  CHECK(news < images);
  REQUIRE(f.outcomes.size() == 1);
  CHECK_OK(f.outcomes[0]);
  CHECK(f.versions.manifest()->number() > first);
  CHECK(f.versions.version()->level(6).size() == 100);
  CHECK_OK(f.versions.CheckInvariants());
  f.versions.Apply(f.Flush(f.versions.NewFileNumber(), 2));
  CHECK_OK(f.outcomes[1]);
  const auto image = f.env.files().CrashImage(test::Damage::kLost, 1);
  const ManifestState found = f.Recovered(image.get());
  CHECK(found.version->level(6).size() == 100);
  CHECK(found.version->level(0).size() == 1);
  CHECK(found.last_sequence == 2);
}

TEST_CASE("one that finds no room changes nothing, and one of which nobody knows whether it counts is the last") {
  for (const bool full : {true, false}) {
    Fixture f;
    f.versions.Apply(f.Flush(f.versions.NewFileNumber(), 1));
    const uint64_t first = f.versions.manifest()->number();
    f.env.files().Inject({.kind = full ? test::FaultKind::kNoSpace : test::FaultKind::kIoError,
                          .calls = {full ? test::FileCall::kReserve : test::FileCall::kRename},
                          .count = 1});
    f.versions.Apply(LargeEdit(&f));
    REQUIRE(f.outcomes.size() == 2);
    CHECK(f.installed == 1);
    CHECK(f.versions.manifest()->number() == first);
    CHECK_OK(f.versions.CheckInvariants());
    if (full) {
      CHECK_CODE(f.outcomes[1], kResourceExhausted);
      CHECK_OK(f.failure);
      f.versions.Apply(LargeEdit(&f));
      CHECK_OK(f.outcomes[2]);
      CHECK(f.Recovered(&f.env.files()).version->level(6).size() == 100);
    } else {
      CHECK_CODE(f.outcomes[1], kInternal);
      CHECK_CODE(f.failure, kInternal);
    }
  }
}

}  // namespace bandb::storage
