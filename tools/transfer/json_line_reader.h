// Entries that are objects of JSON, one on each line.
#ifndef BANDB_TOOLS_TRANSFER_JSON_LINE_READER_H_
#define BANDB_TOOLS_TRANSFER_JSON_LINE_READER_H_

#include <string>
#include <utility>

#include "transfer/entry_reader.h"

namespace bandb::transfer {

class JsonLineReader final : public EntryReader {
 public:
  JsonLineReader(RecordWindow window, std::string name) : window_(std::move(window)), name_(std::move(name)) {}
  absl::StatusOr<bool> Next(Record* record) override;
  bool Ready() const override;

 private:
  // The bytes of the next line; false at the end.
  absl::StatusOr<bool> NextLine(std::string* line);

  RecordWindow window_;
  const std::string name_;
  size_t searched_ = 0;  // there is no line end in so many bytes of the window
  uint64_t number_ = 0;
};

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_JSON_LINE_READER_H_
