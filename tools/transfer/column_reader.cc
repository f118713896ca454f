#include "transfer/column_reader.h"

#include <algorithm>
#include <charconv>

#include "base/status.h"

namespace bandb::transfer {

namespace {

// Bytes for which tsv has escapes; false if the text has an escape that is none.
bool UnescapeTsv(std::string_view text, std::string* bytes) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes->push_back(text[i]);
      continue;
    }
    const char c = ++i < text.size() ? text[i] : '\0';
    if (c != '\\' && c != 't' && c != 'n' && c != 'r') return false;
    bytes->push_back(c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : '\\');
  }
  return true;
}

std::string SplitTsv(std::string_view row, std::vector<std::string>* fields) {
  if (row.ends_with('\r')) row.remove_suffix(1);
  while (true) {
    const size_t end = std::min(row.find('\t'), row.size());
    fields->emplace_back();
    if (!UnescapeTsv(row.substr(0, end), &fields->back())) return "a backslash that is not an escape";
    if (end == row.size()) return "";
    row.remove_prefix(end + 1);
  }
}

// "key_hex" is the column "key" in hex.
bool IsColumn(std::string_view head, std::string_view name, Encoding* encoding) {
  if (!head.starts_with(name)) return false;
  head.remove_prefix(name.size());
  if (head.empty()) return true;
  return head.front() == '_' && ParseEncoding(head.substr(1), encoding) && *encoding != Encoding::kUtf8;
}

}  // namespace

CsvRow::State CsvRow::Advance(State state, char c) {
  switch (state) {
    case State::kFieldStart:
      return c == '"' ? State::kQuoted : c == ',' ? State::kFieldStart : State::kPlain;
    case State::kPlain:
      return c == ',' ? State::kFieldStart : State::kPlain;
    case State::kQuoted:
      return c == '"' ? State::kAfterQuote : State::kQuoted;
    case State::kAfterQuote:
      return c == '"' ? State::kQuoted : c == ',' ? State::kFieldStart : State::kPlain;
  }
  return state;
}

size_t CsvRow::FindEnd(std::string_view bytes) {
  for (; searched_ < bytes.size(); ++searched_) {
    const char c = bytes[searched_];
    if (c == '\n' && state_ != State::kQuoted) return searched_;
    state_ = Advance(state_, c);
  }
  return std::string_view::npos;
}

void CsvRow::Reset() {
  state_ = State::kFieldStart;
  searched_ = 0;
}

std::string CsvRow::Split(std::string_view row, std::vector<std::string>* fields) {
  State state = State::kFieldStart;
  fields->emplace_back();
  for (size_t i = 0; i < row.size(); ++i) {
    const char c = row[i];
    // Of \r\n, and not of the value: a value that ends in \r is in quotes.
    if (c == '\r' && i + 1 == row.size() && state != State::kQuoted) break;
    const State next = Advance(state, c);
    if (state == State::kAfterQuote && next == State::kPlain) return "more follows the closing quote of a field";
    if (next == State::kFieldStart) {
      fields->emplace_back();
    } else if (next == State::kPlain || (state == State::kQuoted && next == State::kQuoted) ||
               (state == State::kAfterQuote && next == State::kQuoted)) {
      fields->back().push_back(c);
    }
    state = next;
  }
  return state == State::kQuoted ? "it ends within quotes" : "";
}

size_t ColumnReader::FindEnd() {
  const std::string_view bytes = window_.bytes();
  if (csv_) return csv_row_.FindEnd(bytes);
  const size_t end = bytes.find('\n', searched_);
  searched_ = bytes.size();
  return end;
}

absl::StatusOr<bool> ColumnReader::NextRow(std::string* row) {
  while (true) {
    size_t end = FindEnd();
    bool ends_with_file = false;
    while (end == std::string_view::npos && !ends_with_file) {
      const absl::StatusOr<bool> more = window_.More();
      if (!more.ok()) return base::Annotate(more.status(), name_);
      ends_with_file = !*more;
      end = ends_with_file ? window_.bytes().size() : FindEnd();
    }
    if (window_.bytes().empty()) return false;
    row->assign(window_.bytes().substr(0, end));
    window_.Consume(ends_with_file ? end : end + 1);
    csv_row_.Reset();
    searched_ = 0;
    if (!row->empty() && *row != "\r") return true;
  }
}

std::string ColumnReader::Split(std::string_view row, std::vector<std::string>* fields) const {
  return csv_ ? CsvRow::Split(row, fields) : SplitTsv(row, fields);
}

absl::Status ColumnReader::TakeHead() {
  std::string row;
  BANDB_ASSIGN_OR_RETURN(const bool has_row, NextRow(&row));
  has_head_ = true;
  std::vector<std::string> fields;
  // The mark with which some programs begin a file.
  std::string_view text = row;
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  const std::string complaint = has_row ? Split(text, &fields) : "";
  bool has_sequence = false;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (IsColumn(fields[i], "key", &key_.encoding)) key_.index = i;
    if (IsColumn(fields[i], "value", &value_.encoding)) value_.index = i;
    if (fields[i] == "expires") expires_.index = i;
    if (fields[i] == "kind") kind_.index = i;
    if (fields[i] == "sequence") has_sequence = true;
  }
  // Without a sequence it is a column of somebody else's.
  if (!has_sequence) kind_.index = kNone;
  columns_ = fields.size();
  if (complaint.empty() && key_.index != kNone && value_.index != kNone) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument,
                     "{}: the first line must name the columns: key and value, or these with _hex or _base64", name_);
}

std::string ColumnReader::TakeFields(const std::vector<std::string>& fields, Record* record) const {
  if (fields.size() != columns_) return "not as many fields as columns";
  if (kind_.index != kNone && fields[kind_.index] != "put") return "a change that is not a put";
  if (!Decode(key_.encoding, fields[key_.index], &record->key)) return "the key is not encoded as its column says";
  if (!Decode(value_.encoding, fields[value_.index], &record->value)) {
    return "the value is not encoded as its column says";
  }
  if (expires_.index == kNone || fields[expires_.index].empty()) return "";
  const std::string& text = fields[expires_.index];
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), record->expires_ms);
  if (error != std::errc() || end != text.data() + text.size()) return "expires is not a number of milliseconds";
  record->expires_ms = std::max<uint64_t>(record->expires_ms, 1);
  return "";
}

absl::StatusOr<bool> ColumnReader::Next(Record* record) {
  *record = Record();
  if (!has_head_) BANDB_RETURN_IF_ERROR(TakeHead());
  std::string row;
  BANDB_ASSIGN_OR_RETURN(const bool more, NextRow(&row));
  if (!more) return false;
  record->number = ++number_;
  std::vector<std::string> fields;
  record->complaint = Split(row, &fields);
  if (record->complaint.empty()) record->complaint = TakeFields(fields, record);
  return true;
}

bool ColumnReader::Ready() const { return !window_.bytes().empty() || window_.Ready(); }

}  // namespace bandb::transfer
