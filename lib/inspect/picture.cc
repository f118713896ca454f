#include "inspect/picture.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/escape.h"
#include "base/status.h"
#include "inspect/found_database.h"
#include "inspect/names.h"

namespace bandb::inspect {

namespace {

constexpr double kWidth = 1000;
constexpr double kLeft = 60;
constexpr double kRowHeight = 18;
constexpr double kLevelGap = 10;
constexpr size_t kKeyBytesMax = 60;

std::string ForXml(std::string_view text) {
  std::string xml;
  for (const char byte : base::Escape(text, kKeyBytesMax)) {
    switch (byte) {
      case '<':
        xml += "&lt;";
        break;
      case '&':
        xml += "&amp;";
        break;
      case '"':
        xml += "&quot;";
        break;
      default:
        xml += byte;
    }
  }
  return xml;
}

class Picture {
 public:
  explicit Picture(const storage::Version& version) : version_(version) {
    for (int level = 0; level < storage::kLevels; ++level) {
      for (const storage::TablePtr& table : version.level(level)) {
        bounds_.emplace_back(storage::SpacedKey(table->info().smallest));
        bounds_.emplace_back(storage::SpacedKey(table->info().largest));
      }
    }
    std::sort(bounds_.begin(), bounds_.end());
    bounds_.erase(std::unique(bounds_.begin(), bounds_.end()), bounds_.end());
  }

  std::string Draw() {
    std::string body;
    for (int level = 0; level < storage::kLevels; ++level) {
      if (version_.level(level).empty()) continue;
      body += fmt::format("<text x=\"4\" y=\"{:.1f}\">level {}</text>\n", y_ + kRowHeight * 0.7, level);
      for (const storage::TablePtr& table : version_.level(level)) {
        body += Box(table->info());
        // Those of the levels below 0 lie side by side.
        if (level == 0) y_ += kRowHeight;
      }
      y_ += (level == 0 ? 0 : kRowHeight) + kLevelGap;
    }
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0f}\" height=\"{:.0f}\" font-family=\"sans-serif\" "
        "font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}</svg>\n",
        kLeft + kWidth + kLevelGap, y_, body);
  }

 private:
  // A key's place among the bounds of all tables.
  double At(std::string_view internal_key) const {
    const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), storage::SpacedKey(internal_key));
    const auto spans = static_cast<double>(std::max<size_t>(bounds_.size(), 2) - 1);
    return kLeft + kWidth * static_cast<double>(at - bounds_.begin()) / spans;
  }

  std::string Box(const storage::TableInfo& info) const {
    const double left = At(info.smallest);
    const double width = std::max(At(info.largest) - left, 2.0);
    return fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" stroke=\"#345\"><title>table "
        "{}: "
        "{} entries, {} bytes, &quot;{}&quot; to &quot;{}&quot;</title></rect>\n",
        left, y_, width, kRowHeight - 4, info.range_tombstones == 0 ? "#9cd" : "#e9a", info.number, info.entries,
        info.file_bytes, ForXml(KeyText(info.smallest)), ForXml(KeyText(info.largest)));
  }

  const storage::Version& version_;
  std::vector<std::string> bounds_;
  double y_ = kLevelGap;
};

}  // namespace

absl::StatusOr<std::string> DrawLevels(const base::Env& env, const std::string& dir) {
  BANDB_ASSIGN_OR_RETURN(const FoundDatabase found, FindDatabase(env, dir));
  if (found.state_is_whole) return Picture(*found.state.version).Draw();
  return found.problems.empty() ? Damage(dir, 0, "there is no manifest") : found.problems.back();
}

}  // namespace bandb::inspect
