#include "storage/commit/log_set.h"

#include <memory>
#include <optional>
#include <utility>

#include "storage/file/file_names.h"
#include "storage/key/internal_key.h"
#include "storage/log/log_reader.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::storage {

namespace {

using test::FileCall;

constexpr char kDir[] = "/logs";

class Waiter final : public WriteRequest {
 public:
  void Complete(absl::Status status) override { outcome = std::move(status); }
  std::optional<absl::Status> outcome;
};

struct Fixture {
  Fixture() : logs(&env.files(), kDir) {
    REQUIRE_OK(env.files().CreateDirs(kDir));
    REQUIRE_OK(env.files().SyncDir("/"));
  }

  absl::Status StartLog(uint64_t number) {
    const FileHeader header{.type = FileType::kLog, .database_id = Uuid{}, .file_id = RandomUuid(&env.random())};
    return logs.StartLog(number, header, {.type = RecordType::kEnd, .first_sequence = sequence});
  }
  void Append() {
    std::string payload;
    kv::AppendOperation(&payload, {.kind = kv::Kind::kPut, .key = "k", .value = "v"});
    REQUIRE_OK(logs.current()->Append({.first_sequence = sequence++}, payload));
  }
  // How a log ends after power loss that takes all that was not synced; how many records it holds.
  std::pair<LogEnd, uint64_t> AfterPowerLoss(uint64_t number) {
    const auto image = env.files().CrashImage(test::Damage::kLost, 1);
    const auto content = ReadLog(image.get(), base::JoinPath(kDir, LogName(number)), FileType::kLog);
    REQUIRE_OK(content.status());
    return {content->end, content->records};
  }

  test::TestEnv env{1};
  LogSet logs;
  Sequence sequence = 1;
};

}  // namespace

TEST_CASE("whoever waits is served by one sync, which makes all logs and their names durable") {
  Fixture f;
  REQUIRE_OK(f.StartLog(1));
  f.Append();
  REQUIRE_OK(f.StartLog(4));
  f.Append();
  Waiter first, second, late;
  CHECK_FALSE(f.logs.SyncNeeded());
  f.logs.AddWaiter(&first);
  f.logs.AddWaiter(&second);
  CHECK(f.logs.SyncNeeded());
  CHECK_FALSE(first.outcome.has_value());
  REQUIRE_OK(f.logs.SyncWaiting());
  CHECK(first.outcome == absl::OkStatus());
  CHECK(second.outcome == absl::OkStatus());
  CHECK_FALSE(f.logs.SyncNeeded());
  CHECK(f.AfterPowerLoss(1) == std::pair(LogEnd::kEnded, uint64_t{2}));
  CHECK(f.AfterPowerLoss(4) == std::pair(LogEnd::kOpen, uint64_t{1}));
  // The older log is durable for good, and nobody asks for a sync without need.
  const uint64_t syncs = f.logs.syncs();
  REQUIRE_OK(f.logs.SyncWaiting());
  CHECK(f.logs.syncs() == syncs);
  f.Append();
  f.logs.AddWaiter(&late);
  REQUIRE_OK(f.logs.SyncWaiting());
  CHECK(f.logs.syncs() == syncs + 1);
  CHECK(late.outcome == absl::OkStatus());
}

TEST_CASE("logs are synced in order, the names before the bytes, so that what is durable is a prefix") {
  Fixture f;
  REQUIRE_OK(f.StartLog(1));
  f.Append();
  REQUIRE_OK(f.StartLog(2));
  f.Append();
  const size_t before = f.env.files().syncs().size();
  Waiter waiter;
  f.logs.AddWaiter(&waiter);
  REQUIRE_OK(f.logs.SyncWaiting());
  const auto syncs = f.env.files().syncs();
  REQUIRE(syncs.size() == before + 3);
  CHECK(syncs[before].path == kDir);
  CHECK(syncs[before + 1].path == base::JoinPath(kDir, LogName(1)));
  CHECK(syncs[before + 2].path == base::JoinPath(kDir, LogName(2)));
}

TEST_CASE("after a sync that failed, all who wait and all who come are told that the outcome is unknown") {
  Fixture f;
  REQUIRE_OK(f.StartLog(1));
  f.Append();
  Waiter first, meanwhile, later;
  f.logs.AddWaiter(&first);
  f.env.files().Inject({.calls = {FileCall::kSync}, .pattern = "*.log"});
  bool came = false;
  f.env.files().SetHook([&](uint64_t) {
    if (!std::exchange(came, true)) f.logs.AddWaiter(&meanwhile);
  });
  CHECK_CODE(f.logs.SyncWaiting(), kInternal);
  f.env.files().SetHook(nullptr);
  REQUIRE(first.outcome.has_value());
  CHECK(first.outcome->code() == absl::StatusCode::kUnknown);
  REQUIRE(meanwhile.outcome.has_value());
  CHECK(meanwhile.outcome->code() == absl::StatusCode::kUnknown);
  f.logs.AddWaiter(&later);
  CHECK(later.outcome->code() == absl::StatusCode::kUnknown);
  CHECK_FALSE(f.logs.SyncNeeded());
  uint64_t bytes = 0;
  CHECK_CODE(f.logs.Seal({.type = RecordType::kSeal}, &bytes), kInternal);
}

TEST_CASE("what is appended while a sync runs does not count as synced by it") {
  Fixture f;
  REQUIRE_OK(f.StartLog(1));
  f.Append();
  f.logs.NoteAppended(1);
  Waiter waiter;
  f.logs.AddWaiter(&waiter);
  bool appending = false;
  uint64_t bytes_before_sync = 0;
  f.env.files().SetHook([&](uint64_t) {
    if (appending) return;
    appending = true;
    bytes_before_sync = f.logs.current()->Size();
    f.Append();
    f.logs.NoteAppended(f.sequence - 1);
    appending = false;
  });
  REQUIRE_OK(f.logs.SyncWaiting());
  f.env.files().SetHook(nullptr);
  // While the name was synced, and while the bytes were.
  CHECK(f.sequence == 4);
  CHECK(f.logs.durable_sequence() == 1);
  CHECK(f.logs.current()->SyncedOffset() == bytes_before_sync);
  f.logs.AddWaiter(&waiter);
  REQUIRE_OK(f.logs.SyncWaiting());
  CHECK(f.logs.durable_sequence() == 3);
}

TEST_CASE("a log that cannot be begun leaves the one before it as it was") {
  Fixture f;
  REQUIRE_OK(f.StartLog(1));
  f.Append();
  f.env.files().Inject({.calls = {FileCall::kCreate}, .pattern = "*.log"});
  CHECK_FALSE(f.StartLog(2).ok());
  f.env.files().Inject({.calls = {FileCall::kSync}, .pattern = "*.log"});
  CHECK_FALSE(f.StartLog(3).ok());
  CHECK(f.logs.number() == 1);
  f.Append();
  Waiter waiter;
  f.logs.AddWaiter(&waiter);
  REQUIRE_OK(f.logs.SyncWaiting());
  CHECK(f.AfterPowerLoss(1) == std::pair(LogEnd::kOpen, uint64_t{2}));
  CHECK(f.env.files().Files().size() == 1);
}

TEST_CASE("logs that are no longer needed are forgotten, and named so that they can be removed") {
  Fixture f;
  f.logs.AddRecovered({.number = 1, .bytes = 1000, .first_sequence = 1, .last_sequence = 5}, true);
  f.logs.AddRecovered({.number = 2, .bytes = 2000, .first_sequence = 6, .last_sequence = 9}, true);
  REQUIRE_OK(f.StartLog(3));
  f.Append();
  REQUIRE_OK(f.StartLog(5));
  CHECK(f.logs.Extents().size() == 4);
  // Verifying them needs no other list, which a flush may have changed meanwhile.
  CHECK(f.logs.Extents()[0].bytes == 1000);
  CHECK(f.logs.Extents()[1].bytes == 2000);
  CHECK(f.logs.Extents()[3].bytes == kFileHeaderBytes);
  CHECK(f.logs.TotalBytes() > 2 * kFileHeaderBytes);
  CHECK(f.logs.LetGo(3, {}) == std::vector<uint64_t>{1, 2});
  CHECK(f.logs.LetGo(3, {}).empty());
  CHECK(f.logs.LetGo(5, {}) == std::vector<uint64_t>{3});
  CHECK(f.logs.Extents().size() == 1);
}

TEST_CASE("a log of which nothing was written may begin later, and then what is between is in none") {
  Fixture f;
  REQUIRE_OK(f.StartLog(1));
  f.Append();
  f.logs.NoteAppended(1);
  REQUIRE_OK(f.StartLog(3));
  f.logs.SkipTo(100, 1234);
  CHECK(f.logs.LetGo(3, {.keep_bytes = 0}) == std::vector<uint64_t>{1});
  CHECK_OK(f.logs.CheckInvariants());
  CHECK(f.logs.OldestSequence() == 101);
  CHECK(f.logs.durable_sequence() == 100);
  CHECK_FALSE(f.logs.Find(2).has_value());
  CHECK_FALSE(f.logs.Find(100).has_value());
  CHECK(f.logs.Find(101)->number == 3);
  CHECK(f.logs.All()[0].begin_ms == 1234);
}

TEST_CASE("sealing makes everything durable, the seal last") {
  Fixture f;
  REQUIRE_OK(f.StartLog(1));
  f.Append();
  REQUIRE_OK(f.StartLog(2));
  f.Append();
  uint64_t bytes = 0;
  REQUIRE_OK(f.logs.Seal({.type = RecordType::kSeal, .first_sequence = f.sequence}, &bytes));
  CHECK(f.AfterPowerLoss(1) == std::pair(LogEnd::kEnded, uint64_t{2}));
  CHECK(f.AfterPowerLoss(2) == std::pair(LogEnd::kSealed, uint64_t{2}));
  CHECK(bytes == f.logs.current()->Size());
}

}  // namespace bandb::storage
