#include "administration.h"

#include <fmt/format.h>

#include "base/escape.h"
#include "base/status.h"

namespace bandb::server_program {

absl::StatusOr<std::string> Administer(Db* db, const std::vector<std::string>& words) {
  const std::string command = words.empty() ? "" : words[0];
  const size_t operands = words.empty() ? 0 : words.size() - 1;
  if (command == "flush" && operands == 0) {
    BANDB_RETURN_IF_ERROR(db->Flush());
    return "flushed";
  }
  if (command == "compact" && operands == 2) {
    const uint64_t before = db->GetStats().table_bytes;
    BANDB_RETURN_IF_ERROR(db->CompactRange(words[1], words[2]));
    return fmt::format("compacted: {} bytes of tables, {} before", db->GetStats().table_bytes, before);
  }
  return base::Error(absl::StatusCode::kInvalidArgument,
                     "no such command: {} with {} operands; there are flush, and compact BEGIN LIMIT",
                     base::Escape(command.substr(0, 64)), operands);
}

}  // namespace bandb::server_program
