// A replica, and a peer that is ahead of it, for tests of one state in place of another.
#ifndef BANDB_TEST_STORAGE_REPLICA_REPLICA_PAIR_H_
#define BANDB_TEST_STORAGE_REPLICA_REPLICA_PAIR_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/engine/engine_replica.h"
#include "storage/replica/replica_crash.h"
#include "storage/replica/replica_model.h"
#include "storage/replica/replica_peer.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

inline constexpr size_t kStatePieceBytes = 10'000;

class ReplicaPair {
 public:
  explicit ReplicaPair(uint64_t seed = 1, const LogShape& shape = {.entries = 200, .range_conditions = false})
      : course_(RandomLog(seed, shape)), peer_(seed + 100, &course_), env_(std::make_unique<TestEnv>(seed)) {
    Open();
  }
  ~ReplicaPair() { Close(); }

  void Open() {
    auto opened = storage::EngineReplica::Open(env_->env(), kReplicaDir, SmallReplicaOptions(), TestStart());
    REQUIRE_OK(opened.status());
    replica_ = *std::move(opened);
  }
  void Close() {
    if (replica_ != nullptr) CHECK_OK(CloseReplica(replica_.get(), &env_->executor()));
    replica_.reset();
  }
  void PowerLoss() {
    auto image = env_->files().CrashImage(Damage::kLost, 5);
    env_->files().Stop();
    CloseReplica(replica_.get(), &env_->executor()).IgnoreError();
    replica_.reset();
    env_ = std::make_unique<TestEnv>(6, std::move(image));
    Open();
  }
  void ApplyTo(uint64_t index) {
    replica_->LogIsDurable(index);
    while (replica_->applied().applied.index < index) {
      REQUIRE_OK(course_.Apply(replica_.get(), &env_->executor(), replica_->applied().applied.index + 1));
    }
  }
  void Flush() { REQUIRE_OK(FlushReplica(replica_.get(), &env_->executor())); }
  // The peer's state at this entry.
  storage::ReplicaState StateAt(uint64_t index) {
    REQUIRE_OK(peer_.ApplyTo(index));
    pinned_ = std::make_unique<storage::PinnedState>(peer_.replica().PinState());
    auto state = pinned_->Describe();
    REQUIRE_OK(state.status());
    return *std::move(state);
  }
  std::unique_ptr<storage::IncomingState> Receive(const storage::ReplicaState& state) {
    auto incoming = replica_->Receive(state);
    REQUIRE_OK(incoming.status());
    return *std::move(incoming);
  }
  // All of the peer's state; answers how many tables were sent.
  uint64_t Send(storage::IncomingState* incoming) {
    const absl::StatusOr<uint64_t> sent = SendState(*pinned_, incoming, kStatePieceBytes);
    REQUIRE_OK(sent.status());
    return *sent;
  }
  absl::Status Install(std::unique_ptr<storage::IncomingState> incoming) {
    return InstallState(replica_.get(), &env_->executor(), std::move(incoming));
  }
  void InstallAt(uint64_t index) {
    std::unique_ptr<storage::IncomingState> incoming = Receive(StateAt(index));
    Send(incoming.get());
    REQUIRE_OK(Install(std::move(incoming)));
  }
  // The replica is what the log up to this entry makes, and nothing else lies about.
  void CheckAt(uint64_t index) {
    CHECK_OK(replica_->engine().CheckInvariants());
    CHECK_OK(course_.models[index].Compare(replica_.get(), course_.models.back().user));
    CHECK_OK(replica_->engine().VerifyChecksums());
    env_->executor().RunReady();
    CHECK(Tables(&env_->files()).size() == replica_->PinState().table_count());
  }
  // The files of tables, whatever they are called.
  static std::vector<std::string> Tables(CrashFileSystem* files) {
    std::vector<std::string> paths;
    for (const auto& [path, unused] : files->Files()) {
      if (path.find(".tbl") != std::string::npos) paths.push_back(path);
    }
    return paths;
  }

  const LogCourse& course() const { return course_; }
  ReplicaPeer& peer() { return peer_; }
  storage::PinnedState& pinned() { return *pinned_; }
  void LetGo() { pinned_.reset(); }
  storage::EngineReplica& replica() { return *replica_; }
  TestEnv& env() { return *env_; }

 private:
  const LogCourse course_;
  ReplicaPeer peer_;
  std::unique_ptr<storage::PinnedState> pinned_;
  std::unique_ptr<TestEnv> env_;
  std::unique_ptr<storage::EngineReplica> replica_;
};

inline std::string ReadAll(const base::RandomAccessFile& file) {
  std::string bytes(file.Size(), '\0');
  const auto got = file.Read(0, absl::MakeSpan(bytes));
  REQUIRE_OK(got.status());
  REQUIRE(*got == bytes.size());
  return bytes;
}

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_REPLICA_REPLICA_PAIR_H_
