// Writes a Parquet file: entries, or changes of the feed, in a schema that never changes.
//
//   key       required BYTE_ARRAY
//   value     optional BYTE_ARRAY            of a put
//   sequence  optional INT64                 of the commit; null where it is not known
//   time      optional INT64 TIMESTAMP(MICROS, UTC)          of the commit; null where it is not known
//   kind      required BYTE_ARRAY STRING     put, delete or delete_range
//   limit     optional BYTE_ARRAY            of a delete_range, which begins at key
//   expires   optional INT64 TIMESTAMP(MICROS, UTC)          of a put that does
//
//   file      := "PAR1" group* metadata metadataLen:u32 "PAR1"            all integers little-endian
//   group     := column column ...           the seven, each a run of pages
//   page      := head (levels values, compressed by zstd or not)          version 1, PLAIN, with a CRC-32
//   levels    := length:u32 run*             of optional columns: 1 is a value, 0 a null
//   run       := varint(count << 1) level:u8
//   values    := (length:u32 bytes | i64)*   of those that are no nulls
//
// The same rows make the same file, by one version of zstd.
#ifndef BANDB_TOOLS_TRANSFER_PARQUET_WRITER_H_
#define BANDB_TOOLS_TRANSFER_PARQUET_WRITER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace bandb::transfer {

class ThriftWriter;

// Lifetime: borrows its bytes.
struct ParquetRow {
  std::string_view key{};
  std::optional<std::string_view> value{};
  std::optional<uint64_t> sequence{};
  std::optional<uint64_t> time_ms{};  // since 1970, as is expires_ms
  std::string_view kind = "put";
  std::optional<std::string_view> limit{};
  std::optional<uint64_t> expires_ms{};
};

inline constexpr size_t kParquetColumns = 7;
// A page is ended at so many bytes, uncompressed; one value may be larger than that.
inline constexpr size_t kParquetPageBytes = 1 << 20;
// A page has its sizes in 31 bits, also where it does not get shorter by compression.
inline constexpr size_t kParquetValueBytesMax = 1 << 30;
// So much is held in memory, uncompressed, before it is written; and so many rows.
inline constexpr uint64_t kParquetGroupBytes = 64 << 20;
inline constexpr uint64_t kParquetGroupRows = 1 << 20;

// Used for one file after another. Memory: a row group.
class ParquetWriter {
 public:
  // `compress`: pages by zstd.
  explicit ParquetWriter(bool compress) : compress_(compress) {}

  // Begins a file. Everything is appended to `to`, which the caller may empty in between.
  void Begin(std::string* to);
  // Errors: kInvalidArgument a value that is longer than kParquetValueBytesMax; nothing is added.
  // kResourceExhausted no memory to compress with; the file is of no use.
  absl::Status Append(const ParquetRow& row, std::string* to);
  // Ends the file. Errors: kResourceExhausted, as Append.
  absl::Status End(std::string* to);
  // Bytes of the rows of this file so far, uncompressed.
  uint64_t plain_bytes() const { return plain_bytes_; }

 private:
  // A column of the group that is being filled.
  struct Column {
    std::string values;  // of the page that is being filled
    std::string levels;  // its runs, but for the last one
    uint64_t rows = 0;   // in that page
    bool run_has_value = false;
    uint64_t run_rows = 0;
    std::string pages;
    uint64_t group_rows = 0;
    uint64_t nulls = 0;
    uint64_t plain_bytes = 0;  // of its pages with their heads, uncompressed
    bool has_bounds = false;   // of integers
    int64_t least = 0;
    int64_t most = 0;
  };
  // What the footer says of a column of a group.
  struct ColumnPlace {
    uint64_t offset = 0;
    uint64_t bytes = 0;
    uint64_t plain_bytes = 0;
    uint64_t nulls = 0;
    bool has_bounds = false;
    int64_t least = 0;
    int64_t most = 0;
  };
  struct Group {
    uint64_t rows = 0;
    std::array<ColumnPlace, kParquetColumns> columns{};
  };

  absl::Status AddBytes(size_t column, std::optional<std::string_view> bytes);
  absl::Status AddInteger(size_t column, std::optional<int64_t> value);
  // Notes down whether the next row has a value; ends the page first if it is full.
  absl::Status BeginCell(size_t column, bool has_value, size_t bytes);
  absl::Status EndPage(size_t column);
  absl::Status EndGroup(std::string* to);
  void WriteColumn(size_t column, uint64_t rows, const ColumnPlace& place, ThriftWriter* thrift) const;
  void WriteGroup(const Group& group, ThriftWriter* thrift) const;
  std::string Metadata() const;

  const bool compress_;
  std::array<Column, kParquetColumns> columns_{};
  std::vector<Group> groups_;
  uint64_t rows_ = 0;         // of the group that is being filled
  uint64_t group_bytes_ = 0;  // of its rows
  uint64_t plain_bytes_ = 0;
  uint64_t offset_ = 0;  // of what is appended next
};

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_PARQUET_WRITER_H_
