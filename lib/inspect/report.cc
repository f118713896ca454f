#include "inspect/report.h"

#include <algorithm>

#include "base/assert.h"
#include "base/escape.h"

namespace bandb::inspect {

namespace {

// Longer texts are cut where people read them; as JSON they are whole.
constexpr size_t kShownBytesMax = 200;

std::string Shown(const Cell& cell) { return base::Escape(cell.text(), kShownBytesMax); }

std::string Quoted(std::string_view text) { return "\"" + base::EscapeJson(text) + "\""; }

std::string RowToJson(const Report::Row& row) {
  std::string json = "{";
  for (const auto& [name, value] : row) {
    if (json.size() > 1) json += ", ";
    json += Quoted(name) + ": " + (value.is_number() ? value.text() : Quoted(value.text()));
  }
  return json + "}";
}

std::string TableToText(const std::vector<Report::Row>& rows) {
  std::vector<size_t> widths;
  for (const auto& named : rows.front()) widths.push_back(named.first.size());
  for (const Report::Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Shown(row[i].second).size());
  }
  std::string text;
  const auto add_line = [&](const Report::Row& row, bool heads) {
    std::string line = " ";
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string shown = heads ? row[i].first : Shown(row[i].second);
      const std::string gap(widths[i] - std::min(widths[i], shown.size()), ' ');
      line += row[i].second.is_number() ? " " + gap + shown : " " + shown + gap;
      line += " ";
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add_line(rows.front(), true);
  for (const Report::Row& row : rows) add_line(row, false);
  return text;
}

}  // namespace

Report::Section* Report::Find(std::string_view name, bool is_table) {
  for (Section& section : sections_) {
    if (section.name != name) continue;
    BANDB_ASSERT(section.is_table == is_table);
    return &section;
  }
  sections_.push_back({.name = std::string(name), .is_table = is_table, .rows = {}});
  return &sections_.back();
}

void Report::Field(std::string_view section, std::string_view name, Cell value) {
  Section* const fields = Find(section, false);
  if (fields->rows.empty()) fields->rows.emplace_back();
  fields->rows.front().emplace_back(name, std::move(value));
}

void Report::Table(std::string_view section) { Find(section, true); }

void Report::AddRow(std::string_view section, Row row) {
  Section* const table = Find(section, true);
  BANDB_ASSERT(table->rows.empty() || table->rows.front().size() == row.size());
  table->rows.push_back(std::move(row));
}

size_t Report::RowCount(std::string_view section) const {
  const auto at = std::find_if(sections_.begin(), sections_.end(), [&](const Section& s) { return s.name == section; });
  return at == sections_.end() ? 0 : at->rows.size();
}

std::string Report::ToText() const {
  std::string text;
  for (const Section& section : sections_) {
    if (!text.empty()) text += "\n";
    text += section.name + (section.rows.empty() ? ": none\n" : ":\n");
    if (section.rows.empty()) continue;
    if (section.is_table) {
      text += TableToText(section.rows);
      continue;
    }
    for (const auto& [name, value] : section.rows.front()) text += "  " + name + ": " + Shown(value) + "\n";
  }
  return text;
}

std::string Report::ToJson() const {
  std::string json = "{";
  for (const Section& section : sections_) {
    json += json.size() > 1 ? ",\n " : "\n ";
    json += Quoted(section.name) + ": ";
    if (!section.is_table) {
      json += section.rows.empty() ? "{}" : RowToJson(section.rows.front());
      continue;
    }
    json += "[";
    for (size_t i = 0; i < section.rows.size(); ++i) json += (i == 0 ? "\n  " : ",\n  ") + RowToJson(section.rows[i]);
    json += "]";
  }
  return json + "\n}\n";
}

}  // namespace bandb::inspect
