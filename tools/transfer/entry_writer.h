// Writes entries down in one of the formats.
//
// All formats are of one file or stream: a head, entries, an end. Text lines end in \n.
//
//   jsonl := line*
//   line  := '{"key": ' bytes ', "value": ' bytes [', "expires": ' ms] '}' \n
//   bytes := string | '{"base64": ' string '}' | '{"hex": ' string '}'
//   csv   := 'key' suffix ',value' suffix ',expires' \n (field ',' field ',' [ms] \n)*
//   tsv   := the same with tabs; \\ \t \n \r are these bytes
//   suffix:= '' | '_hex' | '_base64'
//   raw   := "BANDBRAW" version:u32 zero:u32 record* end                    all integers little-endian
//   record:= 1:u8 keyLen:u32 valueLen:u32 expiresMs:u64 key value checksum:u64
//   end   := 0:u8 entries:u64 checksum:u64
//
//   parquet := parquet_writer.h
//
// A field of csv is in double quotes, which are doubled inside, if it holds a comma, a quote, \r or
// \n. A checksum of raw is BlockChecksum (base/checksum.h) with seed 0 and the offset of the
// record, of what precedes it in the record.
//
// jsonl, raw and parquet hold any bytes. csv and tsv do so with hex or base64, and hold nothing but
// UTF-8 without.
#ifndef BANDB_TOOLS_TRANSFER_ENTRY_WRITER_H_
#define BANDB_TOOLS_TRANSFER_ENTRY_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "transfer/entry.h"
#include "transfer/parquet_writer.h"

namespace bandb::transfer {

inline constexpr std::string_view kRawMagic = "BANDBRAW";
inline constexpr uint32_t kRawVersion = 1;
inline constexpr size_t kRawHeadBytes = 16;
inline constexpr size_t kRawEntryHeadBytes = 1 + 4 + 4 + 8;
inline constexpr size_t kRawEndBytes = 1 + 8;

// What it writes depends on nothing but the layout and the entries.
class EntryWriter {
 public:
  // `compress_within`: of parquet, which is compressed by its pages; other formats are as a whole.
  explicit EntryWriter(const Layout& layout, bool compress_within = false)
      : layout_(layout), parquet_(compress_within) {}

  // Begins a file. Everything is appended to `to`.
  void Begin(std::string* to);
  // Errors: kInvalidArgument a key or value that the layout cannot hold; nothing is appended.
  absl::Status Append(const Entry& entry, std::string* to);
  // Ends the file. Errors: kResourceExhausted no memory to compress with.
  absl::Status End(std::string* to);
  // How large the file is, uncompressed, whose bytes so far are `content`.
  uint64_t PlainBytes(std::string_view content) const {
    return layout_.format == Format::kParquet ? parquet_.plain_bytes() : content.size();
  }

 private:
  void AppendRecord(const Entry& entry, std::string* to);

  const Layout layout_;
  uint64_t entries_ = 0;
  uint64_t offset_ = 0;  // raw: of the next record
  ParquetWriter parquet_;
};

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_ENTRY_WRITER_H_
