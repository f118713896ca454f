// The change feed of a Db: readers over its logs, and cursors in the space of the system.
#ifndef BANDB_STORAGE_DB_FEED_H_
#define BANDB_STORAGE_DB_FEED_H_

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "bandb/write_batch.h"
#include "kv/change_feed.h"
#include "storage/engine/engine.h"
#include "storage/log_spots.h"

namespace bandb::storage {

// Thread safety: any thread.
class DbFeed final : public internal::ChangeFeed {
 public:
  // Writes a batch to the space of the system and waits until it is durable.
  using WriteSystem = std::function<absl::Status(const WriteBatch&)>;
  // `check`: whether this process has a part in the database. Lifetime: borrows the engine.
  DbFeed(Engine* engine, WriteSystem write, std::function<absl::Status()> check)
      : engine_(engine), write_(std::move(write)), check_(std::move(check)) {}

  absl::StatusOr<std::unique_ptr<ChangeReader>> ReadChanges(const ChangesOptions& options) override;
  absl::Status CreateCursor(std::string_view name, const ChangesFrom& from) override;
  absl::Status ResetCursor(std::string_view name, const ChangesFrom& from) override;
  absl::Status Acknowledge(std::string_view name, std::string_view token) override;
  absl::Status DropCursor(std::string_view name) override;
  absl::StatusOr<std::vector<CursorInfo>> ListCursors() override;
  // Writes down what was acknowledged, before the database closes.
  void WriteCursors();

 private:
  // OK: an activity of the engine has begun.
  absl::Status Enter();
  // The same, if cursors can be written.
  absl::Status EnterToWrite();
  // A time as the place before the first commit that is not earlier; anything else as it is. Reads
  // the log in which that is. Errors: as Store::ReadChanges.
  absl::StatusOr<ChangesFrom> FindTime(const ChangesFrom& from);
  // Errors: kOutOfRange a log was let go meanwhile.
  absl::Status FillLags(std::vector<CursorInfo>* infos);

  Engine* const engine_;
  const std::shared_ptr<LogSpots> spots_ = std::make_shared<LogSpots>();
  const WriteSystem write_;
  const std::function<absl::Status()> check_;
};

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_DB_FEED_H_
