#include "transfer/entry_reader.h"

#include "base/status.h"
#include "transfer/column_reader.h"
#include "transfer/json_line_reader.h"
#include "transfer/raw_reader.h"

namespace bandb::transfer {

namespace {

constexpr size_t kPieceBytes = 256 << 10;

// Of what is only written.
class NoReader final : public EntryReader {
 public:
  explicit NoReader(std::string name) : name_(std::move(name)) {}
  absl::StatusOr<bool> Next(Record*) override {
    return base::Error(absl::StatusCode::kInvalidArgument,
                       "{}: parquet is for other programs to read: export jsonl or raw to import it again", name_);
  }
  bool Ready() const override { return true; }

 private:
  const std::string name_;
};

}  // namespace

absl::StatusOr<bool> RecordWindow::More() {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  if (buffer_.size() > record_bytes_max_) {
    return base::Error(absl::StatusCode::kInvalidArgument, "offset {}: a record is longer than {} bytes", offset_,
                       record_bytes_max_);
  }
  const size_t before = buffer_.size();
  buffer_.resize(before + kPieceBytes);
  const absl::StatusOr<size_t> n = source_->Read(absl::Span<char>(buffer_.data() + before, kPieceBytes));
  buffer_.resize(before + (n.ok() ? *n : 0));
  BANDB_RETURN_IF_ERROR(n.status());
  return *n > 0;
}

void RecordWindow::Consume(size_t count) {
  begin_ += count;
  offset_ += count;
}

std::unique_ptr<EntryReader> MakeEntryReader(Format format, std::unique_ptr<ByteSource> source, std::string name,
                                             size_t record_bytes_max) {
  RecordWindow window(std::move(source), record_bytes_max);
  switch (format) {
    case Format::kJsonLines:
      return std::make_unique<JsonLineReader>(std::move(window), std::move(name));
    case Format::kCsv:
      return std::make_unique<ColumnReader>(std::move(window), std::move(name), true);
    case Format::kTsv:
      return std::make_unique<ColumnReader>(std::move(window), std::move(name), false);
    case Format::kRaw:
      return std::make_unique<RawReader>(std::move(window), std::move(name));
    case Format::kParquet:
      return std::make_unique<NoReader>(std::move(name));
  }
  return nullptr;
}

}  // namespace bandb::transfer
