// The keys of the configuration file: what each is called, what it takes, and which option it sets.
#ifndef BANDB_TOOLS_BANDB_SERVER_SETTINGS_H_
#define BANDB_TOOLS_BANDB_SERVER_SETTINGS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config.h"

namespace bandb::server_program {

// A value in the file; monostate for what no setting takes, like a date.
using Value = std::variant<std::monostate, bool, int64_t, std::string, std::vector<std::string>>;

struct Setting {
  std::string_view section;
  std::string_view key;
  // The option that it sets, as the libraries call it, with the path to it in Config:
  // "storage.write_buffer_bytes".
  std::string_view option;
  // What values it takes, for messages: a size with its unit, such as "64 MiB".
  std::string takes;
  // Sets the option; false if the value is not what the setting takes.
  std::function<bool(const Value& value, Config* config)> apply;
  // The value that a configuration has, as the file would say it.
  std::function<std::string(const Config& config)> show;
  bool is_size = false;
  // A running server takes a new value over when it reloads.
  bool is_live = false;
};

// "server.listen".
std::string NameOf(const Setting& setting);

// Every key there is.
const std::vector<Setting>& Settings();

// The one of `names` that is nearest by single-character edits, in whatever case; empty if none is
// near.
std::string_view Nearest(std::string_view typed, const std::vector<std::string_view>& names);

}  // namespace bandb::server_program

#endif  // BANDB_TOOLS_BANDB_SERVER_SETTINGS_H_
