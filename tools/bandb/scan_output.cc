#include "scan_output.h"

#include <fmt/format.h>

#include "quoting.h"

namespace bandb::cli {

std::string FormatEntry(ScanFormat format, const transfer::Entry& entry, bool keys_only) {
  switch (format) {
    case ScanFormat::kText:
      return keys_only ? Quote(entry.key) + "\n" : fmt::format("{}\t{}\n", Quote(entry.key), Quote(entry.value));
    case ScanFormat::kJsonLines: {
      std::string line = "{\"key\": ";
      transfer::AppendJsonBytes(transfer::Encoding::kUtf8, entry.key, &line);
      if (!keys_only) {
        line += ", \"value\": ";
        transfer::AppendJsonBytes(transfer::Encoding::kUtf8, entry.value, &line);
        if (entry.expires_ms != 0) line += fmt::format(", \"expires\": {}", entry.expires_ms);
      }
      return line + "}\n";
    }
    case ScanFormat::kRaw:
      return keys_only ? std::string(entry.key) + "\n" : fmt::format("{}\t{}\n", entry.key, entry.value);
  }
  return "";
}

}  // namespace bandb::cli
