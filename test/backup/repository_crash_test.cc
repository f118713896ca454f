// Backups that are cut short: by errors of the disk, and by power loss at every call.
#include <algorithm>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backup/backup_rig.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

// A database with two backups, logs that lead from the one to the other, and what they hold; the
// third state has none.
struct World : BackupRig {
  explicit World(uint64_t seed) : BackupRig(seed) {
    for (int round = 0; round < 3; round++) {
      if (round == 1) {
        REQUIRE_OK(db->Put("between", "two backups"));
        between = ContentsOf(db.get());
        between_sequence = db->GetStats().last_sequence;
      }
      WriteRound(db.get(), round);
      states.push_back(ContentsOf(db.get()));
      if (round < 2) REQUIRE_OK(Create().status());
    }
  }

  absl::StatusOr<BackupInfo> Create() {
    absl::StatusOr<BackupInfo> made = repository.Create(db.get(), {.logs = true});
    if (made.ok()) CHECK(made->hole.empty());
    return made;
  }
  absl::Status RestoreBetween() { return repository.Restore({.to_sequence = between_sequence}, "/new/place").status(); }

  std::vector<Contents> states;
  Contents between;
  uint64_t between_sequence = 0;
};

// All that is on a disk: folders, and files with what they hold.
void AddTree(CrashFileSystem* files, const std::string& folder, std::string* tree) {
  const auto names = files->List(folder.empty() ? "/" : folder);
  REQUIRE_OK(names.status());
  for (const std::string& name : *names) {
    const std::string path = base::JoinPath(folder, name);
    const bool is_folder = files->List(path).ok();
    *tree += fmt::format("{}{}", path, is_folder ? '/' : '\0');
    if (is_folder) {
      AddTree(files, path, tree);
    } else {
      const std::string content = files->Content(path);
      *tree += fmt::format("{} {}", content.size(), content);
    }
  }
}

// What lay in some folders of disks as they were found after power loss, each once.
class FoundDisks {
 public:
  explicit FoundDisks(std::vector<std::string> folders) : folders_(std::move(folders)) {}

  // Whether it is new.
  bool Add(CrashFileSystem* files) {
    std::string tree;
    for (const std::string& folder : folders_) AddTree(files, folder, &tree);
    return seen_.insert(std::move(tree)).second;
  }

 private:
  const std::vector<std::string> folders_;
  std::set<std::string> seen_;
};

// The backups alone, with the database, and all.
FoundDisks Repositories() { return FoundDisks({"/backups"}); }
FoundDisks Sources() { return FoundDisks({kDatabaseDir, "/backups"}); }
FoundDisks Whole() { return FoundDisks({""}); }

// All backups that are listed are whole, those of `must` are among them, and each holds its state.
void CheckBackups(TestEnv* env, const World& world, const std::vector<uint64_t>& must, const std::string& scratch) {
  backup::Repository repository = RepositoryOf(env);
  const auto list = repository.List();
  REQUIRE_OK(list.status());
  std::vector<uint64_t> numbers;
  for (const BackupInfo& info : *list) {
    CHECK(info.damage.empty());
    numbers.push_back(info.number);
    REQUIRE(info.number <= world.states.size());
    CHECK(RestoredContents(env, &repository, info.number, fmt::format("{}/{}", scratch, info.number)) ==
          world.states[info.number - 1]);
    if (info.from_sequence == info.last_sequence || info.number != 2) continue;
    const std::string dir = fmt::format("{}/between", scratch);
    REQUIRE_OK(repository.Restore({.number = 2, .to_sequence = world.between_sequence}, dir).status());
    CHECK(ContentsOf(OpenAt(env, dir).get()) == world.between);
  }
  REQUIRE_OK(repository.Verify(0));
  for (const uint64_t number : must) CHECK(std::find(numbers.begin(), numbers.end(), number) != numbers.end());
}

// Backups are made and restored on a disk that was found.
void CheckGoesOn(TestEnv* env, const World& world) {
  const std::unique_ptr<Db> db = OpenAt(env, kDatabaseDir);
  backup::Repository repository = RepositoryOf(env);
  REQUIRE_OK(repository.Create(db.get(), {.logs = true}).status());
  CHECK(RestoredContents(env, &repository, 0, "/again") == world.states[2]);
  REQUIRE_OK(repository.Prune(1));
  REQUIRE_OK(repository.Verify(0));
}

// Whether power loss of this kind, on the way of Create or after it, leaves a backup that is none,
// or takes one that was said to be there, if that sync does nothing.
bool IsNoticed(Damage damage, uint64_t ignored_sync) {
  World world(31);
  CrashFileSystem& files = world.env.files();
  files.IgnoreSyncNumber(ignored_sync);
  bool noticed = false;
  FoundDisks found = Repositories();
  const auto look = [&](size_t backups_min) {
    for (uint64_t draw = 0; draw < 12 && !noticed; draw++) {
      std::unique_ptr<CrashFileSystem> image = files.CrashImage(damage, 99 + draw);
      // One that was looked at before has the same backups, and at the end more are asked for.
      if (!found.Add(image.get()) && backups_min == 2) continue;
      TestEnv after(4, std::move(image));
      backup::Repository repository = RepositoryOf(&after);
      const auto list = repository.List();
      noticed = !list.ok() || list->size() < backups_min || !repository.Verify(0).ok();
    }
  };
  files.SetHook([&](uint64_t /*mutation*/) {
    if (files.syncs_ignored() == 1) look(2);
  });
  REQUIRE_OK(world.Create().status());
  files.SetHook(nullptr);
  REQUIRE(files.syncs_ignored() == 1);
  look(3);
  return noticed;
}

}  // namespace

TEST_CASE("power loss at any call of Create, Prune and Restore leaves whole backups, and what was done before stays") {
  struct Row {
    const char* what;
    std::function<absl::Status(World*)> call;
    std::vector<uint64_t> always;  // backups that are there whenever the power fails
    std::vector<uint64_t> done;    // and after the call
  };
  const std::vector<Row> rows = {
      {"create", [](World* world) { return world->Create().status(); }, {1, 2}, {1, 2, 3}},
      {"prune", [](World* world) { return world->repository.Prune(1); }, {2}, {2}},
      {"restore to a point", [](World* world) { return world->RestoreBetween(); }, {1, 2}, {1, 2}},
      {"restore",
       [](World* world) { return world->repository.Restore({.number = 1}, "/new/place").status(); },
       {1, 2},
       {1, 2}}};
  for (const Row& row : rows) {
    for (const Damage damage : kAllDamages) {
      World world(31);
      std::vector<std::unique_ptr<CrashFileSystem>> images;
      CrashFileSystem& files = world.env.files();
      // What is lost and what is not is drawn.
      const uint64_t draws = std::string(row.what) == "create" ? 2 : 1;
      files.SetHook([&](uint64_t mutation) {
        for (uint64_t draw = 0; draw < draws; draw++) images.push_back(files.CrashImage(damage, 100 * draw + mutation));
      });
      REQUIRE_OK(row.call(&world));
      files.SetHook(nullptr);
      CHECK(images.size() > (std::string(row.what) == "prune" ? 5 : 15));
      images.push_back(files.CrashImage(damage, 99));
      FoundDisks found = Whole(), sources = Sources(), repositories = Repositories();
      for (size_t i = 0; i < images.size(); i++) {
        const bool is_last = i + 1 == images.size();
        // Between two syncs a disk may well be found as it was before.
        if (!found.Add(images[i].get()) && !is_last) continue;
        const bool goes_on = sources.Add(images[i].get()) || is_last;
        const bool has_new_backups = repositories.Add(images[i].get()) || is_last;
        CAPTURE(row.what, DamageName(damage), i, images.size());
        TestEnv after(4, std::move(images[i]));
        if (has_new_backups) CheckBackups(&after, world, is_last ? row.done : row.always, "/scratch");
        const bool restored = after.files().Exists("/new/place").value();
        const bool to_point = std::string(row.what) == "restore to a point";
        if (is_last) CHECK(restored == std::string(row.what).starts_with("restore"));
        if (restored) {
          CHECK(ContentsOf(OpenAt(&after, "/new/place").get()) == (to_point ? world.between : world.states[0]));
        }
        if (goes_on) CheckGoesOn(&after, world);
      }
    }
  }
}

TEST_CASE("an error or a full disk at any call of Create or Restore harms no backup, and the next attempt succeeds") {
  enum class What : uint8_t { kCreate, kRestore, kRestoreToPoint };
  for (const FaultKind kind : {FaultKind::kIoError, FaultKind::kNoSpace}) {
    for (const What what : {What::kCreate, What::kRestore, What::kRestoreToPoint}) {
      const bool restores = what != What::kCreate;
      auto world = std::make_unique<World>(5);
      uint64_t failed = 0;
      for (uint64_t call = 0;; ++call) {
        CrashFileSystem& files = world->env.files();
        const uint64_t failures = files.failures();
        files.Inject({.kind = kind, .pattern = restores ? "*new*" : "*backups*", .skip = call, .count = 1});
        const absl::Status made = what == What::kCreate ? world->Create().status()
                                  : what == What::kRestoreToPoint
                                      ? world->RestoreBetween()
                                      : world->repository.Restore({.number = 2}, "/new/place").status();
        const bool fired = files.failures() != failures;
        files.ClearFaults();
        CAPTURE(restores, call, made.ToString());
        if (!fired) {
          REQUIRE_OK(made);
          break;
        }
        if (!made.ok()) ++failed;
        // What became durable at last may have come to be all the same.
        if (restores && made.ok()) CHECK(files.Exists("/new/place").value());
        const auto list = world->repository.List();
        REQUIRE_OK(list.status());
        CHECK(list->size() >= 2);
        REQUIRE_OK(world->repository.Verify(0));
        if (list->size() > 2 || files.Exists("/new/place").value()) world = std::make_unique<World>(5);
      }
      CHECK(failed > 15);
      CHECK(RestoredContents(&world->env, &world->repository, 2, "/other/place") == world->states[1]);
    }
  }
}

TEST_CASE("each sync of a backup is needed: without it, power loss leaves a backup that is none, or takes one") {
  World counted(31);
  CrashFileSystem& counting = counted.env.files();
  const size_t before = counting.syncs().size();
  REQUIRE_OK(counted.Create().status());
  const std::vector<FaultPlan::SyncCall> syncs = counting.syncs();
  size_t after_checkpoint = 0, end = 0;
  for (size_t i = before; i < syncs.size(); i++) {
    // The checkpoint is read at once, and not needed once it was; it ends with the folder that it
    // was renamed in. What follows the description's own is done once more when leftovers are
    // removed.
    if (syncs[i].path.find("checkpoint") != std::string::npos) after_checkpoint = i + 2;
    if (syncs[i].path.find("000003.backup") != std::string::npos) end = i + 1;
  }
  size_t tried = 0;
  for (size_t i = before; i < end; i++) {
    const bool stored =
        syncs[i].path.find("/tables/") != std::string::npos ||
        (syncs[i].path.starts_with(kRepositoryDir) && syncs[i].path.find("/logs/") != std::string::npos);
    if (!stored && i < after_checkpoint) continue;
    CAPTURE(syncs[i].number, syncs[i].path);
    ++tried;
    bool noticed = false;
    for (const Damage damage : {Damage::kLost, Damage::kReordered, Damage::kMixed}) {
      if (!noticed) noticed = IsNoticed(damage, syncs[i].number);
    }
    CHECK(noticed);
  }
  CHECK(tried >= 8);
}

TEST_CASE("a prune that was not known to be durable takes nothing that a description still names") {
  for (uint64_t draw = 0; draw < 3; draw++) {
    World world(31);
    CrashFileSystem& files = world.env.files();
    files.Inject({.kind = FaultKind::kIoError, .calls = {FileCall::kSyncDir}, .pattern = "*backups/of/db/backups"});
    CHECK(!world.repository.Prune(1).ok());
    files.ClearFaults();
    std::vector<std::unique_ptr<CrashFileSystem>> images;
    files.SetHook(
        [&](uint64_t mutation) { images.push_back(files.CrashImage(Damage::kReordered, 100 * draw + mutation)); });
    REQUIRE_OK(world.Create().status());
    files.SetHook(nullptr);
    FoundDisks found = Repositories();
    for (std::unique_ptr<CrashFileSystem>& image : images) {
      if (!found.Add(image.get())) continue;
      TestEnv after(4, std::move(image));
      CheckBackups(&after, world, {2}, "/scratch");
    }
  }
}

}  // namespace bandb::test
