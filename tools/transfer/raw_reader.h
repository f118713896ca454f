// Entries with their lengths and checksums, as entry_writer.h has them. Several files may follow
// each other, as when they are joined.
#ifndef BANDB_TOOLS_TRANSFER_RAW_READER_H_
#define BANDB_TOOLS_TRANSFER_RAW_READER_H_

#include <string>
#include <utility>

#include "transfer/entry_reader.h"

namespace bandb::transfer {

class RawReader final : public EntryReader {
 public:
  RawReader(RecordWindow window, std::string name) : window_(std::move(window)), name_(std::move(name)) {}
  absl::StatusOr<bool> Next(Record* record) override;
  bool Ready() const override { return !window_.bytes().empty() || window_.Ready(); }

 private:
  // Sees to it that the window has so many bytes; false if the file ends before.
  absl::StatusOr<bool> Have(size_t count);
  absl::Status TakeHead();
  absl::Status TakeEntry(Record* record);
  absl::Status TakeEnd();
  // Whether the record of so many bytes has the checksum that follows it.
  bool Verifies(size_t bytes) const;
  absl::Status Damaged(std::string_view what) const;

  RecordWindow window_;
  const std::string name_;
  uint64_t begin_ = 0;  // where the present file begins
  uint64_t entries_ = 0;
  uint64_t number_ = 0;
  bool inside_ = false;
};

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_RAW_READER_H_
