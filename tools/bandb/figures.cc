#include "figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/status.h"

namespace bandb::cli {

namespace {

constexpr std::string_view kRequest = "request.";
constexpr std::string_view kHook = "hook.";

// Takes the number at the front of the text, and one character after it if there is more.
bool TakeNumber(std::string_view* text, uint64_t* number) {
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *number);
  if (error != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  if (!text->empty()) text->remove_prefix(1);
  return true;
}

bool ParseHistogram(std::string_view text, LatencyHistogram* histogram) {
  uint64_t sum_nanos = 0, longest_nanos = 0;
  if (!TakeNumber(&text, &sum_nanos) || !TakeNumber(&text, &longest_nanos)) return false;
  histogram->AddSum(sum_nanos, longest_nanos);
  while (!text.empty()) {
    uint64_t bucket = 0, count = 0;
    if (!TakeNumber(&text, &bucket) || !TakeNumber(&text, &count)) return false;
    if (bucket >= LatencyHistogram::kBuckets) return false;
    histogram->AddTo(bucket, count);
  }
  return true;
}

}  // namespace

uint64_t Figures::Number(std::string_view name) const {
  const auto found = numbers.find(name);
  return found == numbers.end() ? 0 : found->second;
}

absl::StatusOr<Figures> ParseFigures(std::string_view text) {
  Figures figures;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t space = line.find(' ');
    if (space == std::string_view::npos) continue;
    const std::string name(line.substr(0, space));
    std::string_view value = line.substr(space + 1);
    uint64_t number = 0;
    if (name == "version") {
      figures.version = value;
    } else if (name.starts_with(kRequest) || name.starts_with(kHook)) {
      if (!ParseHistogram(value, &figures.histograms[name])) {
        return base::Error(absl::StatusCode::kDataLoss, "the figures of the server: {} is malformed", name);
      }
    } else if (TakeNumber(&value, &number) && value.empty()) {
      figures.numbers[name] = number;
    }
  }
  return figures;
}

absl::StatusOr<Figures> AskFigures(client::Client* client) {
  BANDB_ASSIGN_OR_RETURN(const std::string text, client->Administer({"figures"}));
  return ParseFigures(text);
}

std::string ShowDuration(absl::Duration duration) {
  constexpr std::string_view kUnits[] = {"ns", "us", "ms", "s"};
  double value = absl::ToDoubleNanoseconds(duration);
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  if (unit == 0 || value >= 99.95) return fmt::format("{:.0f} {}", value, kUnits[unit]);
  return fmt::format("{:.{}f} {}", value, value >= 9.995 ? 1 : 2, kUnits[unit]);
}

}  // namespace bandb::cli
