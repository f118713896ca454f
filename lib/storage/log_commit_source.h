// The commits of a database, read from its logs: from the disk those that have ended, from what was
// written so far the present one.
//
// Nothing is queued for a reader, and no writer knows of it. What it holds is a piece of one log,
// and that only as long as there is something in it to give; the files are the feed's. It asks the
// engine when its piece is used up, or when it has come to where commits may be given at the time.
#ifndef BANDB_STORAGE_LOG_COMMIT_SOURCE_H_
#define BANDB_STORAGE_LOG_COMMIT_SOURCE_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/types/span.h"
#include "base/env.h"
#include "changes/commit_source.h"
#include "storage/engine/engine.h"
#include "storage/log/log_tail.h"
#include "storage/log_spots.h"

namespace bandb::storage {

class LogCommitSource final : public changes::CommitSource {
 public:
  // `spots`: where to begin, and where it was in the end; null: nobody wants to know.
  LogCommitSource(std::shared_ptr<FeedGate> gate, const changes::ChangePlace& place, bool undurable,
                  std::shared_ptr<LogSpots> spots = nullptr)
      : gate_(std::move(gate)), spots_(std::move(spots)), undurable_(undurable), place_(place) {}
  ~LogCommitSource() override;

  absl::StatusOr<bool> Next(changes::LoggedCommit* commit) override;
  absl::Status Wait(int64_t* nanos) override;
  int64_t Await(internal::ChangeListener* listener) override;
  void Forget() override;
  void Release() override;
  changes::ChangePlace place() const override { return place_; }

  // How much there is after a sequence: of users' commits, and of bytes; and the time of the first,
  // 0 if there is none.
  struct Lag {
    uint64_t after = 0;
    uint64_t commits = 0;
    uint64_t bytes = 0;
    uint64_t oldest_ms = 0;
  };
  // Fills them in, the lowest sequence first; each log is read once at the most. Of an engine that
  // the caller keeps from closing. Errors: kOutOfRange a log was let go meanwhile.
  static absl::Status MeasureLags(Engine* engine, const std::shared_ptr<FeedGate>& gate, absl::Span<Lag> lags);

 private:
  // Takes the record that was peeked at. True if it is a commit after the place.
  absl::StatusOr<bool> Take(const ParsedRecord& record, changes::LoggedCommit* commit);
  // Has more held, and bound_ as it is now. False: there is nothing after the place that may be
  // given.
  absl::StatusOr<bool> Fill();
  absl::StatusOr<bool> FillFrom(Engine* engine);
  void SetTail(std::optional<LogTail> tail);
  void CountHeld();
  int64_t WaitFor(Engine* engine, int64_t nanos);
  // Of these, all of which are in one log, counts what is after each up to its end. It is at the
  // beginning of the log.
  absl::Status CountTo(uint64_t end, absl::Span<Lag> lags);

  const std::shared_ptr<FeedGate> gate_;
  const std::shared_ptr<LogSpots> spots_;
  const bool undurable_;
  changes::ChangePlace place_;
  // The listener that is to be told, and the one that tells it; null: none.
  internal::ChangeListener* listener_ = nullptr;
  changes::News* news_ = nullptr;
  // When a sync is asked for, if nothing becomes durable by itself; 0: nothing is to come.
  int64_t grace_end_nanos_ = 0;
  // In the epoch of the log at hand: every one has logs of its own.
  changes::ChangePlace in_log_{};
  // Commits up to here may be given.
  uint64_t bound_ = 0;
  std::optional<LogTail> tail_;
  // All that was passed over in the log at hand is of before the place.
  bool in_step_ = true;
  // Of the record that was taken last.
  uint64_t record_bytes_ = 0;
  // As the gate has counted it.
  uint64_t held_bytes_ = 0;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_LOG_COMMIT_SOURCE_H_
