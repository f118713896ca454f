#include "kv/option_check.h"

#include "base/status.h"

namespace bandb::kv {

std::string Tell(const OptionComplaint& complaint, const std::function<std::string(std::string_view)>& name_of) {
  std::string text;
  for (const auto& piece : complaint) {
    const auto* option = std::get_if<OptionName>(&piece);
    text += option != nullptr ? name_of(option->name) : std::get<std::string>(piece);
  }
  return text;
}

absl::Status OptionCheck::ToStatus(std::string_view what) const {
  std::string text;
  for (const OptionComplaint& complaint : complaints_) {
    text += text.empty() ? ": " : "; ";
    text += Tell(complaint, [](std::string_view option) { return std::string(option); });
  }
  if (text.empty()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument, "{}{}", what, text);
}

}  // namespace bandb::kv
