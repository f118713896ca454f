#include "settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/strings/str_split.h"
#include "units/units.h"

namespace bandb::server_program {

namespace {

using Apply = std::function<bool(const Value& value, Config* config)>;
using Show = std::function<std::string(const Config& config)>;

// A string of TOML.
std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') {
      quoted += fmt::format("\\u{:04x}", c);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

// `target` maps a pointer to a Config, const or not, to a reference to the option.
template <typename Target>
Setting SizeSetting(std::string_view section, std::string_view key, std::string_view option, Target target) {
  Apply apply = [target](const Value& value, Config* config) {
    const auto* text = std::get_if<std::string>(&value);
    const std::optional<uint64_t> size = text == nullptr ? std::nullopt : units::ParseSize(*text);
    using Option = std::remove_reference_t<decltype(target(config))>;
    if (!size.has_value() || *size > std::numeric_limits<Option>::max()) return false;
    target(config) = static_cast<Option>(*size);
    return true;
  };
  Show show = [target](const Config& config) { return Quoted(units::ShowSize(target(&config))); };
  return {section, key, option, std::string(units::kSizeHelp), std::move(apply), std::move(show), true};
}

template <typename Target>
Setting DurationSetting(std::string_view section, std::string_view key, std::string_view option, Target target) {
  Apply apply = [target](const Value& value, Config* config) {
    const auto* text = std::get_if<std::string>(&value);
    const std::optional<absl::Duration> duration = text == nullptr ? std::nullopt : units::ParseDuration(*text);
    if (!duration.has_value()) return false;
    target(config) = *duration;
    return true;
  };
  Show show = [target](const Config& config) { return Quoted(units::ShowDuration(target(&config))); };
  return {section, key, option, std::string(units::kDurationHelp), std::move(apply), std::move(show)};
}

template <typename Target>
Setting IntegerSetting(std::string_view section, std::string_view key, std::string_view option, Target target) {
  Apply apply = [target](const Value& value, Config* config) {
    const auto* number = std::get_if<int64_t>(&value);
    using Option = std::remove_reference_t<decltype(target(config))>;
    if (number == nullptr || *number < 0 || *number > std::numeric_limits<Option>::max()) return false;
    target(config) = static_cast<Option>(*number);
    return true;
  };
  Show show = [target](const Config& config) { return std::to_string(target(&config)); };
  return {section, key, option, "a whole number", std::move(apply), std::move(show)};
}

template <typename Target>
Setting BooleanSetting(std::string_view section, std::string_view key, std::string_view option, Target target) {
  Apply apply = [target](const Value& value, Config* config) {
    const auto* flag = std::get_if<bool>(&value);
    if (flag == nullptr) return false;
    target(config) = *flag;
    return true;
  };
  Show show = [target](const Config& config) { return target(&config) ? std::string("true") : std::string("false"); };
  return {section, key, option, "true or false", std::move(apply), std::move(show)};
}

template <typename Target>
Setting TextSetting(std::string_view section, std::string_view key, std::string takes, std::string_view option,
                    Target target) {
  Apply apply = [target](const Value& value, Config* config) {
    const auto* text = std::get_if<std::string>(&value);
    // The system would take a zero byte for the end.
    if (text == nullptr || text->empty() || text->find('\0') != std::string::npos) return false;
    target(config) = *text;
    return true;
  };
  Show show = [target](const Config& config) { return Quoted(target(&config)); };
  return {section, key, option, std::move(takes), std::move(apply), std::move(show)};
}

// As TextSetting, and "" for none.
template <typename Target>
Setting OptionalTextSetting(std::string_view section, std::string_view key, std::string takes, std::string_view option,
                            Target target) {
  Setting setting = TextSetting(section, key, std::move(takes), option, target);
  setting.takes += ", or \"\" for none";
  setting.apply = [target, apply = std::move(setting.apply)](const Value& value, Config* config) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr || !text->empty()) return apply(value, config);
    target(config).clear();
    return true;
  };
  return setting;
}

// A list of strings; one string is a list, too, split at its commas.
template <typename Target>
Setting ListSetting(std::string_view section, std::string_view key, std::string takes, std::string_view option,
                    Target target) {
  Apply apply = [target](const Value& value, Config* config) {
    std::vector<std::string> items;
    if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
      items = *list;
    } else if (const auto* text = std::get_if<std::string>(&value); text == nullptr) {
      return false;
    } else if (!text->empty()) {
      items = absl::StrSplit(*text, ',');
    }
    for (const std::string& item : items) {
      if (item.empty() || item.find('\0') != std::string::npos) return false;
    }
    target(config) = std::move(items);
    return true;
  };
  Show show = [target](const Config& config) {
    std::string shown;
    for (const std::string& item : target(&config)) shown += (shown.empty() ? "" : ", ") + Quoted(item);
    return "[" + shown + "]";
  };
  return {section, key, option, std::move(takes), std::move(apply), std::move(show)};
}

template <typename Option, typename Target>
Setting ChoiceSetting(std::string_view section, std::string_view key,
                      std::vector<std::pair<std::string_view, Option>> choices, std::string_view option,
                      Target target) {
  std::string takes = "one of";
  for (const auto& choice : choices) takes.append(" \"").append(choice.first).append("\"");
  Apply apply = [target, choices](const Value& value, Config* config) {
    const auto* text = std::get_if<std::string>(&value);
    if (text == nullptr) return false;
    for (const auto& [name, option] : choices) {
      if (*text != name) continue;
      target(config) = option;
      return true;
    }
    return false;
  };
  Show show = [target, choices = std::move(choices)](const Config& config) {
    std::string_view shown;
    for (const auto& [name, option] : choices) {
      if (target(&config) == option) shown = name;
    }
    return Quoted(shown);
  };
  return {section, key, option, std::move(takes), std::move(apply), std::move(show)};
}

// Two arguments: the path of the option, and how to reach it.
#define BANDB_OPTION(path) \
#path, [](auto* config) -> auto& { return config->path; }

void AddServerSettings(std::vector<Setting>* settings) {
  settings->push_back(ChoiceSetting<Mode>(
      "server", "mode", {{"cluster", Mode::kCluster}, {"standalone", Mode::kStandalone}}, BANDB_OPTION(mode)));
  settings->push_back(TextSetting("server", "listen", "\"HOST:PORT\"", BANDB_OPTION(server.listen)));
  settings->push_back(OptionalTextSetting("server", "tls_listen", "\"HOST:PORT\"", BANDB_OPTION(server.tls_listen)));
  settings->push_back(BooleanSetting("server", "insecure", BANDB_OPTION(server.insecure)));
  settings->push_back(ChoiceSetting<Durability>(
      "server", "durability", {{"sync", Durability::kSync}, {"os", Durability::kOs}}, BANDB_OPTION(server.durability)));
  settings->push_back(IntegerSetting("server", "loops", BANDB_OPTION(server.loops)));
  settings->push_back(IntegerSetting("server", "worker_threads", BANDB_OPTION(server.worker_threads)));
  settings->push_back(BooleanSetting("server", "reads_inline", BANDB_OPTION(server.reads_inline)));
  settings->push_back(SizeSetting("server", "frame_max", BANDB_OPTION(server.frame_bytes_max)));
  settings->push_back(IntegerSetting("server", "batch_operations_max", BANDB_OPTION(server.batch_operations_max)));
  settings->push_back(IntegerSetting("server", "connections_max", BANDB_OPTION(server.connections_max)));
  settings->push_back(IntegerSetting("server", "accepts_per_turn_max", BANDB_OPTION(server.accepts_per_turn_max)));
  settings->push_back(IntegerSetting("server", "in_flight_requests_max", BANDB_OPTION(server.in_flight_requests_max)));
  settings->push_back(SizeSetting("server", "in_flight_max", BANDB_OPTION(server.in_flight_bytes_max)));
  settings->push_back(SizeSetting("server", "output_max", BANDB_OPTION(server.output_bytes_max)));
  settings->push_back(SizeSetting("server", "memory_max", BANDB_OPTION(server.memory_bytes_max)));
  settings->push_back(DurationSetting("server", "frame_timeout", BANDB_OPTION(server.frame_timeout)));
  settings->push_back(DurationSetting("server", "unread_timeout", BANDB_OPTION(server.unread_timeout)));
  settings->push_back(DurationSetting("server", "idle_timeout", BANDB_OPTION(server.idle_timeout)));
  settings->push_back(DurationSetting("server", "stall_timeout", BANDB_OPTION(server.stall_timeout)));
  settings->push_back(DurationSetting("server", "store_timeout", BANDB_OPTION(server.store_timeout)));
  settings->push_back(DurationSetting("server", "keepalive", BANDB_OPTION(server.keepalive)));
  settings->push_back(DurationSetting("server", "slow_log_threshold", BANDB_OPTION(server.slow_log_threshold)));
  settings->back().is_live = true;
  settings->push_back(IntegerSetting("server", "slow_log_key_bytes", BANDB_OPTION(server.slow_log_key_bytes)));
  settings->back().is_live = true;
  settings->push_back(DurationSetting("server", "drain_timeout", BANDB_OPTION(server.drain_timeout)));
}

void AddUsersSettings(std::vector<Setting>* settings) {
  settings->push_back(OptionalTextSetting("users", "file", "the path of a file", BANDB_OPTION(server.users_file)));
  settings->push_back(DurationSetting("users", "login_timeout", BANDB_OPTION(server.login_timeout)));
}

void AddTlsSettings(std::vector<Setting>* settings) {
  settings->push_back(
      OptionalTextSetting("tls", "certificate", "the path of a file", BANDB_OPTION(server.tls_certificate_file)));
  settings->push_back(OptionalTextSetting("tls", "key", "the path of a file", BANDB_OPTION(server.tls_key_file)));
  settings->push_back(
      OptionalTextSetting("tls", "client_ca", "the path of a file", BANDB_OPTION(server.tls_client_ca_file)));
}

void AddRedisSettings(std::vector<Setting>* settings) {
  settings->push_back(
      OptionalTextSetting("redis", "tls_listen", "\"HOST:PORT\"", BANDB_OPTION(server.redis_tls_listen)));
  settings->push_back(OptionalTextSetting("redis", "listen", "\"HOST:PORT\"", BANDB_OPTION(server.redis_listen)));
}

void AddGrpcSettings(std::vector<Setting>* settings) {
  settings->push_back(OptionalTextSetting("grpc", "listen", "\"HOST:PORT\"", BANDB_OPTION(grpc_listen)));
  settings->push_back(OptionalTextSetting("grpc", "tls_listen", "\"HOST:PORT\"", BANDB_OPTION(grpc_tls_listen)));
}

void AddStorageSettings(std::vector<Setting>* settings) {
  settings->push_back(TextSetting("storage", "data", "the path of a directory", BANDB_OPTION(data)));
  settings->push_back(OptionalTextSetting("storage", "backups", "the path of a directory", BANDB_OPTION(backups)));
  settings->push_back(BooleanSetting("storage", "backup_logs", BANDB_OPTION(backup_logs)));
  settings->push_back(BooleanSetting("storage", "create_if_missing", BANDB_OPTION(storage.create_if_missing)));
  settings->push_back(SizeSetting("storage", "memory_budget", BANDB_OPTION(storage.memory_budget_bytes)));
  settings->push_back(IntegerSetting("storage", "background_threads", BANDB_OPTION(storage.background_threads)));
  settings->push_back(SizeSetting("storage", "write_buffer", BANDB_OPTION(storage.write_buffer_bytes)));
  settings->push_back(SizeSetting("storage", "block_cache", BANDB_OPTION(storage.block_cache_bytes)));
  settings->push_back(SizeSetting("storage", "block", BANDB_OPTION(storage.block_bytes)));
  settings->push_back(IntegerSetting("storage", "bloom_bits_per_key", BANDB_OPTION(storage.bloom_bits_per_key)));
  settings->push_back(ChoiceSetting<Compression>(
      "storage", "compression",
      {{"none", Compression::kNone}, {"lz4", Compression::kLz4}, {"zstd", Compression::kZstd}},
      BANDB_OPTION(storage.compression)));
  settings->push_back(SizeSetting("storage", "table", BANDB_OPTION(storage.table_bytes)));
  settings->push_back(IntegerSetting("storage", "level0_tables", BANDB_OPTION(storage.level0_tables)));
  settings->push_back(SizeSetting("storage", "level_base", BANDB_OPTION(storage.level_base_bytes)));
  settings->push_back(SizeSetting("storage", "changes_keep_bytes", BANDB_OPTION(storage.changes_keep_bytes)));
  settings->push_back(DurationSetting("storage", "changes_keep_for", BANDB_OPTION(storage.changes_keep_for)));
}

void AddClusterSettings(std::vector<Setting>* settings) {
  constexpr std::string_view kAddress = "\"HOST:PORT\"";
  const auto text = [&](std::string_view key, std::string_view takes, std::string_view option, auto target) {
    settings->push_back(OptionalTextSetting("cluster", key, std::string(takes), option, target));
  };
  text("listen", kAddress, BANDB_OPTION(cluster.listen));
  text("advertise", kAddress, BANDB_OPTION(cluster.advertise));
  text("client_address", kAddress, BANDB_OPTION(cluster.client_address));
  text("name", "a name", BANDB_OPTION(cluster.name));
  settings->push_back(ListSetting("cluster", "join", "a list of \"HOST:PORT\"", BANDB_OPTION(cluster.join)));
  settings->push_back(BooleanSetting("cluster", "bootstrap", BANDB_OPTION(cluster.bootstrap)));
  text("replaces", "a member's name, peer address or id", BANDB_OPTION(cluster.replaces));
  settings->push_back(BooleanSetting("cluster", "join_as_learner", BANDB_OPTION(cluster.join_as_learner)));
  settings->push_back(BooleanSetting("cluster", "insecure", BANDB_OPTION(cluster_insecure)));
  text("tls_ca", "the path of a file", BANDB_OPTION(cluster_tls.ca));
  text("tls_cert", "the path of a file", BANDB_OPTION(cluster_tls.cert));
  text("tls_key", "the path of a file", BANDB_OPTION(cluster_tls.key));
  text("tls_crl", "the path of a file", BANDB_OPTION(cluster_tls.crl));
  settings->push_back(ListSetting("cluster", "tls_names", "a list of names", BANDB_OPTION(cluster_tls.names)));
  settings->push_back(DurationSetting("cluster", "election_timeout", BANDB_OPTION(cluster.election_timeout)));
  settings->push_back(DurationSetting("cluster", "heartbeat_interval", BANDB_OPTION(cluster.heartbeat_interval)));
  settings->push_back(IntegerSetting("cluster", "priority", BANDB_OPTION(cluster.priority)));
  settings->push_back(BooleanSetting("cluster", "lease_reads", BANDB_OPTION(cluster.lease_reads)));
  settings->push_back(SizeSetting("cluster", "log_file", BANDB_OPTION(cluster.log_file_bytes)));
  settings->push_back(SizeSetting("cluster", "log_retained", BANDB_OPTION(cluster.log_retained_bytes)));
}

void AddAdminSettings(std::vector<Setting>* settings) {
  settings->push_back(OptionalTextSetting("admin", "listen", "\"HOST:PORT\"", BANDB_OPTION(admin_listen)));
  settings->push_back(BooleanSetting("admin", "insecure", BANDB_OPTION(admin_insecure)));
}

void AddLogSettings(std::vector<Setting>* settings) {
  settings->push_back(ChoiceSetting<LogSeverity>("log", "level",
                                                 {{"debug", LogSeverity::kDebug},
                                                  {"info", LogSeverity::kInfo},
                                                  {"warning", LogSeverity::kWarning},
                                                  {"error", LogSeverity::kError}},
                                                 BANDB_OPTION(log_level)));
  settings->back().is_live = true;
  settings->push_back(OptionalTextSetting("log", "file", "the path of a file", BANDB_OPTION(log_file)));
  settings->push_back(ChoiceSetting<bool>("log", "format", {{"text", false}, {"json", true}}, BANDB_OPTION(log_json)));
  settings->push_back(OptionalTextSetting("log", "audit_file", "the path of a file", BANDB_OPTION(audit_file)));
}

size_t EditDistance(std::string_view a, std::string_view b) {
  // One row of the usual table: row[j] is the distance of what was read of `a` to b[0, j).
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::string NameOf(const Setting& setting) { return fmt::format("{}.{}", setting.section, setting.key); }

const std::vector<Setting>& Settings() {
  static const std::vector<Setting>& settings = *[] {
    auto* all = new std::vector<Setting>;
    AddServerSettings(all);
    AddTlsSettings(all);
    AddUsersSettings(all);
    AddRedisSettings(all);
    AddGrpcSettings(all);
    AddClusterSettings(all);
    AddStorageSettings(all);
    AddAdminSettings(all);
    AddLogSettings(all);
    return all;
  }();
  return settings;
}

std::string_view Nearest(std::string_view typed, const std::vector<std::string_view>& names) {
  // Every name is in small letters.
  std::string name(typed);
  for (char& letter : name) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  std::string_view nearest;
  size_t best = std::max<size_t>(2, name.size() / 2) + 1;
  for (const std::string_view candidate : names) {
    const size_t distance = EditDistance(name, candidate);
    if (distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

}  // namespace bandb::server_program
