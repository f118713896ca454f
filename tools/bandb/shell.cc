#include "shell.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "base/status.h"
#include "line_editor.h"
#include "quoting.h"
#include "standard_streams/standard_streams.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;
using standard_streams::Write;

constexpr std::string_view kSpaces = " \t\r";

constexpr const char* kHelp =
    "  put KEY VALUE   store VALUE under KEY, in place of what is there; VALUE may hold spaces\n"
    "  get KEY         print the value of KEY\n"
    "  delete KEY      remove KEY\n"
    "  help            this list\n"
    "  quit, exit      leave\n"
    "A key or value in double quotes may hold any byte: \\\" \\\\ \\n \\r \\t \\xHH.\n";

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

// Takes the word in front of `text`, quoted or not, and the spaces behind it.
bool TakeWord(std::string_view* text, std::string* word) {
  if (text->empty()) return false;
  const std::string_view before = *text;
  if (Unquote(text, word) && (text->empty() || kSpaces.find(text->front()) != std::string_view::npos)) {
    *text = Trim(*text);
    return true;
  }
  *text = before;
  const size_t end = std::min(text->find_first_of(kSpaces), text->size());
  *word = text->substr(0, end);
  *text = Trim(text->substr(end));
  return true;
}

// All of `text`: what stands in the quotes if it is one quoted string, else as it is.
std::string TakeRest(std::string_view text) {
  std::string_view rest = text;
  std::string unquoted;
  if (Unquote(&rest, &unquoted) && rest.empty()) return unquoted;
  return std::string(text);
}

bool ParseVerb(std::string_view typed, Command::Verb* verb) {
  std::string word(typed);
  for (char& letter : word) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  if (word == "put") {
    *verb = Command::Verb::kPut;
  } else if (word == "get") {
    *verb = Command::Verb::kGet;
  } else if (word == "delete") {
    *verb = Command::Verb::kDelete;
  } else {
    return false;
  }
  return true;
}

std::string UsageOf(Command::Verb verb) {
  switch (verb) {
    case Command::Verb::kPut:
      return "usage: put KEY VALUE";
    case Command::Verb::kGet:
      return "usage: get KEY";
    case Command::Verb::kDelete:
      return "usage: delete KEY";
  }
  return "";
}

}  // namespace

bool ParseCommand(std::string_view line, Command* command, std::string* complaint) {
  std::string_view rest = Trim(line);
  std::string verb;
  if (!TakeWord(&rest, &verb) || !ParseVerb(verb, &command->verb)) {
    *complaint = fmt::format("unknown command {}; help lists what there is", Quote(verb));
    return false;
  }
  const bool has_value = command->verb == Command::Verb::kPut;
  if (!TakeWord(&rest, &command->key) || rest.empty() == has_value) {
    *complaint = UsageOf(command->verb);
    return false;
  }
  command->value = has_value ? TakeRest(rest) : "";
  return true;
}

bool AsksForHelp(const std::vector<std::string>& arguments) {
  Command command;
  return arguments.size() == 2 && ParseVerb(arguments[0], &command.verb) &&
         (arguments[1] == "--help" || arguments[1] == "-h");
}

bool ParseArguments(std::vector<std::string> arguments, Command* command, std::string* complaint) {
  // As everywhere, -- says that what follows is no option: bandb get -- --help.
  if (arguments.size() > 2 && arguments[1] == "--") arguments.erase(arguments.begin() + 1);
  if (!arguments.empty() && arguments[0].starts_with('-')) {
    *complaint = fmt::format("unknown option {}", Quote(arguments[0]));
    return false;
  }
  if (arguments.empty() || !ParseVerb(arguments[0], &command->verb)) {
    *complaint = fmt::format("unknown command {}", Quote(arguments.empty() ? "" : arguments[0]));
    return false;
  }
  const bool has_value = command->verb == Command::Verb::kPut;
  if (has_value ? arguments.size() < 3 : arguments.size() != 2) {
    *complaint = UsageOf(command->verb);
    return false;
  }
  command->key = arguments[1];
  command->value.clear();
  for (size_t i = 2; i < arguments.size(); ++i) {
    if (i > 2) command->value += ' ';
    command->value += arguments[i];
  }
  return true;
}

absl::Status Shell::Execute(const Command& command, std::string* value) {
  // The server may have gone and come back since the last command.
  if (client_ != nullptr && !client_->IsIdle()) client_.reset();
  if (client_ == nullptr) {
    BANDB_ASSIGN_OR_RETURN(client_, client::Client::Connect(clock_, address_));
  }
  switch (command.verb) {
    case Command::Verb::kPut:
      return client_->Put(command.key, command.value);
    case Command::Verb::kDelete:
      return client_->Delete(command.key);
    case Command::Verb::kGet: {
      BANDB_ASSIGN_OR_RETURN(*value, client_->Get(command.key));
      return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

int Shell::Run(const Command& command) {
  std::string value;
  const absl::Status status = Execute(command, &value);
  if (status.ok()) {
    const std::string text = command.verb != Command::Verb::kGet ? "OK\n" : raw_ ? value : Quote(value) + "\n";
    Write(stdout, text);
    std::fflush(stdout);
    return kDone;
  }
  if (absl::IsNotFound(status)) {
    Print(errors_, "(not found)\n");
    return kNotFound;
  }
  Print(errors_, "(error) {}: {}\n", absl::StatusCodeToString(status.code()), base::Message(status));
  // Replies that come late would be taken for those of the next request, and behind some errors the server closes.
  client_.reset();
  return kServerError;
}

bool Shell::RunLine(std::string_view line) {
  const std::string_view text = Trim(line);
  if (text.empty()) return true;
  if (text == "quit" || text == "exit") return false;
  if (text == "help") {
    Write(stdout, kHelp);
    std::fflush(stdout);
    return true;
  }
  Command command;
  std::string complaint;
  if (ParseCommand(text, &command, &complaint)) {
    last_code_ = Run(command);
  } else {
    Print(errors_, "(error) {}\n", complaint);
    last_code_ = kUsage;
  }
  std::fflush(stdout);
  return true;
}

int Shell::Interact(const std::string& history_path) {
  errors_ = stdout;
  std::string line;
  if (::isatty(STDIN_FILENO) != 0) {
    LineEditor editor(history_path);
    while (editor.Read(&line) && RunLine(line)) {
    }
  } else {
    while (std::getline(std::cin, line) && RunLine(line)) {
    }
  }
  return last_code_ == kServerError ? kServerError : kDone;
}

}  // namespace bandb::cli
