#include "units/units.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

namespace bandb::units {

namespace {

constexpr uint64_t kThousandthsInOne = 1000;
constexpr size_t kFractionDigitsMax = 3;

struct Amount {
  uint64_t whole = 0;
  uint64_t thousandths = 0;
  std::string_view unit;
};

// Takes the digits at the beginning of `text`.
std::optional<uint64_t> TakeDigits(std::string_view* text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc()) return std::nullopt;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return number;
}

// Splits "1.5 MiB" into 1, 500 and "MiB".
std::optional<Amount> Split(std::string_view text) {
  Amount amount;
  const std::optional<uint64_t> whole = TakeDigits(&text);
  if (!whole.has_value()) return std::nullopt;
  amount.whole = *whole;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    const size_t before = text.size();
    const std::optional<uint64_t> fraction = TakeDigits(&text);
    const size_t digits = before - text.size();
    if (!fraction.has_value() || digits > kFractionDigitsMax) return std::nullopt;
    amount.thousandths = *fraction;
    for (size_t i = digits; i < kFractionDigitsMax; ++i) amount.thousandths *= 10;
  }
  if (text.starts_with(' ')) text.remove_prefix(1);
  amount.unit = text;
  return amount;
}

struct SizeUnit {
  std::string_view name;
  uint64_t bytes;
};

constexpr SizeUnit kBinaryUnits[] = {
    {"TiB", 1ull << 40}, {"GiB", 1ull << 30}, {"MiB", 1ull << 20}, {"KiB", 1ull << 10}, {"B", 1}};
constexpr SizeUnit kDecimalUnits[] = {
    {"TB", 1'000'000'000'000}, {"GB", 1'000'000'000}, {"MB", 1'000'000}, {"kB", 1'000}, {"KB", 1'000}};

std::optional<uint64_t> SizeUnitCalled(std::string_view name) {
  for (const SizeUnit& unit : kBinaryUnits) {
    if (unit.name == name) return unit.bytes;
  }
  for (const SizeUnit& unit : kDecimalUnits) {
    if (unit.name == name) return unit.bytes;
  }
  return std::nullopt;
}

std::optional<absl::Duration> DurationUnitCalled(std::string_view name) {
  if (name == "ms") return absl::Milliseconds(1);
  if (name == "s" || name == "sec") return absl::Seconds(1);
  if (name == "m" || name == "min") return absl::Minutes(1);
  if (name == "h") return absl::Hours(1);
  if (name == "d") return absl::Hours(24);
  return std::nullopt;
}

}  // namespace

std::optional<uint64_t> ParseSize(std::string_view text) {
  const std::optional<Amount> amount = Split(text);
  if (!amount.has_value()) return std::nullopt;
  const std::optional<uint64_t> unit = SizeUnitCalled(amount->unit);
  if (!unit.has_value() || amount->whole > UINT64_MAX / *unit) return std::nullopt;
  // A unit is at most 2^40 and the thousandths are fewer than 2^10.
  const uint64_t fraction = *unit * amount->thousandths;
  const uint64_t bytes = *unit * amount->whole;
  if (fraction % kThousandthsInOne != 0 || bytes > UINT64_MAX - fraction / kThousandthsInOne) return std::nullopt;
  return bytes + fraction / kThousandthsInOne;
}

std::optional<absl::Duration> ParseDuration(std::string_view text) {
  if (text == "never") return absl::InfiniteDuration();
  const std::optional<Amount> amount = Split(text);
  if (!amount.has_value() || amount->whole > INT64_MAX) return std::nullopt;
  const std::optional<absl::Duration> unit = DurationUnitCalled(amount->unit);
  if (!unit.has_value()) return std::nullopt;
  return *unit * static_cast<int64_t>(amount->whole) +
         *unit * static_cast<int64_t>(amount->thousandths) / static_cast<int64_t>(kThousandthsInOne);
}

std::string ShowSize(uint64_t bytes) {
  if (bytes == 0) return "0 B";
  for (const SizeUnit& unit : kBinaryUnits) {
    if (bytes % unit.bytes == 0) return fmt::format("{} {}", bytes / unit.bytes, unit.name);
  }
  return fmt::format("{} B", bytes);
}

std::string ShowDuration(absl::Duration duration) {
  if (duration == absl::InfiniteDuration()) return "never";
  constexpr std::pair<std::string_view, int64_t> kUnits[] = {{"h", 3'600'000}, {"min", 60'000}, {"s", 1000}};
  const int64_t millis = absl::ToInt64Milliseconds(duration);
  for (const auto& [name, unit_millis] : kUnits) {
    if (millis != 0 && millis % unit_millis == 0) return fmt::format("{} {}", millis / unit_millis, name);
  }
  return fmt::format("{} ms", millis);
}

}  // namespace bandb::units
