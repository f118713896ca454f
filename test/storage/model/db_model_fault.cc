// What goes wrong in DbModel: the death of the process, power loss, a full disk; and checkpoints,
// which must survive it.
#include <string>
#include <utility>

#include "storage/db/open_db.h"
#include "storage/model/db_model.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

// Sets the wall clock.
void SetWallMs(TestEnv* env, int64_t wall_ms) { env->clock().JumpWallMillis(wall_ms - env->clock().WallMillis()); }

}  // namespace

void DbModel::Crash(bool power_lost) {
  ++(power_lost ? counts_->power_losses : counts_->deaths);
  const Damage damage = kAllDamages[random_.Uniform(std::size(kAllDamages))];
  // The best moment to have seen what will be lost.
  if (subject_.has_feed && power_lost && random_.OneIn(2)) {
    undurable_feed_.Follow(db_.get(), history_.state(), NowMs(), true);
  }
  INFO((power_lost ? "power lost: " : "process died, not ") << DamageName(damage));
  std::unique_ptr<CrashFileSystem> image =
      power_lost ? env_->files().CrashImage(damage, random_.Next()) : env_->files().ProcessDeathImage(random_.Next());
  const int64_t wall_ms = env_->clock().WallMillis();
  // What is left of the old process touches nothing any more, in whichever order it goes.
  env_->files().Stop();
  durable_feed_.Interrupted(power_lost);
  undurable_feed_.Interrupted(power_lost);
  if (random_.OneIn(2)) db_.reset();
  DropHandles();
  db_.reset();
  env_ = std::make_unique<TestEnv>(random_.Next(), std::move(image));
  SetWallMs(env_.get(), wall_ms + 1);
  if (random_.OneIn(2)) options_ = input_.DrawOptions();
  const ModelEntries seen = ReadOnlyEntries();
  Open();
  ModelEntries found;
  const std::unique_ptr<Iterator> iterator = db_->NewIterator();
  for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
    found.emplace_back(iterator->key(), iterator->value());
  }
  REQUIRE_OK(iterator->status());
  if (subject_.open_read_only != nullptr && seen != found) {
    FAIL("read only it was another: " << Difference(seen, found));
  }
  const uint64_t now_ms = NowMs();
  const size_t losable = history_.losable();
  if (!history_.Recover(found, now_ms, power_lost)) {
    FAIL("no prefix of the writes without at most " << (power_lost ? losable : 0) << " makes what was found; of all: "
                                                    << Difference(found, Visible(history_.state(), now_ms)));
  }
  FlushAll();
  CheckReadOnly(Visible(history_.state(), NowMs()));
}

ModelEntries DbModel::ReadOnlyEntries() {
  ModelEntries found;
  if (subject_.open_read_only == nullptr) return found;
  const uint64_t mutations = env_->files().mutations();
  const auto opened = subject_.open_read_only(env_->env(), "/data/db", options_);
  REQUIRE_OK(opened.status());
  Db& db = **opened;
  REQUIRE(db.GetStats().as_of_last_flush == (db_ != nullptr));
  const std::unique_ptr<Iterator> iterator = db.NewIterator();
  for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
    found.emplace_back(iterator->key(), iterator->value());
  }
  REQUIRE_OK(iterator->status());
  for (const auto& [key, value] : found) REQUIRE(db.Get(key).value() == value);
  REQUIRE_OK(db.VerifyChecksums());
  REQUIRE_CODE(db.Put("a", "b"), kFailedPrecondition);
  REQUIRE_OK(subject_.check_invariants(&db));
  // Closing waits, and others may go on then.
  REQUIRE(env_->files().mutations() == mutations);
  return found;
}

void DbModel::CheckReadOnly(const ModelEntries& expected) {
  if (subject_.open_read_only == nullptr) return;
  const ModelEntries found = ReadOnlyEntries();
  if (found != expected) FAIL("read only it is another: " << Difference(found, expected));
}

// Some calls find no space, then again there is some; or the machine goes down before anybody made
// any.
void DbModel::FillDisk() {
  ++counts_->full_disks;
  static constexpr FileCall kCalls[] = {FileCall::kReserve, FileCall::kCreate, FileCall::kAppend};
  const FileCall call = kCalls[random_.Uniform(std::size(kCalls))];
  static constexpr const char* kFiles[] = {"*.tbl*", "*.tbl", "*MANIFEST*", "*.log"};
  const char* const pattern = call == FileCall::kAppend ? "*.tbl" : kFiles[random_.Uniform(std::size(kFiles))];
  INFO("no space: " << FileCallName(call) << " of " << pattern);
  env_->files().Inject({.kind = FaultKind::kNoSpace,
                        .calls = {call},
                        .pattern = pattern,
                        .skip = random_.Uniform(6),
                        .count = 1 + random_.Uniform(5)});
  UseFullDisk();
  if (random_.OneIn(4)) {
    Crash(random_.OneIn(2));
    return;
  }
  env_->files().ClearFaults();
  REQUIRE_OK(db_->Resume());
  FlushAll();
}

void DbModel::UseFullDisk() {
  for (int i = 0; i < 40; ++i) {
    ModelWrite write{.changes = {{ModelChange::Kind::kPut, input_.Key(), input_.Value()}}, .number = ++writes_drawn_};
    const bool sync = random_.OneIn(16);
    const absl::Status status = db_->Put(write.changes[0].key, write.changes[0].value, {.sync = sync});
    if (!absl::IsResourceExhausted(status)) {
      REQUIRE_OK(status);
      history_.Acknowledged(std::move(write), sync);
    } else {
      ++counts_->refused;
    }
    if (random_.OneIn(10)) {
      const absl::Status flushed = db_->Flush();
      if (!absl::IsResourceExhausted(flushed)) {
        REQUIRE_OK(flushed);
        history_.AllDurable();
      }
    }
    if (subject_.ingests && random_.OneIn(12)) {
      const absl::Status ingested = IngestOnce({.allow_gap_in_changes = true});
      if (!absl::IsResourceExhausted(ingested)) REQUIRE_OK(ingested);
    }
    if (random_.OneIn(12)) {
      const absl::Status compacted = db_->CompactRange("", "");
      if (!absl::IsResourceExhausted(compacted)) REQUIRE_OK(compacted);
    }
    CheckGets(history_.state(), NowMs(), nullptr);
    if (random_.OneIn(8)) REQUIRE_OK(db_->Resume());
  }
}

void DbModel::TakeCheckpoint() {
  if (!subject_.makes_checkpoints) return;
  const std::string dir = "/checkpoint" + std::to_string(++checkpoints_);
  REQUIRE_OK(db_->CreateCheckpoint(dir));
  ++counts_->checkpoints;
  auto image = env_->files().CrashImage(Damage::kLost, random_.Next());
  TestEnv after(random_.Next(), std::move(image));
  SetWallMs(&after, env_->clock().WallMillis());
  Options options = options_;
  options.create_if_missing = false;
  const std::unique_ptr<Db> copy = MustOpen(after.env(), dir, options);
  REQUIRE_OK(copy->VerifyChecksums());
  CheckScan(copy.get(), history_.state(), NowMs(), nullptr);
}

}  // namespace bandb::test
