#include "operator_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "arguments.h"
#include "base/status.h"
#include "client/client.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;
using standard_streams::Write;

constexpr const char* kClientsFooter =
    "Columns: id, address, user, name, protocol, age, time since the last request, requests without an answer, bytes "
    "read\n"
    "and written, bytes of replies that it has not taken, last operation. The oldest connection first. Of clients of "
    "gRPC no\n"
    "bytes are known. The user needs the right to administer.\n"
    "\n"
    "Exit codes: 0 done; 2 usage; 3 server or connection error, or there is no such client.\n"
    "\n"
    "Examples:\n"
    "  bandb clients\n"
    "  bandb clients --json | jq 'select(.idle_ms > 3600000)'\n"
    "  bandb clients kill 4294967297";

constexpr const char* kSlowLogFooter =
    "The last 128 requests that took server.slow_log_threshold or longer, the last one first: number, when it was "
    "answered,\n"
    "how long it took in milliseconds and of that waiting in the server, in hooks and in the store, then protocol, "
    "operation,\n"
    "user, address, and the beginning of its key. The user needs the right to administer.\n"
    "\n"
    "Exit codes: 0 done; 2 usage; 3 server or connection error.\n"
    "\n"
    "Examples:\n"
    "  bandb slowlog --count 10\n"
    "  bandb slowlog --reset";

constexpr const char* kClockFooter =
    "Times to live go by the latest time that the clock of the machine, in a cluster the leader's, has shown: so a "
    "clock that\n"
    "was ahead by mistake holds expiry up until it gets there again, which expiry_ahead_ms in the figures tells. Once "
    "the clock\n"
    "is right, accept has expiry go by it. Values that counted as expired, and are not dropped yet, are there again on "
    "a\n"
    "standalone server, and stay gone in a cluster. The user needs the right to administer.\n"
    "\n"
    "Exit codes: 0 done; 2 usage; 3 server or connection error.\n"
    "\n"
    "Examples:\n"
    "  bandb clock accept";

int Administer(const client::Target& target, const std::vector<std::string>& words) {
  const absl::StatusOr<std::unique_ptr<client::Client>> client = client::Client::Connect(target);
  const std::vector<std::string_view> views(words.begin(), words.end());
  const absl::StatusOr<std::string> text =
      client.ok() ? (*client)->Administer(views) : absl::StatusOr<std::string>(client.status());
  if (!text.ok()) {
    Print(stderr, "(error) {}\n", base::Message(text.status()));
    return kServerError;
  }
  if (!text->empty()) Write(stdout, *text + "\n");
  return kDone;
}

struct ListFlags {
  uint64_t count = 0;
  bool json = false;
};

void DeclareList(CLI::App* app, ListFlags* flags, const std::string& what) {
  app->add_option("--count", flags->count, what)->check(CLI::Range(1.0, 1e15).description(""))->type_name("N");
  app->add_flag("--json", flags->json, "an object on each line");
}

std::vector<std::string> ToWords(std::string_view command, const ListFlags& flags) {
  std::vector<std::string> words{std::string(command)};
  if (flags.json) words.emplace_back("--json");
  if (flags.count > 0) words.insert(words.end(), {"--count", std::to_string(flags.count)});
  return words;
}

}  // namespace

int RunClients(const client::Target& target, std::vector<std::string> arguments) {
  CLI::App app("Prints who is connected to a server, or closes a connection.", "bandb clients");
  app.footer(kClientsFooter);
  ListFlags flags;
  DeclareList(&app, &flags, "at most this many [1000]");
  std::string id;
  CLI::App* const kill = app.add_subcommand("kill", "close the connection of a client");
  kill->add_option("ID", id, "as bandb clients prints it")->required()->type_name("");
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  return Administer(target,
                    kill->parsed() ? std::vector<std::string>{"clients", "kill", id} : ToWords("clients", flags));
}

int RunSlowLog(const client::Target& target, std::vector<std::string> arguments) {
  CLI::App app("Prints the requests that took long.", "bandb slowlog");
  app.footer(kSlowLogFooter);
  ListFlags flags;
  DeclareList(&app, &flags, "at most this many");
  bool reset = false;
  app.add_flag("--reset", reset, "forget them, instead");
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  return Administer(target, reset ? std::vector<std::string>{"slowlog", "--reset"} : ToWords("slowlog", flags));
}

int RunClock(const client::Target& target, std::vector<std::string> arguments) {
  CLI::App app("Has a server, or the cluster of a node, go by the clock as it is now.", "bandb clock");
  app.require_subcommand(1);
  app.footer(kClockFooter);
  app.add_subcommand("accept", "have times to live go by the clock as it is now");
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  return Administer(target, {"clock", "accept"});
}

}  // namespace bandb::cli
