// Sizes and durations as people write them: "64 MiB", "5 s".
#ifndef BANDB_TOOLS_BANDB_SERVER_UNITS_H_
#define BANDB_TOOLS_BANDB_SERVER_UNITS_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/time/time.h"

namespace bandb::server_program {

// A whole number and one of B, KiB, MiB, GiB, TiB. Nothing if it is not that, or more than 64 bits hold.
std::optional<uint64_t> ParseSize(std::string_view text);

// A whole number and one of ms, s, min, h; or "never", which is for ever. Nothing if it is not that.
std::optional<absl::Duration> ParseDuration(std::string_view text);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_UNITS_H_
