#include "backup/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "base/status.h"

namespace bandb::backup {

namespace {

// A line for each of ten million tables and more.
constexpr uint64_t kDescriptionBytesMax = uint64_t{1} << 30;

absl::StatusOr<std::string> ReadText(base::FileSystem* files, const std::string& path) {
  {
    // Before it is read whole: it may be as large as anything, and nothing of ours.
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<base::RandomAccessFile> file, files->Open(path));
    std::string begin(kDescriptionBegin.size(), '\0');
    BANDB_ASSIGN_OR_RETURN(const size_t got, file->Read(0, absl::MakeSpan(begin)));
    begin.resize(got);
    if (begin != kDescriptionBegin) return begin;
  }
  return base::ReadFile(files, path, kDescriptionBytesMax);
}

}  // namespace

bool Survey::AllReadable() const {
  return std::all_of(heads.begin(), heads.end(), [](const auto& head) { return head.second.ok(); });
}

bool Survey::AnyReadable() const {
  return std::any_of(heads.begin(), heads.end(), [](const auto& head) { return head.second.ok(); });
}

absl::Status Survey::CheckReadable() const {
  // Of which database they are is not known.
  return heads.empty() || AnyReadable() ? absl::OkStatus() : heads.begin()->second.status();
}

std::string Survey::HoleBefore(uint64_t number, const DescriptionHead& head) const {
  if (head.hole) return fmt::format("of the operations {} to {} there is no log", head.hole->first, head.hole->last);
  const bool is_first = heads.empty() || heads.begin()->first >= number;
  if (head.after == 0 || IsReached(head) || is_first) return {};
  return fmt::format("its logs lead from backup {}, which is not here", head.after);
}

void Survey::Add(uint64_t number, const Description& description) {
  BackupHead head{description, description.tables.size(), description.bytes(), description.logs.size()};
  for (const TableEntry& table : description.tables) tables[table.id.bytes] = table.stored;
  if (IsReached(head)) {
    for (const LogEntry& log : description.logs) logs[log.id.bytes] = log.stored;
  }
  heads.insert_or_assign(number, std::move(head));
}

absl::StatusOr<Description> ReadDescription(base::FileSystem* files, const Layout& layout, uint64_t number) {
  const std::string path = layout.DescriptionPath(number);
  BANDB_ASSIGN_OR_RETURN(const std::string text, ReadText(files, path));
  return Decode(text, path);
}

absl::StatusOr<std::set<uint64_t>> NumbersIn(base::FileSystem* files, const Layout& layout) {
  BANDB_ASSIGN_OR_RETURN(const bool exists, files->Exists(layout.BackupsDir()));
  if (!exists) return std::set<uint64_t>();
  BANDB_ASSIGN_OR_RETURN(const std::vector<std::string> names, files->List(layout.BackupsDir()));
  std::set<uint64_t> numbers;
  for (const std::string& name : names) {
    if (!name.ends_with(kDescriptionEnd)) continue;
    numbers.insert(NumberOf(name.substr(0, name.size() - kDescriptionEnd.size())));
  }
  numbers.erase(0);
  return numbers;
}

absl::StatusOr<Survey> ReadSurvey(base::FileSystem* files, const Layout& layout) {
  // The oldest first, so that those are known from which logs may lead to it.
  BANDB_ASSIGN_OR_RETURN(const std::set<uint64_t> numbers, NumbersIn(files, layout));
  Survey survey;
  for (const uint64_t number : numbers) {
    const absl::StatusOr<Description> description = ReadDescription(files, layout, number);
    if (description.ok()) {
      survey.Add(number, *description);
    } else if (!absl::IsNotFound(description.status())) {
      survey.heads.emplace(number, description.status());
    }
  }
  return survey;
}

absl::Status NoSuchBackup(const Layout& layout, uint64_t number) {
  if (number == 0) return base::Error(absl::StatusCode::kNotFound, "{}: there is no backup", layout.root());
  return base::Error(absl::StatusCode::kNotFound, "{}: there is no backup {}", layout.root(), number);
}

}  // namespace bandb::backup
