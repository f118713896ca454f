// The commands put, get and delete, as typed at the prompt or given as arguments.
#ifndef BANDB_TOOLS_BANDB_SHELL_H_
#define BANDB_TOOLS_BANDB_SHELL_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "client/client.h"

namespace bandb::cli {

// Exit codes of the program.
inline constexpr int kDone = 0;
inline constexpr int kNotFound = 1;
inline constexpr int kUsage = 2;
inline constexpr int kServerError = 3;

// One request.
struct Command {
  enum class Verb : uint8_t { kPut, kGet, kDelete };
  Verb verb = Verb::kGet;
  std::string key;
  std::string value;
};

// Splits a line "put KEY VALUE", "get KEY" or "delete KEY", the command in letters of any case. A key ends at the first
// space; a value is all the rest, so it may hold spaces. Either may be in double quotes, as get prints them, and can
// then hold any byte. On failure `complaint` says what is wrong.
bool ParseCommand(std::string_view line, Command* command, std::string* complaint);
// True for "put --help" and the like.
bool AsksForHelp(const std::vector<std::string>& arguments);
// The same from the arguments of the program, which are taken as they are, but for -- behind the command; several words
// of a value are joined by spaces.
bool ParseArguments(std::vector<std::string> arguments, Command* command, std::string* complaint);

// Carries commands out over one connection, made when the first needs it and made anew after it broke.
class Shell {
 public:
  Shell(base::Clock* clock, std::string address, bool raw) : clock_(clock), address_(std::move(address)), raw_(raw) {}

  // Runs one command, prints its result, and returns the exit code for it.
  int Run(const Command& command);
  // Reads commands from standard input until quit, exit or its end. At a terminal there is a prompt with line editing
  // and a history; see LineEditor. Returns the exit code: 3 if the last command could not be carried out, else 0.
  int Interact(const std::string& history_path);

 private:
  // Runs one line. Returns false if it asks to leave.
  bool RunLine(std::string_view line);
  absl::Status Execute(const Command& command, std::string* value);

  base::Clock* const clock_;
  const std::string address_;
  const bool raw_;
  // Where errors go: in a session they are part of what is said, in a script they must not be taken for a value.
  std::FILE* errors_ = stderr;
  std::unique_ptr<client::Client> client_;
  int last_code_ = kDone;
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_SHELL_H_
