#include "transfer/parquet_writer.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/coding.h"
#include "base/escape.h"
#include "base/status.h"
#include "transfer/compression.h"
#include "transfer/thrift_writer.h"

namespace bandb::transfer {

namespace {

constexpr std::string_view kParquetMagic = "PAR1";
constexpr size_t kPageRowsMax = 1 << 16;
constexpr size_t kShownBytes = 64;

// The numbers of the format.
constexpr int32_t kTypeInt64 = 2;
constexpr int32_t kTypeByteArray = 6;
constexpr int32_t kRequired = 0;
constexpr int32_t kOptional = 1;
constexpr int32_t kConvertedUtf8 = 0;
constexpr int32_t kConvertedTimestampMicros = 10;
constexpr int32_t kEncodingPlain = 0;
constexpr int32_t kEncodingRle = 3;
constexpr int32_t kCodecNone = 0;
constexpr int32_t kCodecZstd = 6;
constexpr int32_t kDataPage = 0;

enum class ColumnKind : uint8_t { kBytes, kText, kInteger, kTime };

struct ColumnSchema {
  std::string_view name;
  ColumnKind kind;
  bool optional;
};

constexpr std::array<ColumnSchema, kParquetColumns> kSchema{{{"key", ColumnKind::kBytes, false},
                                                             {"value", ColumnKind::kBytes, true},
                                                             {"sequence", ColumnKind::kInteger, true},
                                                             {"time", ColumnKind::kTime, true},
                                                             {"kind", ColumnKind::kText, false},
                                                             {"limit", ColumnKind::kBytes, true},
                                                             {"expires", ColumnKind::kTime, true}}};

bool IsBytes(const ColumnSchema& column) {
  return column.kind == ColumnKind::kBytes || column.kind == ColumnKind::kText;
}

// Times that no timestamp of 64 bits holds are in 292,000 years; they are the last one.
std::optional<int64_t> ToMicros(std::optional<uint64_t> ms) {
  constexpr uint64_t kMost = std::numeric_limits<int64_t>::max() / 1000;
  if (!ms.has_value()) return std::nullopt;
  return static_cast<int64_t>(std::min(*ms, kMost)) * 1000;
}

std::optional<int64_t> ToSigned(std::optional<uint64_t> number) {
  if (!number.has_value()) return std::nullopt;
  return static_cast<int64_t>(*number);
}

void AppendRun(uint64_t rows, bool has_value, std::string* levels) {
  for (uint64_t head = rows << 1;; head >>= 7) {
    levels->push_back(static_cast<char>(head >= 0x80 ? head | 0x80 : head));
    if (head < 0x80) break;
  }
  levels->push_back(has_value ? '\1' : '\0');
}

void WriteSchema(ThriftWriter* thrift) {
  thrift->List(2, ThriftType::kStruct, 1 + kSchema.size());
  thrift->BeginElement();
  thrift->Binary(4, "bandb");
  thrift->I32(5, static_cast<int32_t>(kSchema.size()));
  thrift->End();
  for (const ColumnSchema& column : kSchema) {
    thrift->BeginElement();
    thrift->I32(1, IsBytes(column) ? kTypeByteArray : kTypeInt64);
    thrift->I32(3, column.optional ? kOptional : kRequired);
    thrift->Binary(4, column.name);
    if (column.kind == ColumnKind::kText) {
      thrift->I32(6, kConvertedUtf8);
      thrift->Begin(10);
      thrift->Begin(1);
      thrift->End();
      thrift->End();
    } else if (column.kind == ColumnKind::kTime) {
      thrift->I32(6, kConvertedTimestampMicros);
      thrift->Begin(10);
      thrift->Begin(8);
      thrift->Bool(1, true);
      thrift->Begin(2);
      thrift->Begin(2);
      thrift->End();
      thrift->End();
      thrift->End();
      thrift->End();
    }
    thrift->End();
  }
}

}  // namespace

void ParquetWriter::Begin(std::string* to) {
  columns_ = {};
  groups_.clear();
  rows_ = group_bytes_ = plain_bytes_ = 0;
  to->append(kParquetMagic);
  offset_ = kParquetMagic.size();
}

absl::Status ParquetWriter::BeginCell(size_t column, bool has_value, size_t bytes) {
  Column* const to = &columns_[column];
  const bool full = to->values.size() + bytes > kParquetPageBytes || to->rows >= kPageRowsMax;
  if (to->rows > 0 && full) BANDB_RETURN_IF_ERROR(EndPage(column));
  if (to->run_rows > 0 && to->run_has_value != has_value) {
    AppendRun(std::exchange(to->run_rows, 0), to->run_has_value, &to->levels);
  }
  to->run_has_value = has_value;
  ++to->run_rows;
  ++to->rows;
  ++to->group_rows;
  if (!has_value) ++to->nulls;
  return absl::OkStatus();
}

absl::Status ParquetWriter::AddBytes(size_t column, std::optional<std::string_view> bytes) {
  BANDB_RETURN_IF_ERROR(BeginCell(column, bytes.has_value(), bytes.has_value() ? bytes->size() : 0));
  if (!bytes.has_value()) return absl::OkStatus();
  std::string* const values = &columns_[column].values;
  base::PutFixed32(values, static_cast<uint32_t>(bytes->size()));
  values->append(*bytes);
  return absl::OkStatus();
}

absl::Status ParquetWriter::AddInteger(size_t column, std::optional<int64_t> value) {
  BANDB_RETURN_IF_ERROR(BeginCell(column, value.has_value(), sizeof(int64_t)));
  if (!value.has_value()) return absl::OkStatus();
  Column* const to = &columns_[column];
  base::PutFixed64(&to->values, static_cast<uint64_t>(*value));
  to->least = to->has_bounds ? std::min(to->least, *value) : *value;
  to->most = to->has_bounds ? std::max(to->most, *value) : *value;
  to->has_bounds = true;
  return absl::OkStatus();
}

absl::Status ParquetWriter::EndPage(size_t column) {
  Column* const from = &columns_[column];
  std::string body;
  if (kSchema[column].optional) {
    AppendRun(from->run_rows, from->run_has_value, &from->levels);
    base::PutFixed32(&body, static_cast<uint32_t>(from->levels.size()));
    body += from->levels;
  }
  body += from->values;
  const size_t plain_size = body.size();
  if (compress_) {
    BANDB_ASSIGN_OR_RETURN(body, Compress(body));
  }
  const uint32_t crc =
      static_cast<uint32_t>(::crc32_z(0, reinterpret_cast<const unsigned char*>(body.data()), body.size()));
  std::string head;
  ThriftWriter thrift(&head);
  thrift.I32(1, kDataPage);
  thrift.I32(2, static_cast<int32_t>(plain_size));
  thrift.I32(3, static_cast<int32_t>(body.size()));
  thrift.I32(4, static_cast<int32_t>(crc));
  thrift.Begin(5);
  thrift.I32(1, static_cast<int32_t>(from->rows));
  thrift.I32(2, kEncodingPlain);
  thrift.I32(3, kEncodingRle);
  thrift.I32(4, kEncodingRle);
  thrift.End();
  thrift.End();
  from->plain_bytes += head.size() + plain_size;
  from->pages += head;
  from->pages += body;
  from->values.clear();
  from->levels.clear();
  from->rows = from->run_rows = 0;
  return absl::OkStatus();
}

absl::Status ParquetWriter::EndGroup(std::string* to) {
  Group group{.rows = rows_};
  for (size_t i = 0; i < kParquetColumns; ++i) {
    BANDB_RETURN_IF_ERROR(EndPage(i));
    const Column& column = columns_[i];
    group.columns[i] = {offset_,           column.pages.size(), column.plain_bytes, column.nulls,
                        column.has_bounds, column.least,        column.most};
    to->append(column.pages);
    offset_ += column.pages.size();
  }
  columns_ = {};
  rows_ = group_bytes_ = 0;
  groups_.push_back(group);
  return absl::OkStatus();
}

absl::Status ParquetWriter::Append(const ParquetRow& row, std::string* to) {
  uint64_t bytes = 0;
  for (const std::optional<std::string_view> part : {std::optional(row.key), row.value, row.limit}) {
    if (!part.has_value()) continue;
    bytes += part->size();
    if (part->size() <= kParquetValueBytesMax) continue;
    return base::Error(absl::StatusCode::kInvalidArgument, "\"{}\": {} bytes are more than a page of parquet holds",
                       base::Escape(row.key.substr(0, kShownBytes), kShownBytes), part->size());
  }
  if (rows_ > 0 && (group_bytes_ + bytes > kParquetGroupBytes || rows_ >= kParquetGroupRows)) {
    BANDB_RETURN_IF_ERROR(EndGroup(to));
  }
  // What the row takes in columns besides its bytes, about.
  constexpr uint64_t kRowBytes = 32;
  ++rows_;
  group_bytes_ += bytes + kRowBytes;
  plain_bytes_ += bytes + kRowBytes;
  BANDB_RETURN_IF_ERROR(AddBytes(0, row.key));
  BANDB_RETURN_IF_ERROR(AddBytes(1, row.value));
  BANDB_RETURN_IF_ERROR(AddInteger(2, ToSigned(row.sequence)));
  BANDB_RETURN_IF_ERROR(AddInteger(3, ToMicros(row.time_ms)));
  BANDB_RETURN_IF_ERROR(AddBytes(4, row.kind));
  BANDB_RETURN_IF_ERROR(AddBytes(5, row.limit));
  return AddInteger(6, ToMicros(row.expires_ms));
}

void ParquetWriter::WriteColumn(size_t column, uint64_t rows, const ColumnPlace& place, ThriftWriter* thrift) const {
  thrift->BeginElement();
  thrift->I64(2, 0);
  thrift->Begin(3);
  thrift->I32(1, IsBytes(kSchema[column]) ? kTypeByteArray : kTypeInt64);
  thrift->List(2, ThriftType::kI32, 2);
  thrift->ElementI32(kEncodingPlain);
  thrift->ElementI32(kEncodingRle);
  thrift->List(3, ThriftType::kBinary, 1);
  thrift->ElementBinary(kSchema[column].name);
  thrift->I32(4, compress_ ? kCodecZstd : kCodecNone);
  thrift->I64(5, static_cast<int64_t>(rows));
  thrift->I64(6, static_cast<int64_t>(place.plain_bytes));
  thrift->I64(7, static_cast<int64_t>(place.bytes));
  thrift->I64(9, static_cast<int64_t>(place.offset));
  thrift->Begin(12);
  thrift->I64(3, static_cast<int64_t>(place.nulls));
  if (place.has_bounds) {
    std::string most;
    std::string least;
    base::PutFixed64(&most, static_cast<uint64_t>(place.most));
    base::PutFixed64(&least, static_cast<uint64_t>(place.least));
    thrift->Binary(5, most);
    thrift->Binary(6, least);
  }
  thrift->End();
  thrift->End();
  thrift->End();
}

void ParquetWriter::WriteGroup(const Group& group, ThriftWriter* thrift) const {
  uint64_t plain_bytes = 0;
  uint64_t bytes = 0;
  thrift->BeginElement();
  thrift->List(1, ThriftType::kStruct, kParquetColumns);
  for (size_t i = 0; i < kParquetColumns; ++i) {
    WriteColumn(i, group.rows, group.columns[i], thrift);
    plain_bytes += group.columns[i].plain_bytes;
    bytes += group.columns[i].bytes;
  }
  thrift->I64(2, static_cast<int64_t>(plain_bytes));
  thrift->I64(3, static_cast<int64_t>(group.rows));
  thrift->I64(5, static_cast<int64_t>(group.columns[0].offset));
  thrift->I64(6, static_cast<int64_t>(bytes));
  thrift->End();
}

std::string ParquetWriter::Metadata() const {
  uint64_t rows = 0;
  for (const Group& group : groups_) rows += group.rows;
  std::string metadata;
  ThriftWriter thrift(&metadata);
  thrift.I32(1, 1);
  WriteSchema(&thrift);
  thrift.I64(3, static_cast<int64_t>(rows));
  thrift.List(4, ThriftType::kStruct, groups_.size());
  for (const Group& group : groups_) WriteGroup(group, &thrift);
  thrift.Binary(6, "bandb");
  // Bounds go by the order of the type.
  thrift.List(7, ThriftType::kStruct, kParquetColumns);
  for (size_t i = 0; i < kParquetColumns; ++i) {
    thrift.BeginElement();
    thrift.Begin(1);
    thrift.End();
    thrift.End();
  }
  thrift.End();
  return metadata;
}

absl::Status ParquetWriter::End(std::string* to) {
  if (rows_ > 0) BANDB_RETURN_IF_ERROR(EndGroup(to));
  const std::string metadata = Metadata();
  to->append(metadata);
  base::PutFixed32(to, static_cast<uint32_t>(metadata.size()));
  to->append(kParquetMagic);
  return absl::OkStatus();
}

}  // namespace bandb::transfer
