// The same work with other options: whatever is set, every answer is the same.
//
// Nothing here knows what is right, which the model beside it does (db_model.h): a seed draws a
// script, and databases that are opened as they are by default, and in ways that are drawn for each
// of them, play it. One of them has a disk each call of which may take up to a minute. What each of
// them answers must be the same text, versions and codes included. Options change at each opening.
#include <fmt/format.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bandb/compaction_filter.h"
#include "base/checksum.h"
#include "storage/db/open_db.h"
#include "storage/model/db_model.h"
#include "storage/model/model_ingest.h"
#include "storage/model/model_input.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kPlayedDir[] = "/db";
constexpr int kScriptSteps = 500;
// What a database waits for takes it far less than half a day, so that what expires at noon is
// there all morning and gone the next day for all of them.
constexpr int64_t kDayMillis = 86'400'000;

// A piece of work, with all that is to be drawn for it.
struct Work {
  enum class Kind {
    kWrite,
    kIngest,
    kGets,
    kScan,
    kTakeSnapshot,
    kDropSnapshot,
    kScanSnapshot,
    kOpenIterator,
    kWalkIterator,
    kFlush,
    kCompact,
    kCheckpoint,
    kRest,
    kNextDay,
    kReopen,
    kDie,
    kLosePower,
  };
  Kind kind = Kind::kRest;
  ModelWrite write{};
  std::vector<std::string> keys{};
  uint64_t number = 0;
};

Work::Kind DrawKind(base::Random* random) {
  using enum Work::Kind;
  const uint64_t what = random->Uniform(1000);
  if (what < 600) return kWrite;
  if (what < 720) return kGets;
  struct Share {
    uint64_t limit;
    Work::Kind kind;
  };
  static constexpr Share kShares[] = {
      {760, kScan},         {790, kTakeSnapshot}, {805, kDropSnapshot}, {830, kScanSnapshot}, {850, kOpenIterator},
      {900, kWalkIterator}, {920, kFlush},        {930, kCompact},      {936, kCheckpoint},   {956, kRest},
      {966, kNextDay},      {976, kReopen},       {984, kDie},          {988, kLosePower},    {1000, kIngest},
  };
  for (const Share& share : kShares) {
    if (what < share.limit) return share.kind;
  }
  return kRest;
}

std::vector<Work> DrawScript(uint64_t seed) {
  base::Random random(seed);
  ModelInput input(&random);
  std::vector<Work> script;
  for (int step = 0; step < kScriptSteps; ++step) {
    Work work{.kind = DrawKind(&random), .number = random.Next()};
    for (int i = 0; i < 4; ++i) work.keys.push_back(input.Key());
    do {
      for (ModelChange& change : input.Changes()) {
        if (change.kind == ModelChange::Kind::kPutWithTtl) {
          change.ttl_ms = random.Uniform(4) * kDayMillis + kDayMillis / 2 + random.Uniform(2);
        }
        work.write.changes.push_back(std::move(change));
      }
    } while (work.kind == Work::Kind::kIngest && random.OneIn(2));
    work.write.sync = random.OneIn(8);
    if (random.OneIn(6)) {
      using Kind = ModelCondition::Kind;
      static constexpr Kind kKinds[] = {Kind::kPresent, Kind::kAbsent, Kind::kEmptyRange};
      work.write.conditions.push_back({kKinds[random.Uniform(3)], input.Key(), input.Key()});
    }
    // No batch may have more than a quarter of the smallest memory budget there is.
    if (work.write.ToBatch().ByteSize() > 8 << 20) work.write.changes.clear();
    if (work.kind == Work::Kind::kIngest) {
      work.write.changes.push_back({ModelChange::Kind::kPut, input.Key(), input.Value()});
      MakeIngestible(&work.write);
    }
    script.push_back(std::move(work));
  }
  return script;
}

// Rewrites values as they are.
class SameAgain final : public CompactionFilter {
 public:
  Decision Filter(int /*level*/, std::string_view /*key*/, std::string_view value, std::string* changed) override {
    changed->assign(value);
    return Decision::kChange;
  }
};

// How a database is opened, and what its disk is like.
enum class Ways { kDefault, kDrawn, kDrawnAndSlow };

class Player {
 public:
  Player(uint64_t seed, Ways ways)
      : ways_(ways), random_(seed), input_(&random_), env_(std::make_unique<TestEnv>(random_.Next())) {
    Open();
  }
  ~Player() {
    DropAll();
    CHECK_OK(db_->Close());
  }

  std::string Do(const Work& work);
  uint64_t background_work() const { return background_work_ + BackgroundWork(); }

 private:
  void Open();
  void DropAll() {
    iterators_.clear();
    snapshots_.clear();
  }
  // In the place of the present disk.
  void GoOnWith(std::unique_ptr<CrashFileSystem> image);
  void SetWallMillis(int64_t millis) { env_->clock().JumpWallMillis(millis - env_->clock().WallMillis()); }
  uint64_t BackgroundWork() const {
    const Stats stats = db_->GetStats();
    return stats.flushes + stats.compactions;
  }
  std::string Write(const Work& work);
  std::string Gets(const Work& work);
  std::string Scan(Db* db, const Work& work, const Snapshot* snapshot);
  std::string Walk(const Work& work);
  std::string CheckCopy(const Work& work);

  const Ways ways_;
  base::Random random_;
  ModelInput input_;
  SameAgain same_again_;
  std::unique_ptr<TestEnv> env_;
  Options options_;
  std::unique_ptr<Db> db_;
  int64_t day_ = 0;
  uint64_t copies_ = 0;
  uint64_t background_work_ = 0;
  std::vector<Snapshot> snapshots_;
  std::vector<std::unique_ptr<Iterator>> iterators_;
};

std::string CodeOf(const absl::Status& status) { return absl::StatusCodeToString(status.code()); }

std::string Shown(std::string_view key, std::string_view value, uint64_t version) {
  return fmt::format("{}={:x}@{} ", Readable(std::string(key)), base::Hash64(value), version);
}

std::string Standing(const Iterator& at) {
  return at.Valid() ? Shown(at.key(), at.value(), at.version()) : fmt::format("nowhere {} ", CodeOf(at.status()));
}

void Player::Open() {
  if (ways_ != Ways::kDefault) {
    options_ = input_.DrawOptions();
    if (random_.OneIn(2)) options_.compaction_filter = &same_again_;
  }
  if (ways_ == Ways::kDrawnAndSlow) {
    env_->files().SetHook([this](uint64_t) {
      if (random_.OneIn(30)) env_->clock().Advance(static_cast<int64_t>(1 + random_.Uniform(60)) * 1'000'000'000);
    });
  }
  db_ = MustOpen(env_->env(), kPlayedDir, options_);
}

void Player::GoOnWith(std::unique_ptr<CrashFileSystem> image) {
  background_work_ += BackgroundWork();
  const int64_t wall_millis = env_->clock().WallMillis();
  env_->files().SetHook(nullptr);
  env_->files().Stop();
  DropAll();
  db_.reset();
  env_ = std::make_unique<TestEnv>(random_.Next(), std::move(image));
  SetWallMillis(wall_millis);
  Open();
}

std::string Player::Write(const Work& work) {
  ModelWrite write = work.write;
  write.now_ms = static_cast<uint64_t>(env_->clock().WallMillis());
  if (work.kind != Work::Kind::kIngest) return CodeOf(db_->Write(write.ToBatch(), {.sync = write.sync}));
  const absl::StatusOr<uint64_t> version = Ingest(db_.get(), write, {.allow_gap_in_changes = true});
  return fmt::format("{} {}", CodeOf(version.status()), version.value_or(0));
}

std::string Player::Gets(const Work& work) {
  std::string answers;
  for (const std::string& key : work.keys) {
    const absl::StatusOr<Entry> entry = db_->GetEntry(key);
    answers += entry.ok() ? Shown(key, entry->value, entry->version) : CodeOf(entry.status()) + " ";
  }
  const std::vector<std::string_view> keys(work.keys.begin(), work.keys.end());
  for (const absl::StatusOr<std::string>& value : db_->MultiGet(keys)) {
    answers += value.ok() ? Shown("", *value, 0) : CodeOf(value.status()) + " ";
  }
  return answers;
}

std::string Player::Scan(Db* db, const Work& work, const Snapshot* snapshot) {
  ReadOptions options;
  options.snapshot = snapshot;
  if (work.number % 3 == 0) options.lower_bound = work.keys[0];
  if (work.number % 5 == 0) options.upper_bound = work.keys[1];
  const bool forward = work.number % 2 == 0;
  const std::unique_ptr<Iterator> walk = db->NewIterator(options);
  std::string answers;
  for (forward ? walk->SeekToFirst() : walk->SeekToLast(); walk->Valid(); forward ? walk->Next() : walk->Prev()) {
    answers += Standing(*walk);
  }
  return answers + CodeOf(walk->status());
}

std::string Player::Walk(const Work& work) {
  if (iterators_.empty()) return "none";
  Iterator& at = *iterators_[work.number % iterators_.size()];
  base::Random turns(work.number);
  std::string answers;
  for (int i = 0; i < 20; ++i) {
    const std::string& key = work.keys[turns.Uniform(work.keys.size())];
    switch (turns.Uniform(8)) {
      case 0:
        at.SeekToFirst();
        break;
      case 1:
        at.SeekToLast();
        break;
      case 2:
        at.Seek(key);
        break;
      case 3:
        at.SeekForPrev(key);
        break;
      case 4:
      case 5:
        at.Prev();
        break;
      default:
        at.Next();
    }
    answers += Standing(at);
  }
  return answers;
}

std::string Player::CheckCopy(const Work& work) {
  const std::string dir = fmt::format("/copy{}", ++copies_);
  if (absl::Status made = db_->CreateCheckpoint(dir); !made.ok()) return CodeOf(made);
  const std::unique_ptr<Db> copy = MustOpen(env_->env(), dir, input_.DrawOptions());
  return Scan(copy.get(), work, nullptr) + CodeOf(copy->VerifyChecksums()) + CodeOf(copy->Close());
}

std::string Player::Do(const Work& work) {
  switch (work.kind) {
    case Work::Kind::kWrite:
    case Work::Kind::kIngest:
      return Write(work);
    case Work::Kind::kGets:
      return Gets(work);
    case Work::Kind::kScan:
      return Scan(db_.get(), work, nullptr);
    case Work::Kind::kTakeSnapshot:
      snapshots_.push_back(db_->GetSnapshot());
      return "taken";
    case Work::Kind::kDropSnapshot:
      if (snapshots_.empty()) return "none";
      snapshots_.erase(snapshots_.begin() + static_cast<std::ptrdiff_t>(work.number % snapshots_.size()));
      return "dropped";
    case Work::Kind::kScanSnapshot:
      if (snapshots_.empty()) return "none";
      return Scan(db_.get(), work, &snapshots_[work.number % snapshots_.size()]);
    case Work::Kind::kOpenIterator:
      if (iterators_.size() == 4) iterators_.erase(iterators_.begin());
      iterators_.push_back(db_->NewIterator());
      return CodeOf(iterators_.back()->status());
    case Work::Kind::kWalkIterator:
      return Walk(work);
    case Work::Kind::kFlush:
      return CodeOf(db_->Flush());
    case Work::Kind::kCompact:
      return CodeOf(db_->CompactRange(work.keys[0], work.number % 2 == 0 ? "" : work.keys[1]));
    case Work::Kind::kCheckpoint:
      return CheckCopy(work);
    case Work::Kind::kRest:
      env_->executor().RunReady();
      return CodeOf(storage::CheckInvariants(db_.get()));
    case Work::Kind::kNextDay:
      SetWallMillis(ManualClock::kFirstWallMillis + ++day_ * kDayMillis);
      return "a new day";
    case Work::Kind::kReopen: {
      background_work_ += BackgroundWork();
      DropAll();
      const std::string closed = CodeOf(db_->Close());
      db_.reset();
      Open();
      return closed;
    }
    case Work::Kind::kDie:
      GoOnWith(env_->files().ProcessDeathImage(random_.Next()));
      return "died";
    case Work::Kind::kLosePower: {
      // After that all is durable.
      const std::string flushed = CodeOf(db_->Flush());
      GoOnWith(env_->files().CrashImage(kAllDamages[random_.Uniform(std::size(kAllDamages))], random_.Next()));
      return flushed;
    }
  }
  return "unknown";
}

}  // namespace

TEST_CASE("a database answers the same whatever its options are, and however slow its disk is") {
  DbModel::Seeds seeds = DbModel::SeedsToRun();
  if (!seeds.named) seeds.last = 8;
  uint64_t by_default = 0, as_drawn = 0;
  for (uint64_t seed = seeds.first; seed <= seeds.last; ++seed) {
    const std::vector<Work> script = DrawScript(seed);
    std::vector<std::unique_ptr<Player>> players;
    players.push_back(std::make_unique<Player>(seed, Ways::kDefault));
    for (uint64_t i = 1; i <= 3; ++i) players.push_back(std::make_unique<Player>(seed * 1000 + i, Ways::kDrawn));
    players.push_back(std::make_unique<Player>(seed * 1000, Ways::kDrawnAndSlow));
    for (size_t step = 0; step < script.size(); ++step) {
      const std::string answer = players[0]->Do(script[step]);
      for (size_t i = 1; i < players.size(); ++i) {
        CAPTURE(seed, step, static_cast<int>(script[step].kind), i);
        REQUIRE(players[i]->Do(script[step]) == answer);
      }
    }
    by_default += players[0]->background_work();
    for (size_t i = 1; i < players.size(); ++i) as_drawn += players[i]->background_work();
  }
  // They came to their answers in other ways: each of the four does more in the background.
  CHECK(as_drawn > 4 * by_default);
}

}  // namespace bandb::test
