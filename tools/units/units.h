// Sizes and durations as people write them: "64 MiB", "1.5GB", "5 s", "250ms".
//
//   size     := number [' '] unit        B, KiB, MiB, GiB, TiB (powers of 1024), kB, MB, GB, TB (powers of 1000)
//   duration := number [' '] unit        ms, s, sec, m, min, h, d
//             | "never"
//   number   := digits ['.' digit{1,3}]
#ifndef BANDB_TOOLS_UNITS_UNITS_H_
#define BANDB_TOOLS_UNITS_UNITS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace bandb::units {

// What the two take, for messages.
inline constexpr std::string_view kSizeHelp =
    "a size with its unit, such as \"64 MiB\" (B, KiB, MiB, GiB, TiB; kB, MB, GB, TB count in thousands)";
inline constexpr std::string_view kDurationHelp =
    "a duration with its unit, such as \"5 s\" (ms, s, min, h, d), or \"never\"";

// Bytes. nullopt if it is not a size, not a whole number of bytes, or more than 64 bits hold.
std::optional<uint64_t> ParseSize(std::string_view text);
// nullopt if it is not a duration. "never" is infinite.
std::optional<absl::Duration> ParseDuration(std::string_view text);

// The same back, in the largest unit (powers of 1024) in which the number is whole: "64 MiB".
std::string ShowSize(uint64_t bytes);
std::string ShowDuration(absl::Duration duration);

}  // namespace bandb::units

#endif  // BANDB_TOOLS_UNITS_UNITS_H_
