// The cursors of a cluster as its log makes them: what moves one, what does not, and what is
// stored.
#include "cluster/cursors.h"

#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "cluster/system_space.h"
#include "support/catch.h"

namespace bandb::cluster {

namespace {

constexpr uint64_t kBranch = 77;

changes::ChangePlace PlaceAt(uint64_t sequence, uint64_t branch = kBranch) {
  return {.database = {}, .branch = branch, .sequence = sequence};
}

std::string Encode(const CursorChange& change) {
  std::string bytes;
  AppendCursorChange(change, &bytes);
  return bytes;
}

std::string Make(std::string_view name, uint64_t sequence) {
  return Encode({.kind = CursorChangeKind::kMake, .name = name, .place = PlaceAt(sequence)});
}
std::string Acknowledge(std::string_view name, uint64_t id, uint64_t sequence) {
  return Encode({.kind = CursorChangeKind::kAcknowledge, .name = name, .id = id, .place = PlaceAt(sequence)});
}
std::string Reset(std::string_view name, uint64_t sequence) {
  return Encode({.kind = CursorChangeKind::kReset, .name = name, .place = PlaceAt(sequence)});
}
std::string Drop(std::string_view name) { return Encode({.kind = CursorChangeKind::kDrop, .name = name}); }

// A table, and space 0 as it becomes.
class Table {
 public:
  // One entry; how each of its commands ended.
  std::string Apply(const std::vector<std::string>& commands) {
    cursors_.Begin(++index_, now_ms_ += 10, last_sequence_ = 1000);
    std::string text;
    for (const std::string& command : commands) {
      REQUIRE(IsCursorChanges(command));
      text += (text.empty() ? "" : ", ") + absl::StatusCodeToString(cursors_.Apply(command).code());
    }
    const uint64_t operations_max = cursors_.OperationsMax();
    const uint64_t bytes_max = cursors_.BytesMax();
    const std::string operations = cursors_.Finish(&updates_);
    CHECK(operations.size() <= bytes_max);
    CHECK(space_.Apply(operations) <= operations_max);
    CheckStored();
    return text;
  }
  // An entry that is not applied after all.
  void ApplyInVain(const std::vector<std::string>& commands) {
    const CursorMap before = cursors_.all();
    cursors_.Begin(index_ + 1, now_ms_ + 10, last_sequence_);
    for (const std::string& command : commands) cursors_.Apply(command).IgnoreError();
    cursors_.Undo();
    CHECK(cursors_.all() == before);
  }
  // Name, place and when it was acknowledged, of each.
  std::string Text() const {
    std::string text;
    for (const auto& [name, cursor] : cursors_.all()) {
      text += fmt::format("{}@{} {}-{} ", name, cursor.place.sequence, cursor.created_ms, cursor.acknowledged_ms);
    }
    return text;
  }
  uint64_t IdOf(const std::string& name) const { return cursors_.all().at(name).id; }
  const std::vector<CursorUpdate>& updates() const { return updates_; }
  SystemSpace& space() { return space_; }
  Cursors& cursors() { return cursors_; }

 private:
  void CheckStored() const {
    const auto loaded = Cursors::Load(space_.NewIterator().get());
    REQUIRE_OK(loaded.status());
    CHECK(loaded->all() == cursors_.all());
  }

  Cursors cursors_;
  SystemSpace space_;
  std::vector<CursorUpdate> updates_;
  uint64_t index_ = 0;
  uint64_t now_ms_ = 0;
  uint64_t last_sequence_ = 0;
};

}  // namespace

TEST_CASE("a cursor is made, moved, put elsewhere and dropped") {
  Table table;
  CHECK(table.Apply({Make("a", 5), Make("b", 6)}) == "OK, OK");
  CHECK(table.updates().size() == 2);
  CHECK(table.Apply({Make("a", 5), Drop("none"), Reset("none", 5)}) == "ALREADY_EXISTS, NOT_FOUND, NOT_FOUND");
  CHECK(table.updates().empty());
  CHECK(table.Apply({Acknowledge("a", table.IdOf("a"), 9)}) == "OK");
  CHECK(table.Text() == "a@9 10-30 b@6 10-10 ");
  CHECK(table.Apply({Reset("a", 2), Drop("b")}) == "OK, OK");
  CHECK(table.Text() == "a@2 10-40 ");
  REQUIRE(table.updates().size() == 2);
  CHECK(table.updates()[0].cursor->place.sequence == 2);
  CHECK(!table.updates()[1].cursor.has_value());
}

TEST_CASE("what acknowledges moves a cursor forward, however often and in which order it comes") {
  Table table;
  table.Apply({Make("a", 5)});
  const uint64_t id = table.IdOf("a");
  for (const uint64_t sequence : {20, 10, 20, 5, 0, 19}) CHECK(table.Apply({Acknowledge("a", id, sequence)}) == "OK");
  CHECK(table.Text() == "a@20 10-20 ");
  CHECK(table.Apply({Acknowledge("a", id, 30) + Acknowledge("a", id, 25), Acknowledge("a", id, 28)}) == "OK, OK");
  CHECK(table.Text() == "a@30 10-80 ");
}

TEST_CASE("what acknowledges a cursor moves no other of that name, and none that was put elsewhere") {
  Table table;
  table.Apply({Make("a", 5)});
  const uint64_t first = table.IdOf("a");
  table.Apply({Reset("a", 3)});
  const uint64_t second = table.IdOf("a");
  table.Apply({Acknowledge("a", first, 100)});
  CHECK(table.Text() == "a@3 10-20 ");
  table.Apply({Drop("a"), Acknowledge("a", second, 100), Make("a", 1), Acknowledge("a", second, 100)});
  CHECK(table.cursors().all().at("a").place.sequence == 1);
  CHECK(table.IdOf("a") != first);
  CHECK(table.IdOf("a") != second);
  // In one entry, too, no id comes twice.
  table.Apply({Make("b", 1), Make("c", 1)});
  CHECK(table.IdOf("b") != table.IdOf("c"));
}

TEST_CASE("a place after all that was written is refused, and of another history nothing is acknowledged") {
  Table table;
  CHECK(table.Apply({Make("a", 1001), Make("b", 1000)}) == "FAILED_PRECONDITION, OK");
  CHECK(table.Apply({Reset("b", 1001)}) == "FAILED_PRECONDITION");
  table.Apply({Reset("b", 10)});
  table.Apply({Acknowledge("b", table.IdOf("b"), 1001)});
  table.Apply({Encode({.kind = CursorChangeKind::kAcknowledge,
                       .name = "b",
                       .id = table.IdOf("b"),
                       .place = PlaceAt(20, kBranch + 1)})});
  CHECK(table.cursors().all().at("b").place.sequence == 10);
}

TEST_CASE("there are as many cursors as there may be, and no more") {
  Table table;
  std::vector<std::string> commands;
  for (size_t i = 0; i < changes::kCursorsMax; ++i) commands.push_back(Make(fmt::format("{:0255}", i), 1));
  table.Apply(commands);
  CHECK(table.cursors().all().size() == changes::kCursorsMax);
  CHECK(table.Apply({Make("more", 1)}) == "RESOURCE_EXHAUSTED");
  CHECK(table.Apply({Drop(fmt::format("{:0255}", 3)), Make("more", 1)}) == "OK, OK");
}

TEST_CASE("an entry that is not applied has changed nothing") {
  Table table;
  table.Apply({Make("a", 5), Make("b", 6)});
  const uint64_t id = table.IdOf("a");
  table.ApplyInVain({Make("c", 1), Drop("b"), Acknowledge("a", id, 50), Reset("a", 1), Drop("a"), Make("a", 2)});
  table.Apply({Acknowledge("a", id, 7)});
  CHECK(table.Text() == "a@7 10-20 b@6 10-10 ");
}

TEST_CASE("a standalone database's cursors are found, and can be put elsewhere") {
  Table table;
  changes::StoredCursor plain{.created_ms = 1, .acknowledged_ms = 2, .place = PlaceAt(3, 5)};
  table.space().Put(changes::CursorKey("old"), changes::EncodeCursor(plain));
  auto loaded = Cursors::Load(table.space().NewIterator().get());
  REQUIRE_OK(loaded.status());
  table.cursors() = *loaded;
  CHECK(table.Apply({Acknowledge("old", 0, 9)}) == "OK");
  CHECK(table.cursors().all().at("old") == plain);
  CHECK(table.Apply({Reset("old", 9)}) == "OK");
  CHECK(table.IdOf("old") != 0);
  table.space().Put(changes::CursorKey("bad"), "\x02");
  CHECK_CODE(Cursors::Load(table.space().NewIterator().get()).status(), kDataLoss);
}

TEST_CASE("bytes that are no changes of cursors are told from those that are") {
  CHECK_FALSE(IsCursorChanges(""));
  for (const std::string& bytes : {Make("a", 5), Acknowledge("a", 3, 5), Reset("a", 1), Drop("a")}) {
    CHECK(IsCursorChanges(bytes + bytes));
    for (size_t size = 1; size < bytes.size(); ++size) CHECK_FALSE(IsCursorChanges(bytes.substr(0, size)));
    CHECK_FALSE(IsCursorChanges(bytes + "x"));
  }
  CHECK_FALSE(IsCursorChanges(Make("", 5)));
  CHECK_FALSE(IsCursorChanges(Make(std::string(256, 'a'), 5)));
  CHECK_FALSE(IsCursorChanges(Encode({.kind = CursorChangeKind::kMake, .name = "a", .id = 1})));
  for (const char kind : {0, 5}) {
    std::string bytes = Drop("a");
    bytes[0] = kind;
    CHECK_FALSE(IsCursorChanges(bytes));
  }
}

// Against a table that is as dumb as can be.
TEST_CASE("two tables that are given the same entries are the same, whatever comes in which order") {
  base::Random random(7);
  Table table;
  std::map<std::string, uint64_t> model;
  std::map<std::string, std::vector<uint64_t>> ids;
  for (int entry = 0; entry < 2000; ++entry) {
    const std::string name(1, static_cast<char>('a' + random.Uniform(3)));
    const uint64_t sequence = random.Uniform(1000);
    const auto at = model.find(name);
    switch (random.Uniform(8)) {
      case 0:
        CHECK(table.Apply({Make(name, sequence)}) == (at == model.end() ? "OK" : "ALREADY_EXISTS"));
        model.emplace(name, sequence);
        break;
      case 1:
        CHECK(table.Apply({Reset(name, sequence)}) == (at == model.end() ? "NOT_FOUND" : "OK"));
        if (at != model.end()) at->second = sequence;
        break;
      case 2:
        CHECK(table.Apply({Drop(name)}) == (at == model.end() ? "NOT_FOUND" : "OK"));
        model.erase(name);
        break;
      case 3:
        if (!ids[name].empty()) {
          const uint64_t id = ids[name][random.Uniform(ids[name].size())];
          table.Apply({Acknowledge(name, id, sequence)});
          if (at != model.end() && id == table.IdOf(name)) at->second = std::max(at->second, sequence);
        }
        break;
      default:
        if (at == model.end()) break;
        table.Apply({Acknowledge(name, table.IdOf(name), sequence)});
        at->second = std::max(at->second, sequence);
    }
    std::map<std::string, uint64_t> places;
    for (const auto& [named, cursor] : table.cursors().all()) {
      places[named] = cursor.place.sequence;
      if (ids[named].empty() || ids[named].back() != cursor.id) ids[named].push_back(cursor.id);
    }
    REQUIRE(places == model);
  }
}

TEST_CASE("an entry that no log comes to gives no cursor an id, and does no harm") {
  Cursors cursors;
  cursors.Begin((uint64_t{1} << 44) - 1, 10, 1000);
  CHECK_OK(cursors.Apply(Make("a", 1)));
  cursors.Begin(uint64_t{1} << 44, 20, 1000);
  CHECK_CODE(cursors.Apply(Make("b", 1)), kResourceExhausted);
  CHECK_CODE(cursors.Apply(Reset("a", 2)), kResourceExhausted);
  CHECK_OK(cursors.Apply(Drop("a")));
  CHECK(cursors.all().empty());
}

}  // namespace bandb::cluster
