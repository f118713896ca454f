#include "transfer/column_text.h"

#include "base/checksum.h"
#include "base/coding.h"
#include "base/escape.h"
#include "base/status.h"

namespace bandb::transfer {

namespace {

constexpr size_t kShownKeyBytes = 64;

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

std::string_view ColumnSuffix(Encoding encoding) {
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

bool AppendColumn(Format format, Encoding encoding, std::string_view bytes, std::string* to) {
  if (encoding != Encoding::kUtf8) {
    AppendEncoded(encoding, bytes, to);
    return true;
  }
  if (!IsUtf8(bytes)) return false;
  if (format == Format::kCsv) {
    AppendCsvText(bytes, to);
  } else {
    AppendTsvText(bytes, to);
  }
  return true;
}

absl::Status CannotHold(Format format, std::string_view part, std::string_view key) {
  return base::Error(
      absl::StatusCode::kInvalidArgument,
      "the {} of \"{}\" is not UTF-8, and {} holds no other bytes as they are: choose --{}-format hex or "
      "base64, or --format jsonl, raw or parquet",
      part, base::Escape(key, kShownKeyBytes), FormatName(format), part);
}

void SealRawRecord(size_t begin, uint64_t* offset, std::string* to) {
  const std::string_view record = std::string_view(*to).substr(begin);
  const uint64_t checksum = base::BlockChecksum(0, *offset, record);
  *offset += record.size() + sizeof(checksum);
  base::PutFixed64(to, checksum);
}

void AppendRawEnd(uint64_t count, uint64_t* offset, std::string* to) {
  const size_t begin = to->size();
  base::PutFixed8(to, 0);
  base::PutFixed64(to, count);
  SealRawRecord(begin, offset, to);
}

}  // namespace bandb::transfer
