#include "storage/read/level_cursor.h"

#include <utility>

#include "base/assert.h"
#include "storage/version/version.h"

namespace bandb::storage {

namespace {

class LevelCursor final : public Cursor {
 public:
  LevelCursor(const std::vector<TablePtr>* tables, const TableCursorOptions& options)
      : tables_(*tables), options_(options) {}

  void SeekToFirst() override {
    if (!Enter(0)) return;
    cursor_->SeekToFirst();
    StandForward();
  }
  void SeekToLast() override {
    if (!Enter(tables_.size() - 1)) return;
    cursor_->SeekToLast();
    StandBackward();
  }
  void Seek(std::string_view target) override {
    if (!Enter(Version::FindTable(tables_, target))) return;
    cursor_->Seek(target);
    StandForward();
  }
  void SeekForPrev(std::string_view target) override {
    size_t number = Version::FindTable(tables_, target);
    // After all tables: the last entry of the last.
    if (number == tables_.size() && number != 0) --number;
    if (!Enter(number)) return;
    cursor_->SeekForPrev(target);
    StandBackward();
  }
  void Next() override {
    cursor_->Next();
    StandForward();
  }
  void Prev() override {
    cursor_->Prev();
    StandBackward();
  }
  std::string_view value() const override { return cursor_->value(); }
  absl::Status status() const override { return status_; }

 private:
  // Opens a cursor on the table; false if there is no such table or it cannot be read.
  bool Enter(size_t number) {
    status_ = absl::OkStatus();
    StandNowhere();
    if (number >= tables_.size()) {
      cursor_ = nullptr;
      return false;
    }
    if (cursor_ != nullptr && number == number_ && cursor_->status().ok()) return true;
    cursor_ = nullptr;
    number_ = number;
    const absl::StatusOr<const TableReader*> reader = tables_[number]->Reader();
    if (!reader.ok()) {
      status_ = reader.status();
      return false;
    }
    cursor_ = NewTableCursor(**reader, options_);
    return true;
  }

  // A table may end where the walk arrives, or hold nothing but range tombstones.
  void StandForward() {
    while (true) {
      if (cursor_->Valid()) [[likely]]
        return StandAt(cursor_->key());
      StandNowhere();
      status_ = cursor_->status();
      if (!status_.ok() || !Enter(number_ + 1)) return;
      cursor_->SeekToFirst();
    }
  }
  void StandBackward() {
    while (true) {
      if (cursor_->Valid()) [[likely]]
        return StandAt(cursor_->key());
      StandNowhere();
      status_ = cursor_->status();
      if (!status_.ok()) return;
      if (number_ == 0) {
        cursor_ = nullptr;
        return;
      }
      if (!Enter(number_ - 1)) return;
      cursor_->SeekToLast();
    }
  }

  const std::vector<TablePtr>& tables_;
  const TableCursorOptions options_;
  size_t number_ = 0;
  std::unique_ptr<TableCursor> cursor_;
  absl::Status status_;
};

}  // namespace

std::unique_ptr<Cursor> NewLevelCursor(const std::vector<TablePtr>* tables, const TableCursorOptions& options) {
  BANDB_ASSERT(!tables->empty());
  return std::make_unique<LevelCursor>(tables, options);
}

}  // namespace bandb::storage
