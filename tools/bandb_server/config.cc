#include "config.h"

// The only file of BanDB that knows TOML. Built from its headers alone: a shared library of it would fix whether it
// throws.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
// Some versions assert of the file what the next line of theirs reports as an error: that "[" is followed by a name,
// for one. So they may neither assert it nor assume it, as they do where NDEBUG is defined.
#define TOML_ASSERT(expression) static_cast<void>(0)
#pragma push_macro("NDEBUG")
#undef NDEBUG
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "kv/options.h"
#include "server/server_options.h"
#include "settings.h"

namespace bandb::server_program {

namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;

// Goes through the file and collects what is wrong with it.
class Reader {
 public:
  Reader(std::string_view name, Config* config) : name_(name), config_(config) {}

  void ReadFile(const toml::table& file) {
    for (auto&& [key, node] : file) {
      const std::string_view section = key.str();
      const std::vector<std::string_view> sections = Sections();
      if (std::find(sections.begin(), sections.end(), section) == sections.end()) {
        ComplainUnknown(key.source().begin.line, section, sections, SettingsCalled(section));
      } else if (const toml::table* table = node.as_table(); table != nullptr) {
        ReadSection(section, *table);
      } else {
        Complain(key.source().begin.line, fmt::format("{} is a section: write [{}]", section, section));
      }
    }
  }

  // One line for each mistake, in the order of the file.
  std::string complaints() const {
    std::string text;
    for (const auto& [line, what] : complaints_) {
      if (!text.empty()) text += '\n';
      text += fmt::format("{}:{}: {}", name_, line, what);
    }
    return text;
  }

  void Complain(size_t line, std::string what) { complaints_.emplace(line, std::move(what)); }

 private:
  void ReadSection(std::string_view section, const toml::table& table) {
    std::vector<std::string_view> keys;
    for (const Setting& setting : Settings()) {
      if (setting.section == section) keys.push_back(setting.key);
    }
    for (auto&& [key, node] : table) {
      const Setting* found = nullptr;
      for (const Setting& setting : Settings()) {
        if (setting.section == section && setting.key == key.str()) found = &setting;
      }
      const size_t line = key.source().begin.line;
      if (found == nullptr) {
        ComplainUnknown(line, fmt::format("{}.{}", section, key.str()), keys, SettingsCalled(key.str()), key.str());
      } else if (!found->apply(ToValue(node), config_)) {
        Complain(line, fmt::format("{}.{} takes {}", section, key.str(), found->takes));
      } else {
        config_->lines.emplace(fmt::format("{}.{}", section, key.str()), line);
      }
    }
  }

  static Value ToValue(const toml::node& node) {
    if (const auto* flag = node.as_boolean(); flag != nullptr) return flag->get();
    if (const auto* number = node.as_integer(); number != nullptr) return number->get();
    if (const auto* text = node.as_string(); text != nullptr) return text->get();
    return std::monostate();
  }

  static std::vector<std::string_view> Sections() {
    std::vector<std::string_view> sections;
    for (const Setting& setting : Settings()) {
      if (sections.empty() || sections.back() != setting.section) sections.push_back(setting.section);
    }
    return sections;
  }

  // The full name of the setting called `key` in whatever section; empty if there is none.
  static std::string SettingsCalled(std::string_view key) {
    for (const Setting& setting : Settings()) {
      if (setting.key == key) return fmt::format("{}.{}", setting.section, setting.key);
    }
    return "";
  }

  void ComplainUnknown(size_t line, std::string_view shown, const std::vector<std::string_view>& known,
                       const std::string& elsewhere, std::string_view key = {}) {
    std::string text = fmt::format("there is no {}", shown);
    const std::string_view nearest = Nearest(key.empty() ? shown : key, known);
    if (!elsewhere.empty()) {
      text += fmt::format("; did you mean {}?", elsewhere);
    } else if (!nearest.empty()) {
      text += fmt::format("; did you mean {}?", nearest);
    }
    Complain(line, text);
  }

  const std::string_view name_;
  Config* const config_;
  std::multimap<size_t, std::string> complaints_;
};

// The setting that makes an option, called by its path in Config; null if the file cannot make it.
const Setting* MakerOf(std::string_view option) {
  for (const Setting& setting : Settings()) {
    if (setting.option == option) return &setting;
  }
  return nullptr;
}

// Adds a line for each complaint about the options of `section`, which calls them as the file does. The line of the
// first of them that the file makes goes in front.
void AddComplaints(const Config& config, std::string_view section, const kv::OptionCheck& check, std::string* text) {
  for (const kv::OptionComplaint& complaint : check.complaints()) {
    size_t line = 0;
    const std::string told = kv::Tell(complaint, [&](std::string_view option) {
      const Setting* setting = MakerOf(fmt::format("{}.{}", section, option));
      if (setting == nullptr) return std::string(option);
      const std::string name = fmt::format("{}.{}", setting->section, setting->key);
      const auto made = config.lines.find(name);
      if (line == 0 && made != config.lines.end()) line = made->second;
      return name;
    });
    if (!text->empty()) *text += '\n';
    *text += line == 0 ? told : fmt::format("{}:{}: {}", config.file, line, told);
  }
}

}  // namespace

absl::StatusOr<Config> ParseConfig(std::string_view text, std::string_view name) {
  Config config;
  config.file = name;
  Reader reader(name, &config);
  const toml::parse_result result = toml::parse(text);
  if (result.failed()) {
    reader.Complain(result.error().source().begin.line, std::string(result.error().description()));
  } else {
    reader.ReadFile(result.table());
  }
  const std::string complaints = reader.complaints();
  if (!complaints.empty()) return base::Error(absl::StatusCode::kInvalidArgument, "{}", complaints);
  return config;
}

absl::StatusOr<Config> ReadConfig(base::FileSystem* files, const std::string& path) {
  BANDB_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(files, path, kFileBytesMax));
  return ParseConfig(text, path);
}

absl::Status CheckConfig(const Config& config) {
  kv::OptionCheck server;
  server::CheckOptions(config.server, &server);
  kv::OptionCheck storage;
  kv::CheckOptions(config.storage, &storage);
  std::string complaints;
  AddComplaints(config, "server", server, &complaints);
  AddComplaints(config, "storage", storage, &complaints);
  if (complaints.empty()) return absl::OkStatus();
  return base::Error(absl::StatusCode::kInvalidArgument, "{}", complaints);
}

}  // namespace bandb::server_program
