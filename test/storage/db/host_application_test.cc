// Code of the application that throws, and processes that the application forks.
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <stdexcept>
#include <string>

#include "bandb/changes.h"
#include "bandb/event_listener.h"
#include "bandb/logger.h"
#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";

struct ThrowingListener final : EventListener {
  void OnFlush(const FlushInfo&) override { throw std::runtime_error("flush"); }
  void OnCompaction(const CompactionInfo&) override { throw 1; }
  void OnBackgroundError(const absl::Status&) override { throw std::runtime_error("error"); }
};

struct ThrowingLogger final : Logger {
  void Log(LogSeverity, std::string_view) override { throw std::runtime_error("log"); }
};

// The database of a child that must not touch it, destroyed by exit.
std::unique_ptr<Db>& InheritedDb() {
  static std::unique_ptr<Db> db;
  return db;
}

bool IsRefused(ChangeReader* reader) {
  Commit commit;
  return absl::IsFailedPrecondition(reader->Next(&commit, absl::InfiniteDuration()));
}

}  // namespace

TEST_CASE("what a listener or a callback throws is dropped, counted and logged") {
  TestEnv env(1);
  ThrowingListener listener;
  Options options = SmallOptions();
  options.listener = &listener;
  const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  REQUIRE_OK(db->Put("a", "1"));
  CHECK_OK(db->CompactRange({}, {}));
  CHECK(db->GetStats().exceptions == 2);
  WriteBatch batch;
  batch.Put("b", "2");
  db->WriteAsync(batch, {}, [](absl::Status) { throw std::runtime_error("callback"); });
  db->ReadBarrierAsync({}, [](absl::Status) { throw std::runtime_error("callback"); });
  env.executor().RunReady();
  CHECK(db->GetStats().exceptions == 4);
  CHECK(*db->Get("b") == "2");
  env.files().Inject({.calls = {FileCall::kSync}, .pattern = "*.log"});
  CHECK_CODE(db->Put("c", "3", {.sync = true}), kUnknown);
  CHECK(db->GetStats().exceptions == 5);
  CHECK(env.logger().Text().find("the listener threw an exception") != std::string::npos);
  CHECK(env.logger().Text().find("a callback threw an exception") != std::string::npos);
  CHECK_OK(db->Close());
  db->WriteAsync(batch, {}, [](absl::Status) { throw std::runtime_error("callback"); });
}

TEST_CASE("what a logger throws is dropped and counted") {
  TempDir dir;
  ThrowingLogger logger;
  Options options;
  options.logger = &logger;
  auto db = Db::Open(dir.path(), options);
  REQUIRE_OK(db.status());
  CHECK_OK((*db)->Put("a", "1"));
  CHECK((*db)->GetStats().exceptions == 1);
}

TEST_CASE("a forked child that exits does not wait for threads that it has not, and changes nothing") {
  TempDir dir;
  {
    auto opened = Db::Open(dir.path(), {});
    REQUIRE_OK(opened.status());
    InheritedDb() = *std::move(opened);
  }
  Db* db = InheritedDb().get();
  REQUIRE_OK(db->Put("a", "1"));
  ChangesOptions what;
  what.from = ChangesFrom::Oldest();
  const auto reader = *db->ReadChanges(what);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const bool refused = absl::IsFailedPrecondition(db->Put("a", "child")) && absl::IsFailedPrecondition(db->Flush()) &&
                         absl::IsFailedPrecondition(db->Close()) && IsRefused(reader.get());
    InheritedDb().reset();
    // Not exit: what else the test program would do at its end is not the child's.
    ::_exit(refused ? 0 : 1);
  }
  int state = 0;
  REQUIRE(::waitpid(child, &state, 0) == child);
  CHECK(WIFEXITED(state));
  CHECK(WEXITSTATUS(state) == 0);
  CHECK(*db->Get("a") == "1");
  CHECK_OK(db->Put("b", "2"));
  CHECK_OK(db->Close());
  InheritedDb().reset();
  auto again = Db::Open(dir.path(), {});
  REQUIRE_OK(again.status());
  CHECK(*(*again)->Get("a") == "1");
  CHECK(*(*again)->Get("b") == "2");
}

}  // namespace bandb::test
