// Where space 0 of a database that is or was of a cluster has the clocks that were accepted there
// (cluster/log_clock.h).
#ifndef BANDB_STORAGE_ENGINE_LOG_CLOCK_KEY_H_
#define BANDB_STORAGE_ENGINE_LOG_CLOCK_KEY_H_

#include <string_view>

namespace bandb::storage {

inline constexpr std::string_view kLogClockKey = "clock";

}  // namespace bandb::storage

#endif  // BANDB_STORAGE_ENGINE_LOG_CLOCK_KEY_H_
