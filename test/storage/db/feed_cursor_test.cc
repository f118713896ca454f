// Cursors of the change feed, and what becomes of logs and readers when things go wrong.
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "changes/change_token.h"
#include "storage/db/feed_world.h"
#include "storage/file/file_names.h"
#include "support/catch.h"

namespace bandb::test {

TEST_CASE("a cursor remembers what was acknowledged, through openings and power loss") {
  FeedWorld world;
  REQUIRE_OK(world->CreateCursor("c", ChangesFrom::Now()));
  CHECK_CODE(world->CreateCursor("c", ChangesFrom::Now()), kAlreadyExists);
  CHECK_CODE(world->CreateCursor("", ChangesFrom::Now()), kInvalidArgument);
  world.PowerLoss();
  world.Put("a");
  world.Put("b");
  auto reader = world.Read(From(ChangesFrom::Cursor("c")));
  Commit commit;
  REQUIRE_OK(reader->Next(&commit, absl::ZeroDuration()));
  REQUIRE_OK(world->Acknowledge("c", reader->token()));
  // Of the same life it is where it was; and closing writes it down.
  CHECK(Keys(world.Read(From(ChangesFrom::Cursor("c"))).get()) == "b");
  world.Open(KeepingOptions());
  CHECK(Keys(world.Read(From(ChangesFrom::Cursor("c"))).get()) == "b");
  // Within a second it is in the log, and survives what the log survives.
  reader = world.Read(From(ChangesFrom::Cursor("c")));
  CHECK(Keys(reader.get()) == "b");
  REQUIRE_OK(world->Acknowledge("c", reader->token()));
  world.env().executor().RunFor(1'100'000'000);
  world.Put("d");
  world.PowerLoss();
  CHECK(Keys(world.Read(From(ChangesFrom::Cursor("c"))).get()) == "d");
  REQUIRE_OK(world->DropCursor("c"));
  world.PowerLoss();
  CHECK_CODE(world.ReadStatus(ChangesFrom::Cursor("c")), kNotFound);
  CHECK_CODE(world->DropCursor("c"), kNotFound);
  CHECK_CODE(world->Acknowledge("c", reader->token()), kNotFound);
}

TEST_CASE("acknowledgements are written down together, and nothing follows from them") {
  FeedWorld world;
  REQUIRE_OK(world->CreateCursor("c", ChangesFrom::Now()));
  auto reader = world.Read(From(ChangesFrom::Cursor("c")));
  const uint64_t before = world->GetStats().batches_written;
  for (int i = 0; i < 100; ++i) {
    world.Put("a");
    CHECK(Keys(reader.get()) == "a");
    REQUIRE_OK(world->Acknowledge("c", reader->token()));
  }
  CHECK(world->GetStats().batches_written - before == 100);
  world.env().executor().RunFor(5'000'000'000);
  CHECK(world->GetStats().batches_written - before == 101);
  // A consumer at rest that acknowledges what its own acknowledgement made writes no more of them.
  for (int i = 0; i < 10; ++i) {
    CHECK(Keys(reader.get()).empty());
    REQUIRE_OK(world->Acknowledge("c", reader->token()));
    world.env().executor().RunFor(2'000'000'000);
  }
  CHECK(world->GetStats().batches_written - before == 101);
  // The user sees none of it.
  const auto iterator = world->NewIterator();
  iterator->SeekToFirst();
  REQUIRE(iterator->Valid());
  CHECK(iterator->key() == "a");
  iterator->Next();
  CHECK_FALSE(iterator->Valid());
}

TEST_CASE("a cursor that falls behind what may be kept is lost, and is told so") {
  Options options = KeepingOptions();
  options.changes_keep_bytes = 60'000;
  FeedWorld world(options);
  REQUIRE_OK(world->CreateCursor("dead", ChangesFrom::Now()));
  REQUIRE_OK(world->CreateCursor("live", ChangesFrom::Now()));
  auto reader = world.Read(From(ChangesFrom::Cursor("live")));
  const std::string early = reader->token();
  for (int i = 0; i < 6; ++i) {
    world.FillLog("k");
    Keys(reader.get());
    REQUIRE_OK(world->Acknowledge("live", reader->token()));
  }
  CHECK(world->GetStats().cursors == 2);
  CHECK(world->GetStats().lost_cursors == 1);
  CHECK(world->GetStats().changes_kept_bytes <= 60'000);
  CHECK_CODE(world.ReadStatus(ChangesFrom::Cursor("dead")), kOutOfRange);
  CHECK_CODE(world->Acknowledge("dead", reader->token()), kOutOfRange);
  CHECK_CODE(world.ReadStatus(ChangesFrom::Token(early)), kOutOfRange);
  CHECK_CODE(world->CreateCursor("late", ChangesFrom::Token(early)), kOutOfRange);
  world.Open(options);
  CHECK(world->GetStats().lost_cursors == 1);
  const auto cursors = world->ListCursors();
  REQUIRE_OK(cursors.status());
  REQUIRE(cursors->size() == 2);
  CHECK((*cursors)[0].name == "dead");
  CHECK((*cursors)[0].lost);
  CHECK_FALSE((*cursors)[1].lost);
  REQUIRE_OK(world->DropCursor("dead"));
  CHECK(world->GetStats().lost_cursors == 0);
}

TEST_CASE("a cursor that is not lost is not lost by an opening") {
  Options options = KeepingOptions();
  options.changes_keep_bytes = 25'000;
  FeedWorld world(options);
  REQUIRE_OK(world->CreateCursor("c", ChangesFrom::Now()));
  auto reader = world.Read(From(ChangesFrom::Cursor("c")));
  world.FillLog("a");
  world.Put("last");
  for (int i = 0; i < 3; ++i) {
    Keys(reader.get());
    REQUIRE_OK(world->Acknowledge("c", reader->token()));
    world.env().executor().RunFor(2'000'000'000);
  }
  REQUIRE_OK(world->Flush());
  // Now what comes next for it is the first of a log, and all before that goes.
  world.FillLog("b");
  REQUIRE(world->GetStats().changes_kept_logs == 1);
  REQUIRE(world->GetStats().lost_cursors == 0);
  world.env().executor().RunFor(2'000'000'000);
  if (GENERATE(false, true)) {
    world.Put("-");
    world.PowerLoss(options);
  } else {
    world.Open(options);
  }
  CHECK(world->GetStats().lost_cursors == 0);
  CHECK(Keys(world.Read(From(ChangesFrom::Cursor("c"))).get()).substr(0, 3) == "b00");
}

TEST_CASE("a copy has the cursors, and has lost those that were not at the end") {
  FeedWorld world;
  world.Put("a");
  REQUIRE_OK(world->CreateCursor("end", ChangesFrom::Now()));
  REQUIRE_OK(world->CreateCursor("begin", ChangesFrom::Oldest()));
  REQUIRE_OK(world->CreateCheckpoint("/copy"));
  TestEnv copy_env(3, world.env().files().CrashImage(Damage::kLost, 4));
  std::unique_ptr<Db> copy;
  // The epochs of those that write nothing are forgotten.
  for (int life = 0; life < 3; ++life) {
    copy.reset();
    copy = MustOpen(copy_env.env(), "/copy", KeepingOptions());
    const auto cursors = copy->ListCursors();
    REQUIRE_OK(cursors.status());
    REQUIRE(cursors->size() == 2);
    CHECK((*cursors)[0].lost);
    CHECK((*cursors)[1].name == "end");
    CHECK_FALSE((*cursors)[1].lost);
    CHECK((*cursors)[1].lag_commits == 0);
    CHECK_CODE(copy->ReadChanges(From(ChangesFrom::Cursor("begin"))).status(), kOutOfRange);
  }
  REQUIRE_OK(copy->Put("b", "v", {.sync = true}));
  const auto reader = copy->ReadChanges(From(ChangesFrom::Cursor("end")));
  REQUIRE_OK(reader.status());
  CHECK(Keys(reader->get()) == "b");
  REQUIRE_OK(copy->Acknowledge("end", (*reader)->token()));
  CHECK((*copy->ListCursors())[1].lag_commits == 0);
}

TEST_CASE("a cursor is put at another place, back or on, for good, and a lost one is one again") {
  Options options = KeepingOptions();
  options.changes_keep_for = absl::ZeroDuration();
  FeedWorld world(options);
  CHECK_CODE(world->ResetCursor("c", ChangesFrom::Now()), kNotFound);
  REQUIRE_OK(world->CreateCursor("c", ChangesFrom::Now()));
  const std::string begin = world.Read(From(ChangesFrom::Now()))->token();
  world.Put("a");
  world.Put("b");
  const auto keys = [&] { return Keys(world.Read(From(ChangesFrom::Cursor("c"))).get()); };
  const auto acknowledge_all = [&] {
    const auto reader = world.Read(From(ChangesFrom::Cursor("c")));
    Keys(reader.get());
    REQUIRE_OK(world->Acknowledge("c", reader->token()));
  };
  acknowledge_all();
  CHECK(keys().empty());
  REQUIRE_OK(world->ResetCursor("c", ChangesFrom::Token(begin)));
  CHECK(keys() == "ab");
  // Also where its acknowledgements are being written down.
  acknowledge_all();
  world.env().executor().RunFor(990'000'000);
  REQUIRE_OK(world->ResetCursor("c", ChangesFrom::Token(begin)));
  world.env().executor().RunFor(3'000'000'000);
  CHECK(keys() == "ab");
  world.PowerLoss(options);
  CHECK(keys() == "ab");
  REQUIRE_OK(world->ResetCursor("c", ChangesFrom::Now()));
  CHECK(keys().empty());
  // It holds nothing any more from where it was.
  REQUIRE_OK(world->Flush());
  CHECK(world->GetStats().changes_kept_logs == 1);
  world.FillLog("x");
  world.PowerLoss(options);
  CHECK(keys().substr(0, 3) == "x00");
  CHECK_CODE(world->ResetCursor("c", ChangesFrom::Token(begin)), kOutOfRange);
  CHECK(keys().substr(0, 3) == "x00");
  for (int i = 0; i < 60; ++i) world.FillLog("y");
  REQUIRE(world->GetStats().lost_cursors == 1);
  REQUIRE_OK(world->ResetCursor("c", ChangesFrom::Now()));
  CHECK(world->GetStats().lost_cursors == 0);
  world.Put("z");
  CHECK(keys() == "z");
}

TEST_CASE("the lag of a cursor is counted in commits, bytes and time") {
  FeedWorld world;
  REQUIRE_OK(world->CreateCursor("c", ChangesFrom::Now()));
  const auto lag = [&]() {
    const auto cursors = world->ListCursors();
    REQUIRE_OK(cursors.status());
    REQUIRE(cursors->size() == 1);
    return (*cursors)[0];
  };
  CHECK(lag().lag_commits == 0);
  CHECK(lag().lag_bytes == 0);
  CHECK(lag().lag_time == absl::ZeroDuration());
  world.Put("a");
  world.env().executor().RunFor(2'000'000'000);
  world.Put("b");
  CHECK(lag().lag_commits == 2);
  CHECK(lag().lag_bytes >= 100);
  CHECK(lag().lag_time >= absl::Seconds(2));
  CHECK(lag().lag_time < absl::Seconds(3));
  auto reader = world.Read(From(ChangesFrom::Cursor("c")));
  Commit commit;
  REQUIRE_OK(reader->Next(&commit, absl::ZeroDuration()));
  REQUIRE_OK(world->Acknowledge("c", reader->token()));
  CHECK(lag().lag_commits == 1);
  for (int i = 0; i < 3; ++i) world.FillLog("k");
  CHECK(lag().lag_commits == 121);
  CHECK(lag().lag_bytes > 60'000);
  world.Open(KeepingOptions());
  CHECK(lag().lag_commits == 121);
}

TEST_CASE("the lags of many cursors are counted in one walk, and a forged place is no obstacle") {
  FeedWorld world;
  std::vector<std::string> tokens;
  const auto reader = world.Read(From(ChangesFrom::Now()));
  for (int log = 0; log < 3; ++log) {
    for (int i = 0; i < 10; ++i) {
      tokens.push_back(reader->token());
      if (i % 2 == 1) REQUIRE_OK(world->CreateCursor(fmt::format("c{}{}", log, i), ChangesFrom::Token(tokens.back())));
      WriteBatch batch;
      batch.Put("a", std::string(400, 'v'));
      batch.Put("b", std::string(400, 'v'));
      REQUIRE_OK(world->Write(batch, {.sync = true}));
      CHECK(Keys(reader.get()) == "ab");
    }
    if (log < 2) REQUIRE_OK(world->Flush());
  }
  changes::ChangePlace inside = *changes::DecodeToken(tokens[10]);
  ++inside.sequence;
  REQUIRE_OK(world->CreateCursor("forged", ChangesFrom::Token(changes::EncodeToken(inside))));
  const auto cursors = world->ListCursors();
  REQUIRE_OK(cursors.status());
  REQUIRE(cursors->size() == 16);
  for (int log = 0; log < 3; ++log) {
    for (int i = 1; i < 10; i += 2) {
      const CursorInfo& cursor = (*cursors)[static_cast<size_t>(log * 5 + i / 2)];
      CHECK(cursor.name == fmt::format("c{}{}", log, i));
      CHECK(cursor.lag_commits == static_cast<uint64_t>(30 - log * 10 - i));
      CHECK(cursor.lag_bytes >= cursor.lag_commits * 800);
    }
  }
  CHECK(cursors->back().lag_commits == 19);
}

TEST_CASE("a full disk gives up logs of the feed before it refuses writes") {
  FeedWorld world;
  for (int i = 0; i < 5; ++i) world.FillLog("k");
  CHECK(world->GetStats().changes_kept_logs == 5);
  world.env().files().SetFreeBytes(0);
  absl::Status status;
  for (int i = 0; i < 1000 && status.ok(); ++i) status = world->Put("full", std::string(5000, 'v'));
  REQUIRE_CODE(status, kResourceExhausted);
  // Too little for the flush, and a little more than that once a log or two are gone.
  world.env().files().SetFreeBytes((1 << 20) + 10'000);
  REQUIRE_OK(world->Resume());
  CHECK(world->GetStats().changes_kept_logs < 5);
  CHECK(world->GetStats().changes_kept_logs > 0);
  world.env().files().SetFreeBytes(uint64_t{1} << 40);
  REQUIRE_OK(world->Resume());
  REQUIRE_OK(world->Flush());
  CHECK_FALSE(Keys(world.Read(From(ChangesFrom::Oldest())).get()).empty());
}

TEST_CASE("damage in a log that is only kept is told to who reads it, and keeps nobody from opening") {
  FeedWorld world;
  world.FillLog("a");
  world.FillLog("b");
  world.Put("c");
  const std::string log = base::JoinPath(storage::EngineDir(kFeedDir), storage::LogName(1));
  REQUIRE(*world.env().files().Exists(log));
  world.env().files().FlipByte(log, 2000, 0x10);
  CHECK_CODE(world->VerifyChecksums(), kDataLoss);
  REQUIRE_OK(world->Close());
  world.Open(KeepingOptions());
  auto reader = world.Read(From(ChangesFrom::Oldest()));
  Commit commit;
  absl::Status status;
  for (int i = 0; i < 100 && status.ok(); ++i) status = reader->Next(&commit, absl::ZeroDuration());
  CHECK_CODE(status, kDataLoss);
  CHECK(status.ToString().find("000001.log") != std::string::npos);
  CHECK(world->Get("c").ok());
}

TEST_CASE("a kept log that is missing takes those before it along, and is told") {
  FeedWorld world;
  auto reader = world.Read(From(ChangesFrom::Oldest()));
  const std::string first = reader->token();
  for (const char* prefix : {"a", "b", "c"}) world.FillLog(prefix);
  world.Close();
  size_t removed = 0;
  for (const auto& [path, bytes] : world.env().files().Files()) {
    if (path.ends_with(".log") && ++removed == 2) REQUIRE_OK(world.env().files().Remove(path));
  }
  world.Open(KeepingOptions());
  CHECK(Keys(world.Read(From(ChangesFrom::Oldest())).get()).substr(0, 3) == "c00");
  CHECK_CODE(world.ReadStatus(ChangesFrom::Token(first)), kOutOfRange);
}

TEST_CASE("readers outlive their database, and those that wait let it close") {
  FeedWorld world;
  auto reader = world.Read(From(ChangesFrom::Oldest()));
  world.Put("a");
  Commit commit;
  world.env().executor().PostAfter(1'000'000, [] {});
  REQUIRE_OK(reader->Next(&commit, absl::ZeroDuration()));
  world.Close();
  CHECK_CODE(reader->Next(&commit, absl::InfiniteDuration()), kFailedPrecondition);
  CHECK_CODE(world.ReadStatus(ChangesFrom::Oldest()), kFailedPrecondition);
  CHECK_CODE(world->CreateCursor("c", ChangesFrom::Now()), kFailedPrecondition);
  CHECK_CODE(world->Acknowledge("c", "t"), kFailedPrecondition);
  CHECK_CODE(world->ListCursors().status(), kFailedPrecondition);
  world.Destroy();
  CHECK_CODE(reader->Next(&commit, absl::InfiniteDuration()), kFailedPrecondition);
  CHECK_FALSE(reader->token().empty());
}

TEST_CASE("readers at rest hold nothing, and stopped ones one piece of a log each") {
  FeedWorld world;
  world.FillLog("k");
  const uint64_t before = world->GetStats().memory_bytes;
  std::vector<std::unique_ptr<ChangeReader>> readers;
  Commit commit;
  for (int i = 0; i < 100; ++i) {
    readers.push_back(world.Read(From(ChangesFrom::Oldest())));
    REQUIRE_OK(readers.back()->Next(&commit, absl::ZeroDuration()));
  }
  const uint64_t stopped = world->GetStats().memory_bytes;
  CHECK(stopped > before);
  CHECK(stopped <= before + 100 * (70 << 10));
  for (const auto& reader : readers) Keys(reader.get());
  CHECK(world->GetStats().memory_bytes <= before + 100 * 100);
  readers.clear();
  CHECK(world->GetStats().memory_bytes == before);
}

TEST_CASE("a reader that passes over large commits holds none of them between two calls") {
  Options options = KeepingOptions();
  options.changes_keep_bytes = 64 << 20;
  FeedWorld world(options);
  for (int i = 0; i < 20; ++i) REQUIRE_OK(world->Put("a", std::string(1 << 20, 'v')));
  REQUIRE_OK(world->Flush());
  ChangesOptions what = From(ChangesFrom::Oldest());
  what.lower_bound = "m";
  const auto reader = world.Read(what);
  const uint64_t before = world->GetStats().memory_bytes;
  const std::string begin = reader->token();
  Commit commit;
  REQUIRE_OK(reader->Next(&commit, absl::ZeroDuration()));
  CHECK(commit.empty());
  CHECK(commit.last_sequence == 16);
  CHECK(reader->token() != begin);
  CHECK(world->GetStats().memory_bytes <= before + 100);
  world.Put("z");
  CHECK(Keys(reader.get()) == "z");
}

TEST_CASE("without room for logs a cursor at the end stays good over flushes, and one that is behind is lost") {
  FeedWorld world(SmallOptions());
  world.Put("a");
  REQUIRE_OK(world->CreateCursor("behind", ChangesFrom::Oldest()));
  REQUIRE_OK(world->CreateCursor("end", ChangesFrom::Now()));
  const std::string token = world.Read(From(ChangesFrom::Cursor("end")))->token();
  const auto check_end = [&](const std::string& keys) {
    CHECK_FALSE((*world->ListCursors())[1].lost);
    CHECK(Keys(world.Read(From(ChangesFrom::Cursor("end"))).get()) == keys);
  };
  for (int i = 0; i < 2; ++i) {
    REQUIRE_OK(world->Flush());
    CHECK((*world->ListCursors())[0].lost);
    check_end("");
    CHECK(Keys(world.Read(From(ChangesFrom::Token(token))).get()).empty());
    // Written by the system, too.
    REQUIRE_OK(world->CreateCursor(fmt::format("other{}", i), ChangesFrom::Now()));
  }
  world.Open(SmallOptions());
  check_end("");
  world.PowerLoss(SmallOptions());
  check_end("");
  world.Put("b");
  check_end("b");
  CHECK((*world->ListCursors())[1].lag_commits == 1);
  REQUIRE_OK(world->Flush());
  CHECK((*world->ListCursors())[1].lost);
  CHECK_CODE(world.ReadStatus(ChangesFrom::Cursor("end")), kOutOfRange);
}

TEST_CASE("a cursor at the end of what a database without cursors was closed with stays good") {
  FeedWorld world(SmallOptions());
  world.Put("a");
  world.Open(SmallOptions());
  REQUIRE_OK(world->CreateCursor("c", ChangesFrom::Now()));
  for (int i = 0; i < 3; ++i) {
    REQUIRE_OK(world->Flush());
    CHECK_FALSE((*world->ListCursors())[0].lost);
    world.Open(SmallOptions());
  }
  world.Put("b");
  CHECK(Keys(world.Read(From(ChangesFrom::Cursor("c"))).get()) == "b");
}

TEST_CASE("a cursor from a time stands before the first commit that is not earlier") {
  FeedWorld world;
  const absl::Time begin = absl::FromUnixMillis(world.env().clock().WallMillis());
  REQUIRE_OK(world->CreateCursor("old", ChangesFrom::Now()));
  for (const char* key : {"a", "b", "c", "d"}) {
    world.Put(key);
    if (*key == 'b') world.FillLog("-");
    world.env().executor().RunFor(1'000'000'000);
  }
  // Of two commits of one log, and with a log in between.
  int made = 0;
  const auto keys_from = [&](absl::Time time) {
    const std::string name = fmt::format("c{}", ++made);
    REQUIRE_OK(world->CreateCursor(name, ChangesFrom::Time(time)));
    REQUIRE_OK(world->ResetCursor("old", ChangesFrom::Time(time)));
    const std::string keys = Keys(world.Read(From(ChangesFrom::Cursor(name))).get());
    CHECK(Keys(world.Read(From(ChangesFrom::Cursor("old"))).get()) == keys);
    return keys;
  };
  CHECK(keys_from(absl::InfinitePast()).substr(0, 2) == "ab");
  CHECK(keys_from(begin + absl::Milliseconds(500)).substr(0, 2) == "b-");
  CHECK(keys_from(begin + absl::Milliseconds(1001)) == "cd");
  CHECK(keys_from(begin + absl::Milliseconds(2500)) == "d");
  CHECK(keys_from(begin + absl::Hours(1)).empty());
  // One that was made for a time to come gives what comes next.
  world.Put("e");
  CHECK(Keys(world.Read(From(ChangesFrom::Cursor("old"))).get()) == "e");
  world.Open(KeepingOptions());
  CHECK(Keys(world.Read(From(ChangesFrom::Cursor("c4"))).get()) == "de");
}

TEST_CASE("a cursor from a time of which something may be gone is refused") {
  FeedWorld world(SmallOptions());
  const absl::Time begin = absl::FromUnixMillis(world.env().clock().WallMillis());
  world.FillLog("a");
  world.env().executor().RunFor(1'000'000'000);
  world.Put("b");
  CHECK_CODE(world->CreateCursor("c", ChangesFrom::Time(begin)), kOutOfRange);
  CHECK_CODE(world->ResetCursor("c", ChangesFrom::Time(begin + absl::Milliseconds(900))), kNotFound);
  REQUIRE_OK(world->CreateCursor("c", ChangesFrom::Time(begin + absl::Milliseconds(900))));
  CHECK(Keys(world.Read(From(ChangesFrom::Cursor("c"))).get()) == "b");
}

}  // namespace bandb::test
