// Fields of csv and tsv, and sealed records of raw: what entries and changes share.
#ifndef BANDB_TOOLS_TRANSFER_COLUMN_TEXT_H_
#define BANDB_TOOLS_TRANSFER_COLUMN_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "transfer/entry.h"

namespace bandb::transfer {

// What the name of a column ends in if its bytes are encoded.
std::string_view ColumnSuffix(Encoding encoding);
// Appends the bytes as a field of csv or tsv; false if they are not UTF-8 and had to be.
bool AppendColumn(Format format, Encoding encoding, std::string_view bytes, std::string* to);
// kInvalidArgument: the part ("key" or "value") of this key is nothing that the format can hold.
absl::Status CannotHold(Format format, std::string_view part, std::string_view key);

// Appends the checksum of the record that begins at `begin` in `to` and at `offset` in its file,
// and moves the offset to its end.
void SealRawRecord(size_t begin, uint64_t* offset, std::string* to);
// Appends the last record of a file, which tells how many there are.
void AppendRawEnd(uint64_t count, uint64_t* offset, std::string* to);

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_COLUMN_TEXT_H_
