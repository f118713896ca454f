#include "backup/layout.h"

#include <fmt/format.h>

#include <charconv>
#include <system_error>

#include "backup/description.h"

namespace bandb::backup {

std::string NameOf(uint64_t number) { return fmt::format("{:06}", number); }

uint64_t NumberOf(std::string_view name) {
  uint64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [parsed, error] = std::from_chars(name.data(), end, number);
  // As many backups nobody makes: one more must have a number, too.
  constexpr uint64_t kNumberMax = 1'000'000'000'000;
  return error == std::errc() && parsed == end && NameOf(number) == name && number <= kNumberMax ? number : 0;
}

bool IsTemporary(std::string_view name) {
  return name.ends_with(kTemporary) || name.find(std::string(kTemporary) + "-") != std::string_view::npos;
}

bool IsNameById(std::string_view name, std::string_view end) {
  storage::Uuid id;
  return name.ends_with(end) && ParseId(name.substr(0, name.size() - end.size()), &id);
}

std::string Layout::TablePath(const storage::Uuid& id) const {
  return base::JoinPath(TablesDir(), storage::ToString(id) + std::string(kTableEnd));
}

std::string Layout::LogPath(const storage::Uuid& id) const {
  return base::JoinPath(LogsDir(), storage::ToString(id) + std::string(kLogEnd));
}

std::string Layout::DescriptionPath(uint64_t number) const {
  return base::JoinPath(BackupsDir(), NameOf(number) + std::string(kDescriptionEnd));
}

}  // namespace bandb::backup
