// The commands of bandb, as typed at the prompt or given as arguments.
#ifndef BANDB_TOOLS_BANDB_COMMAND_H_
#define BANDB_TOOLS_BANDB_COMMAND_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace bandb::cli {

enum class Verb : uint8_t {
  kPut,
  kGet,
  kTtl,
  kDelete,
  kCas,
  kBatch,
  kScan,
  kCount,
  kPing,
  kStats,
  kFlush,
  kCompact,
  kStatus,
  kMember,
  kTransfer
};
enum class ScanFormat : uint8_t { kText, kJsonLines, kRaw };

// One request. Fields that a verb has no use for keep their defaults.
struct Command {
  Verb verb = Verb::kGet;
  std::string key{};
  std::string value{};
  bool value_from_input = false;                  // put KEY -
  absl::Duration ttl = absl::InfiniteDuration();  // put, cas
  bool expects_absent = false;                    // cas: the key must not exist
  std::string expected{};                         // cas: or must have this value
  bool raw = false;                               // get, scan: bytes as they are
  bool deletes_prefix = false;                    // delete: all keys that begin with `begin`
  bool sure = false;                              // delete: without asking
  std::string begin{};  // scan, count, compact: the range [begin, limit); empty means unbounded
  std::string limit{};
  uint64_t entries_max = UINT64_MAX;  // scan
  bool keys_only = false;
  bool reverse = false;
  ScanFormat format = ScanFormat::kText;
  std::string file{};  // batch: a path, or - for standard input
  bool json = false;   // status, member list
  // member: list, add, remove or replace, and which; transfer: to whom, if that is said
  std::vector<std::string> words{};
};

// Takes a line of a session. A key ends at the first space; the value of put is all the rest, so it
// may hold spaces. A key or value that begins with a double quote is quoted as quoting.h says, and
// can hold any byte. Commands may be in letters of any case. On failure `complaint` says what is
// wrong.
bool ParseCommand(std::string_view line, Command* command, std::string* complaint);
// The same from the arguments of the program, which are taken as they are; several words of a value
// are joined by spaces, and "put KEY -" takes the value from standard input. What follows -- is
// never an option.
bool ParseArguments(const std::vector<std::string>& arguments, Command* command, std::string* complaint);

// "put" and its like in letters of any case; false if there is no such command.
bool ParseVerb(std::string_view typed, Verb* verb);

// A line for each command, for lists.
std::string CommandList();
// Usage, options and examples of one command.
std::string HelpOf(Verb verb);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_COMMAND_H_
