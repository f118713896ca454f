// Carries out the commands of bandb: one by one, or a session of them.
#ifndef BANDB_TOOLS_BANDB_SHELL_H_
#define BANDB_TOOLS_BANDB_SHELL_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "client/client.h"
#include "command.h"
#include "proto/request.h"

namespace bandb::cli {

// Exit codes of the program.
inline constexpr int kDone = 0;
inline constexpr int kNotFound = 1;  // no such key, or the condition of cas did not hold
inline constexpr int kUsage = 2;
inline constexpr int kServerError = 3;

// Uses one connection, made when the first command needs it and made again after it broke. Results
// go to standard output, errors to standard error.
class Shell {
 public:
  Shell(base::Clock* clock, client::Target target, bool raw) : clock_(clock), target_(std::move(target)), raw_(raw) {}

  // Runs one command, prints its result, and returns the exit code for it.
  int Run(const Command& command);
  // Reads commands from standard input until quit, exit or its end. At a terminal there is a prompt
  // with line editing and a history; see LineEditor. Returns the exit code: of a script the highest
  // of its commands, at a terminal 0, or 3 if the last command could not be carried out.
  int Interact(const std::string& history_path);

 private:
  // Runs one line. Returns false if it asks to leave.
  bool RunLine(std::string_view line);
  absl::Status Execute(const Command& command);
  absl::Status Put(const Command& command);
  // Makes batch_ of the commands in a file. Errors: kInvalidArgument one is not fit for a batch;
  // and of reading the file.
  absl::Status ReadBatch(const std::string& file);
  absl::Status Scan(const Command& command);
  // Removes what begins with command.begin. Errors: kCancelled the person who was asked said no.
  absl::Status DeletePrefix(const Command& command);
  absl::Status ShowTtl(const std::string& key);
  using Words = std::vector<std::string_view>;
  absl::Status Administer(const Words& words);
  absl::Status Ping();
  // Tells what went wrong, and returns the exit code for it.
  int Tell(const Command& command, const absl::Status& status);

  base::Clock* const clock_;
  const client::Target target_;
  const bool raw_;
  std::unique_ptr<client::Client> client_;
  proto::BatchBuilder batch_;  // of the command that is being run, if it is one
  int last_code_ = kDone;
  int highest_code_ = kDone;
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_SHELL_H_
