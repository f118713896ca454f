// Entries that are the rows of a table, csv or tsv, under a line that names the columns.
#ifndef BANDB_TOOLS_TRANSFER_COLUMN_READER_H_
#define BANDB_TOOLS_TRANSFER_COLUMN_READER_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "transfer/entry_reader.h"

namespace bandb::transfer {

// Finds the end of a row of csv, and takes it apart.
class CsvRow {
 public:
  // Goes on where it stopped in `bytes`, which only grew since; npos: the row does not end there.
  size_t FindEnd(std::string_view bytes);
  // Forgets the row.
  void Reset();
  // The fields of a whole row, without its line end. What is wrong with it, or nothing.
  static std::string Split(std::string_view row, std::vector<std::string>* fields);

 private:
  enum class State : uint8_t { kFieldStart, kPlain, kQuoted, kAfterQuote };
  static State Advance(State state, char c);

  State state_ = State::kFieldStart;
  size_t searched_ = 0;
};

class ColumnReader final : public EntryReader {
 public:
  ColumnReader(RecordWindow window, std::string name, bool csv)
      : window_(std::move(window)), name_(std::move(name)), csv_(csv) {}
  absl::StatusOr<bool> Next(Record* record) override;
  bool Ready() const override;

 private:
  static constexpr size_t kNone = SIZE_MAX;
  struct Column {
    size_t index = kNone;
    Encoding encoding = Encoding::kUtf8;
  };

  // The bytes of the next row that is not blank; false at the end.
  absl::StatusOr<bool> NextRow(std::string* row);
  // Where the row at the front of the window ends; npos if that is not known yet.
  size_t FindEnd();
  std::string Split(std::string_view row, std::vector<std::string>* fields) const;
  absl::Status TakeHead();
  std::string TakeFields(const std::vector<std::string>& fields, Record* record) const;

  RecordWindow window_;
  const std::string name_;
  const bool csv_;
  CsvRow csv_row_;
  size_t searched_ = 0;  // tsv: there is no line end in so many bytes of the window
  bool has_head_ = false;
  size_t columns_ = 0;
  Column key_;
  Column value_;
  Column expires_;
  Column kind_;  // of changes
  uint64_t number_ = 0;
};

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_COLUMN_READER_H_
