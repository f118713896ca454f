// A database beside a model of it: the same random operations on both, and every answer compared.
//
// The database lives on a disk that crashes and fills up (support/crash_file_system.h) and in time
// that only the test moves; the model is a sorted map of what each key holds. A seed decides on the
// options, on every operation, on the order of the background steps and on all that goes wrong.
// Each step does one of these:
//   * writes, as Put, PutWithTtl, Delete, Write or several WriteAsync at once: batches of puts, puts with a time to
//     live, deletes and range deletes under conditions, synced or not, in a hurry or not. A write that was refused has
//     done nothing, and gives its batch back;
//   * reads, now or through a snapshot: Get, MultiGet, whole walks, and walks of iterators that live on while the
//     database changes, with all their changes of direction. Pinned values must keep their bytes, and values their
//     versions, whatever becomes of the database meanwhile;
//   * flushes, compacts, lets time pass, closes and opens again with other options;
//   * is opened for reading only, before it is opened again, and while it is open: then it shows the last flush;
//   * ingests, where that is not refused for the sake of the change feed;
//   * takes a checkpoint, which power loss must leave complete;
//   * has consumers read on in the change feed (model_feed.h);
//   * fills the disk for some calls: what was refused is not done, what was acknowledged stays;
//   * kills the process, which loses nothing acknowledged, or cuts the power, which leaves a prefix of the writes that
//     contains all that was synced (model_history.h). Power is lost right after synced writes most of all.
//
// What is opened as the database is a parameter: a Db, or whatever has the calls of one.
#ifndef BANDB_TEST_STORAGE_MODEL_DB_MODEL_H_
#define BANDB_TEST_STORAGE_MODEL_DB_MODEL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bandb/db.h"
#include "storage/model/model_feed.h"
#include "storage/model/model_history.h"
#include "storage/model/model_input.h"
#include "storage/model/model_iterator.h"
#include "support/test_env.h"

namespace bandb::test {

class DbModel {
 public:
  // What happened, so that a test can tell that it did.
  struct Counts {
    uint64_t writes = 0;
    uint64_t aborted = 0;
    uint64_t refused = 0;  // for want of time or space
    uint64_t power_losses = 0;
    uint64_t deaths = 0;
    uint64_t full_disks = 0;
    uint64_t checkpoints = 0;
    uint64_t ingests = 0;
    ModelFeed::Counts feed{};
  };

  // How a database is opened in a directory, and what between two steps must hold of one.
  struct Subject {
    std::function<absl::StatusOr<std::unique_ptr<Db>>(const base::Env&, const std::string& dir, const Options&)> open;
    std::function<absl::Status(Db*)> check_invariants;
    // The time that its reads go by; null: the clock's.
    std::function<uint64_t(Db*)> time_ms{};
    // Whether it makes copies that can be opened.
    bool makes_checkpoints = true;
    // Whether it ingests.
    bool ingests = true;
    // Whether it has a change feed.
    bool has_feed = true;
    // How it is opened for reading only; null: it cannot be.
    std::function<absl::StatusOr<std::unique_ptr<Db>>(const base::Env&, const std::string& dir, const Options&)>
        open_read_only{};
  };
  static Subject PlainDb();

  // BANDB_MODEL_SEEDS=1000-1999 in the environment names those seeds; otherwise a few.
  struct Seeds {
    uint64_t first = 1;
    uint64_t last = 12;
    bool named = false;
  };
  static Seeds SeedsToRun();

  // Lifetime: `counts`, to which it adds, is borrowed.
  DbModel(uint64_t seed, Counts* counts, Subject subject = PlainDb());
  ~DbModel();

  // Takes random steps, then compares all.
  void Run(int steps);

 private:
  struct HeldSnapshot {
    Snapshot snapshot;
    ModelState state;
    uint64_t now_ms;
  };
  struct HeldValue {
    PinnedValue pinned;
    std::string value;
  };
  struct Attempt {
    ModelWrite write{};
    WriteOptions options{};
    absl::Status status{};
  };

  void Step();
  void Open();
  // Opens it for reading only, which changes nothing, whether it is open or not, and closes it
  // again. Returns what is there.
  ModelEntries ReadOnlyEntries();
  void CheckReadOnly(const ModelEntries& expected);
  void Reopen();
  // Lets go of whatever keeps parts of the database alive.
  void DropHandles();
  uint64_t NowMs();
  ReadOptions Bounded(const Snapshot* snapshot);

  // In db_model_write.cc.
  void Write();
  Attempt DrawAttempt();
  ModelCondition DrawCondition();
  ModelCondition DrawVersionCondition(const std::string& key);
  absl::Status WriteAlone(const Attempt& attempt);
  void WriteTogether(std::vector<Attempt>* attempts);
  bool WasDone(const Attempt& attempt);
  void Learn(const std::vector<Attempt>& attempts);
  void CheckRefusedRange();
  void Ingest();
  absl::Status IngestOnce(const IngestOptions& options);
  void FlushAll();
  void FollowFeeds(bool all_durable);

  // In db_model_read.cc.
  // A value that the model has stamped so has the version that it always had.
  void CheckVersion(uint64_t stamp, uint64_t version);
  void CheckGets(const ModelState& state, uint64_t now_ms, const Snapshot* snapshot);
  void CheckMultiGet(const ModelState& state, uint64_t now_ms, const Snapshot* snapshot);
  void CheckScan(Db* db, const ModelState& state, uint64_t now_ms, const Snapshot* snapshot);
  void CheckPresent();
  void CheckSnapshot(const HeldSnapshot& held);
  void CheckPinned();
  void TakeOrDropSnapshot();
  void NewIterator();
  void WalkIterator();

  // In db_model_fault.cc.
  void Crash(bool power_lost);
  void FillDisk();
  void UseFullDisk();
  void TakeCheckpoint();

  Counts* const counts_;
  const Subject subject_;
  base::Random random_;
  ModelInput input_;
  std::unique_ptr<TestEnv> env_;
  Options options_;
  std::unique_ptr<Db> db_;
  ModelHistory history_;
  std::vector<std::unique_ptr<HeldSnapshot>> snapshots_;
  std::vector<ModelIterator> iterators_;
  std::vector<HeldValue> pinned_;
  uint64_t writes_drawn_ = 0;
  std::map<uint64_t, uint64_t> versions_;  // by stamp
  uint64_t checkpoints_ = 0;
  ModelFeed durable_feed_;
  ModelFeed undurable_feed_;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_STORAGE_MODEL_DB_MODEL_H_
