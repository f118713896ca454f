// Crashes a replica at every file-system call, in every way, and looks at what is left.
//
// A scenario applies a log and runs once. Before each call that changes something, images are taken
// of what a disk could hold if the power failed now, and of what is left if the process died. Each
// image is opened and must hold exactly what the log up to its applied position makes, which is
// at least what was promised and at most what the owner's log had durably, or else that of a peer
// whose state is being installed; the rest of the log is
// applied to it, and every entry must end as it did without a crash. So must images that are taken
// while that goes on.
#ifndef BANDB_TEST_STORAGE_REPLICA_REPLICA_CRASH_H_
#define BANDB_TEST_STORAGE_REPLICA_REPLICA_CRASH_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "storage/replica/replica_model.h"
#include "storage/replica/replica_peer.h"
#include "support/test_env.h"

namespace bandb::test {

inline constexpr char kReplicaDir[] = "/node";

// Options with which a few dozen entries already flush and compact.
Options SmallReplicaOptions();

// Uses a replica, and knows what it was promised.
class ReplicaActor {
 public:
  // `prepare` is told of each new file system before anything is done to it. Lifetime: the course
  // is borrowed.
  using Prepare = std::function<void(CrashFileSystem*)>;
  ReplicaActor(uint64_t seed, const LogCourse* course, Prepare prepare);
  ~ReplicaActor();

  void Open();
  void Close();
  // The process dies, and the next one opens the replica.
  void Kill();
  // The next entries, as far as there are any. What the owner's log has durably follows at random.
  void Apply(uint64_t count);
  void Flush();
  // What is applied, whether or not the log is durable; and lets the background do what it may.
  void Freeze();
  void Compact();
  // The state of a peer that is so many entries ahead takes the place of this one's.
  void Install(uint64_t ahead);

  TestEnv& env() { return *env_; }
  base::Random& random() { return random_; }
  // Of the log: what the manifest must hold, what it may hold, and what was applied.
  uint64_t promised() const { return promised_; }
  uint64_t log_durable() const { return log_durable_; }
  uint64_t applied() const { return applied_; }
  // What the manifest may hold besides: of a state that is being installed. 0 for none.
  uint64_t installing() const { return installing_; }
  // Tables that were not sent, for they were there.
  uint64_t tables_kept() const { return tables_kept_; }
  // The first answer that should not have come.
  const absl::Status& surprise() const { return surprise_; }

 private:
  void Expect(const char* what, const absl::Status& status);
  absl::Status TryInstall(uint64_t index);
  void LogDurableTo(uint64_t index);

  const LogCourse* const course_;
  const Prepare prepare_;
  base::Random random_;
  std::unique_ptr<TestEnv> env_;
  std::unique_ptr<storage::EngineReplica> replica_;
  uint64_t promised_ = 0;
  uint64_t log_durable_ = 0;
  uint64_t applied_ = 0;
  uint64_t installing_ = 0;
  uint64_t tables_kept_ = 0;
  std::unique_ptr<ReplicaPeer> peer_;
  absl::Status surprise_;
};

struct ReplicaScenario {
  const char* name;
  LogShape shape;
  void (*run)(ReplicaActor* actor);
};
const std::vector<ReplicaScenario>& ReplicaScenarios();

struct ReplicaCrashPlan {
  uint64_t seed = 1;
  std::vector<Damage> damages{std::begin(kAllDamages), std::end(kAllDamages)};
  bool process_death = true;
  // Every how many images what follows them is crashed, too; 0 for never.
  uint64_t recovery_stride = 31;
  size_t violations_max = 3;
  // As of CrashPlan: syncs to be taken out, by life; and from where to where images are taken then.
  std::function<void(CrashFileSystem*, uint64_t life)> sabotage{};
  bool only_after_sabotage = false;
  uint64_t until_sync = UINT64_MAX;
};

struct ReplicaSync {
  uint64_t life = 0;
  FaultPlan::SyncCall sync{};
  uint64_t promised = 0;  // when it was asked for
};

struct ReplicaCrashReport {
  uint64_t crash_points = 0;
  uint64_t images = 0;
  uint64_t recovery_images = 0;
  // Positions that were found, to tell that they were not all the same.
  uint64_t positions = 0;
  uint64_t tables_kept = 0;
  std::vector<std::string> violations;
  std::vector<ReplicaSync> syncs;
};

ReplicaCrashReport RunReplicaCrashes(const ReplicaScenario& scenario, const ReplicaCrashPlan& plan);

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_REPLICA_REPLICA_CRASH_H_
