// The table of sessions by itself: what is done once, what is refused, what is stored.
#include "cluster/sessions.h"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "cluster/system_space.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

constexpr uint64_t kHourMs = 3'600'000;
constexpr uint64_t kMinuteMs = 60'000;

// A table, and space 0 as it becomes.
class Table {
 public:
  // The results of one entry, as "OK", "ABORTED" ...; "(again)" for a duplicate. A command whose
  // number is in `failing` has a condition that does not hold.
  std::string Apply(uint64_t now_ms, const std::vector<Command>& commands, const std::vector<uint64_t>& failing = {}) {
    const std::string before = space_.Text();
    sessions_.Begin(now_ms);
    std::vector<absl::Status> outcomes;
    for (const Command& command : commands) {
      const bool admitted = sessions_.Admit(command);
      const bool fails = std::find(failing.begin(), failing.end(), command.number) != failing.end();
      outcomes.push_back(admitted && fails ? absl::AbortedError("no") : absl::OkStatus());
    }
    const uint64_t operations_max = sessions_.OperationsMax();
    const uint64_t bytes_max = sessions_.BytesMax();
    std::vector<CommandResult> results;
    const std::string operations = sessions_.Finish(outcomes, &results);
    CHECK(operations.size() <= bytes_max);
    CHECK(space_.Apply(operations) <= operations_max);
    REQUIRE(results.size() == commands.size());
    std::string text;
    for (const CommandResult& result : results) {
      text += (text.empty() ? "" : ", ") + absl::StatusCodeToString(result.status.code());
      if (result.duplicate) text += " (again)";
    }
    return text;
  }
  // Reads the table back from what was stored.
  void Reload() {
    absl::StatusOr<Sessions> loaded = Sessions::Load(space_.NewIterator().get());
    REQUIRE_OK(loaded.status());
    CHECK(loaded->size() == sessions_.size());
    sessions_ = *std::move(loaded);
  }

  Sessions& sessions() { return sessions_; }
  SystemSpace& space() { return space_; }

 private:
  Sessions sessions_;
  SystemSpace space_;
};

Command Open(uint64_t session) { return {.session = session, .number = kOpenNumber}; }
Command Close(uint64_t session) { return {.session = session, .number = kCloseNumber}; }
Command Do(uint64_t session, uint64_t number) { return {.session = session, .number = number, .operations = "op"}; }

}  // namespace

TEST_CASE("a number is done once, and its result is remembered") {
  Table table;
  CHECK(table.Apply(1, {Open(5)}) == "OK");
  CHECK(table.Apply(2, {Do(5, 1), Do(5, 2)}, {2}) == "OK, ABORTED");
  CHECK(table.Apply(3, {Do(5, 1), Do(5, 2), Do(5, 3)}, {1}) == "OK (again), ABORTED (again), OK");
  table.Reload();
  CHECK(table.Apply(4, {Do(5, 1), Do(5, 2), Do(5, 3)}, {3}) == "OK (again), ABORTED (again), OK (again)");
}

TEST_CASE("a number that comes twice in one entry is done once, and both are told how it ended") {
  Table table;
  table.Apply(1, {Open(5)});
  CHECK(table.Apply(2, {Do(5, 1), Do(5, 2), Do(5, 1), Do(5, 2)}, {2}) == "OK, ABORTED, OK (again), ABORTED (again)");
  // Also where the window has left it, within the entry.
  CHECK(table.Apply(3, {Do(5, 3), Do(5, 3), Do(5, 100)}, {3}) == "ABORTED, ABORTED (again), OK");
  CHECK(table.Apply(4, {Do(5, 3), Do(5, 36), Do(5, 37)}) == "FAILED_PRECONDITION, FAILED_PRECONDITION, OK");
}

TEST_CASE("commands may overtake each other within the window of 64, and not beyond it") {
  Table table;
  table.Apply(1, {Open(5)});
  CHECK(table.Apply(2, {Do(5, 64)}) == "OK");
  CHECK(table.Apply(3, {Do(5, 1), Do(5, 63)}) == "OK, OK");
  CHECK(table.Apply(4, {Do(5, 65), Do(5, 1), Do(5, 2)}) == "OK, FAILED_PRECONDITION, OK");
  table.Reload();
  CHECK(table.Apply(5, {Do(5, 2), Do(5, 64), Do(5, 63), Do(5, 3)}) == "OK (again), OK (again), OK (again), OK");
  CHECK(table.Apply(6, {Do(5, UINT64_MAX - 1), Do(5, 65), Do(5, UINT64_MAX - 64)}) == "OK, FAILED_PRECONDITION, OK");
}

TEST_CASE("who has no session is always done") {
  Table table;
  CHECK(table.Apply(1, {Do(0, 1), Do(0, 1), Do(0, 0)}) == "OK, OK, OK");
  CHECK(table.Apply(2, {Do(0, 1)}, {1}) == "ABORTED");
  CHECK(table.space().Text().empty());
}

TEST_CASE("a session that is not open does nothing; opening and closing twice is the same as once") {
  Table table;
  CHECK(table.Apply(1, {Do(5, 1), Close(5)}) == "FAILED_PRECONDITION, OK (again)");
  CHECK(table.Apply(2, {Open(5), Open(5), Do(5, 1)}) == "OK, OK (again), OK");
  CHECK(table.Apply(3, {Open(5), Do(5, 1)}) == "OK (again), OK (again)");
  CHECK(table.Apply(4, {Close(5), Close(5), Do(5, 2)}) == "OK, OK (again), FAILED_PRECONDITION");
  CHECK(table.sessions().size() == 0);
  CHECK(table.space().Text().empty());
}

TEST_CASE("what opens or closes does nothing else") {
  Table table;
  CHECK(table.Apply(1, {{.session = 5, .number = kOpenNumber, .operations = "op"}}) == "INVALID_ARGUMENT");
  CHECK(table.Apply(1, {{.session = 5, .number = kOpenNumber, .conditions = "if"}}) == "INVALID_ARGUMENT");
  CHECK(table.Apply(2, {Open(5), {.session = 5, .number = kCloseNumber, .operations = "op"}}) ==
        "OK, INVALID_ARGUMENT");
  CHECK(table.sessions().size() == 1);
}

TEST_CASE("closed and opened in one entry, a session begins at its beginning") {
  Table table;
  table.Apply(1, {Open(5)});
  CHECK(table.Apply(2, {Do(5, 1), Close(5), Open(5), Do(5, 1)}, {}) == "OK, OK, OK, OK");
  CHECK(table.Apply(3, {Do(5, 1)}) == "OK (again)");
  // The result that is kept is that of the second life.
  CHECK(table.Apply(4, {Do(5, 7), Close(5), Open(5), Do(5, 9)}, {7}) == "ABORTED, OK, OK, OK");
  table.Reload();
  CHECK(table.Apply(5, {Do(5, 7), Do(5, 9)}) == "OK, OK (again)");
  CHECK(table.Apply(6, {Open(6), Close(6)}) == "OK, OK");
  table.Reload();
}

TEST_CASE("a session that is idle for an hour of commit time is gone, and one that is used is not") {
  Table table;
  table.Apply(1, {Open(5), Open(6)});
  CHECK(table.Apply(kHourMs, {Do(5, 1)}) == "OK");
  CHECK(table.Apply(kHourMs + 1, {Do(6, 1)}) == "FAILED_PRECONDITION");
  CHECK(table.sessions().size() == 1);
  // A refused command, and one that is repeated, are signs of life.
  CHECK(table.Apply(2 * kHourMs - 1, {Do(5, 1)}) == "OK (again)");
  table.Reload();
  CHECK(table.Apply(3 * kHourMs - 2, {Do(5, 2)}) == "OK");
  CHECK(table.Apply(4 * kHourMs - 2, {Open(5), Do(5, 1)}) == "OK, OK");
}

TEST_CASE("time that has jumped removes a few sessions in an entry, and those that are left are gone as well") {
  Table table;
  std::vector<Command> opens;
  for (uint64_t id = 1; id <= 100; ++id) opens.push_back(Open(id));
  table.Apply(1, opens);
  CHECK(table.Apply(2 * kHourMs, {Do(0, 1)}) == "OK");
  CHECK(table.sessions().size() == 100);
  table.sessions().Begin(2 * kHourMs);
  CHECK_FALSE(table.sessions().Admit(Do(90, 1)));
  CHECK(table.sessions().OperationsMax() == 17);
  table.sessions().Undo();
  CHECK(table.Apply(2 * kHourMs, {Do(90, 1)}) == "FAILED_PRECONDITION");
  CHECK(table.sessions().size() == 83);
  for (int i = 0; i < 6; ++i) table.Apply(2 * kHourMs, {Do(90, 1)});
  CHECK(table.sessions().size() == 0);
}

TEST_CASE("10,000 sessions are open at a time; one that was idle for a minute makes room for another") {
  Table table;
  std::vector<Command> opens;
  for (uint64_t id = 1; id <= kSessionsMax; ++id) opens.push_back(Open(id));
  table.Apply(1, opens);
  CHECK(table.Apply(2, {Open(20'000), Do(20'000, 1)}) == "RESOURCE_EXHAUSTED, FAILED_PRECONDITION");
  CHECK(table.Apply(3, {Do(1, 1), Close(3)}) == "OK, OK");
  CHECK(table.Apply(kMinuteMs, {Open(20'001), Open(20'002)}) == "OK, RESOURCE_EXHAUSTED");
  CHECK(table.Apply(kMinuteMs + 1, {Open(20'002), Do(1, 1), Do(2, 1)}) == "OK, OK (again), FAILED_PRECONDITION");
  CHECK(table.sessions().size() == kSessionsMax);
  table.Reload();
  CHECK(table.Apply(kMinuteMs + 2, {Open(20'003), Do(4, 1), Do(5, 1)}) == "OK, FAILED_PRECONDITION, OK");
}

TEST_CASE("what was undone has not been") {
  Table table;
  table.Apply(1, {Open(5), Open(6), Do(5, 1)});
  for (int i = 0; i < 3; ++i) {
    table.sessions().Begin(2 + 2 * kHourMs * static_cast<uint64_t>(i == 2));
    for (const Command& command : {Do(5, 1), Do(5, 2), Do(5, 90), Close(6), Open(7), Do(7, 1)}) {
      table.sessions().Admit(command);
    }
    table.sessions().Undo();
    CHECK(table.sessions().size() == 2);
  }
  CHECK(table.Apply(2 * kHourMs + 2, {Open(8)}) == "OK");
  CHECK(table.sessions().size() == 1);
}

TEST_CASE("stored sessions that are none are damage") {
  Table table;
  table.Apply(1, {Open(5), Do(5, 1)});
  const std::string key = std::string("session") + std::string(7, '\0') + '\5';
  const std::string value = table.space().Get(key);
  REQUIRE_FALSE(value.empty());
  const std::vector<std::pair<std::string, std::string>> damaged = {
      {key, ""},
      {key, value + "x"},
      {key, value.substr(0, value.size() - 1)},
      {key, '\2' + value.substr(1)},
      // Aborted, but not done.
      {key, value.substr(0, value.size() - 8) + std::string(8, '\xff')},
      {"session", value},
      {key + "x", value},
      {std::string("session") + std::string(8, '\0'), value}};
  for (const auto& [bad_key, bad_value] : damaged) {
    SystemSpace space = table.space();
    space.Put(bad_key, bad_value);
    CHECK_CODE(Sessions::Load(space.NewIterator().get()).status(), kDataLoss);
  }
  SystemSpace others = table.space();
  others.Put("sessio", "of others");
  others.Put("sessioo", "of others");
  REQUIRE_OK(Sessions::Load(others.NewIterator().get()).status());
}

// Against a dumb one, which remembers all.
TEST_CASE("whatever comes, in whatever order, a table answers like a plain list of what was done") {
  struct Plain {
    uint64_t last_ms = 0;
    uint64_t highest = 0;
    std::map<uint64_t, bool> done;
  };
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    base::Random random(seed);
    Table table;
    std::map<uint64_t, Plain> plain;
    uint64_t now_ms = 1;
    for (int entry = 0; entry < 400; ++entry) {
      now_ms += random.OneIn(30) ? random.Uniform(2 * kHourMs) : random.Uniform(1000);
      std::vector<Command> commands;
      std::vector<uint64_t> failing;
      for (uint64_t n = random.Uniform(6); n > 0; --n) failing.push_back(random.Uniform(150));
      std::string expected;
      for (uint64_t n = 1 + random.Uniform(8); n > 0; --n) {
        const uint64_t id = 1 + random.Uniform(5);
        const auto gone = [&] { return plain.count(id) == 0 || now_ms - plain[id].last_ms >= kHourMs; };
        if (gone()) plain.erase(id);
        std::string text;
        if (random.OneIn(8)) {
          commands.push_back(Open(id));
          text = plain.count(id) != 0 ? "OK (again)" : "OK";
          plain[id].last_ms = now_ms;
        } else if (random.OneIn(20)) {
          commands.push_back(Close(id));
          text = plain.erase(id) != 0 ? "OK" : "OK (again)";
        } else {
          const uint64_t around = plain.count(id) != 0 ? plain[id].highest : 0;
          const uint64_t number =
              1 + (random.OneIn(10) ? random.Uniform(200)
                                    : around + random.Uniform(4) - std::min<uint64_t>(around, random.Uniform(70)));
          commands.push_back(Do(id, number));
          const bool fails = std::find(failing.begin(), failing.end(), number) != failing.end();
          if (plain.count(id) == 0) {
            text = "FAILED_PRECONDITION";
          } else {
            Plain& session = plain[id];
            session.last_ms = now_ms;
            session.highest = std::max(session.highest, number);
            if (number + kSessionWindow <= session.highest) {
              text = "FAILED_PRECONDITION";
            } else if (const auto done = session.done.find(number); done != session.done.end()) {
              text = done->second ? "OK (again)" : "ABORTED (again)";
            } else {
              text = fails ? "ABORTED" : "OK";
              session.done[number] = !fails;
            }
          }
        }
        expected += (expected.empty() ? "" : ", ") + text;
      }
      if (random.OneIn(3)) {
        table.sessions().Begin(now_ms);
        for (const Command& command : commands) table.sessions().Admit(command);
        table.sessions().Undo();
      }
      INFO("seed " << seed << ", entry " << entry);
      REQUIRE(table.Apply(now_ms, commands, failing) == expected);
      if (random.OneIn(10)) table.Reload();
    }
  }
}

}  // namespace bandb::cluster
