#include "transfer/change_writer.h"

#include <fmt/format.h>

#include "base/coding.h"
#include "transfer/column_text.h"
#include "transfer/entry_writer.h"

namespace bandb::transfer {

std::string_view ChangeName(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::kPut:
      return "put";
    case ChangeKind::kDelete:
      return "delete";
    case ChangeKind::kDeleteRange:
      return "delete_range";
  }
  return "";
}

void AppendChangeLine(const Layout& layout, const ChangeCommit& commit, const ChangeEntry& change, std::string* to) {
  to->append(fmt::format("{{\"kind\": \"{}\", \"key\": ", ChangeName(change.kind)));
  AppendJsonBytes(layout.keys, change.key, to);
  if (change.kind == ChangeKind::kPut) {
    to->append(", \"value\": ");
    AppendJsonBytes(layout.values, change.value, to);
  } else if (change.kind == ChangeKind::kDeleteRange) {
    to->append(", \"limit\": ");
    AppendJsonBytes(layout.keys, change.limit, to);
  }
  if (change.expires_ms != 0) to->append(fmt::format(", \"expires\": {}", change.expires_ms));
  to->append(fmt::format(", \"sequence\": {}, \"time\": {}}}\n", commit.first_sequence, commit.time_ms));
}

void ChangeWriter::Begin(std::string* to) {
  changes_ = 0;
  offset_ = kRawHeadBytes;
  const char separator = layout_.format == Format::kCsv ? ',' : '\t';
  switch (layout_.format) {
    case Format::kJsonLines:
      break;
    case Format::kCsv:
    case Format::kTsv:
      to->append(fmt::format("kind{0}key{1}{0}value{2}{0}limit{1}{0}expires{0}sequence{0}time\n", separator,
                             ColumnSuffix(layout_.keys), ColumnSuffix(layout_.values)));
      break;
    case Format::kRaw:
      to->append(kRawChangesMagic);
      base::PutFixed32(to, kRawChangesVersion);
      base::PutFixed32(to, 0);
      break;
    case Format::kParquet:
      parquet_.Begin(to);
      break;
  }
}

void ChangeWriter::AppendRecord(const ChangeCommit& commit, const ChangeEntry& change, std::string* to) {
  const std::string_view value = change.kind == ChangeKind::kDeleteRange ? change.limit : change.value;
  const size_t begin = to->size();
  base::PutFixed8(to, static_cast<uint8_t>(static_cast<int>(change.kind) + 1));
  base::PutFixed32(to, static_cast<uint32_t>(change.key.size()));
  base::PutFixed32(to, static_cast<uint32_t>(value.size()));
  base::PutFixed64(to, change.expires_ms);
  base::PutFixed64(to, commit.first_sequence);
  base::PutFixed64(to, commit.time_ms);
  to->append(change.key);
  to->append(value);
  SealRawRecord(begin, &offset_, to);
}

absl::Status ChangeWriter::AppendRow(const ChangeCommit& commit, const ChangeEntry& change, std::string* to) {
  ParquetRow row{
      .key = change.key, .sequence = commit.first_sequence, .time_ms = commit.time_ms, .kind = ChangeName(change.kind)};
  if (change.kind == ChangeKind::kPut) row.value = change.value;
  if (change.kind == ChangeKind::kDeleteRange) row.limit = change.limit;
  if (change.expires_ms != 0) row.expires_ms = change.expires_ms;
  return parquet_.Append(row, to);
}

absl::Status ChangeWriter::AppendColumns(const ChangeCommit& commit, const ChangeEntry& change, std::string* to) const {
  const Format format = layout_.format;
  const char separator = format == Format::kCsv ? ',' : '\t';
  to->append(ChangeName(change.kind));
  to->push_back(separator);
  bool key_fits = AppendColumn(format, layout_.keys, change.key, to);
  to->push_back(separator);
  const bool value_fits = AppendColumn(format, layout_.values, change.value, to);
  to->push_back(separator);
  key_fits = AppendColumn(format, layout_.keys, change.limit, to) && key_fits;
  to->push_back(separator);
  if (change.expires_ms != 0) to->append(std::to_string(change.expires_ms));
  to->append(fmt::format("{0}{1}{0}{2}\n", separator, commit.first_sequence, commit.time_ms));
  if (key_fits && value_fits) return absl::OkStatus();
  return CannotHold(format, key_fits ? "value" : "key", change.key);
}

absl::Status ChangeWriter::AppendChange(const ChangeCommit& commit, const ChangeEntry& change, std::string* to) {
  switch (layout_.format) {
    case Format::kJsonLines:
      AppendChangeLine(layout_, commit, change, to);
      return absl::OkStatus();
    case Format::kCsv:
    case Format::kTsv:
      return AppendColumns(commit, change, to);
    case Format::kRaw:
      AppendRecord(commit, change, to);
      return absl::OkStatus();
    case Format::kParquet:
      return AppendRow(commit, change, to);
  }
  return absl::OkStatus();
}

absl::Status ChangeWriter::Append(const ChangeCommit& commit, std::string* to) {
  for (const ChangeEntry& change : commit.changes) {
    if (const absl::Status status = AppendChange(commit, change, to); !status.ok()) return status;
  }
  changes_ += commit.changes.size();
  return absl::OkStatus();
}

absl::Status ChangeWriter::End(std::string* to) {
  if (layout_.format == Format::kParquet) return parquet_.End(to);
  if (layout_.format == Format::kRaw) AppendRawEnd(changes_, &offset_, to);
  return absl::OkStatus();
}

}  // namespace bandb::transfer
