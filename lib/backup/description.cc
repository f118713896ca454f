#include "backup/description.h"

#include <charconv>
#include <utility>

#include "base/checksum.h"
#include "base/status.h"
#include "fmt/format.h"

namespace bandb::backup {

namespace {

constexpr uint64_t kVersion = 1;
constexpr std::string_view kChecksum = "checksum ";

bool TakeNumber(std::string_view text, uint64_t* number, int base = 10) {
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, *number, base);
  return error == std::errc() && parsed == end && !text.empty();
}

bool TakeHash(std::string_view text, uint64_t* hash) { return text.size() == 16 && TakeNumber(text, hash, 16); }

bool TakeId(std::string_view text, storage::Uuid* id) {
  if (text.size() != 2 * id->bytes.size()) return false;
  for (size_t i = 0; i < id->bytes.size(); i++) {
    uint64_t byte = 0;
    if (!TakeNumber(text.substr(2 * i, 2), &byte, 16)) return false;
    id->bytes[i] = static_cast<char>(byte);
  }
  // Digits of one kind, so that no two texts are one id.
  return storage::ToString(*id) == text;
}

// Takes the words of a line one by one.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}
  std::string_view Next() {
    const size_t end = std::min(rest_.find(' '), rest_.size());
    const std::string_view word = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return word;
  }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

bool TakeStored(Words* words, StoredBytes* stored) {
  const std::string_view bytes = words->Next();
  return TakeNumber(bytes, &stored->bytes) && TakeHash(words->Next(), &stored->checksum);
}

// A path that leads into a folder, and not out of it.
bool IsInner(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.back() == '/') return false;
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    const std::string_view name = path.substr(at, end - at);
    if (name.empty() || name == "." || name == "..") return false;
    at = end + 1;
  }
  return true;
}

bool TakeLine(std::string_view line, Description* description) {
  Words words(line);
  const std::string_view kind = words.Next();
  bool good = false;
  if (kind == "database") {
    good = TakeId(words.Next(), &description->database_id);
  } else if (kind == "time") {
    good = TakeNumber(words.Next(), &description->time_ms);
  } else if (kind == "sequence") {
    good = TakeNumber(words.Next(), &description->last_sequence);
  } else if (kind == "new") {
    good = TakeNumber(words.Next(), &description->new_bytes);
  } else if (kind == "file") {
    FileEntry file;
    file.path = words.Next();
    good = IsInner(file.path) && TakeStored(&words, &file.stored);
    description->files.push_back(std::move(file));
  } else if (kind == "table") {
    TableEntry table;
    const std::string_view number = words.Next();
    good = TakeNumber(number, &table.number) && TakeId(words.Next(), &table.id) && TakeStored(&words, &table.stored);
    description->tables.push_back(table);
  }
  return good && words.empty();
}

}  // namespace

uint64_t Description::bytes() const {
  uint64_t sum = 0;
  for (const FileEntry& file : files) sum += file.stored.bytes;
  for (const TableEntry& table : tables) sum += table.stored.bytes;
  return sum;
}

std::string Encode(const Description& description) {
  std::string text = fmt::format("{}{}\n", kDescriptionBegin, kVersion);
  text += fmt::format("database {}\ntime {}\nsequence {}\nnew {}\n", storage::ToString(description.database_id),
                      description.time_ms, description.last_sequence, description.new_bytes);
  for (const FileEntry& file : description.files) {
    text += fmt::format("file {} {} {:016x}\n", file.path, file.stored.bytes, file.stored.checksum);
  }
  for (const TableEntry& table : description.tables) {
    text += fmt::format("table {} {} {} {:016x}\n", table.number, storage::ToString(table.id), table.stored.bytes,
                        table.stored.checksum);
  }
  text += fmt::format("{}{:016x}\n", kChecksum, base::Hash64(text));
  return text;
}

absl::StatusOr<Description> Decode(std::string_view text, std::string_view path) {
  const auto damaged = [path](std::string_view why) {
    return base::Error(absl::StatusCode::kDataLoss, "{}: {}", path, why);
  };
  if (!text.starts_with(kDescriptionBegin)) return damaged("not the description of a backup");
  const std::string_view rest = text.substr(kDescriptionBegin.size());
  uint64_t version = 0;
  if (!TakeNumber(rest.substr(0, rest.find('\n')), &version)) return damaged("the version makes no sense");
  if (version != kVersion) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: format {} of backups, which is not known here", path,
                       version);
  }
  const size_t last_bytes = kChecksum.size() + 16 + 1;
  uint64_t checksum = 0;
  const std::string_view last = text.substr(text.size() - std::min(last_bytes, text.size()));
  const std::string_view body = text.substr(0, text.size() - last.size());
  if (!last.starts_with(kChecksum) || last.back() != '\n' || !TakeHash(last.substr(kChecksum.size(), 16), &checksum) ||
      checksum != base::Hash64(body)) {
    return damaged("the checksum does not fit");
  }
  Description description;
  for (size_t at = body.find('\n') + 1; at < body.size();) {
    const size_t end = body.find('\n', at);
    if (end == std::string_view::npos || !TakeLine(body.substr(at, end - at), &description)) {
      return damaged("a line makes no sense");
    }
    at = end + 1;
  }
  // Of what may be there once or in another order, only what Encode makes.
  if (Encode(description) != text) return damaged("not as it was written");
  return description;
}

}  // namespace bandb::backup
