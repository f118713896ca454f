#include "config.h"

// The only file of BanDB that knows TOML. Built from its headers alone: a shared library of it
// would fix whether it throws.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
// Some versions assert what their next line reports as an error of the file: that "[" is followed
// by a name, for one. So they must neither assert it nor assume it, as they do if NDEBUG is
// defined.
#define TOML_ASSERT(expression) static_cast<void>(0)
#pragma push_macro("NDEBUG")
#undef NDEBUG
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "admin/http_listener.h"
#include "base/status.h"
#include "cluster_config.h"
#include "grpc/listener.h"
#include "key_depth.h"
#include "kv/options.h"
#include "net/address.h"
#include "server/server_options.h"
#include "settings.h"
#include "units/units.h"

namespace bandb::server_program {

namespace {

constexpr uint64_t kFileBytesMax = 1 << 20;

// What is wrong with a configuration.
class Mistakes {
 public:
  // `line` 0: not in the file.
  void Add(size_t line, std::string what) { mistakes_.emplace(line, std::move(what)); }
  // Of a setting whose value is not what it takes. Its default is then as good as any, and no rule
  // about it is checked.
  void AddRefused(size_t line, const std::string& setting, std::string_view takes) {
    Add(line, fmt::format("{} takes {}", setting, takes));
    refused_.insert(setting);
  }
  bool IsRefused(const std::string& setting) const { return refused_.count(setting) != 0; }

  // Errors: kInvalidArgument, a line for each mistake, in the order of the file.
  absl::Status ToStatus(std::string_view file) const {
    std::string text;
    for (const auto& [line, what] : mistakes_) {
      if (!text.empty()) text += '\n';
      text += line == 0 ? what : fmt::format("{}:{}: {}", file, line, what);
    }
    return text.empty() ? absl::OkStatus() : base::Error(absl::StatusCode::kInvalidArgument, "{}", text);
  }

 private:
  std::multimap<size_t, std::string> mistakes_;
  std::set<std::string> refused_;
};

// Goes through the file and collects what is wrong with it.
class Reader {
 public:
  Reader(Config* config, Mistakes* mistakes) : config_(config), mistakes_(mistakes) {}

  // "section.key=value" of the command line.
  void ReadArgument(const std::string& argument) {
    const size_t equals = std::min(argument.find('='), argument.size());
    const std::string name = argument.substr(0, equals);
    const std::string value = equals == argument.size() ? "" : argument.substr(equals + 1);
    const Setting* found = nullptr;
    std::vector<std::string> names;
    for (const Setting& setting : Settings()) {
      names.push_back(NameOf(setting));
      if (names.back() == name) found = &setting;
    }
    if (found == nullptr || equals == argument.size()) {
      const std::string_view nearest = Nearest(name, {names.begin(), names.end()});
      mistakes_->Add(0, found != nullptr  ? fmt::format("--set takes KEY=VALUE, not {}", argument)
                        : nearest.empty() ? fmt::format("there is no {}", name)
                                          : fmt::format("there is no {}; did you mean {}?", name, nearest));
    } else if (!found->apply(ParseValue(value), config_) && !found->apply(value, config_)) {
      mistakes_->AddRefused(0, name, found->takes);
    } else {
      config_->lines[name] = 0;
    }
  }

  void ReadFile(const toml::table& file) {
    for (auto&& [key, node] : file) {
      const std::string_view section = key.str();
      const std::vector<std::string_view> sections = Sections();
      if (std::find(sections.begin(), sections.end(), section) == sections.end()) {
        ComplainUnknown(key.source().begin.line, section, sections, SettingsCalled(section));
      } else if (const toml::table* table = node.as_table(); table != nullptr) {
        ReadSection(section, *table);
      } else {
        mistakes_->Add(key.source().begin.line, fmt::format("{} is a section: write [{}]", section, section));
      }
    }
  }

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
        mistakes_->AddRefused(line, NameOf(*found), found->takes);
      } else {
        config_->lines.emplace(NameOf(*found), line);
      }
    }
  }

  // As the file would say it; nothing if it would not.
  static Value ParseValue(const std::string& text) {
    if (text.find('\n') != std::string::npos || LineOfDeepKey(text) != 0) return std::monostate();
    const toml::parse_result parsed = toml::parse("value = " + text);
    if (parsed.failed()) return std::monostate();
    return ToValue(*parsed.table().get("value"));
  }

  static Value ToValue(const toml::node& node) {
    if (const auto* flag = node.as_boolean(); flag != nullptr) return flag->get();
    if (const auto* number = node.as_integer(); number != nullptr) return number->get();
    if (const auto* text = node.as_string(); text != nullptr) return text->get();
    std::vector<std::string> items;
    const auto* list = node.as_array();
    if (list == nullptr) return std::monostate();
    for (const auto& item : *list) {
      if (!item.is_string()) return std::monostate();
      items.push_back(item.as_string()->get());
    }
    return items;
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
      if (setting.key == key) return NameOf(setting);
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
    mistakes_->Add(line, std::move(text));
  }

  Config* const config_;
  Mistakes* const mistakes_;
};

// The setting that makes an option, called by its path in Config; null if the file cannot make it.
const Setting* MakerOf(std::string_view option) {
  for (const Setting& setting : Settings()) {
    if (setting.option == option) return &setting;
  }
  return nullptr;
}

// The libraries tell sizes in bytes; people read them with a unit.
std::string WithUnits(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  std::string readable;
  while (!text.empty()) {
    const size_t begin = std::min(text.find_first_of(kDigits), text.size());
    readable += text.substr(0, begin);
    text.remove_prefix(begin);
    const std::string_view number = text.substr(0, text.find_first_not_of(kDigits));
    text.remove_prefix(number.size());
    const std::optional<uint64_t> bytes = units::ParseSize(fmt::format("{} B", number));
    readable += bytes.has_value() ? units::ShowSize(*bytes) : std::string(number);
  }
  return readable;
}

// Adds the complaints about the options of `section`, which calls them as the file does, each with
// the line of the first of its options that the file makes.
void AddComplaints(const Config& config, std::string_view section, const kv::OptionCheck& check, Mistakes* mistakes) {
  for (kv::OptionComplaint complaint : check.complaints()) {
    size_t line = 0;
    bool is_refused = false;
    bool is_size = false;
    const auto name_of = [&](std::string_view option) {
      const Setting* setting = MakerOf(fmt::format("{}.{}", section, option));
      if (setting == nullptr) return std::string(option);
      const std::string name = NameOf(*setting);
      const auto made = config.lines.find(name);
      if (line == 0 && made != config.lines.end()) line = made->second;
      is_refused = is_refused || mistakes->IsRefused(name);
      is_size = is_size || setting->is_size;
      return name;
    };
    kv::Tell(complaint, name_of);  // to learn of what kind it is
    if (is_refused) continue;
    for (auto& piece : complaint) {
      if (auto* text = std::get_if<std::string>(&piece); text != nullptr && is_size) *text = WithUnits(*text);
    }
    mistakes->Add(line, kv::Tell(complaint, name_of));
  }
}

// Ranges, and what does not go together.
void CheckOptions(const Config& config, Mistakes* mistakes) {
  kv::OptionCheck server;
  server::CheckOptions(config.server, &server);
  AddComplaints(config, "server", server, mistakes);
  kv::OptionCheck storage;
  kv::CheckOptions(config.storage, &storage);
  AddComplaints(config, "storage", storage, mistakes);
  kv::OptionCheck cluster;
  CheckCluster(config, &cluster);
  AddComplaints(config, "cluster", cluster, mistakes);
  kv::OptionCheck peer_tls;
  CheckPeerTls(config.cluster_tls, &peer_tls);
  AddComplaints(config, "cluster_tls", peer_tls, mistakes);
  constexpr std::string_view kBackupLogs = "storage.backup_logs";
  if (config.mode == Mode::kStandalone || !config.backup_logs || mistakes->IsRefused("server.mode")) return;
  const auto made = config.lines.find(kBackupLogs);
  mistakes->Add(made == config.lines.end() ? 0 : made->second,
                fmt::format("{} = true: a node of a cluster has no logs for its backups; it goes with server.mode = "
                            "\"standalone\" only",
                            kBackupLogs));
}

}  // namespace

absl::StatusOr<Config> ParseConfig(std::string_view text, std::string_view name, const Overrides& overrides) {
  Config config;
  config.file = name;
  Mistakes mistakes;
  if (const size_t line = LineOfDeepKey(text); line != 0) {
    mistakes.Add(line, fmt::format("a key of more than {} parts", kKeyDotsMax + 1));
    return mistakes.ToStatus(name);
  }
  const toml::parse_result result = toml::parse(text);
  if (result.failed()) {
    mistakes.Add(result.error().source().begin.line, std::string(result.error().description()));
  } else {
    Reader(&config, &mistakes).ReadFile(result.table());
  }
  if (!overrides.listen.empty()) {
    config.server.listen = overrides.listen;
    config.lines.erase("server.listen");
  }
  if (!overrides.data.empty()) {
    config.data = overrides.data;
    config.lines.erase("storage.data");
  }
  for (const std::string& argument : overrides.settings) Reader(&config, &mistakes).ReadArgument(argument);
  ChooseMode(&config);
  CheckOptions(config, &mistakes);
  BANDB_RETURN_IF_ERROR(mistakes.ToStatus(name));
  return config;
}

absl::StatusOr<Config> ReadConfig(base::FileSystem* files, const std::string& path, const Overrides& overrides) {
  std::string text;
  if (!path.empty()) {
    BANDB_ASSIGN_OR_RETURN(text, base::ReadFile(files, path, kFileBytesMax));
  }
  return ParseConfig(text, path, overrides);
}

std::string ShowConfig(const Config& config) {
  std::string text;
  std::string_view section;
  for (const Setting& setting : Settings()) {
    if (setting.section != section) text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", setting.section);
    section = setting.section;
    text += fmt::format("{} = {}\n", setting.key, setting.show(config));
  }
  return text;
}

absl::Status CheckHosts(const Config& config) {
  Mistakes mistakes;
  const auto check = [&](const std::string& setting, const absl::Status& found) {
    if (found.ok()) return;
    const auto line = config.lines.find(setting);
    mistakes.Add(line == config.lines.end() ? 0 : line->second, fmt::format("{} is {}", setting, base::Message(found)));
  };
  check("server.listen", server::CheckReach(config.server, config.server.listen));
  if (!config.server.redis_listen.empty()) {
    check("redis.listen", server::CheckReach(config.server, config.server.redis_listen));
  }
  if (!config.server.tls_listen.empty()) {
    check("server.tls_listen", server::CheckTlsReach(config.server, config.server.tls_listen));
  }
  if (!config.server.redis_tls_listen.empty()) {
    check("redis.tls_listen", server::CheckTlsReach(config.server, config.server.redis_tls_listen));
  }
  if (!config.grpc_listen.empty()) {
    const absl::Status listen = grpc::CheckListen(config.grpc_listen);
    check("grpc.listen", listen.ok() ? server::CheckReach(config.server, config.grpc_listen) : listen);
  }
  if (!config.grpc_tls_listen.empty()) {
    const absl::Status listen = grpc::CheckListen(config.grpc_tls_listen);
    check("grpc.tls_listen", listen.ok() ? server::CheckTlsReach(config.server, config.grpc_tls_listen) : listen);
    if (config.server.tls_certificate_file.empty()) {
      check("grpc.tls_listen", base::Error(absl::StatusCode::kInvalidArgument, "set, and needs tls.certificate"));
    }
  }
  if (!config.admin_listen.empty()) {
    check("admin.listen", admin::CheckListen(config.admin_listen, config.admin_insecure));
  }
  for (const auto& [setting, found] : CheckClusterHosts(config)) check(setting, found);
  const std::pair<std::string, std::string> listeners[] = {
      {"server.listen", config.server.listen},      {"server.tls_listen", config.server.tls_listen},
      {"redis.listen", config.server.redis_listen}, {"redis.tls_listen", config.server.redis_tls_listen},
      {"grpc.listen", config.grpc_listen},          {"grpc.tls_listen", config.grpc_tls_listen},
      {"admin.listen", config.admin_listen},        {"cluster.listen", config.cluster.listen}};
  for (auto one = std::begin(listeners); one != std::end(listeners); ++one) {
    for (auto other = std::begin(listeners); other != one; ++other) {
      if (!Clash(one->second, other->second)) continue;
      check(one->first, base::Error(absl::StatusCode::kInvalidArgument, "the address of {}, too", other->first));
    }
  }
  return mistakes.ToStatus(config.file);
}

}  // namespace bandb::server_program
