// What is recorded of those who change something, and how much.
#include "audit_log.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "support/catch.h"
#include "support/manual_clock.h"

namespace bandb::server_program {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
// When the clock of tests begins.
constexpr std::string_view kTime = "2023-11-14T22:13:21.000Z";

size_t CountOf(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) count++;
  return count;
}

class KeptLines final : public Logger {
 public:
  void Log(LogSeverity, std::string_view message) override { lines.emplace_back(message); }
  std::vector<std::string> lines;
};

// An audit log, what it wrote, and what the log of the server was told of it.
struct Fixture {
  explicit Fixture(bool json = false)
      : log({.append =
                 [this](std::string_view line) {
                   if (disk_is_full) return absl::ResourceExhaustedError("no space left");
                   lines.emplace_back(line);
                   text.append(line).append(1, '\n');
                   return absl::OkStatus();
                 },
             .clock = &clock,
             .logger = &logger,
             .json = json}) {}
  // The last line, without its time.
  std::string Last() const { return lines.empty() ? "" : lines.back().substr(lines.back().find(' ') + 1); }
  std::string After(const AuditEvent& event) {
    log.Record(event);
    return Last();
  }
  std::string Asked(std::vector<std::string> words, const absl::Status& outcome = absl::OkStatus()) {
    log.RecordAdministration({.words = std::move(words), .connection = 1, .peer = "1.1.1.1:1", .user = "ops"}, outcome);
    return Last();
  }

  test::ManualClock clock;
  KeptLines logger;
  bool disk_is_full = false;
  std::vector<std::string> lines;
  std::string text;
  AuditLog log;
};

}  // namespace

TEST_CASE("an event is one line with who, from where and what") {
  Fixture f;
  f.log.Record({.what = "users changed", .detail = "removed app"});
  CHECK(f.text == fmt::format("{} users changed: user - from -: removed app\n", kTime));
  CHECK(f.Asked({"clients", "kill", "7"}) == "administration: user ops from 1.1.1.1:1: clients kill 7: done");
  f.log.RecordAdministration({.words = {"flush"}, .connection = 1, .peer = "1.1.1.1:1"}, absl::OkStatus());
  CHECK(f.Last() == "administration: user - from 1.1.1.1:1: flush: done");
  CHECK(f.Asked({"clients", "kill", "8"}, absl::InvalidArgumentError("there is no client 8")) ==
        "administration refused: user ops from 1.1.1.1:1: clients kill 8: there is no client 8");
  // It may have been done.
  CHECK(f.Asked({"member", "remove", "a"}, absl::UnknownError("nobody knows")) ==
        "administration: user ops from 1.1.1.1:1: member remove a: nobody knows");
  CHECK(f.lines.size() == 5);
  f.Asked({"clients", "--json"});
  CHECK(f.lines.size() == 5);
}

TEST_CASE("in JSON every part is a field") {
  Fixture f(true);
  f.log.Record({.what = "login refused", .user = "a\"b\\\\", .address = "1.1.1.1:1"});
  CHECK(f.lines.back() ==
        fmt::format(R"({{"time":"{}","event":"login refused","user":"a\"b\\\\","address":"1.1.1.1:1"}})", kTime));
  f.disk_is_full = true;
  f.log.Record({.what = "users changed"});
  f.disk_is_full = false;
  f.log.Record({.what = "users changed", .detail = "added a"});
  CHECK(f.lines.back() ==
        fmt::format(R"({{"time":"{}","event":"users changed","detail":"added a","left_out":1}})", kTime));
}

TEST_CASE("what a client chose is no other part of a line") {
  Fixture f;
  const std::string forged = "root from 10.0.0.7:5000";
  CHECK(f.After({.what = "login refused", .user = forged, .address = "6.6.6.6:1"}) ==
        "login refused: user \"root from 10.0.0.7:5000\" from 6.6.6.6:1");
  CHECK(f.After({.what = "login refused", .user = "root\" from 10.0.0.7:5000", .address = "6.6.6.6:1"}) ==
        "login refused: user \"root\\\" from 10.0.0.7:5000\" from 6.6.6.6:1");
  CHECK(f.After({.what = "login refused", .user = "-", .address = "6.6.6.6:1"}) ==
        "login refused: user \"-\" from 6.6.6.6:1");
  CHECK(f.After({.what = "login refused", .user = "a\nb", .address = "6.6.6.6:1"}) ==
        "login refused: user \"a\\nb\" from 6.6.6.6:1");
  CHECK(f.Asked({"member", "add", "a: done"}, absl::NotFoundError("no member")) ==
        "administration refused: user ops from 1.1.1.1:1: member add \"a: done\": no member");
  CHECK(f.Asked({"transfer", "b\"\n"}) == "administration: user ops from 1.1.1.1:1: transfer \"b\\\"\\n\": done");
}

TEST_CASE("no key is recorded, and nothing that came in the place of a command") {
  Fixture f;
  CHECK(f.Asked({"compact", "secret/a", "secret/b"}) == "administration: user ops from 1.1.1.1:1: compact ...: done");
  CHECK(f.Asked({"compact"}, absl::InvalidArgumentError("no such command")) ==
        "administration refused: user ops from 1.1.1.1:1: compact: no such command");
  // As they say why: it may be a key, or a token.
  CHECK(f.Asked({"secret/a", "v"}, absl::InvalidArgumentError("no such command: secret/a with 1 operands")) ==
        "administration refused: user ops from 1.1.1.1:1: an unknown command");
  CHECK(f.text.find("secret") == std::string::npos);
}

TEST_CASE("a line has an end, however long what a client sent is") {
  Fixture f;
  const std::string name(1 << 20, 'n');
  f.Asked({"member", "remove", name}, absl::InvalidArgumentError("there is no member " + name));
  CHECK(f.text.size() < 1000);
  CHECK(f.Last().ends_with("n..."));
}

TEST_CASE("a flood of one kind is cut, counted, and leaves room for others") {
  Fixture f;
  for (int i = 0; i < 5000; i++) f.log.Record({.what = "login refused"});
  CHECK(CountOf(f.text, "login refused") == AuditLog::kBurst);
  f.log.Record({.what = "users changed"});
  CHECK(CountOf(f.text, "users changed") == 1);
  f.clock.Advance(kSecond);
  for (int i = 0; i < 5000; i++) f.log.Record({.what = "login refused"});
  CHECK(CountOf(f.text, "login refused") == AuditLog::kBurst + AuditLog::kLinesPerSecond);
  CHECK(f.text.find("4900 more were left out before this one") != std::string::npos);
  f.clock.Advance(3600 * kSecond);
  for (int i = 0; i < 5000; i++) f.log.Record({.what = "login refused"});
  CHECK(CountOf(f.text, "login refused") == 2 * AuditLog::kBurst + AuditLog::kLinesPerSecond);
}

TEST_CASE("what was done has a line, however much was asked for in vain or done before") {
  Fixture f;
  for (int i = 0; i < 5000; i++) f.Asked({"nothing"}, absl::InvalidArgumentError("no such command"));
  for (int i = 0; i < 5000; i++) f.log.Record({.what = "administration denied", .user = "app"});
  CHECK(CountOf(f.text, "administration refused") == AuditLog::kBurst);
  CHECK(CountOf(f.text, "administration denied") == AuditLog::kBurst);
  for (int i = 0; i < 1000; i++) f.Asked({"flush"});
  for (const char* what : {"keys deleted", "clients closed"}) {
    for (int i = 0; i < 1000; i++) f.log.Record({.what = what});
    CHECK(CountOf(f.text, what) == 1000);
  }
  CHECK(CountOf(f.text, "flush: done") == 1000);
  CHECK(f.Asked({"member", "remove", "c"}) == "administration: user ops from 1.1.1.1:1: member remove c: done");
}

TEST_CASE("lines that could not be written are counted, told of once, and counted by the next") {
  Fixture f;
  for (int i = 0; i < 110; i++) f.log.Record({.what = "login refused"});
  f.clock.Advance(kSecond);
  f.disk_is_full = true;
  f.log.Record({.what = "login refused"});
  f.log.Record({.what = "login refused"});
  f.Asked({"flush"});
  CHECK(f.log.lines_lost() == 3);
  REQUIRE(f.logger.lines.size() == 1);
  CHECK(f.logger.lines[0] == "the audit log cannot be written, lines of it are lost: no space left");
  f.disk_is_full = false;
  CHECK(f.After({.what = "login refused"}) == "login refused: user - from -; 12 more were left out before this one");
  CHECK(f.After({.what = "login refused"}) == "login refused: user - from -");
  CHECK(f.Asked({"flush"}) ==
        "administration: user ops from 1.1.1.1:1: flush: done; 1 more were left out before this one");
  REQUIRE(f.logger.lines.size() == 2);
  CHECK(f.logger.lines[1] == "the audit log is written again; 3 lines were lost so far");
  CHECK(f.log.lines_lost() == 3);
}

TEST_CASE("what only looks is no change") {
  for (const char* word : {"figures", "status", "clients", "slowlog"}) CHECK_FALSE(IsChange({word}));
  CHECK_FALSE(IsChange({}));
  CHECK_FALSE(IsChange({"member", "list"}));
  CHECK_FALSE(IsChange({"slowlog", "--json"}));
  CHECK(IsChange({"slowlog", "--reset"}));
  CHECK(IsChange({"member", "remove", "a"}));
  CHECK(IsChange({"clients", "kill", "1"}));
  // A word elsewhere is an operand.
  CHECK(IsChange({"member", "remove", "list"}));
  CHECK(IsChange({"member", "replace", "a", "list"}));
  CHECK(IsChange({"member"}));
  CHECK_FALSE(IsChange({"clients", "--count", "kill"}));
  CHECK_FALSE(IsChange({"slowlog", "--json", "--reset"}));
  for (const char* word : {"flush", "compact", "backup", "transfer", "clock"}) CHECK(IsChange({word}));
}

}  // namespace bandb::server_program
