#include "units.h"

#include <charconv>
#include <utility>

namespace bandb::server_program {

namespace {

// Splits "64 MiB" into 64 and "MiB".
std::optional<std::pair<uint64_t, std::string_view>> Split(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  if (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  return std::pair(number, unit);
}

}  // namespace

std::optional<uint64_t> ParseSize(std::string_view text) {
  constexpr std::pair<std::string_view, int> kUnits[] = {{"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
  const auto parts = Split(text);
  if (!parts.has_value()) return std::nullopt;
  for (const auto& [name, shift] : kUnits) {
    if (parts->second != name) continue;
    if (parts->first > UINT64_MAX >> shift) return std::nullopt;
    return parts->first << shift;
  }
  return std::nullopt;
}

std::optional<absl::Duration> ParseDuration(std::string_view text) {
  if (text == "never") return absl::InfiniteDuration();
  const auto parts = Split(text);
  if (!parts.has_value() || parts->first > INT64_MAX) return std::nullopt;
  const auto number = static_cast<int64_t>(parts->first);
  if (parts->second == "ms") return absl::Milliseconds(number);
  if (parts->second == "s") return absl::Seconds(number);
  if (parts->second == "min") return absl::Minutes(number);
  if (parts->second == "h") return absl::Hours(number);
  return std::nullopt;
}

}  // namespace bandb::server_program
