// Reads the logs of a database whose files may be damaged, and finds out what is missing of them.
//
// A record says which sequence it begins with, a log whether another one goes on after it, and the
// manifest which logs there must be and how far some of them count. What these promise and what is
// not there is a loss, whether or not anybody was told that it is durable.
#ifndef BANDB_INSPECT_LOG_CHAIN_H_
#define BANDB_INSPECT_LOG_CHAIN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "inspect/found_database.h"
#include "inspect/salvage.h"

namespace bandb::inspect {

struct LogChain {
  // Of each log that holds any, in the order of internal keys.
  std::vector<EntryCursor::Entries> entries{};
  std::vector<storage::RangeTombstone> tombstones{};
  std::vector<Loss> losses{};
  // What is no loss, and yet worth knowing.
  std::vector<std::string> notes{};
  uint64_t records = 0;
  // The last one that the manifest and the logs know of; 0 where there is none yet. None: it is not
  // known.
  std::optional<storage::Sequence> last_sequence{};
  // A log that there must be is not there: the manifest may be older than the other files.
  bool is_log_missing = false;
};

// Never fails: what cannot be read is a loss. Where the manifest is not whole, all logs that are
// there are read. Memory: the logs.
LogChain ReadLogChain(base::FileSystem* files, const FoundDatabase& found);

}  // namespace bandb::inspect

#endif  // BANDB_INSPECT_LOG_CHAIN_H_
