// bandb_inspect: looks into the files of a database, and makes a new one of what is sound of a
// damaged one.
//
//   bandb_inspect check|manifest|stats|picture DIR, log|table FILE, repair DIR NEW
//
// It never writes to what it looks at, and takes no lock. Exit codes: 0 sound, 1 damage was found,
// 2 usage, 3 it could not be looked at, or standard output could not be written.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

#include "apart.h"
#include "base/status.h"
#include "base/system_env.h"
#include "inspect/check.h"
#include "inspect/picture.h"
#include "inspect/repair.h"
#include "inspect/report.h"
#include "inspect/show.h"
#include "standard_streams/standard_streams.h"

namespace bandb::inspect {
namespace {

using standard_streams::Print;
using standard_streams::Write;

enum ExitCode : int { kSound = 0, kDamaged = 1, kUsage = 2, kFailed = 3 };

constexpr const char* kFooter =
    "DIR is the directory of a database, FILE a file in DIR/groups/0/db. Nothing in them is changed, and no lock is\n"
    "taken. A database that somebody has open is written to meanwhile: check and repair refuse it; check a "
    "checkpoint.\n"
    "Keys and values are shown with everything escaped that does not print, and long ones are cut; with --json they "
    "are\n"
    "whole. Of a cluster's node the log is not looked at.\n"
    "\n"
    "Exit codes: 0 what was looked at is sound, or repair lost nothing; 1 damage was found, or repair lost what it "
    "lists;\n"
    "2 usage; 3 it could not be looked at, or standard output could not be written.\n"
    "\n"
    "Examples:\n"
    "  bandb_inspect check /var/lib/bandb/db\n"
    "  bandb_inspect manifest --edits /var/lib/bandb/db\n"
    "  bandb_inspect log --operations /var/lib/bandb/db/groups/0/db/000012.log\n"
    "  bandb_inspect table --entries --json /var/lib/bandb/db/groups/0/db/000015.tbl\n"
    "  bandb_inspect repair /var/lib/bandb/db /var/lib/bandb/repaired\n"
    "  bandb_inspect picture /var/lib/bandb/db > levels.svg";

struct Arguments {
  std::string path;
  std::string target;
  bool json = false;
  bool edits = false;
  bool operations = false;
  bool blocks = false;
  bool entries = false;
};

// What a command does: whether what it looked at is sound.
using Look = std::function<absl::StatusOr<bool>(const base::Env&, Report*)>;

void Complain(const absl::Status& status) { Print(stderr, "bandb_inspect: {}\n", base::Message(status)); }

int Finish(ExitCode code) {
  if (standard_streams::Arrived()) return code;
  Print(stderr, "bandb_inspect: standard output could not be written\n");
  return kFailed;
}

int RunLook(const Look& look, bool json) {
  base::SystemEnv system({});
  Report report;
  const absl::StatusOr<bool> sound = look(system.env(), &report);
  system.Shutdown();
  if (!sound.ok()) {
    Complain(sound.status());
    return absl::IsInvalidArgument(sound.status()) ? kUsage : kFailed;
  }
  Write(stdout, json ? report.ToJson() : report.ToText());
  return Finish(*sound ? kSound : kDamaged);
}

int RunPicture(const std::string& dir) {
  base::SystemEnv system({});
  const absl::StatusOr<std::string> picture = DrawLevels(system.env(), dir);
  system.Shutdown();
  if (!picture.ok()) {
    Complain(picture.status());
    return absl::IsDataLoss(picture.status()) ? kDamaged : kFailed;
  }
  Write(stdout, *picture);
  return Finish(kSound);
}

CLI::App* AddCommand(CLI::App* app, const char* name, const char* help, const char* of, Arguments* to) {
  CLI::App* const command = app->add_subcommand(name, help);
  command->add_option(of, to->path)->required()->type_name("");
  if (std::string_view(name) != "picture") {
    command->add_flag("--json", to->json, "one JSON object instead of text for people");
  }
  return command;
}

int Main(int argc, char** argv) {
  CLI::App app("Looks into the files of a database, and repairs it into a new directory.", "bandb_inspect");
  app.set_version_flag("--version", "bandb_inspect " BANDB_VERSION);
  app.require_subcommand(1);
  app.footer(kFooter);
  Arguments a;
  const CLI::App* const check =
      AddCommand(&app, "check", "every file, every checksum, and whether they fit", "DIR", &a);
  CLI::App* const manifest = AddCommand(&app, "manifest", "what the database consists of", "DIR", &a);
  manifest->add_flag("--edits", a.edits, "each edit, too");
  CLI::App* const log = AddCommand(&app, "log", "the records of a log or a manifest", "FILE", &a);
  log->add_flag("--operations", a.operations, "what the records do, too");
  CLI::App* const table = AddCommand(&app, "table", "what a table says of itself; all of it is verified", "FILE", &a);
  table->add_flag("--blocks", a.blocks, "each data block, too");
  table->add_flag("--entries", a.entries, "each entry, too");
  const CLI::App* const stats = AddCommand(&app, "stats", "what is in each level", "DIR", &a);
  CLI::App* const repair =
      AddCommand(&app, "repair", "make a new database NEW of what is sound, and list what was lost", "DIR", &a);
  repair->add_option("NEW", a.target)->required()->type_name("");
  const CLI::App* const picture = AddCommand(&app, "picture", "the levels and their tables, as SVG", "DIR", &a);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kSound : kUsage;
  }
  if (picture->parsed()) return RunPicture(a.path);
  Look look;
  if (check->parsed()) look = [&](const base::Env& env, Report* to) { return CheckDatabase(env, a.path, to); };
  if (manifest->parsed())
    look = [&](const base::Env& env, Report* to) { return ShowManifest(env, a.path, a.edits, to); };
  if (log->parsed()) look = [&](const base::Env& env, Report* to) { return ShowLog(env, a.path, a.operations, to); };
  if (table->parsed()) {
    look = [&](const base::Env& env, Report* to) { return ShowTable(env, a.path, a.blocks, a.entries, to); };
  }
  if (stats->parsed()) look = [&](const base::Env& env, Report* to) { return ShowStats(env, a.path, to); };
  if (repair->parsed())
    look = [&](const base::Env& env, Report* to) -> absl::StatusOr<bool> {
      BANDB_RETURN_IF_ERROR(CheckApart(a.path, a.target));
      return RepairDatabase(env, a.path, a.target, to);
    };
  return RunLook(look, a.json);
}

}  // namespace
}  // namespace bandb::inspect

int main(int argc, char** argv) { return bandb::inspect::Main(argc, argv); }
