// Writes changes of the feed down, each as it was written to the store.
//
//   jsonl := line*
//   line  := '{"kind": ' kind ', "key": ' bytes [', "value": ' bytes] [', "limit": ' bytes] [', "expires": ' ms]
//               ', "sequence": ' n ', "time": ' ms '}' \n
//   kind  := '"put"' | '"delete"' | '"delete_range"'                       bytes, suffix: entry_writer.h
//   csv   := 'kind,key' suffix ',value' suffix ',limit' suffix ',expires,sequence,time' \n, and so each change
//   tsv   := the same with tabs
//   raw   := "BANDBCHG" version:u32 zero:u32 record* end                    all integers little-endian
//   record:= kind:u8 keyLen:u32 valueLen:u32 expiresMs:u64 sequence:u64 timeMs:u64 key value checksum:u64
//                                     kind: 1 put, 2 delete, 3 delete_range, whose value is the limit
//   end   := 0:u8 changes:u64 checksum:u64
//   parquet := parquet_writer.h
//
// Sequence and time are those of the commit, the sequence that of its first operation: changes of
// one sequence took effect together. The limit of a csv is encoded as its keys are. Checksums of
// raw are as those of entries.
#ifndef BANDB_TOOLS_TRANSFER_CHANGE_WRITER_H_
#define BANDB_TOOLS_TRANSFER_CHANGE_WRITER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "bandb/changes.h"
#include "transfer/entry.h"
#include "transfer/parquet_writer.h"

namespace bandb::transfer {

inline constexpr std::string_view kRawChangesMagic = "BANDBCHG";
inline constexpr uint32_t kRawChangesVersion = 1;

// Lifetime: borrows its bytes.
struct ChangeEntry {
  ChangeKind kind = ChangeKind::kPut;
  std::string_view key{};
  std::string_view value{};  // of a put
  std::string_view limit{};  // of a range delete
  uint64_t expires_ms = 0;   // as Entry
};
// A whole commit, as far as it was asked for.
struct ChangeCommit {
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  uint64_t time_ms = 0;
  std::vector<ChangeEntry> changes{};
};

// "put", "delete", "delete_range".
std::string_view ChangeName(ChangeKind kind);
// Appends the line of jsonl.
void AppendChangeLine(const Layout& layout, const ChangeCommit& commit, const ChangeEntry& change, std::string* to);

// As EntryWriter.
class ChangeWriter {
 public:
  explicit ChangeWriter(const Layout& layout, bool compress_within = false)
      : layout_(layout), parquet_(compress_within) {}

  void Begin(std::string* to);
  // Errors: kInvalidArgument a key or value that the layout cannot hold; what is in `to` is of no
  // use.
  absl::Status Append(const ChangeCommit& commit, std::string* to);
  absl::Status End(std::string* to);
  uint64_t PlainBytes(std::string_view content) const {
    return layout_.format == Format::kParquet ? parquet_.plain_bytes() : content.size();
  }

 private:
  absl::Status AppendChange(const ChangeCommit& commit, const ChangeEntry& change, std::string* to);
  absl::Status AppendRow(const ChangeCommit& commit, const ChangeEntry& change, std::string* to);
  absl::Status AppendColumns(const ChangeCommit& commit, const ChangeEntry& change, std::string* to) const;
  void AppendRecord(const ChangeCommit& commit, const ChangeEntry& change, std::string* to);

  const Layout layout_;
  uint64_t changes_ = 0;
  uint64_t offset_ = 0;  // raw: of the next record
  ParquetWriter parquet_;
};

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_CHANGE_WRITER_H_
