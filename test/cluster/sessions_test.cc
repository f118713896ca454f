// The table of sessions by itself: what is done once, what is refused, what is stored.
#include "cluster/sessions.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "cluster/system_space.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

constexpr uint64_t kHourMs = 3'600'000;
constexpr uint64_t kMinuteMs = 60'000;
// An id that no log gives.
constexpr uint64_t kNeverOpened = UINT64_MAX;

// A table, and space 0 as it becomes.
class Table {
 public:
  // The results of one entry, as "OK", "ABORTED" ...; "(again)" for a duplicate. A command whose
  // number is in `failing` has a condition that does not hold.
  std::string Apply(uint64_t now_ms, const std::vector<Command>& commands, const std::vector<uint64_t>& failing = {}) {
    sessions_.Begin(++index_, now_ms);
    std::vector<absl::Status> outcomes;
    for (const Command& command : commands) {
      const bool admitted = sessions_.Admit(command);
      const bool fails = std::find(failing.begin(), failing.end(), command.number) != failing.end();
      outcomes.push_back(admitted && fails ? absl::AbortedError("no") : absl::OkStatus());
    }
    const uint64_t operations_max = sessions_.OperationsMax();
    const uint64_t bytes_max = sessions_.BytesMax();
    const std::string operations = sessions_.Finish(outcomes, &results_);
    CHECK(operations.size() <= bytes_max);
    CHECK(space_.Apply(operations) <= operations_max);
    REQUIRE(results_.size() == commands.size());
    std::string text;
    for (const CommandResult& result : results_) {
      text += (text.empty() ? "" : ", ") + absl::StatusCodeToString(result.status.code());
      if (result.duplicate) text += " (again)";
      const bool opens = result.session != kNoSession && Opens(result.number);
      CHECK((result.opened != kNoSession) == (opens && result.status.ok()));
      CHECK(result.session_lost == absl::IsFailedPrecondition(result.status));
    }
    return text;
  }
  // An entry that opens a session, and its id.
  uint64_t Open(uint64_t now_ms, uint64_t nonce, uint64_t number = kOpenNumber) {
    CHECK(Apply(now_ms, {{.session = nonce, .number = number}}) == "OK");
    return results_.front().opened;
  }
  // What the next entry will give to the session that it opens after `place` others.
  uint64_t NextId(uint64_t place = 0) const { return (index_ + 1) << 14 | place; }
  // The next entry, command by command.
  void Begin(uint64_t now_ms) { sessions_.Begin(index_ + 1, now_ms); }
  // Reads the table back from what was stored.
  void Reload() {
    absl::StatusOr<Sessions> loaded = Sessions::Load(space_.NewIterator().get());
    REQUIRE_OK(loaded.status());
    CHECK(loaded->size() == sessions_.size());
    sessions_ = *std::move(loaded);
  }

  Sessions& sessions() { return sessions_; }
  SystemSpace& space() { return space_; }
  // Of the last entry.
  const std::vector<CommandResult>& results() const { return results_; }

 private:
  uint64_t index_ = 0;
  Sessions sessions_;
  SystemSpace space_;
  std::vector<CommandResult> results_;
};

Command Open(uint64_t nonce) { return {.session = nonce, .number = kOpenNumber}; }
Command OpenNode(uint64_t nonce) { return {.session = nonce, .number = kOpenNodeNumber}; }
Command Close(uint64_t session) { return {.session = session, .number = kCloseNumber}; }
Command Do(uint64_t session, uint64_t number) { return {.session = session, .number = number, .operations = "op"}; }

}  // namespace

TEST_CASE("a number is done once, and its result is remembered") {
  Table table;
  const uint64_t id = table.Open(1, 5);
  CHECK(table.Apply(2, {Do(id, 1), Do(id, 2)}, {2}) == "OK, ABORTED");
  CHECK(table.Apply(3, {Do(id, 1), Do(id, 2), Do(id, 3)}, {1}) == "OK (again), ABORTED (again), OK");
  table.Reload();
  CHECK(table.Apply(4, {Do(id, 1), Do(id, 2), Do(id, 3)}, {3}) == "OK (again), ABORTED (again), OK (again)");
}

TEST_CASE("a number that comes twice in one entry is done once, and both are told how it ended") {
  Table table;
  const uint64_t id = table.Open(1, 5);
  CHECK(table.Apply(2, {Do(id, 1), Do(id, 2), Do(id, 1), Do(id, 2)}, {2}) ==
        "OK, ABORTED, OK (again), ABORTED (again)");
  // Also where the window has left it, within the entry.
  CHECK(table.Apply(3, {Do(id, 3), Do(id, 3), Do(id, 100)}, {3}) == "ABORTED, ABORTED (again), OK");
  CHECK(table.Apply(4, {Do(id, 3), Do(id, 36), Do(id, 37)}) == "FAILED_PRECONDITION, FAILED_PRECONDITION, OK");
}

TEST_CASE("commands may overtake each other within the window of 64, and not beyond it") {
  Table table;
  const uint64_t id = table.Open(1, 5);
  CHECK(table.Apply(2, {Do(id, 64)}) == "OK");
  CHECK(table.Apply(3, {Do(id, 1), Do(id, 63)}) == "OK, OK");
  CHECK(table.Apply(4, {Do(id, 65), Do(id, 1), Do(id, 2)}) == "OK, FAILED_PRECONDITION, OK");
  table.Reload();
  CHECK(table.Apply(5, {Do(id, 2), Do(id, 64), Do(id, 63), Do(id, 3)}) == "OK (again), OK (again), OK (again), OK");
  CHECK(table.Apply(6, {Do(id, UINT64_MAX - 2), Do(id, 65), Do(id, UINT64_MAX - 65)}) == "OK, FAILED_PRECONDITION, OK");
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
  const uint64_t id = table.NextId();
  CHECK(table.Apply(2, {Open(5), Open(5), Do(id, 1)}) == "OK, OK (again), OK");
  CHECK(table.results()[0].opened == id);
  CHECK(table.results()[1].opened == id);
  table.Reload();
  CHECK(table.Apply(3, {Open(5), Do(id, 1)}) == "OK (again), OK (again)");
  CHECK(table.results()[0].opened == id);
  // The nonce is no session.
  CHECK(table.Apply(4, {Do(5, 1), Close(5)}) == "FAILED_PRECONDITION, OK (again)");
  CHECK(table.Apply(5, {Close(id), Close(id), Do(id, 2)}) == "OK, OK (again), FAILED_PRECONDITION");
  CHECK(table.sessions().size() == 0);
  CHECK(table.space().Text().empty());
}

TEST_CASE("of each command but openings it is said whether its session is gone, which it then is for good") {
  Table table;
  const auto gone = [&] {
    std::string text;
    for (const CommandResult& result : table.results()) text += result.session_gone ? '1' : '0';
    return text;
  };
  table.Apply(1, {Do(5, 1), Close(6), Do(kNoSession, 1), Open(5), OpenNode(7)});
  CHECK(gone() == "11000");
  const uint64_t id = table.results()[3].opened;
  CHECK(table.Apply(2, {Do(id, 100), Do(id, 1)}) == "OK, FAILED_PRECONDITION");
  CHECK(gone() == "00");
  CHECK(table.Apply(kHourMs + 3, {Do(id, 101)}) == "FAILED_PRECONDITION");
  CHECK(gone() == "1");
  const uint64_t next = table.Open(kHourMs + 4, 8);
  CHECK(table.Apply(kHourMs + 5, {Do(next, 1), Close(next)}) == "OK, OK");
  CHECK(gone() == "11");
}

TEST_CASE("what opens or closes does nothing else") {
  Table table;
  CHECK(table.Apply(1, {{.session = 5, .number = kOpenNumber, .operations = "op"}}) == "INVALID_ARGUMENT");
  CHECK(table.Apply(1, {{.session = 5, .number = kOpenNodeNumber, .conditions = "if"}}) == "INVALID_ARGUMENT");
  const uint64_t id = table.NextId();
  CHECK(table.Apply(2, {Open(5), {.session = id, .number = kCloseNumber, .operations = "op"}}) ==
        "OK, INVALID_ARGUMENT");
  CHECK(table.sessions().size() == 1);
}

// A client has sent an opening and a command, and each of them was done. What is delayed on the way
// comes again when nobody remembers that: then the command must not be done.
TEST_CASE("a command whose session is gone is never done again, though the opening comes again before it") {
  const bool full = GENERATE(false, true);
  Table table;
  const uint64_t id = table.Open(1, 5);
  CHECK(table.Apply(2, {Do(id, 1), Do(id, 2)}) == "OK, OK");
  uint64_t now_ms = kHourMs + 2;
  if (full) {
    // Others take all the room, one of them its place.
    now_ms = kMinuteMs + 2;
    std::vector<Command> opens;
    for (uint64_t nonce = 1000; nonce < 1000 + kSessionsMax; ++nonce) opens.push_back(Open(nonce));
    table.Apply(now_ms, opens);
    now_ms += kMinuteMs;
  }
  CHECK(table.Apply(now_ms, {Do(id, 2)}) == "FAILED_PRECONDITION");
  CHECK(table.Apply(now_ms, {Open(5), Do(id, 1)}) == "OK, FAILED_PRECONDITION");
  const uint64_t second = table.results()[0].opened;
  CHECK(second != id);
  table.Reload();
  // Nor after one more opening and what the second life has done.
  CHECK(table.Apply(now_ms, {Open(5), Do(second, 1), Do(id, 1), Do(id, 3)}) ==
        "OK (again), OK, FAILED_PRECONDITION, FAILED_PRECONDITION");
  CHECK(table.results()[0].opened == second);
}

TEST_CASE("no id comes twice, whatever is opened and closed") {
  Table table;
  std::set<uint64_t> ids;
  for (uint64_t entry = 1; entry <= 20; ++entry) {
    const uint64_t first = table.NextId();
    CHECK(table.Apply(entry, {Open(5), Close(first), Open(5), Open(6), Close(first + 2), Open(6)}) ==
          "OK, OK, OK, OK, OK, OK");
    for (const CommandResult& result : table.results()) {
      if (result.opened != kNoSession) CHECK(ids.insert(result.opened).second);
    }
    CHECK(table.Apply(entry, {Close(first + 1), Close(first + 3)}) == "OK, OK");
    if (entry % 3 == 0) table.Reload();
  }
  CHECK(ids.size() == 80);
  CHECK(table.sessions().size() == 0);
}

TEST_CASE("closed and opened in one entry, a session begins at its beginning") {
  Table table;
  const uint64_t first = table.Open(1, 5);
  const uint64_t second = table.NextId();
  CHECK(table.Apply(2, {Do(first, 1), Close(first), Open(5), Do(second, 1)}, {}) == "OK, OK, OK, OK");
  CHECK(table.Apply(3, {Do(second, 1), Do(first, 1)}) == "OK (again), FAILED_PRECONDITION");
  // The result that is kept is that of the second life.
  const uint64_t third = table.NextId();
  CHECK(table.Apply(4, {Do(second, 7), Close(second), Open(5), Do(third, 9)}, {7}) == "ABORTED, OK, OK, OK");
  table.Reload();
  CHECK(table.Apply(5, {Do(third, 7), Do(third, 9)}) == "OK, OK (again)");
  CHECK(table.Apply(6, {Open(6), Close(table.NextId())}) == "OK, OK");
  table.Reload();
}

TEST_CASE("a session that is idle for an hour of commit time is gone, and one that is used is not") {
  Table table;
  CHECK(table.Apply(1, {Open(5), Open(6)}) == "OK, OK");
  const uint64_t id = table.results()[0].opened;
  const uint64_t idle = table.results()[1].opened;
  CHECK(table.Apply(kHourMs, {Do(id, 1)}) == "OK");
  CHECK(table.Apply(kHourMs + 1, {Do(idle, 1)}) == "FAILED_PRECONDITION");
  CHECK(table.sessions().size() == 1);
  // A refused command, and one that is repeated, are signs of life.
  CHECK(table.Apply(2 * kHourMs - 1, {Do(id, 1)}) == "OK (again)");
  table.Reload();
  CHECK(table.Apply(3 * kHourMs - 2, {Do(id, 2)}) == "OK");
  const uint64_t next = table.NextId();
  CHECK(table.Apply(4 * kHourMs - 2, {Open(5), Do(next, 1)}) == "OK, OK");
}

TEST_CASE("time that has jumped removes a few sessions in an entry, and those that are left are gone as well") {
  Table table;
  std::vector<Command> opens;
  for (uint64_t nonce = 1; nonce <= 100; ++nonce) opens.push_back(nonce % 2 == 0 ? Open(nonce) : OpenNode(nonce));
  table.Apply(1, opens);
  const uint64_t late = table.results()[90].opened;
  CHECK(table.Apply(2 * kHourMs, {Do(0, 1)}) == "OK");
  CHECK(table.sessions().size() == 100);
  table.Begin(2 * kHourMs);
  CHECK_FALSE(table.sessions().Admit(Do(late, 1)));
  CHECK(table.sessions().OperationsMax() == 17);
  table.sessions().Undo();
  CHECK(table.Apply(2 * kHourMs, {Do(late, 1)}) == "FAILED_PRECONDITION");
  CHECK(table.sessions().size() == 83);
  for (int i = 0; i < 6; ++i) table.Apply(2 * kHourMs, {Do(late, 1)});
  CHECK(table.sessions().size() == 0);
}

TEST_CASE("10,000 sessions are open at a time; one that was idle for a minute makes room for another") {
  Table table;
  std::vector<Command> opens;
  for (uint64_t nonce = 1; nonce <= kSessionsMax; ++nonce) opens.push_back(Open(nonce));
  table.Apply(1, opens);
  std::vector<uint64_t> ids = {0};
  for (const CommandResult& result : table.results()) ids.push_back(result.opened);
  CHECK(table.Apply(2, {Open(20'000), Do(table.NextId(), 1)}) == "RESOURCE_EXHAUSTED, FAILED_PRECONDITION");
  CHECK(table.Apply(3, {Do(ids[1], 1), Close(ids[3])}) == "OK, OK");
  CHECK(table.Apply(kMinuteMs, {Open(20'001), Open(20'002)}) == "OK, RESOURCE_EXHAUSTED");
  CHECK(table.Apply(kMinuteMs + 1, {Open(20'002), Do(ids[1], 1), Do(ids[2], 1)}) ==
        "OK, OK (again), FAILED_PRECONDITION");
  CHECK(table.sessions().size() == kSessionsMax);
  table.Reload();
  CHECK(table.Apply(kMinuteMs + 2, {Open(20'003), Do(ids[4], 1), Do(ids[5], 1)}) == "OK, FAILED_PRECONDITION, OK");
}

TEST_CASE("clients, however many and however busy, keep no node from a session, nor nodes a client") {
  Table table;
  std::vector<Command> opens;
  for (uint64_t nonce = 1; nonce <= kSessionsMax; ++nonce) opens.push_back(Open(nonce));
  table.Apply(1, opens);
  const uint64_t of_client = table.results()[0].opened;
  CHECK(table.Apply(2, {Open(20'000), OpenNode(20'001)}) == "RESOURCE_EXHAUSTED, OK");
  const uint64_t first = table.results()[1].opened;
  table.Reload();
  // So many nodes that the one whose session was idle for longest has to open another.
  for (uint64_t nonce = 30'000; nonce < 30'000 + kNodeSessionsMax - 1; ++nonce) table.Open(3, nonce, kOpenNodeNumber);
  CHECK(table.sessions().size() == kSessionsMax + kNodeSessionsMax);
  CHECK(table.Apply(4, {Do(first, 1)}) == "OK");
  CHECK(table.Apply(5, {OpenNode(40'000), Do(first, 2), Do(of_client, 1)}) == "OK, OK, OK");
  CHECK(table.sessions().size() == kSessionsMax + kNodeSessionsMax);
  table.Reload();
  CHECK(table.Apply(6, {Open(20'000)}) == "RESOURCE_EXHAUSTED");
  CHECK(table.Apply(kMinuteMs + 6, {Open(20'000), Do(first, 3)}) == "OK, OK");
}

TEST_CASE("an entry opens 16,384 sessions at most, and none at an index beyond those that fit into an id") {
  Sessions sessions;
  std::vector<CommandResult> results;
  sessions.Begin(7, 1);
  for (uint64_t place = 0; place < 16'384; ++place) {
    sessions.Admit(Open(5));
    sessions.Admit(Close(uint64_t{7} << 14 | place));
  }
  sessions.Admit(Open(5));
  sessions.Finish(std::vector<absl::Status>(2 * 16'384 + 1), &results);
  CHECK(results[2 * 16'383].opened == (uint64_t{7} << 14 | 16'383));
  CHECK_CODE(results.back().status, kResourceExhausted);
  CHECK(sessions.size() == 0);
  for (const uint64_t index : {(uint64_t{1} << 50) - 1, uint64_t{1} << 50, UINT64_MAX}) {
    sessions.Begin(index, 1);
    sessions.Admit(Open(5));
    sessions.Finish(std::vector<absl::Status>(1), &results);
    // The one that is open already is found at any index.
    CHECK(results.back().duplicate == (index != (uint64_t{1} << 50) - 1));
    CHECK(results.back().opened == ((uint64_t{1} << 50) - 1) << 14);
  }
  sessions.Begin(UINT64_MAX, 1);
  sessions.Admit(Open(6));
  sessions.Finish(std::vector<absl::Status>(1), &results);
  CHECK_CODE(results.back().status, kResourceExhausted);
}

TEST_CASE("what was undone has not been") {
  Table table;
  const uint64_t id = table.NextId();
  CHECK(table.Apply(1, {Open(5), Open(6), Do(id, 1)}) == "OK, OK, OK");
  const uint64_t other = table.results()[1].opened;
  for (int i = 0; i < 3; ++i) {
    table.Begin(2 + 2 * kHourMs * static_cast<uint64_t>(i == 2));
    const uint64_t next = table.NextId();
    for (const Command& command : {Do(id, 1), Do(id, 2), Do(id, 90), Close(other), Open(7), Do(next, 1), Close(id),
                                   Open(5), Open(6), Close(next + 1), Open(5)}) {
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
  CHECK(table.Apply(1, {Open(5), OpenNode(6), Do(table.NextId(), 1)}) == "OK, OK, OK");
  // As docs/cluster-log.md has it.
  const std::string key = std::string("session") + std::string(6, '\0') + std::string("\x40\0", 2);
  const std::string value = table.space().Get(key);
  REQUIRE(value == std::string("\2\0\5\0\0\0\0\0\0\0\1\1\1\0\0\0\0\0\0\0", 20) + std::string(8, '\0'));
  const std::string other = std::string("session") + std::string(6, '\0') + std::string("\x40\1", 2);
  REQUIRE(table.space().Get(other).substr(0, 3) == std::string("\2\1\6", 3));
  const std::vector<std::pair<std::string, std::string>> damaged = {
      {key, ""},
      {key, value + "x"},
      {key, value.substr(0, value.size() - 1)},
      {key, '\1' + value.substr(1)},
      {key, '\3' + value.substr(1)},
      {key, std::string("\2\2", 2) + value.substr(2)},
      // No nonce, and that of another one.
      {key, value.substr(0, 2) + std::string(8, '\0') + value.substr(10)},
      {key, table.space().Get(other)},
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

namespace {

// A dumb one, which remembers all.
class PlainTable {
 public:
  // What happens in an entry, command by command. `first_id`: of the first session that it opens.
  void Begin(uint64_t now_ms, uint64_t first_id) {
    now_ms_ = now_ms;
    next_id_ = first_id;
    for (auto at = sessions_.begin(); at != sessions_.end();) {
      at = now_ms - at->second.last_ms >= kHourMs ? sessions_.erase(at) : std::next(at);
    }
  }
  // Draws a command, and says how it ends.
  std::string Draw(base::Random* random, const std::vector<uint64_t>& failing, Command* command) {
    const uint64_t nonce = 1 + random->Uniform(5);
    const std::vector<uint64_t>& lives = lives_[nonce];
    if (random->OneIn(8)) {
      *command = random->OneIn(2) ? Open(nonce) : OpenNode(nonce);
      return AnswerOpen(nonce);
    }
    // Mostly of the present life, sometimes one that comes late.
    uint64_t id = lives.empty() ? kNeverOpened : lives.back();
    if (!lives.empty() && random->OneIn(10)) id = lives[random->Uniform(lives.size())];
    if (random->OneIn(20)) {
      *command = Close(id);
      return sessions_.erase(id) != 0 ? "OK" : "OK (again)";
    }
    const uint64_t around = sessions_.count(id) != 0 ? sessions_[id].highest : 0;
    const uint64_t number =
        1 + (random->OneIn(10) ? random->Uniform(200)
                               : around + random->Uniform(4) - std::min<uint64_t>(around, random->Uniform(70)));
    *command = Do(id, number);
    return AnswerNumber(id, number, std::find(failing.begin(), failing.end(), number) != failing.end());
  }

 private:
  struct Session {
    uint64_t last_ms = 0;
    uint64_t highest = 0;
    std::map<uint64_t, bool> done;
  };

  std::string AnswerOpen(uint64_t nonce) {
    std::vector<uint64_t>& lives = lives_[nonce];
    const bool again = !lives.empty() && sessions_.count(lives.back()) != 0;
    if (!again) lives.push_back(next_id_++);
    sessions_[lives.back()].last_ms = now_ms_;
    return again ? "OK (again)" : "OK";
  }
  std::string AnswerNumber(uint64_t id, uint64_t number, bool fails) {
    if (sessions_.count(id) == 0) return "FAILED_PRECONDITION";
    Session& session = sessions_[id];
    session.last_ms = now_ms_;
    session.highest = std::max(session.highest, number);
    if (number + kSessionWindow <= session.highest) return "FAILED_PRECONDITION";
    if (const auto done = session.done.find(number); done != session.done.end()) {
      return done->second ? "OK (again)" : "ABORTED (again)";
    }
    session.done[number] = !fails;
    // What all this is for.
    CHECK(ever_done_.insert({id, number}).second);
    return fails ? "ABORTED" : "OK";
  }

  uint64_t now_ms_ = 0;
  uint64_t next_id_ = 0;
  std::map<uint64_t, Session> sessions_;               // by id
  std::map<uint64_t, std::vector<uint64_t>> lives_;    // the ids that were opened, by nonce
  std::set<std::pair<uint64_t, uint64_t>> ever_done_;  // id and number
};

}  // namespace

TEST_CASE("whatever comes, in whatever order, a table answers like a plain list of what was done") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    base::Random random(seed);
    Table table;
    PlainTable plain;
    uint64_t now_ms = 1;
    for (int entry = 0; entry < 400; ++entry) {
      now_ms += random.OneIn(30) ? random.Uniform(2 * kHourMs) : random.Uniform(1000);
      std::vector<uint64_t> failing;
      for (uint64_t n = random.Uniform(6); n > 0; --n) failing.push_back(random.Uniform(150));
      plain.Begin(now_ms, table.NextId());
      std::vector<Command> commands(1 + random.Uniform(8));
      std::string expected;
      for (Command& command : commands) {
        expected += (expected.empty() ? "" : ", ") + plain.Draw(&random, failing, &command);
      }
      if (random.OneIn(3)) {
        table.Begin(now_ms);
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
