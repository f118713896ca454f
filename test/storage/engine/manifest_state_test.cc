// What the sum of all edits keeps, and whose directories a standalone database does not open.
#include <string>

#include "storage/db.h"
#include "storage/engine/recovery.h"
#include "storage/file/file_names.h"
#include "storage/file/identity.h"
#include "storage/version/manifest.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";

storage::VersionEdit ClusterEdit(uint64_t index) {
  storage::VersionEdit edit;
  edit.applied = storage::AppliedPosition{.index = index, .term = 3};
  edit.membership = "three nodes";
  return edit;
}

}  // namespace

TEST_CASE("what a cluster node has applied, and its membership, outlive edits that do not speak of them") {
  storage::ManifestState state;
  REQUIRE_OK(state.Apply(ClusterEdit(17), {}));
  storage::VersionEdit other;
  other.last_sequence = 99;
  REQUIRE_OK(state.Apply(other, {}));
  // As a new manifest begins.
  const auto everything = storage::DecodeEdit(storage::EncodeEdit(state.Everything()));
  REQUIRE_OK(everything.status());
  storage::ManifestState again;
  REQUIRE_OK(again.Apply(*everything, {}));
  REQUIRE(again.applied.has_value());
  CHECK(again.applied->index == 17);
  CHECK(again.applied->term == 3);
  CHECK(again.membership == "three nodes");
  CHECK(again.last_sequence == 99);
}

TEST_CASE("an applied index that goes back is damage") {
  storage::ManifestState state;
  REQUIRE_OK(state.Apply(ClusterEdit(17), {}));
  CHECK_CODE(state.Apply(ClusterEdit(16), {}), kDataLoss);
}

TEST_CASE("the directory of a cluster's node is not opened as a database of its own") {
  TestEnv env(1);
  {
    auto db = storage::OpenDb(env.env(), kDir, Options());
    REQUIRE_OK(db.status());
    REQUIRE_OK((*db)->Close());
  }
  const std::string path = storage::IdentityPath(kDir);
  const auto identity = storage::DecodeIdentity(env.files().Content(path), path);
  REQUIRE_OK(identity.status());
  CHECK_FALSE(identity->IsOfCluster());
  storage::Identity of_cluster = *identity;
  of_cluster.cluster_id.bytes[3] = 7;
  of_cluster.node_id = 5;
  const auto again = storage::DecodeIdentity(storage::EncodeIdentity(of_cluster), path);
  REQUIRE_OK(again.status());
  CHECK(again->database_id == identity->database_id);
  CHECK(again->cluster_id == of_cluster.cluster_id);
  CHECK(again->node_id == 5);
  env.files().SetContent(path, storage::EncodeIdentity(of_cluster));
  const absl::Status refused = storage::OpenDb(env.env(), kDir, Options()).status();
  CHECK_CODE(refused, kFailedPrecondition);
  CHECK(refused.ToString().find("node 5 of cluster") != std::string::npos);
  // Nothing was changed by the attempt.
  env.files().SetContent(path, storage::EncodeIdentity(*identity));
  CHECK_OK(storage::OpenDb(env.env(), kDir, Options()).status());
}

TEST_CASE("epochs follow one another, and logs that are kept stay until they are let go") {
  storage::ManifestState state;
  storage::VersionEdit edit;
  edit.epochs = {{.number = 1, .branch = 7, .begin = 0}, {.number = 2, .branch = 8, .begin = 50}};
  for (uint64_t number = 3; number < 6; ++number) {
    edit.kept_logs.push_back({.number = number, .bytes = 1, .first_sequence = number, .last_sequence = number});
  }
  REQUIRE_OK(state.Apply(edit, {}));
  storage::VersionEdit later;
  later.log_number = 9;
  later.kept_from = 5;
  REQUIRE_OK(state.Apply(later, {}));
  CHECK(state.kept_logs.size() == 1);
  CHECK(state.kept_logs.contains(5));
  storage::ManifestState again;
  REQUIRE_OK(again.Apply(state.Everything(), {}));
  CHECK(again.epochs == state.epochs);
  CHECK(again.kept_logs == state.kept_logs);
  for (const storage::Epoch& wrong :
       {storage::Epoch{.number = 2, .branch = 9, .begin = 60}, storage::Epoch{.number = 3, .branch = 9, .begin = 49}}) {
    storage::VersionEdit back;
    back.epochs = {wrong};
    CHECK_CODE(state.Apply(back, {}), kDataLoss);
  }
}

TEST_CASE("an epoch that began after all that there is, or that is still to come, is damage") {
  for (const bool by_number : {false, true}) {
    TestEnv env(1);
    {
      auto db = storage::OpenDb(env.env(), kDir, Options());
      REQUIRE_OK(db.status());
      REQUIRE_OK((*db)->Close());
    }
    const std::string identity_path = storage::IdentityPath(kDir);
    const auto identity = storage::DecodeIdentity(env.files().Content(identity_path), identity_path);
    REQUIRE_OK(identity.status());
    const std::string engine_dir = storage::EngineDir(kDir);
    auto found = storage::RecoverManifest(&env.files(), engine_dir, identity->database_id, nullptr);
    REQUIRE_OK(found.status());
    storage::ManifestState state = found->state;
    REQUIRE(state.epochs.size() == 1);
    (by_number ? state.epochs.back().number : state.epochs.back().begin) += 1;
    const uint64_t number = state.next_file_number + 10;
    state.next_file_number = number + 1;
    const storage::FileHeader header{.type = storage::FileType::kManifest,
                                     .database_id = identity->database_id,
                                     .file_id = storage::RandomUuid(&env.random())};
    REQUIRE_OK(storage::Manifest::CreateCurrent(&env.files(), engine_dir, number, header, state).status());
    CHECK_CODE(storage::OpenDb(env.env(), kDir, Options()).status(), kDataLoss);
  }
}

}  // namespace bandb::test
