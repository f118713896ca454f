#include "backup/description.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/checksum.h"
#include "base/status.h"
#include "fmt/format.h"

namespace bandb::backup {

namespace {

constexpr uint64_t kVersionWithoutPlace = 1;
constexpr uint64_t kVersionWithoutComplete = 2;
constexpr uint64_t kVersion = 3;
constexpr std::string_view kChecksum = "checksum ";

bool TakeNumber(std::string_view text, uint64_t* number, int base = 10) {
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, *number, base);
  return error == std::errc() && parsed == end && !text.empty();
}

bool TakeHash(std::string_view text, uint64_t* hash) { return text.size() == 16 && TakeNumber(text, hash, 16); }

std::string HexOf(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  return text;
}

bool TakeBytes(std::string_view text, std::string* bytes) {
  if (text.size() % 2 != 0) return false;
  for (size_t i = 0; i < text.size(); i += 2) {
    uint64_t byte = 0;
    if (!TakeNumber(text.substr(i, 2), &byte, 16)) return false;
    bytes->push_back(static_cast<char>(byte));
  }
  return true;
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

bool TakeHeadLine(std::string_view kind, Words* words, DescriptionHead* head) {
  if (kind == "database") return ParseId(words->Next(), &head->database_id);
  if (kind == "time") return TakeNumber(words->Next(), &head->time_ms);
  if (kind == "sequence") return TakeNumber(words->Next(), &head->last_sequence);
  if (kind == "new") return TakeNumber(words->Next(), &head->new_bytes);
  if (kind == "place") {
    const std::string_view place = words->Next();
    return TakeBytes(place, &head->place) && TakeNumber(words->Next(), &head->commit_ms);
  }
  if (kind == "complete") return TakeNumber(words->Next(), &head->complete_ms.emplace());
  if (kind == "after") return TakeNumber(words->Next(), &head->after);
  if (kind != "hole") return false;
  head->hole.emplace();
  const std::string_view first = words->Next();
  return TakeNumber(first, &head->hole->first) && TakeNumber(words->Next(), &head->hole->last);
}

bool TakeLog(Words* words, LogEntry* log) {
  for (uint64_t* const number : {&log->first_sequence, &log->last_sequence, &log->end_ms}) {
    if (!TakeNumber(words->Next(), number)) return false;
  }
  return ParseId(words->Next(), &log->id) && TakeStored(words, &log->stored);
}

bool TakeLine(std::string_view line, Description* description) {
  Words words(line);
  const std::string_view kind = words.Next();
  bool good = false;
  if (kind == "file") {
    FileEntry file;
    file.path = words.Next();
    good = IsInner(file.path) && TakeStored(&words, &file.stored);
    description->files.push_back(std::move(file));
  } else if (kind == "table") {
    TableEntry table;
    const std::string_view number = words.Next();
    good = TakeNumber(number, &table.number) && ParseId(words.Next(), &table.id) && TakeStored(&words, &table.stored);
    description->tables.push_back(table);
  } else if (kind == "log") {
    LogEntry log;
    good = TakeLog(&words, &log);
    description->logs.push_back(log);
  } else {
    good = TakeHeadLine(kind, &words, description);
  }
  return good && words.empty();
}

uint64_t VersionOf(const DescriptionHead& head) {
  if (head.complete_ms) return kVersion;
  return head.place.empty() ? kVersionWithoutPlace : kVersionWithoutComplete;
}

}  // namespace

std::optional<uint64_t> DescriptionHead::LastCommitMs() const {
  if (!place.empty()) return commit_ms;
  return complete_ms;
}

uint64_t Description::bytes() const {
  uint64_t sum = 0;
  for (const FileEntry& file : files) sum += file.stored.bytes;
  for (const TableEntry& table : tables) sum += table.stored.bytes;
  return sum;
}

bool ParseId(std::string_view text, storage::Uuid* id) {
  if (text.size() != 2 * id->bytes.size()) return false;
  for (size_t i = 0; i < id->bytes.size(); i++) {
    uint64_t byte = 0;
    if (!TakeNumber(text.substr(2 * i, 2), &byte, 16)) return false;
    id->bytes[i] = static_cast<char>(byte);
  }
  // Digits of one kind, so that no two texts are one id.
  return storage::ToString(*id) == text;
}

std::string Encode(const Description& description) {
  std::string text = fmt::format("{}{}\n", kDescriptionBegin, VersionOf(description));
  text += fmt::format("database {}\ntime {}\nsequence {}\nnew {}\n", storage::ToString(description.database_id),
                      description.time_ms, description.last_sequence, description.new_bytes);
  if (!description.place.empty()) {
    text += fmt::format("place {} {}\n", HexOf(description.place), description.commit_ms);
  }
  if (description.complete_ms) text += fmt::format("complete {}\n", *description.complete_ms);
  if (description.after != 0) text += fmt::format("after {}\n", description.after);
  if (description.hole) text += fmt::format("hole {} {}\n", description.hole->first, description.hole->last);
  for (const FileEntry& file : description.files) {
    text += fmt::format("file {} {} {:016x}\n", file.path, file.stored.bytes, file.stored.checksum);
  }
  for (const TableEntry& table : description.tables) {
    text += fmt::format("table {} {} {} {:016x}\n", table.number, storage::ToString(table.id), table.stored.bytes,
                        table.stored.checksum);
  }
  for (const LogEntry& log : description.logs) {
    text += fmt::format("log {} {} {} {} {} {:016x}\n", log.first_sequence, log.last_sequence, log.end_ms,
                        storage::ToString(log.id), log.stored.bytes, log.stored.checksum);
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
  if (version == 0 || version > kVersion) {
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
