#include "transfer/entry_writer.h"

#include <fmt/format.h>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/escape.h"
#include "base/status.h"

namespace bandb::transfer {

namespace {

constexpr size_t kShownKeyBytes = 64;

std::string_view Suffix(Encoding encoding) {
  switch (encoding) {
    case Encoding::kUtf8:
      return "";
    case Encoding::kHex:
      return "_hex";
    case Encoding::kBase64:
      return "_base64";
  }
  return "";
}

void AppendCsvText(std::string_view text, std::string* to) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    to->append(text);
    return;
  }
  to->push_back('"');
  for (const char c : text) {
    if (c == '"') to->push_back('"');
    to->push_back(c);
  }
  to->push_back('"');
}

void AppendTsvText(std::string_view text, std::string* to) {
  for (const char c : text) {
    switch (c) {
      case '\\':
        to->append("\\\\");
        break;
      case '\t':
        to->append("\\t");
        break;
      case '\n':
        to->append("\\n");
        break;
      case '\r':
        to->append("\\r");
        break;
      default:
        to->push_back(c);
    }
  }
}

}  // namespace

void EntryWriter::Begin(std::string* to) {
  entries_ = 0;
  offset_ = kRawHeadBytes;
  const char separator = layout_.format == Format::kCsv ? ',' : '\t';
  switch (layout_.format) {
    case Format::kJsonLines:
      break;
    case Format::kCsv:
    case Format::kTsv:
      to->append(fmt::format("key{0}{2}value{1}{2}expires\n", Suffix(layout_.keys), Suffix(layout_.values), separator));
      break;
    case Format::kRaw:
      to->append(kRawMagic);
      base::PutFixed32(to, kRawVersion);
      base::PutFixed32(to, 0);
      break;
  }
}

bool EntryWriter::AppendField(Encoding encoding, std::string_view bytes, std::string* to) const {
  if (encoding != Encoding::kUtf8) {
    AppendEncoded(encoding, bytes, to);
    return true;
  }
  if (!IsUtf8(bytes)) return false;
  if (layout_.format == Format::kCsv) {
    AppendCsvText(bytes, to);
  } else {
    AppendTsvText(bytes, to);
  }
  return true;
}

void EntryWriter::SealRecord(size_t begin, std::string* to) {
  const std::string_view record = std::string_view(*to).substr(begin);
  const uint64_t checksum = base::BlockChecksum(0, offset_, record);
  offset_ += record.size() + sizeof(checksum);
  base::PutFixed64(to, checksum);
}

void EntryWriter::AppendRecord(const Entry& entry, std::string* to) {
  const size_t begin = to->size();
  base::PutFixed8(to, 1);
  base::PutFixed32(to, static_cast<uint32_t>(entry.key.size()));
  base::PutFixed32(to, static_cast<uint32_t>(entry.value.size()));
  base::PutFixed64(to, entry.expires_ms);
  to->append(entry.key);
  to->append(entry.value);
  SealRecord(begin, to);
}

absl::Status EntryWriter::Append(const Entry& entry, std::string* to) {
  ++entries_;
  if (layout_.format == Format::kRaw) {
    AppendRecord(entry, to);
    return absl::OkStatus();
  }
  if (layout_.format == Format::kJsonLines) {
    to->append("{\"key\": ");
    AppendJsonBytes(layout_.keys, entry.key, to);
    to->append(", \"value\": ");
    AppendJsonBytes(layout_.values, entry.value, to);
    if (entry.expires_ms != 0) to->append(fmt::format(", \"expires\": {}", entry.expires_ms));
    to->append("}\n");
    return absl::OkStatus();
  }
  const char separator = layout_.format == Format::kCsv ? ',' : '\t';
  const size_t begin = to->size();
  const bool key_fits = AppendField(layout_.keys, entry.key, to);
  to->push_back(separator);
  const bool value_fits = AppendField(layout_.values, entry.value, to);
  to->push_back(separator);
  if (entry.expires_ms != 0) to->append(std::to_string(entry.expires_ms));
  to->push_back('\n');
  if (key_fits && value_fits) return absl::OkStatus();
  to->resize(begin);
  --entries_;
  return base::Error(
      absl::StatusCode::kInvalidArgument,
      "the {} of \"{}\" is not UTF-8, and {} holds no other bytes as they are: choose --{}-format hex or "
      "base64, or --format jsonl or raw",
      key_fits ? "value" : "key", base::Escape(entry.key, kShownKeyBytes), FormatName(layout_.format),
      key_fits ? "value" : "key");
}

void EntryWriter::End(std::string* to) {
  if (layout_.format != Format::kRaw) return;
  const size_t begin = to->size();
  base::PutFixed8(to, 0);
  base::PutFixed64(to, entries_);
  SealRecord(begin, to);
}

}  // namespace bandb::transfer
