// The bytes of a Parquet file. What others make of it is seen in parquet_test.py.
#include "transfer/parquet_writer.h"

#include <string>
#include <vector>

#include "base/coding.h"
#include "base/status.h"
#include "support/catch.h"
#include "transfer/thrift_writer.h"

namespace bandb::transfer {
namespace {

std::string File(bool compress, const std::vector<ParquetRow>& rows) {
  std::string file;
  ParquetWriter writer(compress);
  writer.Begin(&file);
  for (const ParquetRow& row : rows) REQUIRE_OK(writer.Append(row, &file));
  REQUIRE_OK(writer.End(&file));
  return file;
}

// The metadata, which the last bytes say the length of.
std::string MetadataOf(const std::string& file) {
  REQUIRE(file.size() > 12);
  REQUIRE(file.starts_with("PAR1"));
  REQUIRE(file.ends_with("PAR1"));
  const auto bytes = base::LoadFixed<uint32_t>(file.data() + file.size() - 8);
  REQUIRE(bytes + 12 <= file.size());
  return file.substr(file.size() - 8 - bytes, bytes);
}

}  // namespace

TEST_CASE("structures in the compact protocol, byte by byte") {
  std::string bytes;
  ThriftWriter thrift(&bytes);
  thrift.I32(1, 1);
  thrift.I64(3, -1);
  thrift.Binary(4, "ab");
  thrift.Begin(20);
  thrift.Bool(1, true);
  thrift.Bool(2, false);
  thrift.End();
  thrift.List(21, ThriftType::kI32, 2);
  thrift.ElementI32(150);
  thrift.ElementI32(-150);
  thrift.List(22, ThriftType::kStruct, 15);
  for (int i = 0; i < 15; ++i) {
    thrift.BeginElement();
    thrift.End();
  }
  thrift.End();
  CHECK(bytes == std::string("\x15\x02"
                             "\x26\x01"
                             "\x18\x02"
                             "ab"
                             "\x0c\x28\x11\x12\x00"
                             "\x19\x25\xac\x02\xab\x02"
                             "\x19\xfc\x0f",
                             22) +
                     std::string(16, '\0'));
}

TEST_CASE("a file of no rows has a schema, and the same rows make the same bytes") {
  const std::string empty = File(false, {});
  CHECK(MetadataOf(empty).size() + 12 == empty.size());
  const std::vector<ParquetRow> rows = {{.key = "a", .value = "1"}, {.key = "b", .sequence = 7, .kind = "delete"}};
  for (const bool compress : {false, true}) {
    CHECK(File(compress, rows) == File(compress, rows));
    CHECK(File(compress, rows).size() > empty.size());
  }
  CHECK(File(false, rows) != File(true, rows));
}

TEST_CASE("one writer makes one file after another, each as if it were the first") {
  ParquetWriter writer(true);
  for (int i = 0; i < 3; ++i) {
    std::string file;
    writer.Begin(&file);
    CHECK(writer.plain_bytes() == 0);
    REQUIRE_OK(writer.Append({.key = "a", .value = "1"}, &file));
    CHECK(writer.plain_bytes() > 0);
    REQUIRE_OK(writer.End(&file));
    CHECK(file == File(true, {{.key = "a", .value = "1"}}));
  }
}

TEST_CASE("what the caller took away meanwhile counts in the offsets: a stream is the bytes of a file") {
  const std::string value(1 << 20, 'v');
  std::vector<ParquetRow> rows(150, ParquetRow{.key = "k", .value = value});
  std::string stream;
  std::string piece;
  ParquetWriter writer(true);
  writer.Begin(&piece);
  for (const ParquetRow& row : rows) {
    REQUIRE_OK(writer.Append(row, &piece));
    stream += piece;
    piece.clear();
  }
  // Written group by group.
  CHECK(stream.size() > 4);
  REQUIRE_OK(writer.End(&piece));
  CHECK(stream + piece == File(true, rows));
}

TEST_CASE("a value as large as a store holds is a page of its own") {
  const std::string value(64 << 20, 'v');
  const std::string file = File(false, {{.key = "a", .value = "1"}, {.key = "b", .value = value}, {.key = "c"}});
  CHECK(file.size() > value.size());
  CHECK(file.size() < value.size() + 4096);
  CHECK(MetadataOf(file).size() < 4096);
  CHECK(file.find(value) != std::string::npos);
}

TEST_CASE("a value that no page holds is refused, and nothing of it is added") {
  std::string file;
  ParquetWriter writer(false);
  writer.Begin(&file);
  // Not a byte of it is read.
  const std::string_view huge("x", kParquetValueBytesMax + 1);
  CHECK_CODE(writer.Append({.key = "k", .value = huge}, &file), kInvalidArgument);
  CHECK_CODE(writer.Append({.key = "k", .limit = huge}, &file), kInvalidArgument);
  REQUIRE_OK(writer.Append({.key = "k", .value = "v"}, &file));
  REQUIRE_OK(writer.End(&file));
  CHECK(file == File(false, {{.key = "k", .value = "v"}}));
}

}  // namespace bandb::transfer
