#include "text_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/escape.h"

namespace bandb::server_program {

std::string Align(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::vector<std::string>& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += (text.empty() ? "" : "\n") + line;
  }
  return text;
}

std::string Shown(std::string_view text) { return text.empty() ? "-" : base::Escape(text); }

std::string Json(std::string_view text) { return '"' + base::EscapeJson(text) + '"'; }

}  // namespace bandb::server_program
