// A disk that stands still for a while: nothing is acknowledged that it has not done, nobody waits
// for it who need not, and afterwards all goes on.
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "base/forwarding_file_system.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/thread.h"
#include "base/thread_executor.h"
#include "storage/db/open_db.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";

// What stands still while it is closed. Thread safety: any thread.
class Gate {
 public:
  void Close() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    closed_ = true;
  }
  void Open() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    closed_ = false;
    changed_.SignalAll();
  }
  void Pass() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    ++waiting_;
    changed_.SignalAll();
    while (closed_) changed_.Wait(&mutex_);
    --waiting_;
  }
  // Until somebody waits at it, closed as it is.
  void AwaitSomebody() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    while (waiting_ == 0) changed_.Wait(&mutex_);
  }

 private:
  base::Mutex mutex_;
  base::CondVar changed_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Where the disk may stand still.
struct Gates {
  Gate log_syncs;
  Gate table_creations;
};

class SlowFiles final : public base::ForwardingFileSystem {
 public:
  SlowFiles(base::FileSystem* files, Gates* gates) : base::ForwardingFileSystem(files), gates_(gates) {}

  absl::StatusOr<std::unique_ptr<base::AppendableFile>> Create(const std::string& path,
                                                               base::AppendMode mode) override {
    if (Matches("*.tbl", path)) gates_->table_creations.Pass();
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::AppendableFile> file, target().Create(path, mode));
    if (!Matches("*.log", path)) return file;
    return std::unique_ptr<base::AppendableFile>(std::make_unique<SlowLog>(std::move(file), gates_));
  }
  absl::StatusOr<std::unique_ptr<base::FileSystem>> Pin(const std::string& path) override {
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::FileSystem> pinned, target().Pin(path));
    auto slow = std::make_unique<SlowFiles>(pinned.get(), gates_);
    slow->owned_ = std::move(pinned);
    return std::unique_ptr<base::FileSystem>(std::move(slow));
  }

 private:
  class SlowLog final : public base::AppendableFile {
   public:
    SlowLog(std::unique_ptr<base::AppendableFile> file, Gates* gates) : file_(std::move(file)), gates_(gates) {}
    absl::Status Reserve(uint64_t bytes) override { return file_->Reserve(bytes); }
    absl::Status Append(std::string_view bytes) override { return file_->Append(bytes); }
    absl::Status Sync() override {
      gates_->log_syncs.Pass();
      return file_->Sync();
    }
    absl::Status Close() override { return file_->Close(); }
    uint64_t Size() const override { return file_->Size(); }

   private:
    const std::unique_ptr<base::AppendableFile> file_;
    Gates* const gates_;
  };

  Gates* const gates_;
  std::unique_ptr<base::FileSystem> owned_;
};

struct SlowWorld {
  base::Env env() {
    return {.files = &files, .clock = &clock, .executor = &executor, .logger = &logger, .random = &random};
  }
  // What there is after power loss at this moment, with nothing that was not synced.
  std::unique_ptr<Db> AfterPowerLoss() {
    after = std::make_unique<TestEnv>(2, disk.CrashImage(Damage::kLost, 3));
    return MustOpen(after->env(), kDir);
  }

  CrashFileSystem disk;
  Gates gates;
  SlowFiles files{&disk, &gates};
  ManualClock clock;
  MemoryLogger logger;
  base::Random random{1};
  base::ThreadExecutor executor{2};
  std::unique_ptr<TestEnv> after;
};

}  // namespace

TEST_CASE("while a sync stands still what waits for it is not acknowledged, and nothing else waits") {
  SlowWorld world;
  const std::unique_ptr<Db> db = MustOpen(world.env(), kDir);
  REQUIRE_OK(db->Put("before", "1", {.sync = true}));
  world.gates.log_syncs.Close();
  std::atomic<bool> answered{false};
  absl::Status synced;
  base::Thread writer([&]() {
    synced = db->Put("waits", "1", {.sync = true});
    answered = true;
  });
  world.gates.log_syncs.AwaitSomebody();
  // Writes that need no sync, and reads, go on; what is seen may still be lost, and says so.
  CHECK_OK(db->Put("unsynced", "1"));
  bool may_be_lost = false;
  CHECK(*db->Get("waits", {.saw_undurable = &may_be_lost}) == "1");
  CHECK(may_be_lost);
  // Who has a deadline is told that nobody knows.
  CHECK_CODE(db->Put("hurries", "1", {.sync = true, .timeout = absl::Milliseconds(1)}), kUnknown);
  CHECK_FALSE(answered);
  {
    const std::unique_ptr<Db> found = world.AfterPowerLoss();
    CHECK(*found->Get("before") == "1");
    CHECK_CODE(found->Get("waits").status(), kNotFound);
    CHECK_CODE(found->Get("unsynced").status(), kNotFound);
  }
  world.gates.log_syncs.Open();
  // After all of it.
  CHECK_OK(db->Put("after", "1", {.sync = true}));
  {
    const std::unique_ptr<Db> found = world.AfterPowerLoss();
    for (const char* key : {"before", "waits", "unsynced", "hurries", "after"}) CHECK(*found->Get(key) == "1");
  }
  writer.Join();
  CHECK_OK(synced);
  CHECK_OK(db->Close());
}

TEST_CASE("while a table stands still writers are told when there is no room left, and no write is lost or half done") {
  SlowWorld world;
  const std::unique_ptr<Db> db = MustOpen(world.env(), kDir, SmallOptions());
  world.gates.table_creations.Close();
  const auto key = [](int i) { return "key" + std::to_string(i); };
  const std::string value(1000, 'v');
  int done = 0;
  absl::Status last;
  // Far more than memtables may hold.
  while (done < 1000 && last.ok()) {
    last = db->Put(key(done), value, {.timeout = absl::Milliseconds(1)});
    done += last.ok() ? 1 : 0;
  }
  CHECK_CODE(last, kDeadlineExceeded);
  CHECK(done > 60);
  CHECK(db->GetStats().stall_count > 0);
  for (int i = 0; i < done; ++i) CHECK(*db->Get(key(i)) == value);
  CHECK_CODE(db->Get(key(done)).status(), kNotFound);
  world.gates.table_creations.AwaitSomebody();
  world.gates.table_creations.Open();
  for (int i = done; i < done + 200; ++i) CHECK_OK(db->Put(key(i), value));
  CHECK_OK(db->Flush());
  CHECK_OK(db->VerifyChecksums());
  const std::unique_ptr<Db> found = world.AfterPowerLoss();
  for (int i = 0; i < done + 200; ++i) CHECK(*found->Get(key(i)) == value);
  CHECK_OK(db->Close());
}

}  // namespace bandb::test
