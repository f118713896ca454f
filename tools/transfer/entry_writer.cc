#include "transfer/entry_writer.h"

#include <fmt/format.h>

#include "base/coding.h"
#include "transfer/column_text.h"

namespace bandb::transfer {

void EntryWriter::Begin(std::string* to) {
  entries_ = 0;
  offset_ = kRawHeadBytes;
  const char separator = layout_.format == Format::kCsv ? ',' : '\t';
  switch (layout_.format) {
    case Format::kJsonLines:
      break;
    case Format::kCsv:
    case Format::kTsv:
      to->append(fmt::format("key{0}{2}value{1}{2}expires\n", ColumnSuffix(layout_.keys), ColumnSuffix(layout_.values),
                             separator));
      break;
    case Format::kRaw:
      to->append(kRawMagic);
      base::PutFixed32(to, kRawVersion);
      base::PutFixed32(to, 0);
      break;
    case Format::kParquet:
      parquet_.Begin(to);
      break;
  }
}

void EntryWriter::AppendRecord(const Entry& entry, std::string* to) {
  const size_t begin = to->size();
  base::PutFixed8(to, 1);
  base::PutFixed32(to, static_cast<uint32_t>(entry.key.size()));
  base::PutFixed32(to, static_cast<uint32_t>(entry.value.size()));
  base::PutFixed64(to, entry.expires_ms);
  to->append(entry.key);
  to->append(entry.value);
  SealRawRecord(begin, &offset_, to);
}

absl::Status EntryWriter::Append(const Entry& entry, std::string* to) {
  ++entries_;
  if (layout_.format == Format::kRaw) {
    AppendRecord(entry, to);
    return absl::OkStatus();
  }
  if (layout_.format == Format::kParquet) {
    ParquetRow row{.key = entry.key, .value = entry.value};
    if (entry.expires_ms != 0) row.expires_ms = entry.expires_ms;
    return parquet_.Append(row, to);
  }
  if (layout_.format == Format::kJsonLines) {
    to->append("{\"key\": ");
    AppendJsonBytes(layout_.keys, entry.key, to);
    to->append(", \"value\": ");
    AppendJsonBytes(layout_.values, entry.value, to);
    if (entry.expires_ms != 0) to->append(fmt::format(", \"expires\": {}", entry.expires_ms));
    to->append("}\n");
    return absl::OkStatus();
  }
  const char separator = layout_.format == Format::kCsv ? ',' : '\t';
  const size_t begin = to->size();
  const bool key_fits = AppendColumn(layout_.format, layout_.keys, entry.key, to);
  to->push_back(separator);
  const bool value_fits = AppendColumn(layout_.format, layout_.values, entry.value, to);
  to->push_back(separator);
  if (entry.expires_ms != 0) to->append(std::to_string(entry.expires_ms));
  to->push_back('\n');
  if (key_fits && value_fits) return absl::OkStatus();
  to->resize(begin);
  --entries_;
  return CannotHold(layout_.format, key_fits ? "value" : "key", entry.key);
}

absl::Status EntryWriter::End(std::string* to) {
  if (layout_.format == Format::kParquet) return parquet_.End(to);
  if (layout_.format == Format::kRaw) AppendRawEnd(entries_, &offset_, to);
  return absl::OkStatus();
}

}  // namespace bandb::transfer
