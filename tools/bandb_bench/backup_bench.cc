#include "backup_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "bandb/backup.h"
#include "bandb/db.h"
#include "base/file_system.h"
#include "base/random.h"
#include "base/status.h"
#include "base/thread.h"

namespace bandb::bench {

namespace {

constexpr uint64_t kKeepBytes = uint64_t{1} << 40;

absl::Status PutOne(Db* db, uint64_t key, std::string_view value) { return db->Put(fmt::format("{:016}", key), value); }

void Remove(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

// A thread that puts until it is ended.
class Writer {
 public:
  Writer(Db* db, uint64_t keys, std::string value)
      : db_(db), keys_(keys), value_(std::move(value)), thread_([this]() { status_ = Write(); }) {}
  ~Writer() { End().IgnoreError(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  uint64_t puts() const { return puts_.load(std::memory_order_relaxed); }

  absl::Status End() {
    ended_.store(true, std::memory_order_relaxed);
    thread_.Join();
    return status_;
  }

 private:
  absl::Status Write() {
    while (!ended_.load(std::memory_order_relaxed)) {
      BANDB_RETURN_IF_ERROR(PutOne(db_, puts() % keys_, value_));
      puts_.fetch_add(1, std::memory_order_relaxed);
    }
    return absl::OkStatus();
  }

  Db* const db_;
  const uint64_t keys_;
  const std::string value_;
  std::atomic<uint64_t> puts_{0};
  std::atomic<bool> ended_{false};
  absl::Status status_;
  base::Thread thread_;
};

class BackupBench {
 public:
  BackupBench(base::Clock* clock, const BackupBenchOptions& options, BackupFigures* figures)
      : clock_(clock), options_(options), figures_(figures) {}

  absl::Status Run() {
    if (std::error_code ignored; std::filesystem::exists(options_.dir, ignored)) {
      return base::Error(absl::StatusCode::kAlreadyExists, "{}: exists", options_.dir);
    }
    Options options;
    options.error_if_exists = true;
    options.changes_keep_bytes = kKeepBytes;
    BANDB_ASSIGN_OR_RETURN(db_, Db::Open(base::JoinPath(options_.dir, "db"), options));
    absl::Status done = MeasureBackups();
    for (int round = 0; round < options_.rounds && done.ok(); ++round) done = MeasureWriter(round);
    db_.reset();
    Remove(options_.dir);
    return done;
  }

 private:
  std::string NewValue() {
    std::string value(options_.value_bytes, '\0');
    for (char& byte : value) byte = static_cast<char>(random_.Next());
    return value;
  }

  absl::Status Put(uint64_t first, uint64_t last) {
    for (uint64_t i = first; i < last; ++i) BANDB_RETURN_IF_ERROR(PutOne(db_.get(), i, NewValue()));
    return db_->Flush();
  }

  // How long a call takes.
  absl::Status Measure(double* seconds, const std::function<absl::Status()>& call) {
    const int64_t begin_nanos = clock_->MonotonicNanos();
    BANDB_RETURN_IF_ERROR(call());
    *seconds = std::max(static_cast<double>(clock_->MonotonicNanos() - begin_nanos), 1.0) / 1e9;
    return absl::OkStatus();
  }

  absl::StatusOr<BackupInfo> Create(Backup* backup, BackupRate* rate) {
    BackupInfo info;
    BANDB_RETURN_IF_ERROR(Measure(&rate->seconds, [&]() -> absl::Status {
      BANDB_ASSIGN_OR_RETURN(info, backup->Create(*db_));
      return absl::OkStatus();
    }));
    rate->bytes = info.new_bytes;
    return info;
  }

  absl::Status MeasureBackups() {
    BANDB_RETURN_IF_ERROR(Put(0, options_.keys));
    BANDB_RETURN_IF_ERROR(db_->CompactRange("", ""));
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<Backup> backup, Backup::Open(base::JoinPath(options_.dir, "backups")));
    BANDB_RETURN_IF_ERROR(Create(backup.get(), &figures_->create).status());
    const uint64_t before_bytes = db_->GetStats().table_bytes;
    BANDB_RETURN_IF_ERROR(Put(0, std::max<uint64_t>(options_.keys * options_.changed_percent / 100, 1)));
    const uint64_t after_bytes = db_->GetStats().table_bytes;
    figures_->changed_bytes = after_bytes - std::min(after_bytes, before_bytes);
    BANDB_ASSIGN_OR_RETURN(const BackupInfo newest, Create(backup.get(), &figures_->create_again));
    figures_->verify.bytes = newest.bytes;
    BANDB_RETURN_IF_ERROR(Measure(&figures_->verify.seconds, [&] { return backup->Verify(newest.number); }));
    const std::string restored = base::JoinPath(options_.dir, "restored");
    figures_->restore.bytes = newest.bytes;
    BANDB_RETURN_IF_ERROR(Measure(&figures_->restore.seconds, [&] { return backup->Restore({}, restored).status(); }));
    Remove(restored);
    return absl::OkStatus();
  }

  absl::Status MeasureWriter(int round) {
    const std::string repository = base::JoinPath(options_.dir, fmt::format("backups-{}", round));
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<Backup> backup, Backup::Open(repository));
    const std::string value = NewValue();
    // All rounds begin alike: with nothing left to flush.
    BANDB_RETURN_IF_ERROR(db_->Flush());
    double seconds = 0;
    BANDB_RETURN_IF_ERROR(Measure(&seconds, [&]() -> absl::Status {
      for (uint64_t i = 0; i < options_.puts; ++i) BANDB_RETURN_IF_ERROR(PutOne(db_.get(), i % options_.keys, value));
      return absl::OkStatus();
    }));
    figures_->puts_alone = std::max(figures_->puts_alone, static_cast<double>(options_.puts) / seconds);
    BANDB_RETURN_IF_ERROR(db_->Flush());
    Writer writer(db_.get(), options_.keys, value);
    uint64_t before = 0, after = 0;
    const absl::Status made = Measure(&seconds, [&]() -> absl::Status {
      before = writer.puts();
      const absl::Status created = backup->Create(*db_).status();
      after = writer.puts();
      return created;
    });
    BANDB_RETURN_IF_ERROR(writer.End());
    BANDB_RETURN_IF_ERROR(made);
    figures_->puts_beside = std::max(figures_->puts_beside, static_cast<double>(after - before) / seconds);
    Remove(repository);
    return absl::OkStatus();
  }

  base::Clock* const clock_;
  const BackupBenchOptions options_;
  BackupFigures* const figures_;
  base::Random random_{1};
  std::unique_ptr<Db> db_;
};

}  // namespace

absl::Status RunBackupBench(base::Clock* clock, const BackupBenchOptions& options, BackupFigures* figures) {
  return BackupBench(clock, options, figures).Run();
}

}  // namespace bandb::bench
