#include "cursors_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "arguments.h"
#include "base/status.h"
#include "client/client.h"
#include "feed_place.h"
#include "proto/changes.h"
#include "quoting.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;

constexpr const char* kFooter =
    "A cursor is a place in the change feed for one consumer: bandb watch --cursor NAME goes on from it, and moves it. "
    "The\n"
    "server keeps what comes after it, up to storage.changes_keep_bytes; one for which more would have to be kept is "
    "lost.\n"
    "list prints a line for each: name, how far it is behind (commits, bytes of log, seconds) or lost, and its token.\n"
    "\n"
    "Exit codes: 0 done; 1 there is no such cursor; 2 usage; 3 server or connection error, or there is one already.\n"
    "\n"
    "Examples:\n"
    "  bandb cursors create indexer --from oldest\n"
    "  bandb cursors list\n"
    "  bandb cursors reset indexer --from 2026-01-31T12:00:00Z\n"
    "  bandb cursors drop indexer";

absl::Status List(client::Client* client) {
  BANDB_ASSIGN_OR_RETURN(const std::string body, client->Cursors({}));
  proto::CursorsBodyReader reader(body);
  std::string lines;
  for (proto::CursorEntry entry; reader.Next(&entry);) {
    const std::string lag = fmt::format("{} commits, {} bytes, {}.{:03} s behind", entry.lag_commits, entry.lag_bytes,
                                        entry.lag_ms / 1000, entry.lag_ms % 1000);
    lines += fmt::format("{}\t{}\t{}\n", Quote(entry.name), entry.lost ? "lost" : lag, ShowToken(entry.token));
  }
  if (!reader.Complete()) {
    return base::Error(absl::StatusCode::kDataLoss, "the reply to a CURSORS does not add up");
  }
  standard_streams::Write(stdout, lines);
  return absl::OkStatus();
}

absl::Status Change(client::Client* client, const proto::Cursors& cursors) {
  BANDB_RETURN_IF_ERROR(client->Cursors(cursors).status());
  standard_streams::Write(stdout, "OK\n");
  return absl::OkStatus();
}

}  // namespace

int RunCursors(const client::Target& target, std::vector<std::string> arguments) {
  CLI::App app("Named places in the change feed.", "bandb cursors");
  app.require_subcommand(1);
  app.footer(kFooter);
  std::string name, from = "now";
  const CLI::App* const list = app.add_subcommand("list", "print the cursors");
  CLI::App* const create = app.add_subcommand("create", "make a cursor");
  create->add_option("NAME", name, "1 to 255 bytes")->required()->type_name("");
  create->add_option("--from", from, fmt::format("its place: {} [now]", kFeedPlaceHelp))->type_name("PLACE");
  CLI::App* const drop = app.add_subcommand("drop", "remove a cursor");
  drop->add_option("NAME", name, "of the cursor")->required()->type_name("");
  CLI::App* const reset = app.add_subcommand("reset", "put a cursor at another place, also back, also a lost one");
  reset->add_option("NAME", name, "of the cursor")->required()->type_name("");
  reset->add_option("--from", from, fmt::format("its place: {} [now]", kFeedPlaceHelp))->type_name("PLACE");
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  FeedPlaceText place;
  if (!ParseFeedPlace(from, &place)) {
    Print(stderr, "bandb cursors: --from takes {}, not {}\n", kFeedPlaceHelp, from);
    return kUsage;
  }
  const absl::StatusOr<std::unique_ptr<client::Client>> client = client::Client::Connect(target);
  absl::Status status = client.status();
  if (status.ok()) {
    status = list->parsed()     ? List(client->get())
             : create->parsed() ? Change(client->get(), {proto::CursorAction::kCreate, place.place(), name})
             : reset->parsed()  ? Change(client->get(), {proto::CursorAction::kReset, place.place(), name})
                                : Change(client->get(), {.action = proto::CursorAction::kDrop, .name = name});
  }
  if (status.ok()) return kDone;
  Print(stderr, "(error) {}\n", base::Message(status));
  return absl::IsNotFound(status) ? kNotFound : kServerError;
}

}  // namespace bandb::cli
