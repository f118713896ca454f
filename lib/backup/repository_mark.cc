#include "backup/repository_mark.h"

#include <fmt/format.h>

#include <algorithm>

#include "backup/description.h"
#include "base/checksum.h"
#include "base/status.h"

namespace bandb::backup {

namespace {

constexpr std::string_view kMarkBegin = "BanDB repository ";
constexpr std::string_view kMarkVersion = "1\nid ";
constexpr size_t kIdDigits = 32;

std::string ChecksumLine(std::string_view body) { return fmt::format("checksum {:016x}\n", base::Hash64(body)); }

}  // namespace

std::string EncodeMark(const RepositoryMark& mark) {
  std::string text =
      fmt::format("{}{}{}\n{}", kMarkBegin, kMarkVersion, storage::ToString(mark.id), mark.first ? "first\n" : "");
  text += ChecksumLine(text);
  return text;
}

absl::StatusOr<RepositoryMark> DecodeMark(std::string_view text, std::string_view path) {
  const size_t body_bytes = text.size() - std::min(ChecksumLine("").size(), text.size());
  const bool fits = text.starts_with(kMarkBegin) && text.substr(body_bytes) == ChecksumLine(text.substr(0, body_bytes));
  const std::string_view rest = text.substr(fits ? kMarkBegin.size() : text.size());
  if (fits && !rest.starts_with(kMarkVersion)) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: format {} of repositories, which is not known here",
                       path, rest.substr(0, rest.find('\n')));
  }
  RepositoryMark mark;
  if (fits && ParseId(rest.substr(kMarkVersion.size(), kIdDigits), &mark.id)) {
    for (const bool first : {false, true}) {
      mark.first = first;
      if (EncodeMark(mark) == text) return mark;
    }
  }
  return base::Error(absl::StatusCode::kDataLoss,
                     "{}: not as it was written; without it the repository is known by its backups: remove the file, "
                     "and the next backup makes it again",
                     path);
}

}  // namespace bandb::backup
