#include "transfer/json_line_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "transfer/json_bytes.h"

namespace bandb::transfer {

namespace {

using nlohmann::json;

// What is wrong with the line; empty if nothing is.
std::string TakeObject(const std::string& line, Record* record) {
  const json object = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) return "not JSON";
  if (!object.is_object()) return "not a JSON object";
  if (const auto kind = object.find("kind"); kind != object.end() && *kind != "put")
    return "a change that is not a put";
  const auto key = object.find("key");
  const auto value = object.find("value");
  if (key == object.end()) return "no key";
  if (value == object.end()) return "no value";
  if (!BytesOfJson(*key, &record->key)) return "the key is neither a string nor an object with base64 or hex";
  if (!BytesOfJson(*value, &record->value)) return "the value is neither a string nor an object with base64 or hex";
  const auto expires = object.find("expires");
  if (expires == object.end()) return "";
  const auto* const ms = expires->get_ptr<const json::number_unsigned_t*>();
  if (ms == nullptr) return "expires is not a number of milliseconds";
  record->expires_ms = std::max<uint64_t>(*ms, 1);
  return "";
}

}  // namespace

absl::StatusOr<bool> JsonLineReader::NextLine(std::string* line) {
  while (true) {
    const std::string_view bytes = window_.bytes();
    const size_t end = bytes.find('\n', searched_);
    if (end != std::string_view::npos) {
      line->assign(bytes.substr(0, end));
      window_.Consume(end + 1);
      searched_ = 0;
      return true;
    }
    searched_ = bytes.size();
    const absl::StatusOr<bool> more = window_.More();
    if (!more.ok()) return base::Annotate(more.status(), name_);
    if (*more) continue;
    if (window_.bytes().empty()) return false;
    line->assign(window_.bytes());
    window_.Consume(line->size());
    searched_ = 0;
    return true;
  }
}

absl::StatusOr<bool> JsonLineReader::Next(Record* record) {
  *record = Record();
  std::string line;
  do {
    BANDB_ASSIGN_OR_RETURN(const bool more, NextLine(&line));
    if (!more) return false;
  } while (line.find_first_not_of(" \t\r") == std::string::npos);
  record->number = ++number_;
  record->complaint = TakeObject(line, record);
  return true;
}

bool JsonLineReader::Ready() const {
  return window_.bytes().find('\n', searched_) != std::string_view::npos || window_.Ready();
}

}  // namespace bandb::transfer
