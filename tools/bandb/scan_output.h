// Entries of a scan as text.
#ifndef BANDB_TOOLS_BANDB_SCAN_OUTPUT_H_
#define BANDB_TOOLS_BANDB_SCAN_OUTPUT_H_

#include <string>

#include "command.h"
#include "transfer/entry.h"

namespace bandb::cli {

// The line of one entry, its end included.
//
//   text  := quoted [tab quoted]                                   see quoting.h
//   jsonl := '{"key": ' bytes [', "value": ' bytes [', "expires": ' ms]] '}'
//   bytes := string | '{"base64": ' string '}'                     where they are not UTF-8
//   raw   := key [tab value]                                       as they are
std::string FormatEntry(ScanFormat format, const transfer::Entry& entry, bool keys_only);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_SCAN_OUTPUT_H_
