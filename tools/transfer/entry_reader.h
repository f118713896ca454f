// Reads what EntryWriter wrote, and the like from elsewhere.
//
// Records that make no sense by themselves are passed over and told, each with the reason. What
// makes all that follows doubtful ends the reading: a damaged record of raw, a head without the
// columns, a record that is longer than any.
//
// csv and tsv may have their columns in any order, others besides, and lines that end in \r\n; of
// csv only the fields that need it are in quotes. jsonl may have other fields. A "kind" other than
// "put" is no entry: a change that is none; of csv and tsv where there is a "sequence", too.
#ifndef BANDB_TOOLS_TRANSFER_ENTRY_READER_H_
#define BANDB_TOOLS_TRANSFER_ENTRY_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "transfer/byte_source.h"
#include "transfer/entry.h"

namespace bandb::transfer {

// What was read.
struct Record {
  std::string key{};
  std::string value{};
  uint64_t expires_ms = 0;  // 0: never
  std::string complaint{};  // why it is passed over; empty: it is an entry
  uint64_t number = 0;      // from 1, in its file: without blank lines and heads
};

// The longest record that is read: each byte of the largest value may be written as \u00XX.
inline constexpr size_t kRecordBytesMax = 400 << 20;

// Bytes of a source that were read and not used yet. Memory is bounded by the longest record, which
// is bounded.
class RecordWindow {
 public:
  RecordWindow(std::unique_ptr<ByteSource> source, size_t record_bytes_max)
      : source_(std::move(source)), record_bytes_max_(record_bytes_max) {}

  std::string_view bytes() const { return std::string_view(buffer_).substr(begin_); }
  uint64_t offset() const { return offset_; }
  // Adds to bytes(); false at the end of the source. Errors: kInvalidArgument a record is too long;
  // and of reading.
  absl::StatusOr<bool> More();
  void Consume(size_t count);
  // False if More would have to wait.
  bool Ready() const { return source_->Ready(); }

 private:
  std::unique_ptr<ByteSource> source_;
  size_t record_bytes_max_;
  std::string buffer_;
  size_t begin_ = 0;
  uint64_t offset_ = 0;
};

// Used once, by one thread.
class EntryReader {
 public:
  virtual ~EntryReader() = default;
  // The next record; false at the end. Errors: kDataLoss the file is damaged, kInvalidArgument it
  // is not of this format; both name the file and the place. And of reading.
  virtual absl::StatusOr<bool> Next(Record* record) = 0;
  // False if Next may have to wait for a person or another program to write.
  virtual bool Ready() const = 0;
};

// `name` is of the source, for messages. Encodings are told by the file itself.
std::unique_ptr<EntryReader> MakeEntryReader(Format format, std::unique_ptr<ByteSource> source, std::string name,
                                             size_t record_bytes_max = kRecordBytesMax);

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_ENTRY_READER_H_
