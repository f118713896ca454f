#include "storage/model/db_model.h"

#include <cstdlib>
#include <utility>

#include "storage/db.h"
#include "support/catch.h"

namespace bandb::test {

DbModel::Subject DbModel::PlainDb() {
  return {
      .open = storage::OpenDb, .check_invariants = storage::CheckInvariants, .open_read_only = storage::OpenDbReadOnly};
}

DbModel::Seeds DbModel::SeedsToRun() {
  Seeds seeds;
  const char* text = std::getenv("BANDB_MODEL_SEEDS");
  if (text == nullptr) return seeds;
  seeds.named = true;
  char* end = nullptr;
  seeds.first = std::strtoull(text, &end, 10);
  seeds.last = *end == '-' ? std::strtoull(end + 1, nullptr, 10) : seeds.first;
  return seeds;
}

DbModel::DbModel(uint64_t seed, Counts* counts, Subject subject)
    : counts_(counts),
      subject_(std::move(subject)),
      random_(seed),
      input_(&random_),
      env_(std::make_unique<TestEnv>(random_.Next())),
      options_(input_.DrawOptions()),
      durable_feed_(false, "consumer", &random_, &counts->feed),
      undurable_feed_(true, "", &random_, &counts->feed) {
  Open();
}

DbModel::~DbModel() {
  DropHandles();
  if (db_ != nullptr) CHECK_OK(db_->Close());
}

void DbModel::Run(int steps) {
  for (int step = 1; step <= steps; ++step) {
    INFO("step " << step);
    Step();
    if (db_ != nullptr) REQUIRE_OK(subject_.check_invariants(db_.get()));
  }
  CheckScan(db_.get(), history_.state(), NowMs(), nullptr);
  for (const auto& held : snapshots_) CheckSnapshot(*held);
  CheckPinned();
  REQUIRE_OK(db_->VerifyChecksums());
}

void DbModel::Step() {
  const uint64_t what = random_.Uniform(1000);
  if (what < 760) {
    Write();
  } else if (what < 800) {
    TakeOrDropSnapshot();
  } else if (what < 804) {
    Reopen();
  } else if (what < 808) {
    FlushAll();
  } else if (what < 811) {
    const std::string begin = input_.Key();
    REQUIRE_OK(db_->CompactRange(begin, random_.OneIn(2) ? std::string() : input_.Key()));
  } else if (what < 820) {
    env_->executor().RunFor(static_cast<int64_t>(random_.Uniform(400)) * 1'000'000);
  } else if (what < 870) {
    CheckPresent();
  } else if (what < 890) {
    if (!snapshots_.empty()) CheckSnapshot(*snapshots_[random_.Uniform(snapshots_.size())]);
  } else if (what < 900) {
    NewIterator();
  } else if (what < 980) {
    WalkIterator();
  } else if (what < 984) {
    Crash(what < 982);
  } else if (what < 986) {
    FillDisk();
  } else if (what < 987) {
    TakeCheckpoint();
  } else if (what < 989) {
    CheckRefusedRange();
  } else if (what < 992) {
    FollowFeeds(false);
  } else if (what < 994) {
    Ingest();
  } else {
    env_->executor().RunOne();
  }
}

void DbModel::Open() {
  auto opened = subject_.open(env_->env(), "/data/db", options_);
  REQUIRE_OK(opened.status());
  db_ = *std::move(opened);
}

uint64_t DbModel::NowMs() {
  if (subject_.time_ms != nullptr && db_ != nullptr) return subject_.time_ms(db_.get());
  return static_cast<uint64_t>(env_->clock().WallMillis());
}

void DbModel::Reopen() {
  if (random_.OneIn(2)) DropHandles();
  REQUIRE_OK(db_->Close());
  durable_feed_.Interrupted(false);
  undurable_feed_.Interrupted(false);
  REQUIRE_CODE(db_->Put("a", "b"), kFailedPrecondition);
  REQUIRE_CODE(db_->Get("a").status(), kFailedPrecondition);
  for (ModelIterator& iterator : iterators_) iterator.CheckClosed();
  iterators_.clear();
  snapshots_.clear();
  db_.reset();
  CheckPinned();
  history_.AllDurable();
  if (random_.OneIn(2)) options_ = input_.DrawOptions();
  CheckReadOnly(Visible(history_.state(), NowMs()));
  Open();
}

void DbModel::FollowFeeds(bool all_durable) {
  if (!subject_.has_feed) return;
  durable_feed_.Follow(db_.get(), history_.state(), NowMs(), all_durable);
  undurable_feed_.Follow(db_.get(), history_.state(), NowMs(), true);
}

void DbModel::DropHandles() {
  iterators_.clear();
  snapshots_.clear();
  pinned_.clear();
}

}  // namespace bandb::test
