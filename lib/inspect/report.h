// What a look at files came to: fields and tables, written down for people or as JSON.
//
// A report is a list of sections in the order in which they were begun. A section is either one
// group of fields or a table whose rows have the same columns. For people fields are lines
// "name: value" and tables have columns; as JSON they are an object and a list of objects, all in
// one object by the names of the sections.
#ifndef BANDB_INSPECT_REPORT_H_
#define BANDB_INSPECT_REPORT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bandb::inspect {

// A number or a text. A text holds bytes of any kind, which are escaped where it is shown.
class Cell {
 public:
  Cell(uint64_t number) : text_(std::to_string(number)), is_number_(true) {}  // NOLINT: implicit by intent
  Cell(int number) : text_(std::to_string(number)), is_number_(true) {}       // NOLINT
  Cell(std::string_view text) : text_(text), is_number_(false) {}             // NOLINT
  Cell(const std::string& text) : text_(text), is_number_(false) {}           // NOLINT
  Cell(const char* text) : text_(text), is_number_(false) {}                  // NOLINT

  const std::string& text() const { return text_; }
  bool is_number() const { return is_number_; }

 private:
  std::string text_;
  bool is_number_;
};

class Report {
 public:
  using Row = std::vector<std::pair<std::string, Cell>>;

  // Adds a field to a section of fields, which begins with its first one.
  void Field(std::string_view section, std::string_view name, Cell value);
  // Begins a table, which may stay empty.
  void Table(std::string_view section);
  // Adds a row to a table. All rows of one have the same names.
  void AddRow(std::string_view section, Row row);
  // 0 for a section that was not begun.
  size_t RowCount(std::string_view section) const;

  std::string ToText() const;
  // One object and a line end.
  std::string ToJson() const;

 private:
  struct Section {
    std::string name;
    bool is_table = false;
    // Of fields: one row.
    std::vector<Row> rows;
  };

  Section* Find(std::string_view name, bool is_table);

  std::vector<Section> sections_;
};

}  // namespace bandb::inspect

#endif  // BANDB_INSPECT_REPORT_H_
