// How the directory of a standalone database becomes a replica's, and what is left of creations.
#include <memory>
#include <string>

#include "storage/db.h"
#include "storage/engine/log_clock_key.h"
#include "storage/file/file_names.h"
#include "storage/file/identity.h"
#include "storage/replica/replica_crash.h"
#include "storage/replica/replica_model.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

using storage::EngineReplica;

namespace {

const std::string kIdentityPath = storage::IdentityPath(kReplicaDir);

LogWrite Put(const std::string& key, const std::string& value) {
  return {.write = {.changes = {{ModelChange::Kind::kPut, key, value}}}};
}

// Makes the directory of a standalone database a node's, as its adoption does.
void GiveToNode(CrashFileSystem* files, const std::string& path = kIdentityPath) {
  auto identity = storage::DecodeIdentity(files->Content(path), path);
  REQUIRE_OK(identity.status());
  identity->cluster_id = TestStart().identity.cluster_id;
  identity->node_id = TestStart().identity.node_id;
  files->SetContent(path, storage::EncodeIdentity(*identity));
}

storage::ReplicaStart AdoptedStart(const CrashFileSystem& files, const std::string& path = kIdentityPath) {
  return {.identity = storage::DecodeIdentity(files.Content(path), path).value(),
          .applied = {.index = 1, .term = 1},
          .membership = "adopted"};
}

// A standalone database, closed cleanly; flushed before or not.
void LeaveDatabase(TestEnv* env, bool flushed) {
  auto db = storage::OpenDb(env->env(), kReplicaDir, SmallReplicaOptions());
  REQUIRE_OK(db.status());
  REQUIRE_OK((*db)->Put("a", "1"));
  REQUIRE_OK((*db)->Put("b", "1"));
  if (flushed) REQUIRE_OK((*db)->Flush());
  REQUIRE_OK((*db)->Close());
}

}  // namespace

TEST_CASE("a replica goes on from what a standalone database left in tables, and counts on from its sequences") {
  TestEnv env(1);
  LeaveDatabase(&env, true);
  GiveToNode(&env.files());
  for (int opened = 0; opened < 2; ++opened) {
    auto replica = EngineReplica::Open(env.env(), kReplicaDir, SmallReplicaOptions(), AdoptedStart(env.files()));
    REQUIRE_OK(replica.status());
    CHECK((*replica)->applied().applied.index == 1);
    CHECK((*replica)->applied().applied.term == 1);
    CHECK((*replica)->applied().membership == "adopted");
    CHECK((*replica)->applied().last_sequence == 2);
    CHECK((*replica)->applied().user_sequence == 2);
    const EncodedEntry entry({.writes = {Put("c", "1")}}, 2);
    const auto applied = (*replica)->Apply(entry.entry());
    REQUIRE_OK(applied.status());
    CHECK(applied->first_sequence == 3);
    PinnedValue value;
    CHECK_OK((*replica)->engine().Get("b", {}, &value));
    REQUIRE_OK(CloseReplica(replica->get(), &env.executor()));
  }
  for (const auto& [path, unused] : env.files().Files()) CHECK_FALSE(path.ends_with(".log"));
}

TEST_CASE("writes that a standalone database left in its log alone keep a replica from opening, and stay") {
  TestEnv env(1);
  LeaveDatabase(&env, false);
  const std::string identity = env.files().Content(kIdentityPath);
  GiveToNode(&env.files());
  CHECK_CODE(EngineReplica::Open(env.env(), kReplicaDir, SmallReplicaOptions(), AdoptedStart(env.files())).status(),
             kFailedPrecondition);
  env.files().SetContent(kIdentityPath, identity);
  auto db = storage::OpenDb(env.env(), kReplicaDir, SmallReplicaOptions());
  REQUIRE_OK(db.status());
  CHECK((*db)->Get("b").value() == "1");
}

TEST_CASE("the clocks that a cluster accepted go with its database, until that accepts one of its own") {
  const std::string copy = "/copy";
  for (const bool accepts : {false, true}) {
    TestEnv env(1);
    {
      auto replica = EngineReplica::Open(env.env(), kReplicaDir, SmallReplicaOptions(), TestStart());
      REQUIRE_OK(replica.status());
      const EncodedEntry entry(
          {.commit_time_ms = 1000, .writes = {Put("a", "1")}, .session = std::string(storage::kLogClockKey)}, 1);
      REQUIRE_OK((*replica)->Apply(entry.entry()).status());
      (*replica)->LogIsDurable(1);
      REQUIRE_OK(FlushReplica(replica->get(), &env.executor()));
      REQUIRE_OK((*replica)->engine().CreateCheckpoint(copy));
      REQUIRE_OK(CloseReplica(replica->get(), &env.executor()));
    }
    {
      auto db = storage::OpenDb(env.env(), copy, SmallReplicaOptions());
      REQUIRE_OK(db.status());
      if (accepts) {
        REQUIRE_OK((*db)->AcceptClock());
        REQUIRE_OK((*db)->AcceptClock());
      }
    }
    // The power may fail at once: what was accepted is known.
    TestEnv after(2, env.files().CrashImage(Damage::kLost, 3));
    {
      auto db = storage::OpenDb(after.env(), copy, SmallReplicaOptions());
      REQUIRE_OK(db.status());
      CHECK((*db)->Get("a").value() == "1");
      REQUIRE_OK((*db)->Flush());
      REQUIRE_OK((*db)->Close());
    }
    const std::string path = storage::IdentityPath(copy);
    GiveToNode(&after.files(), path);
    auto replica = EngineReplica::Open(after.env(), copy, SmallReplicaOptions(), AdoptedStart(after.files(), path));
    REQUIRE_OK(replica.status());
    CHECK(absl::IsNotFound((*replica)->GetSystem(storage::kLogClockKey).status()) == accepts);
    REQUIRE_OK(CloseReplica(replica->get(), &after.executor()));
  }
}

TEST_CASE("a creation that a Db had begun is nobody's, and a replica begins its own") {
  // Stopped at each call of the creation.
  uint64_t begun = 0;
  for (uint64_t at = 1; at < 100; ++at) {
    TestEnv first(at);
    first.files().StopAt(at);
    const auto db = storage::OpenDb(first.env(), kReplicaDir, SmallReplicaOptions());
    if (db.ok()) break;
    TestEnv second(at, first.files().CrashImage(Damage::kKept, at));
    const bool finished = *second.files().Exists(kIdentityPath);
    begun += *second.files().Exists(storage::CreatingPath(kReplicaDir)) ? 1 : 0;
    auto replica = EngineReplica::Open(second.env(), kReplicaDir, SmallReplicaOptions(), TestStart());
    if (finished) {
      CHECK_CODE(replica.status(), kFailedPrecondition);
      continue;
    }
    REQUIRE_OK(replica.status());
    REQUIRE_OK(CloseReplica(replica->get(), &second.executor()));
    CHECK(storage::DecodeIdentity(second.files().Content(kIdentityPath), "").value() == TestStart().identity);
  }
  CHECK(begun > 3);
}

}  // namespace bandb::test
