// Checks on Options, and what is derived from them.
#ifndef BANDB_KV_OPTIONS_H_
#define BANDB_KV_OPTIONS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "bandb/options.h"
#include "kv/option_check.h"

namespace bandb::kv {

// Complains of every option that is out of range or contradicts another.
void CheckOptions(const Options& options, OptionCheck* check);

// Errors: kInvalidArgument names every setting that is out of range or contradicts another, all at
// once.
absl::Status Validate(const Options& options);

// open_files_max, or what it is when it is 0 in a process that may have `process_max` files open.
uint64_t OpenFilesMax(const Options& options, uint64_t process_max);

// memory_budget_bytes, or what it is when it is 0.
uint64_t MemoryBudgetBytes(const Options& options);

}  // namespace bandb::kv

#endif  // BANDB_KV_OPTIONS_H_
