// Writes structures in the compact protocol of Thrift, as far as the footer and the page heads of a
// Parquet file need it.
//
//   struct := (field)* 0:u8
//   field  := head value            head: (id - id before) << 4 | type, or type and zigzag(id) if that is not 1 to 15
//   i32, i64 := zigzag as a varint            binary := varint length, bytes            list := head element*
//                                   list head: count << 4 | type, or 0xf0 | type and a varint
#ifndef BANDB_TOOLS_TRANSFER_THRIFT_WRITER_H_
#define BANDB_TOOLS_TRANSFER_THRIFT_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bandb::transfer {

enum class ThriftType : uint8_t { kTrue = 1, kFalse = 2, kI32 = 5, kI64 = 6, kBinary = 8, kList = 9, kStruct = 12 };

// Begins within a structure; End ends that, and what was begun in between. Fields of one structure
// are in the order of their ids.
class ThriftWriter {
 public:
  // Lifetime: borrows `to`.
  explicit ThriftWriter(std::string* to) : to_(to), last_ids_(1, 0) {}

  void Bool(int id, bool value) { Head(id, value ? ThriftType::kTrue : ThriftType::kFalse); }
  void I32(int id, int32_t value);
  void I64(int id, int64_t value);
  void Binary(int id, std::string_view bytes);
  // Fields up to End are those of the structure.
  void Begin(int id);
  // Its elements follow: by Element*, or each by BeginElement and End.
  void List(int id, ThriftType elements, size_t count);
  void ElementI32(int32_t value) { Signed(value); }
  void ElementBinary(std::string_view bytes);
  void BeginElement() { last_ids_.push_back(0); }
  void End();

 private:
  void Head(int id, ThriftType type);
  void Unsigned(uint64_t value);
  void Signed(int64_t value);

  std::string* const to_;
  std::vector<int> last_ids_;  // of the structures that are open, the innermost last
};

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_THRIFT_WRITER_H_
