#include "cluster/node_directory.h"

#include <memory>
#include <string>

#include "base/status.h"
#include "raft/types/configuration_codec.h"
#include "storage/db.h"
#include "storage/db/golden_files.h"
#include "storage/file/file_names.h"
#include "storage/file/identity.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::cluster {

using test::CrashFileSystem;
using test::TestEnv;

namespace {

const std::string kDir = "/data/node";
constexpr uint64_t kSegmentBytes = 4096;

Options SmallOptions() {
  Options options;
  options.write_buffer_bytes = 64 << 10;
  return options;
}

SingleLogOptions LogOptions(TestEnv* env) {
  SingleLogOptions options;
  options.executor = &env->executor();
  options.clock = &env->clock();
  options.random = &env->random();
  options.logger = &env->logger();
  options.post = [](base::Task) {};
  options.segment_bytes = kSegmentBytes;
  return options;
}

absl::StatusOr<std::unique_ptr<NodeDirectory>> Open(TestEnv* env, bool create = true) {
  return NodeDirectory::Open(env->env(), kDir, create);
}

absl::Status Bootstrap(TestEnv* env) {
  auto directory = Open(env);
  if (!directory.ok()) return directory.status();
  if ((*directory)->content() == NodeDirectory::Content::kNode) return absl::OkStatus();
  return (*directory)->Bootstrap(SmallOptions(), LogOptions(env), "address");
}

// That a whole node is there. `adopted`: one that was a standalone database with the key "a".
void CheckNode(TestEnv* env, bool adopted) {
  auto directory = Open(env, false);
  REQUIRE_OK(directory.status());
  REQUIRE((*directory)->content() == NodeDirectory::Content::kNode);
  auto replica = (*directory)->OpenReplica(SmallOptions());
  REQUIRE_OK(replica.status());
  const storage::ReplicaPosition position = (*replica)->durable();
  CHECK(position.applied.index == (adopted ? 1 : 0));
  const auto log = (*directory)->OpenLog(LogOptions(env), position);
  REQUIRE_OK(log.status());
  const raft::Restart& restart = (*log)->restart();
  CHECK(restart.floor.index == position.applied.index);
  REQUIRE(restart.floor.configuration.members.size() == 1);
  const raft::Member& self = restart.floor.configuration.members.front();
  CHECK(self.id == (*directory)->identity().node_id);
  CHECK(self.voter);
  CHECK(self.address == "address");
  std::string membership;
  raft::EncodeConfiguration(restart.floor.configuration, &membership);
  CHECK(position.membership == membership);
  PinnedValue value;
  CHECK((*replica)->engine().Get("a", {}, &value).ok() == adopted);
  CHECK_OK(CloseReplica(replica->get(), &env->executor()));
}

void LeaveDatabase(TestEnv* env) {
  auto db = storage::OpenDb(env->env(), kDir, SmallOptions());
  REQUIRE_OK(db.status());
  REQUIRE_OK((*db)->Put("a", "1"));
  REQUIRE_OK((*db)->Close());
}

}  // namespace

TEST_CASE("a bootstrap makes a node of one voter, and is begun again wherever it was cut short") {
  uint64_t at = 1;
  for (bool done = false; !done; ++at) {
    TestEnv first(at);
    first.files().StopAt(at);
    done = Bootstrap(&first).ok();
    TestEnv second(at, first.files().CrashImage(at % 2 == 0 ? test::Damage::kKept : test::Damage::kLost, at));
    CHECK_OK(Bootstrap(&second));
    CheckNode(&second, false);
  }
  CHECK(at > 20);
}

TEST_CASE("a standalone database is taken over whole, or is whole as it was, wherever that was cut short") {
  uint64_t at = 1;
  uint64_t standalone = 0;
  for (bool done = false; !done; ++at) {
    TestEnv first(at);
    LeaveDatabase(&first);
    first.files().StopAt(first.files().mutations() + at);
    done = Bootstrap(&first).ok();
    TestEnv second(at, first.files().CrashImage(test::Damage::kKept, at));
    auto db = storage::OpenDb(second.env(), kDir, SmallOptions());
    if (db.ok()) {
      ++standalone;
      CHECK((*db)->Get("a").value() == "1");
      REQUIRE_OK((*db)->Close());
    }
    CHECK_OK(Bootstrap(&second));
    CheckNode(&second, true);
  }
  CHECK(standalone > 10);
  CHECK(standalone < at - 1);
}

TEST_CASE("nobody writes to a standalone database while it is taken over") {
  TestEnv env(1);
  LeaveDatabase(&env);
  bool was_locked = false;
  bool was_free = false;
  env.files().SetHook([&](uint64_t) {
    const std::string path = storage::IdentityPath(kDir);
    const auto bytes = base::ReadFile(&env.files(), path, storage::kIdentityBytesMax);
    const absl::StatusOr<storage::Identity> identity =
        bytes.ok() ? storage::DecodeIdentity(*bytes, path) : absl::StatusOr<storage::Identity>(bytes.status());
    const bool is_locked = env.files().IsLocked(storage::LockPath(kDir)).value_or(false);
    was_locked |= is_locked;
    was_free |= was_locked && !is_locked && identity.ok() && !identity->IsOfCluster();
  });
  CHECK_OK(Bootstrap(&env));
  env.files().SetHook(nullptr);
  CHECK(was_locked);
  CHECK_FALSE(was_free);
  CheckNode(&env, true);
}

TEST_CASE("a node that joins asks under one id, however often it dies, and begins with nothing") {
  TestEnv env(1);
  raft::NodeId id = raft::kNoNode;
  for (int time = 0; time < 2; ++time) {
    auto directory = Open(&env);
    REQUIRE_OK(directory.status());
    const auto asks = (*directory)->JoiningId();
    REQUIRE_OK(asks.status());
    CHECK((time == 0 || *asks == id));
    id = *asks;
  }
  storage::Uuid database_id = storage::RandomUuid(&env.random());
  {
    auto directory = Open(&env);
    REQUIRE_OK(directory.status());
    REQUIRE_OK((*directory)->JoiningId().status());
    REQUIRE_OK((*directory)->Join(SmallOptions(), LogOptions(&env), 77, database_id));
  }
  auto directory = Open(&env, false);
  REQUIRE_OK(directory.status());
  CHECK((*directory)->identity().node_id == id);
  CHECK(ClusterIdOf((*directory)->identity()) == 77);
  CHECK((*directory)->identity().database_id == database_id);
  auto replica = (*directory)->OpenReplica(SmallOptions());
  REQUIRE_OK(replica.status());
  const auto log = (*directory)->OpenLog(LogOptions(&env), (*replica)->durable());
  REQUIRE_OK(log.status());
  CHECK((*log)->restart().floor.configuration.members.empty());
  CHECK_OK(CloseReplica(replica->get(), &env.executor()));
  // Another cluster, after a lost quorum: the same node.
  REQUIRE_OK((*directory)->MoveToCluster(78));
  directory->reset();
  directory = Open(&env, false);
  REQUIRE_OK(directory.status());
  CHECK(ClusterIdOf((*directory)->identity()) == 78);
}

TEST_CASE("a node that was let in and died before it had begun asks under the same id, wherever that was") {
  uint64_t at = 1;
  uint64_t asked_again = 0;
  for (bool done = false; !done; ++at) {
    TestEnv first(at);
    raft::NodeId id = raft::kNoNode;
    const storage::Uuid database_id = storage::RandomUuid(&first.random());
    {
      auto directory = Open(&first);
      REQUIRE_OK(directory.status());
      id = *(*directory)->JoiningId();
      first.files().StopAt(first.files().mutations() + at);
      done = (*directory)->Join(SmallOptions(), LogOptions(&first), 77, database_id).ok();
    }
    TestEnv second(at, first.files().CrashImage(at % 2 == 0 ? test::Damage::kKept : test::Damage::kLost, at));
    auto directory = Open(&second);
    REQUIRE_OK(directory.status());
    if ((*directory)->content() == NodeDirectory::Content::kNode) {
      CHECK((*directory)->identity().node_id == id);
      continue;
    }
    ++asked_again;
    CHECK(*(*directory)->JoiningId() == id);
    CHECK_OK((*directory)->Join(SmallOptions(), LogOptions(&second), 77, database_id));
  }
  CHECK(asked_again > 10);
}

TEST_CASE("what is left of a node that was begun, and lost all but its record, asks under another id") {
  const bool older = GENERATE(false, true);
  for (const bool bootstrapped : {false, true}) {
    TestEnv env(1);
    raft::NodeId id = raft::kNoNode;
    {
      auto directory = Open(&env);
      REQUIRE_OK(directory.status());
      if (bootstrapped) {
        REQUIRE_OK((*directory)->Bootstrap(SmallOptions(), LogOptions(&env), "address"));
      } else {
        REQUIRE_OK((*directory)->JoiningId().status());
        REQUIRE_OK((*directory)->Join(SmallOptions(), LogOptions(&env), 77, storage::RandomUuid(&env.random())));
      }
      id = (*directory)->identity().node_id;
    }
    if (older) {
      // As a release wrote it that did not say so; the node is started by this one.
      const std::string path = kDir + "/groups/0/NODE";
      auto record = DecodeNodeRecord(env.files().Content(path), path);
      REQUIRE_OK(record.status());
      CHECK(record->begun);
      record->begun = false;
      REQUIRE_OK(base::InstallFile(&env.files(), path, EncodeNodeRecord(*record)));
      REQUIRE_OK(Open(&env, false).status());
    }
    for (const auto& [path, bytes] : env.files().Files()) {
      if (!path.ends_with("/NODE")) REQUIRE_OK(env.files().Remove(path));
    }
    raft::NodeId other = raft::kNoNode;
    for (int time = 0; time < 2; ++time) {
      auto directory = Open(&env);
      REQUIRE_OK(directory.status());
      const auto asks = (*directory)->JoiningId();
      REQUIRE_OK(asks.status());
      CHECK(*asks != id);
      CHECK((time == 0 || *asks == other));
      other = *asks;
    }
  }
}

TEST_CASE("a standalone database is neither joined with nor taken over unasked") {
  TestEnv env(1);
  LeaveDatabase(&env);
  CHECK_CODE(Open(&env, false).status(), kFailedPrecondition);
  auto directory = Open(&env);
  REQUIRE_OK(directory.status());
  CHECK_CODE((*directory)->JoiningId().status(), kFailedPrecondition);
}

TEST_CASE("where nothing is, nothing is made unasked; and one directory has one node") {
  TestEnv env(1);
  CHECK_CODE(Open(&env, false).status(), kNotFound);
  CHECK(env.files().Files().empty());
  CHECK_FALSE(*env.files().Exists("/data"));
  REQUIRE_OK(Bootstrap(&env));
  auto directory = Open(&env, false);
  REQUIRE_OK(directory.status());
  CHECK_CODE(Open(&env).status(), kFailedPrecondition);
  CHECK_CODE(NodeDirectory::Open(env.env(), "", true).status(), kInvalidArgument);
}

TEST_CASE("a part of a node that is missing or damaged is data loss, and nothing is changed") {
  for (const char* part : {"/data/node/IDENTITY", "/data/node/groups/0/NODE", "/data/node/groups/0/log/000001.seg"}) {
    for (const bool removed : {true, false}) {
      INFO(part << (removed ? " removed" : " damaged"));
      TestEnv env(1);
      REQUIRE_OK(Bootstrap(&env));
      if (removed) {
        REQUIRE_OK(env.files().Remove(part));
      } else {
        env.files().FlipByte(part, 20, 1);
      }
      const auto files = env.files().Files();
      const auto directory = Open(&env);
      absl::Status status = directory.status();
      if (status.ok()) {
        auto replica = (*directory)->OpenReplica(SmallOptions());
        REQUIRE_OK(replica.status());
        status = (*directory)->OpenLog(LogOptions(&env), (*replica)->durable()).status();
        CHECK_OK(CloseReplica(replica->get(), &env.executor()));
      } else {
        CHECK(env.files().Files() == files);
      }
      CHECK_CODE(status, kDataLoss);
    }
  }
}

TEST_CASE("the record of a node is what release 1 of the format wrote") {
  raft::Configuration configuration = raft::MakeConfiguration({7});
  configuration.members.front().address = "address";
  NodeRecord record{.node = 7, .database_id = {}, .first = {.index = 1, .term = 1}, .membership = {}, .begun = true};
  record.database_id.bytes.fill('d');
  raft::EncodeConfiguration(configuration, &record.membership);
  storage::RequireGolden({{"node-v1/NODE", EncodeNodeRecord(record)}});
  const std::string golden = storage::ReadGolden("node-v1/NODE");
  CHECK(golden == EncodeNodeRecord(record));
  const absl::StatusOr<NodeRecord> read = DecodeNodeRecord(golden, "NODE");
  REQUIRE_OK(read.status());
  CHECK(*read == record);
}

TEST_CASE("the record of a node comes back as it was, and nothing else is one") {
  raft::Configuration configuration = raft::MakeConfiguration({7});
  NodeRecord record{.node = 7, .database_id = {}, .first = {.index = 1, .term = 1}, .membership = {}};
  record.database_id.bytes.fill('d');
  raft::EncodeConfiguration(configuration, &record.membership);
  const std::string bytes = EncodeNodeRecord(record);
  REQUIRE(DecodeNodeRecord(bytes, "NODE").ok());
  CHECK(*DecodeNodeRecord(bytes, "NODE") == record);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    CHECK_CODE(DecodeNodeRecord(damaged, "NODE").status(), kDataLoss);
    CHECK_CODE(DecodeNodeRecord(bytes.substr(0, i), "NODE").status(), kDataLoss);
  }
}

}  // namespace bandb::cluster
