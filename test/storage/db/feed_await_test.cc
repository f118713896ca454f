// Readers of the change feed that wait without a thread: which one is told, and when to look again.
#include <memory>
#include <string>

#include "kv/change_feed.h"
#include "storage/db/feed_world.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

class Waiting final : public internal::ChangeListener {
 public:
  explicit Waiting(std::unique_ptr<ChangeReader> reader)
      : owned_(std::move(reader)), reader_(dynamic_cast<internal::AwaitableReader*>(owned_.get())) {
    REQUIRE(reader_ != nullptr);
  }
  void HasNews() override { ++told; }

  // The keys of what there is now; then it waits.
  std::string Take() {
    std::string keys;
    Commit commit;
    do {
      REQUIRE_OK(reader_->Look(&commit));
      for (const Change& change : commit.changes) keys += change.key;
    } while (!commit.empty());
    again_nanos = reader_->Await(this);
    return keys;
  }
  internal::AwaitableReader* operator->() { return reader_; }

  int told = 0;
  int64_t again_nanos = 0;

 private:
  const std::unique_ptr<ChangeReader> owned_;
  internal::AwaitableReader* const reader_;
};

// Until the log is synced for readers, with what else is to be done by then.
constexpr int64_t kSoonNanos = 200'000'000;

}  // namespace

TEST_CASE("a reader at the end is told of the next commit, once, and need not look before") {
  FeedWorld world;
  const bool undurable = GENERATE(false, true);
  Waiting waiting(world.Read(From(ChangesFrom::Now(), undurable)));
  for (int i = 0; i < 3; ++i) {
    CHECK(waiting.Take() == (i == 0 ? "" : "ab"));
    CHECK(waiting.again_nanos == base::kForever);
    world.env().executor().RunFor(3600'000'000'000);
    CHECK(waiting.told == i);
    world.Put("a");
    world.Put("b");
    CHECK(waiting.told == i + 1);
  }
  // It is not told what it does not wait for.
  CHECK(waiting.Take() == "ab");
  waiting->Forget();
  world.Put("c");
  CHECK(waiting.told == 3);
}

TEST_CASE("what came before it waited is told by the wait itself") {
  FeedWorld world;
  Waiting waiting(world.Read(From(ChangesFrom::Now())));
  Commit commit;
  REQUIRE_OK(waiting->Look(&commit));
  CHECK(commit.empty());
  world.Put("a");
  CHECK(waiting->Await(&waiting) == 0);
  world.Put("b");
  CHECK(waiting.told == 0);
  CHECK(waiting.Take() == "ab");
}

TEST_CASE("one that passes over much is not at the end") {
  Options options = KeepingOptions();
  options.changes_keep_bytes = 64 << 20;
  FeedWorld world(options);
  for (int i = 0; i < 20; ++i) REQUIRE_OK(world->Put("a", std::string(1 << 20, 'v')));
  REQUIRE_OK(world->Flush());
  ChangesOptions what = From(ChangesFrom::Oldest());
  what.lower_bound = "m";
  Waiting waiting(world.Read(what));
  CHECK(waiting.Take().empty());
  CHECK(waiting.again_nanos == 0);
  CHECK(waiting.Take().empty());
  CHECK(waiting.again_nanos == base::kForever);
}

TEST_CASE("what nobody syncs is synced for one that waits, after it was left to others for a little while") {
  FeedWorld world;
  Waiting waiting(world.Read(From(ChangesFrom::Now())));
  const auto syncs = [&] { return world->GetStats().log_syncs; };
  CHECK(waiting.Take().empty());
  world.Put("a", false);
  REQUIRE(waiting.told == 1);
  const uint64_t before = syncs();
  CHECK(waiting.Take().empty());
  REQUIRE(waiting.again_nanos > 0);
  REQUIRE(waiting.again_nanos <= 5'000'000);
  world.env().executor().RunReady();
  CHECK(syncs() == before);
  // However often it looks meanwhile.
  world.env().executor().RunFor(waiting.again_nanos / 2);
  CHECK(waiting.Take().empty());
  CHECK(syncs() == before);
  world.env().executor().RunFor(waiting.again_nanos);
  CHECK(waiting.Take().empty());
  world.env().executor().RunReady();
  CHECK(syncs() == before + 1);
  CHECK(waiting.told == 2);
  CHECK(waiting.Take() == "a");
  // The next one has to wait for its turn, and comes even so.
  world.Put("b", false);
  std::string keys;
  const int64_t begin_nanos = world.env().clock().MonotonicNanos();
  while (keys.empty()) {
    keys = waiting.Take();
    if (!keys.empty()) break;
    REQUIRE(waiting.again_nanos > 0);
    REQUIRE(world.env().clock().MonotonicNanos() - begin_nanos < kSoonNanos);
    world.env().executor().RunFor(waiting.again_nanos);
  }
  CHECK(keys == "b");
  // A commit that its writer has synced is told at once, and no sync of a reader's is made.
  CHECK(waiting.Take().empty());
  const uint64_t synced = syncs();
  const int told = waiting.told;
  world.Put("c");
  CHECK(waiting.told == told + 1);
  CHECK(waiting.Take() == "c");
  CHECK(syncs() == synced + 1);
}

TEST_CASE("one that waits for what is durable is not told of every commit that is not yet") {
  FeedWorld world;
  Waiting waiting(world.Read(From(ChangesFrom::Now())));
  CHECK(waiting.Take().empty());
  world.Put("a", false);
  CHECK(waiting.told == 1);
  CHECK(waiting.Take().empty());
  for (int i = 0; i < 100; ++i) world.Put("b", false);
  CHECK(waiting.told == 1);
  world.Put("c");
  CHECK(waiting.told == 2);
}

TEST_CASE("those that wait are told that the database closes, and may end after it") {
  FeedWorld world;
  auto at_rest = std::make_unique<Waiting>(world.Read(From(ChangesFrom::Now())));
  auto pending = std::make_unique<Waiting>(world.Read(From(ChangesFrom::Now())));
  CHECK(at_rest->Take().empty());
  world.Put("a", false);
  CHECK(pending->Take().empty());
  world.Close();
  CHECK(at_rest->told == 1);
  CHECK(pending->told == 1);
  Commit commit;
  CHECK_CODE((*pending)->Look(&commit), kFailedPrecondition);
  // To be found out by looking.
  CHECK((*pending)->Await(pending.get()) == 0);
  world.Destroy();
  CHECK((*at_rest)->Await(at_rest.get()) == 0);
  (*at_rest)->Forget();
  at_rest.reset();
  pending.reset();
}

}  // namespace bandb::test
