// The change feed of a Db, call by call. That it says what the database holds, whatever happens, is
// for the model and the rigs to show.
#include "storage/db_feed.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "changes/change_token.h"
#include "storage/commit/log_set.h"
#include "storage/db/feed_world.h"
#include "storage/file/file_names.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("a reader gets what is committed after it began, and a batch whole") {
  FeedWorld world;
  world.Put("before");
  const auto reader = world.Read(From(ChangesFrom::Now()));
  CHECK(Keys(reader.get()).empty());
  WriteBatch batch;
  batch.Put("a", "1");
  batch.Delete("b");
  batch.DeleteRange("c", "d");
  REQUIRE_OK(world->Write(batch, {.sync = true}));
  Commit commit;
  REQUIRE_OK(reader->Next(&commit, absl::ZeroDuration()));
  CHECK(commit.changes.size() == 3);
  CHECK(commit.last_sequence == commit.first_sequence + 2);
  CHECK(absl::ToUnixMillis(commit.time) == world.env().clock().WallMillis());
}

TEST_CASE("a time to live comes as the time at which it ends") {
  FeedWorld world;
  const auto reader = world.Read(From(ChangesFrom::Now()));
  WriteBatch batch;
  batch.PutWithTtl("a", "1", absl::Seconds(5));
  REQUIRE_OK(world->Write(batch, {.sync = true}));
  Commit commit;
  REQUIRE_OK(reader->Next(&commit, absl::ZeroDuration()));
  REQUIRE(commit.changes.size() == 1);
  CHECK(commit.changes[0].expiry == commit.time + absl::Seconds(5));
}

TEST_CASE("what power loss could take back is given only to those who ask for it") {
  FeedWorld world;
  const auto durable = world.Read(From(ChangesFrom::Now()));
  const auto at_once = world.Read(From(ChangesFrom::Now(), true));
  world.Put("a", false);
  CHECK(Keys(durable.get()).empty());
  CHECK(Keys(at_once.get()) == "a");
  world.Put("b", true);
  CHECK(Keys(durable.get()) == "ab");
  CHECK(Keys(at_once.get()) == "b");
}

TEST_CASE("a commit is given once gets see it, however early it is durable") {
  TestEnv env(1);
  storage::LogSet logs(&env.files(), "/data");
  std::atomic<storage::Sequence> last{4};
  const storage::EngineFeed feed({.files = &env.files(),
                                  .engine_dir = "/data",
                                  .logs = &logs,
                                  .last_sequence = &last,
                                  .now_ms = [] { return uint64_t{1}; },
                                  .flushed = nullptr,
                                  .snapshot_sequence = nullptr},
                                 KeepingOptions());
  logs.NoteAppended(5, true);
  CHECK(feed.Bound(false) == 4);
  last = 5;
  CHECK(feed.Bound(false) == 5);
}

TEST_CASE("a reader that waits is woken by a commit") {
  FeedWorld world;
  const bool undurable = GENERATE(false, true);
  const auto reader = world.Read(From(ChangesFrom::Now(), undurable));
  world.env().executor().PostAfter(1'000'000, [&]() {
    world->WriteAsync(
        [] {
          WriteBatch batch;
          batch.Put("a", "1");
          return batch;
        }(),
        {.sync = true}, [](absl::Status status) { CHECK_OK(status); });
  });
  Commit commit;
  REQUIRE_OK(reader->Next(&commit, absl::InfiniteDuration()));
  REQUIRE(commit.changes.size() == 1);
  CHECK(commit.changes[0].key == "a");
  // Nothing comes: it comes back when the time is up.
  const int64_t before = world.env().clock().MonotonicNanos();
  REQUIRE_OK(reader->Next(&commit, absl::Seconds(3)));
  CHECK(commit.empty());
  CHECK(world.env().clock().MonotonicNanos() - before >= 3'000'000'000);
}

TEST_CASE("where nobody syncs, a reader that waits has it done") {
  FeedWorld world;
  const auto reader = world.Read(From(ChangesFrom::Now()));
  Commit commit;
  for (int i = 0; i < 5; ++i) {
    world.Put("a", false);
    const int64_t before = world.env().clock().MonotonicNanos();
    REQUIRE_OK(reader->Next(&commit, absl::Seconds(100)));
    CHECK(commit.changes.size() == 1);
    CHECK(world.env().clock().MonotonicNanos() - before < 1'000'000'000);
  }
  world.Put("b", false);
  REQUIRE_OK(reader->Next(&commit, absl::Seconds(100)));
  world.PowerLoss();
  CHECK(world->Get("b").ok());
}

TEST_CASE("a reader that only looks in has it done, too") {
  FeedWorld world;
  const auto reader = world.Read(From(ChangesFrom::Now()));
  world.Put("a", false);
  CHECK(Keys(reader.get()).empty());
  world.env().executor().RunReady();
  CHECK(Keys(reader.get()) == "a");
}

TEST_CASE("however often readers look, they have a log synced now and then") {
  FeedWorld world;
  const auto reader = world.Read(From(ChangesFrom::Now()));
  const uint64_t before = world->GetStats().log_syncs;
  std::string keys;
  for (int i = 0; i < 50; ++i) {
    world.Put("a", false);
    keys += Keys(reader.get());
    world.env().executor().RunReady();
  }
  CHECK(world->GetStats().log_syncs - before <= 2);
  world.env().executor().RunFor(1'000'000'000);
  keys += Keys(reader.get());
  world.env().executor().RunReady();
  CHECK((keys + Keys(reader.get())).size() == 50);
  CHECK(world->GetStats().log_syncs - before <= 3);
}

TEST_CASE("a token goes on where it was: in another reader, and after another opening") {
  FeedWorld world;
  auto reader = world.Read(From(ChangesFrom::Oldest()));
  world.Put("a");
  world.Put("b");
  Commit commit;
  REQUIRE_OK(reader->Next(&commit, absl::ZeroDuration()));
  const std::string after_a = reader->token();
  CHECK(Keys(reader.get()) == "b");
  const std::string after_b = reader->token();
  world.Put("c");
  CHECK(Keys(world.Read(From(ChangesFrom::Token(after_a))).get()) == "bc");
  for (int opening = 0; opening < 3; ++opening) {
    world.Open(KeepingOptions());
    if (opening == 1) world.FillLog("");
    CHECK(Keys(world.Read(From(ChangesFrom::Token(after_a))).get()).substr(0, 2) == "bc");
    CHECK(Keys(world.Read(From(ChangesFrom::Token(after_b))).get()).substr(0, 1) == "c");
  }
  CHECK(Keys(world.Read(From(ChangesFrom::Oldest())).get()).substr(0, 3) == "abc");
}

TEST_CASE("a snapshot and the changes from it are everything, and nothing twice") {
  FeedWorld world;
  world.Put("a");
  const Snapshot snapshot = world->GetSnapshot();
  world.Put("b");
  CHECK(Keys(world.Read(From(ChangesFrom::Snapshot(snapshot))).get()) == "b");
  CHECK_CODE(world.ReadStatus(ChangesFrom::Snapshot(Snapshot())), kInvalidArgument);
  FeedWorld other(KeepingOptions(), 2);
  CHECK_CODE(other.ReadStatus(ChangesFrom::Snapshot(snapshot)), kInvalidArgument);
}

TEST_CASE("a time begins with the first commit at or after it") {
  FeedWorld world;
  const absl::Time begin = absl::FromUnixMillis(world.env().clock().WallMillis());
  for (const char* key : {"a", "b", "c"}) {
    world.Put(key);
    if (*key == 'b') world.FillLog("-");
    world.env().executor().RunFor(1'000'000'000);
  }
  CHECK(Keys(world.Read(From(ChangesFrom::Time(absl::InfinitePast()))).get()).substr(0, 2) == "ab");
  CHECK(Keys(world.Read(From(ChangesFrom::Time(begin))).get()).substr(0, 1) == "a");
  CHECK(Keys(world.Read(From(ChangesFrom::Time(begin + absl::Milliseconds(500)))).get()).substr(0, 2) == "b-");
  CHECK(Keys(world.Read(From(ChangesFrom::Time(begin + absl::Milliseconds(1500)))).get()) == "c");
  const auto later = world.Read(From(ChangesFrom::Time(begin + absl::Hours(1))));
  world.Put("d");
  CHECK(Keys(later.get()).empty());
  world.env().executor().RunFor(3600'000'000'000);
  world.Put("e");
  CHECK(Keys(later.get()) == "e");
}

TEST_CASE("a time of which something may be gone is told") {
  FeedWorld world(SmallOptions());
  const absl::Time begin = absl::FromUnixMillis(world.env().clock().WallMillis());
  world.FillLog("a");
  world.env().executor().RunFor(1'000'000'000);
  world.Put("b");
  CHECK_CODE(world.ReadStatus(ChangesFrom::Time(begin)), kOutOfRange);
  CHECK(Keys(world.Read(From(ChangesFrom::Time(begin + absl::Milliseconds(900)))).get()) == "b");
}

TEST_CASE("without room for logs the feed ends where they are flushed, and says so") {
  FeedWorld world(SmallOptions());
  auto reader = world.Read(From(ChangesFrom::Now()));
  world.FillLog("a");
  Commit commit;
  const absl::Status gone = reader->Next(&commit, absl::ZeroDuration());
  REQUIRE_CODE(gone, kOutOfRange);
  // The message has the token to go on from.
  world.Put("b");
  const std::string message(gone.message().data(), gone.message().size());
  std::string token;
  for (size_t at = message.rfind(' ') + 1; at + 1 < message.size(); at += 2) {
    token.push_back(static_cast<char>(std::stoi(message.substr(at, 2), nullptr, 16)));
  }
  CHECK(Keys(world.Read(From(ChangesFrom::Token(token))).get()) == "b");
  CHECK(LogFiles(&world.env()) == 1);
}

TEST_CASE("logs are kept within their room, through openings, and let go with the option") {
  Options options = KeepingOptions();
  options.changes_keep_bytes = 100'000;
  FeedWorld world(options);
  for (int i = 0; i < 3; ++i) world.FillLog(fmt::format("{}-", i));
  CHECK(world->GetStats().changes_kept_logs == 3);
  CHECK(LogFiles(&world.env()) == 4);
  for (int i = 3; i < 8; ++i) {
    if (i == 5) world.Open(options);
    world.FillLog(fmt::format("{}-", i));
  }
  Stats stats = world->GetStats();
  CHECK(stats.changes_kept_logs == 4);
  CHECK(stats.changes_kept_bytes <= 100'000);
  CHECK(stats.changes_logs_let_go > 0);
  CHECK(Keys(world.Read(From(ChangesFrom::Oldest())).get()).substr(0, 4) == "4-00");
  REQUIRE_OK(world->VerifyChecksums());
  options.changes_keep_bytes = 50'000;
  world.Open(options);
  CHECK(world->GetStats().changes_kept_logs == 2);
  options.changes_keep_bytes = 0;
  world.Open(options);
  CHECK(world->GetStats().changes_kept_logs == 0);
  CHECK(LogFiles(&world.env()) == 1);
}

TEST_CASE("logs are kept for a time, and for longer where a cursor needs them") {
  Options options = KeepingOptions();
  options.changes_keep_for = absl::Seconds(10);
  FeedWorld world(options);
  world.FillLog("a");
  world.env().executor().RunFor(9'000'000'000);
  world.FillLog("b");
  CHECK(world->GetStats().changes_kept_logs == 2);
  REQUIRE_OK(world->CreateCursor("slow", ChangesFrom::Now()));
  world.env().executor().RunFor(5'000'000'000);
  world.FillLog("c");
  CHECK(world->GetStats().changes_kept_logs == 2);
  world.env().executor().RunFor(60'000'000'000);
  world.FillLog("d");
  CHECK(Keys(world.Read(From(ChangesFrom::Oldest())).get()).substr(0, 3) == "c00");
  REQUIRE_OK(world->DropCursor("slow"));
  CHECK(world->GetStats().changes_kept_logs == 1);
}

TEST_CASE("tokens of other databases, of lost writes and of other copies are refused") {
  FeedWorld world;
  FeedWorld other(KeepingOptions(), 2);
  for (FeedWorld* one : {&world, &other}) one->Put("a");
  const auto reader = world.Read(From(ChangesFrom::Oldest(), true));
  CHECK(Keys(reader.get()) == "a");
  const std::string after_a = reader->token();
  CHECK_CODE(other.ReadStatus(ChangesFrom::Token(after_a)), kInvalidArgument);
  CHECK_CODE(world.ReadStatus(ChangesFrom::Token("nonsense")), kInvalidArgument);
  REQUIRE_OK(world->CreateCheckpoint("/copy"));
  world.Put("b", false);
  CHECK(Keys(reader.get()) == "b");
  const std::string after_b = reader->token();
  // The copy has not got it, and what it writes itself is something else.
  TestEnv copy_env(3, world.env().files().CrashImage(Damage::kLost, 4));
  const std::unique_ptr<Db> copy = MustOpen(copy_env.env(), "/copy", KeepingOptions());
  CHECK_CODE(copy->ReadChanges(From(ChangesFrom::Token(after_b))).status(), kFailedPrecondition);
  REQUIRE_OK(copy->Put("x", "1", {.sync = true}));
  CHECK_CODE(copy->ReadChanges(From(ChangesFrom::Token(after_b))).status(), kFailedPrecondition);
  CHECK(Keys(copy->ReadChanges(From(ChangesFrom::Token(after_a)))->get()) == "x");
  // Its own next epoch has the number that the copy's has, and is another one.
  const auto copied = copy->ReadChanges(From(ChangesFrom::Now()));
  world.PowerLoss();
  CHECK_CODE(world.ReadStatus(ChangesFrom::Token(after_b)), kFailedPrecondition);
  CHECK(Keys(world.Read(From(ChangesFrom::Token(after_a))).get()).empty());
  world.Put("c");
  world.Put("d");
  CHECK_CODE(world.ReadStatus(ChangesFrom::Token(after_b)), kFailedPrecondition);
  CHECK_CODE(world.ReadStatus(ChangesFrom::Token((*copied)->token())), kFailedPrecondition);
  CHECK(Keys(world.Read(From(ChangesFrom::Token(after_a))).get()) == "cd");
}

TEST_CASE("openings that write nothing leave nothing behind, and tokens go on over them") {
  FeedWorld world;
  const auto manifest_bytes = [&world] {
    size_t bytes = 0;
    for (const auto& [path, size] : world.env().files().Files()) {
      if (path.find("MANIFEST") != std::string::npos) bytes = std::max<size_t>(bytes, size);
    }
    return bytes;
  };
  const std::string of_nothing = world.Read(From(ChangesFrom::Now()))->token();
  world.Put("a");
  const std::string after_a = world.Read(From(ChangesFrom::Now()))->token();
  // Else every opening begins one more log.
  REQUIRE_OK(world->Flush());
  for (int i = 0; i < 3; ++i) world.Open(KeepingOptions());
  const std::string idle = world.Read(From(ChangesFrom::Now()))->token();
  const size_t before = manifest_bytes();
  REQUIRE(before > 0);
  for (int i = 0; i < 50; ++i) world.Open(KeepingOptions());
  CHECK(manifest_bytes() <= before + 50);
  world.Put("b");
  for (const std::string& token : {after_a, idle}) {
    CHECK(Keys(world.Read(From(ChangesFrom::Token(token))).get()) == "b");
  }
  CHECK(Keys(world.Read(From(ChangesFrom::Token(of_nothing))).get()) == "ab");
}

TEST_CASE("one that goes on where another has been does not read the log from its beginning") {
  FeedWorld world;
  for (int i = 0; i < 40; ++i) REQUIRE_OK(world->Put(fmt::format("{:02}", i), std::string(300, 'v'), {.sync = true}));
  // Each is a reader of its own, which looks from the token of the last one.
  std::string token = world.Read(From(ChangesFrom::Oldest()))->token();
  for (int i = 0; i < 40; ++i) {
    const auto reader = world.Read(From(ChangesFrom::Token(token)));
    Commit commit;
    REQUIRE_OK(reader->Next(&commit, absl::ZeroDuration()));
    REQUIRE(commit.changes.size() == 1);
    CHECK(commit.changes[0].key == fmt::format("{:02}", i));
    token = reader->token();
  }
  // What is before it may be damaged: it is not looked at.
  const std::string log = base::JoinPath(storage::EngineDir(kFeedDir), storage::LogName(1));
  REQUIRE(*world.env().files().Exists(log));
  world.env().files().FlipByte(log, 2000, 0x10);
  world.Put("next");
  CHECK(Keys(world.Read(From(ChangesFrom::Token(token))).get()) == "next");
  const auto from_begin = world.Read(From(ChangesFrom::Oldest()));
  Commit commit;
  absl::Status status;
  for (int i = 0; i < 40 && status.ok(); ++i) status = from_begin->Next(&commit, absl::ZeroDuration());
  CHECK_CODE(status, kDataLoss);
}

TEST_CASE("forged places are answered, never believed") {
  FeedWorld world;
  world.FillLog("a");
  WriteBatch batch;
  batch.Put("b", "");
  batch.Put("c", "");
  REQUIRE_OK(world->Write(batch, {.sync = true}));
  const auto reader = world.Read(From(ChangesFrom::Now()));
  changes::ChangePlace place = *changes::DecodeToken(reader->token());
  const auto status_of = [&](const changes::ChangePlace& forged) {
    auto forged_reader = world->ReadChanges(From(ChangesFrom::Token(changes::EncodeToken(forged))));
    Commit commit;
    return forged_reader.ok() ? (*forged_reader)->Next(&commit, absl::ZeroDuration()) : forged_reader.status();
  };
  REQUIRE_OK(status_of(place));
  changes::ChangePlace forged = place;
  forged.sequence -= 1;
  CHECK_CODE(status_of(forged), kInvalidArgument);
  for (const uint64_t sequence : {place.sequence + 1, uint64_t{1} << 56, UINT64_MAX}) {
    forged.sequence = sequence;
    CHECK_CODE(status_of(forged), kFailedPrecondition);
  }
  forged = place;
  forged.branch ^= 1;
  CHECK_CODE(status_of(forged), kFailedPrecondition);
  for (const uint64_t epoch : {uint64_t{0}, place.epoch + 1, UINT64_MAX}) {
    forged = place;
    forged.epoch = epoch;
    CHECK_CODE(status_of(forged), kFailedPrecondition);
  }
  forged = place;
  forged.group = 1;
  CHECK_CODE(status_of(forged), kInvalidArgument);
}

}  // namespace bandb::test
