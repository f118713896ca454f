#include "scan_output.h"

#include <fmt/format.h>

#include "quoting.h"
#include "transfer/entry.h"

namespace bandb::cli {

std::string FormatEntry(ScanFormat format, std::string_view key, std::string_view value, bool keys_only) {
  switch (format) {
    case ScanFormat::kText:
      return keys_only ? Quote(key) + "\n" : fmt::format("{}\t{}\n", Quote(key), Quote(value));
    case ScanFormat::kJsonLines: {
      std::string line = "{\"key\": ";
      transfer::AppendJsonBytes(transfer::Encoding::kUtf8, key, &line);
      if (!keys_only) {
        line += ", \"value\": ";
        transfer::AppendJsonBytes(transfer::Encoding::kUtf8, value, &line);
      }
      return line + "}\n";
    }
    case ScanFormat::kRaw:
      return keys_only ? std::string(key) + "\n" : fmt::format("{}\t{}\n", key, value);
  }
  return "";
}

}  // namespace bandb::cli
