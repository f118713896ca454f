// Uses a database in a TestEnv and tells an observer what it did.
#ifndef BANDB_TEST_STORAGE_RIG_RIG_ACTOR_H_
#define BANDB_TEST_STORAGE_RIG_RIG_ACTOR_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bandb/db.h"
#include "base/random.h"
#include "storage/rig/rig_observer.h"
#include "support/test_env.h"

namespace bandb::test {

inline constexpr char kRigDir[] = "/db";

// Options with which a few dozen writes already flush and compact.
Options RigOptions();
// In this style; nothing is forgotten.
void SetRigStyle(CompactionStyle style, Options* options);

// Opens the database in `dir` of `env`.
absl::StatusOr<std::unique_ptr<Db>> OpenRig(TestEnv* env, const std::string& dir, const Options& options);

// What an iterator finds, forward; and checks that backward it finds the same, and that Get agrees
// with it on every key of `probes`. Errors: what the database answers; kInternal if its answers
// disagree.
absl::StatusOr<ModelEntries> ReadAll(Db* db, const ModelState& probes);

// The same of a database that is opened for reading only, and closed again. Errors: as
// Db::OpenReadOnly; kInternal a call that would have changed something was made.
absl::StatusOr<ModelEntries> ReadAllReadOnly(TestEnv* env, const std::string& dir, const Options& options,
                                             const ModelState& probes);

class RigActor {
 public:
  // Lifetime: the observer is borrowed. `prepare` is told of each new file system before anything
  // is done to it, and while the one before it, if there is one, is still that of env().
  using Prepare = std::function<void(CrashFileSystem*)>;
  RigActor(uint64_t seed, RigObserver* observer, Prepare prepare, const Options& options = RigOptions());
  ~RigActor();

  // Each does nothing if the database is not open: a fault may have kept it from opening.
  void Open();
  void Close();
  void Write(const ModelWrite& write);
  // All submitted before the first is waited for.
  void WriteTogether(const std::vector<ModelWrite>& writes);
  // The write is of puts alone, in the order of their keys; see MakeIngestible.
  void Ingest(const ModelWrite& write);
  void Flush();
  void Compact(const std::string& begin, const std::string& limit);
  void Checkpoint(const std::string& dir);
  // The process dies and the next one opens the database.
  void Kill();
  void Reopen() {
    Close();
    Open();
  }
  void ReopenIn(CompactionStyle style) {
    SetRigStyle(style, &options_);
    Reopen();
  }

  // After each step: the parts of the database must agree with each other.
  void CheckInvariants();

  Db* db() { return db_.get(); }
  TestEnv& env() { return *env_; }
  base::Random& random() { return random_; }

 private:
  Options options_;
  RigObserver* const observer_;
  const Prepare prepare_;
  base::Random random_;
  std::unique_ptr<TestEnv> env_;
  std::unique_ptr<Db> db_;
};

// A course of events, long enough to pass every kind of file-system call that it is about.
struct RigScenario {
  const char* name;
  void (*run)(RigActor* actor);
};
const std::vector<RigScenario>& RigScenarios();

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_RIG_RIG_ACTOR_H_
