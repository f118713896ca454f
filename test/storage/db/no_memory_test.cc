// A memtable for which the system has no memory: the write that needs it is refused, and nothing
// else has changed.
#include <memory>
#include <string>
#include <vector>

#include "bandb/event_listener.h"
#include "storage/db/open_db.h"
#include "storage/replica/replica_pair.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";

struct ErrorList final : EventListener {
  void OnBackgroundError(const absl::Status& error) override { errors.push_back(error); }
  std::vector<absl::Status> errors;
};

std::vector<std::string> Logs(TestEnv* env) {
  std::vector<std::string> paths;
  for (const auto& [path, bytes] : env->files().Files()) {
    if (Matches("*.log", path)) paths.push_back(path);
  }
  return paths;
}

}  // namespace

TEST_CASE("a write that needs a memtable there is no memory for is refused, and the next one goes on") {
  TestEnv env(1);
  ErrorList list;
  Options options = SmallOptions();
  options.listener = &list;
  std::unique_ptr<Db> db = MustOpen(env.env(), kDir, options);
  const std::vector<std::string> logs = Logs(&env);
  env.memory().Refuse(0, 3);
  absl::Status status;
  int written = 0;
  while (status.ok()) status = db->Put("key" + std::to_string(written++), std::string(1000, 'x'));
  --written;
  CHECK_CODE(status, kResourceExhausted);
  // As Flush is, which needs a new one too.
  CHECK_CODE(db->Flush(), kResourceExhausted);
  WriteBatch large;
  large.Put("large", std::string(100'000, 'x'));
  CHECK_CODE(db->Write(large), kResourceExhausted);
  CHECK(Logs(&env) == logs);
  CHECK(list.errors.empty());
  CHECK_OK(storage::CheckInvariants(db.get()));
  REQUIRE_OK(db->Put("more", "value"));
  CHECK_OK(db->Write(large));
  CHECK_OK(db->Flush());
  SECTION("after the death of the process") {
    TestEnv after(2, env.files().CrashImage(Damage::kKept, 1));
    const std::unique_ptr<Db> again = MustOpen(after.env(), kDir, SmallOptions());
    for (int i = 0; i < written; ++i) CHECK_OK(again->Get("key" + std::to_string(i)).status());
    CHECK_OK(again->Get("large").status());
    CHECK_CODE(again->Get("key" + std::to_string(written)).status(), kNotFound);
  }
  SECTION("with a large batch in an empty memtable") {
    env.memory().Refuse(0, 1);
    CHECK_CODE(db->Write(large), kResourceExhausted);
    CHECK_OK(db->Write(large));
  }
}

TEST_CASE("an Open without memory is refused, changes nothing that counts, and leaves the lock free") {
  TestEnv env(1);
  {
    const std::unique_ptr<Db> db = MustOpen(env.env(), kDir, SmallOptions());
    for (int i = 0; i < 60; ++i) REQUIRE_OK(db->Put("key" + std::to_string(i), std::string(1000, 'x')));
  }
  // As after the death of a process.
  uint64_t refused = 0;
  for (uint64_t region = 0; region < 10; ++region) {
    env.memory().Refuse(region, 1000);
    const absl::StatusOr<std::unique_ptr<Db>> opened = storage::OpenDb(env.env(), kDir, SmallOptions());
    env.memory().Refuse(0, 0);
    if (!opened.ok()) {
      CHECK_CODE(opened.status(), kResourceExhausted);
      ++refused;
      continue;
    }
    for (int i = 0; i < 60; ++i) CHECK_OK((*opened)->Get("key" + std::to_string(i)).status());
    break;
  }
  CHECK(refused >= 2);
}

TEST_CASE("a replica without memory for a write or a state says so, and goes on from where it was") {
  ReplicaPair pair;
  pair.ApplyTo(10);
  std::unique_ptr<storage::IncomingState> incoming = pair.Receive(pair.StateAt(100));
  pair.Send(incoming.get());
  pair.env().memory().Refuse(0, 1);
  CHECK_CODE(pair.Install(std::move(incoming)), kResourceExhausted);
  CHECK(pair.env().memory().refused() == 1);
  pair.ApplyTo(20);
  pair.InstallAt(110);
  pair.ApplyTo(120);
  pair.Flush();
  pair.CheckAt(120);
}

}  // namespace bandb::test
