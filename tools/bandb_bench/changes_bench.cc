#include "changes_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <vector>

#include "bandb/changes.h"
#include "bandb/db.h"
#include "base/status.h"
#include "base/thread.h"

namespace bandb::bench {

namespace {

constexpr uint64_t kKeepBytes = uint64_t{1} << 40;

// A reader with a thread of its own, which reads until it has all that it is to have.
class Follower {
 public:
  Follower(std::unique_ptr<ChangeReader> reader, uint64_t changes, base::Clock* clock,
           std::vector<std::atomic<int64_t>>* arrivals)
      : reader_(std::move(reader)), changes_(changes), clock_(clock), arrivals_(arrivals), thread_([this]() {
          status_ = Follow();
        }) {}

  absl::Status Join() {
    thread_.Join();
    return status_;
  }

 private:
  absl::Status Follow() {
    Commit commit;
    for (uint64_t seen = 0; seen < changes_;) {
      BANDB_RETURN_IF_ERROR(reader_->Next(&commit, absl::Seconds(10)));
      if (commit.empty()) return base::Error(absl::StatusCode::kInternal, "{} changes came of {}", seen, changes_);
      for (size_t i = 0; i < commit.changes.size(); ++i) {
        if (arrivals_ != nullptr) (*arrivals_)[seen + i].store(clock_->MonotonicNanos());
      }
      seen += commit.changes.size();
    }
    return absl::OkStatus();
  }

  const std::unique_ptr<ChangeReader> reader_;
  const uint64_t changes_;
  base::Clock* const clock_;
  std::vector<std::atomic<int64_t>>* const arrivals_;
  absl::Status status_;
  base::Thread thread_;
};

class ChangesBench {
 public:
  ChangesBench(base::Clock* clock, const ChangesBenchOptions& options, ChangesFigures* figures)
      : clock_(clock), options_(options), figures_(figures), value_(options.value_bytes, 'v') {}

  absl::Status Run() {
    Options options;
    options.error_if_exists = true;
    options.changes_keep_bytes = kKeepBytes;
    BANDB_ASSIGN_OR_RETURN(db_, Db::Open(options_.dir, options));
    absl::Status done = RunRounds();
    if (done.ok()) done = ReadBack();
    if (done.ok()) done = MeasureDelay();
    db_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(options_.dir, ignored);
    return done;
  }

 private:
  absl::StatusOr<std::unique_ptr<ChangeReader>> Read(ChangesFrom from) {
    ChangesOptions options;
    options.from = std::move(from);
    return db_->ReadChanges(options);
  }

  absl::Status RunRounds() {
    for (int round = 0; round < options_.rounds; ++round) {
      BANDB_RETURN_IF_ERROR(PutAll(&figures_->puts_alone));
      BANDB_ASSIGN_OR_RETURN(std::unique_ptr<ChangeReader> reader, Read(ChangesFrom::Now()));
      Follower follower(std::move(reader), options_.puts, clock_, nullptr);
      const absl::Status put = PutAll(&figures_->puts_followed);
      const absl::Status followed = follower.Join();
      BANDB_RETURN_IF_ERROR(put);
      BANDB_RETURN_IF_ERROR(followed);
    }
    return absl::OkStatus();
  }

  absl::Status PutAll(double* best) {
    // All rounds begin alike: with nothing left to flush.
    BANDB_RETURN_IF_ERROR(db_->Flush());
    const int64_t begin_nanos = clock_->MonotonicNanos();
    for (uint64_t i = 0; i < options_.puts; ++i) {
      BANDB_RETURN_IF_ERROR(db_->Put(fmt::format("{:016}", i), value_));
    }
    *best = std::max(*best, PerSecond(options_.puts, begin_nanos));
    return absl::OkStatus();
  }

  absl::Status ReadBack() {
    BANDB_RETURN_IF_ERROR(db_->Flush());
    for (int round = 0; round < options_.rounds; ++round) {
      BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<ChangeReader> reader, Read(ChangesFrom::Oldest()));
      const int64_t begin_nanos = clock_->MonotonicNanos();
      Commit commit;
      figures_->changes_read = 0;
      do {
        BANDB_RETURN_IF_ERROR(reader->Next(&commit, absl::ZeroDuration()));
        figures_->changes_read += commit.changes.size();
      } while (!commit.empty());
      figures_->read_back = std::max(figures_->read_back, PerSecond(figures_->changes_read, begin_nanos));
    }
    const uint64_t written = 2 * static_cast<uint64_t>(options_.rounds) * options_.puts;
    if (figures_->changes_read == written) return absl::OkStatus();
    return base::Error(absl::StatusCode::kInternal, "{} changes were read of {}", figures_->changes_read, written);
  }

  absl::Status MeasureDelay() {
    std::vector<std::atomic<int64_t>> arrivals(options_.synced);
    std::vector<int64_t> acknowledged(options_.synced);
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<ChangeReader> reader, Read(ChangesFrom::Now()));
    Follower follower(std::move(reader), options_.synced, clock_, &arrivals);
    absl::Status put;
    for (uint64_t i = 0; i < options_.synced && put.ok(); ++i) {
      put = db_->Put(fmt::format("{:016}", i), value_, {.sync = true});
      acknowledged[i] = clock_->MonotonicNanos();
    }
    const absl::Status followed = follower.Join();
    BANDB_RETURN_IF_ERROR(put);
    BANDB_RETURN_IF_ERROR(followed);
    Histogram behind_nanos;
    for (uint64_t i = 0; i < options_.synced; ++i) {
      behind_nanos.Record(static_cast<uint64_t>(std::max<int64_t>(arrivals[i].load() - acknowledged[i], 0)));
    }
    figures_->behind_nanos = behind_nanos.Snapshot();
    return absl::OkStatus();
  }

  double PerSecond(uint64_t count, int64_t begin_nanos) const {
    const int64_t nanos = std::max<int64_t>(clock_->MonotonicNanos() - begin_nanos, 1);
    return static_cast<double>(count) * 1e9 / static_cast<double>(nanos);
  }

  base::Clock* const clock_;
  const ChangesBenchOptions options_;
  ChangesFigures* const figures_;
  const std::string value_;
  std::unique_ptr<Db> db_;
};

}  // namespace

absl::Status RunChangesBench(base::Clock* clock, const ChangesBenchOptions& options, ChangesFigures* figures) {
  return ChangesBench(clock, options, figures).Run();
}

}  // namespace bandb::bench
