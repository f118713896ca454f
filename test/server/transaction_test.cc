#include "server/transaction.h"

#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

using server::EntryState;
using server::StoredEntry;
using server::Transaction;

constexpr int64_t kNow = 1000;

// Over a map, in its order.
class MapIterator final : public Iterator {
 public:
  explicit MapIterator(const server::EntryMap* map, std::string_view begin) : map_(map), begin_(begin) {}
  bool Valid() const override { return at_ != map_->end(); }
  void SeekToFirst() override { at_ = map_->lower_bound(begin_); }
  void SeekToLast() override { FAIL("not used"); }
  void Seek(std::string_view) override { FAIL("not used"); }
  void SeekForPrev(std::string_view) override { FAIL("not used"); }
  void Next() override { ++at_; }
  void Prev() override { FAIL("not used"); }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second->value; }
  absl::Status status() const override { return absl::OkStatus(); }

 private:
  const server::EntryMap* const map_;
  const std::string begin_;
  server::EntryMap::const_iterator at_;
};

class MapSource final : public server::EntrySource {
 public:
  absl::Status Read(std::string_view key, EntryState* state) override {
    reads.emplace_back(key);
    if (!failure.ok()) return failure;
    const auto found = entries.find(key);
    *state = found == entries.end() ? EntryState() : found->second;
    return absl::OkStatus();
  }
  std::unique_ptr<Iterator> Walk(std::string_view begin) override {
    if (!walks) return nullptr;
    return std::make_unique<MapIterator>(&entries, begin);
  }

  server::EntryMap entries;
  std::vector<std::string> reads;
  absl::Status failure;
  bool walks = true;
};

std::string Walked(Transaction* transaction, std::string_view begin = {}) {
  std::string keys;
  transaction->Walk(begin, [&](std::string_view key) {
    keys += key;
    return true;
  });
  return keys;
}

enum class Reads { kGood, kMissed, kLost };
// What a hook adds to a put or delete of "x": a write of the key that "A", "B" and "C" are.
enum class AddedBy { kNobody, kDelete, kRange };

// A transaction that takes steps of two letters: "=A" puts A, "-A" deletes it, "?A" reads it, "!!"
// deletes everything. Beside it each read is noted down with what it saw.
class Run {
 public:
  Run(std::string_view steps, AddedBy added) : added_(added) {
    for (size_t at = 0; at < steps.size(); at += 2) Take(steps[at], std::string(steps.substr(at + 1, 1)));
  }

  Reads Check() const {
    std::vector<server::Operation> judged;
    for (server::Operation operation : transaction_.Writes()) {
      operation.key = transaction_.StoredName(operation.key);
      judged.push_back(operation);
      if (operation.key != "x" || added_ == AddedBy::kNobody) continue;
      if (added_ == AddedBy::kRange) {
        judged.push_back({.kind = OperationKind::kDeleteRange, .key = "j", .value = "l", .emitted = true});
      } else {
        judged.push_back({.kind = OperationKind::kDelete, .key = "k", .emitted = true});
      }
    }
    const absl::Status status = transaction_.CheckReads(judged);
    if (status.ok()) return Reads::kGood;
    return absl::StrContains(status.message(), "hooks make one of two keys") ? Reads::kMissed : Reads::kLost;
  }

  // By all that was done.
  Reads Expected() const {
    for (const Read& read : reads_) {
      for (const auto& [turn, name] : writes_) {
        if (Stored(name) == Stored(read.name) && read.saw < turn && turn <= read.at) return Reads::kMissed;
      }
    }
    const auto adds = last_.find("x");
    if (added_ == AddedBy::kNobody || adds == last_.end()) return Reads::kGood;
    for (const auto& [name, turn] : last_) {
      if (Stored(name) != "k" || turn < adds->second || !puts_.at(name)) continue;
      for (const Read& read : reads_) {
        const bool is_of_it = read.name == name || (read.saw == 0 && Stored(read.name) == "k");
        if (is_of_it && read.saw < adds->second && adds->second <= read.at) return Reads::kLost;
      }
    }
    return Reads::kGood;
  }

 private:
  // The number of the write that it saw, 0 if it was none of this transaction, and of the last one.
  struct Read {
    std::string name;
    int saw = 0;
    int at = 0;
  };

  static std::string Stored(const std::string& name) { return name >= "A" && name <= "C" ? "k" : name; }

  void Take(char step, const std::string& name) {
    if (step == '?') {
      transaction_.Get(name);
      const auto own = last_.find(name);
      reads_.push_back({name, own == last_.end() ? 0 : own->second, turn_});
      return;
    }
    ++turn_;
    if (step == '!') {
      transaction_.DeleteAll();
      // What it wrote before no hook is shown.
      reads_.clear();
      writes_.clear();
      last_.clear();
      return;
    }
    step == '=' ? transaction_.Put(name, "1") : transaction_.Delete(name);
    writes_[turn_] = name;
    last_[name] = turn_;
    puts_[name] = step == '=';
  }

  const AddedBy added_;
  const std::map<std::string, std::string, std::less<>> names_ = {{"A", "k"}, {"B", "k"}, {"C", "k"}};
  MapSource source_;
  Transaction transaction_{&source_, kNow, 1 << 20, nullptr, {.stored_names = &names_, .is_judged = true}};
  int turn_ = 0;
  std::vector<Read> reads_;
  std::map<int, std::string> writes_;
  std::map<std::string, int> last_;
  std::map<std::string, bool> puts_;
};

}  // namespace

TEST_CASE("a transaction sees what it wrote, and reads each key once") {
  MapSource source;
  source.entries["a"] = StoredEntry{"1", 5000};
  Transaction transaction(&source, kNow, 1 << 20);
  REQUIRE(transaction.Get("a") != nullptr);
  CHECK(*transaction.Get("a") == StoredEntry{"1", 5000});
  CHECK(transaction.Get("b") == nullptr);
  CHECK_FALSE(transaction.writes());
  transaction.Put("a", "2");
  transaction.Put("b", "3", kNow + 1);
  transaction.Put("c", "4", kNow);
  CHECK(*transaction.Get("a") == StoredEntry{"2"});
  CHECK(transaction.Get("b")->expiry_ms == kNow + 1);
  // What it wrote to expire by now is gone.
  CHECK(transaction.Get("c") == nullptr);
  transaction.Delete("a");
  CHECK(transaction.Get("a") == nullptr);
  CHECK(source.reads == std::vector<std::string>{"a", "b"});
  CHECK(transaction.writes());
}

TEST_CASE("its writes come in the order in which each key was written last") {
  MapSource source;
  Transaction transaction(&source, kNow, 1 << 20);
  for (const char* key : {"z", "b", "a"}) transaction.Put(key, "1");
  transaction.Delete("b");
  const auto keys = [&transaction] {
    std::string keys;
    for (const server::Operation& operation : transaction.Writes()) keys += operation.key.substr(0, 1);
    return keys;
  };
  CHECK(keys() == "zab");
  transaction.DeleteAll();
  for (const char* key : {"a", "z", "c", "a"}) transaction.Put(key, "2");
  // Everything from the empty key on, and the last key.
  CHECK(keys() == "\xffzca");
}

TEST_CASE("what it read first is the condition of what it writes, and its last word on a key is written") {
  MapSource source;
  source.entries["a"] = StoredEntry{"1", 5000};
  Transaction transaction(&source, kNow, 1 << 20);
  transaction.Get("a");
  transaction.Get("b");
  transaction.Put("a", "2");
  transaction.Put("a", "3", kNow + 500);
  transaction.Put("b", "4");
  transaction.Delete("b");
  const std::vector<server::Condition> conditions = transaction.Conditions();
  REQUIRE(conditions.size() == 2);
  CHECK(conditions[0].check == server::Condition::Check::kHasValue);
  CHECK(conditions[0].key == "a");
  CHECK(conditions[0].value == "1");
  CHECK(conditions[1].check == server::Condition::Check::kAbsent);
  CHECK(conditions[1].key == "b");
  const std::vector<server::Operation> writes = transaction.Writes();
  REQUIRE(writes.size() == 2);
  CHECK(writes[0].kind == OperationKind::kPut);
  CHECK(writes[0].value == "3");
  CHECK(writes[0].expiry == absl::FromUnixMillis(kNow + 500));
  CHECK(writes[0].time_to_live == absl::Milliseconds(500));
  CHECK(writes[1].kind == OperationKind::kDelete);
  CHECK(writes[1].key == "b");
}

TEST_CASE("once everything was deleted only its own keys are there") {
  MapSource source;
  source.entries["a"] = StoredEntry{"1"};
  Transaction transaction(&source, kNow, 1 << 20);
  transaction.Put("x", "1");
  transaction.DeleteAll();
  CHECK(transaction.writes());
  CHECK(transaction.Get("a") == nullptr);
  CHECK(transaction.Get("x") == nullptr);
  CHECK(source.reads.empty());
  transaction.Put("y", "2");
  CHECK(Walked(&transaction) == "y");
  const std::vector<server::Operation> writes = transaction.Writes();
  REQUIRE(writes.size() == 3);
  // The range has an end that is a key, too.
  CHECK(writes[0].kind == OperationKind::kDeleteRange);
  CHECK(writes[0].key.empty());
  CHECK(writes[1].kind == OperationKind::kDelete);
  CHECK(writes[1].key == writes[0].value);
  CHECK(writes[2].key == "y");
}

TEST_CASE("a walk goes through the keys of the store and its own, in order") {
  MapSource source;
  for (const char* key : {"b", "d", "f"}) source.entries[key] = StoredEntry{"1"};
  Transaction transaction(&source, kNow, 1 << 20);
  CHECK(Walked(&transaction) == "bdf");
  for (const char* key : {"a", "c", "d", "g"}) transaction.Put(key, "2");
  transaction.Put("e", "gone", kNow);
  transaction.Delete("f");
  CHECK(Walked(&transaction) == "abcdg");
  CHECK(Walked(&transaction, "c") == "cdg");
  CHECK(Walked(&transaction, "d\x01") == "g");
  int visited = 0;
  transaction.Walk({}, [&](std::string_view) { return ++visited < 2; });
  CHECK(visited == 2);
  CHECK_OK(transaction.status());
}

TEST_CASE("a transaction that could not read has failed as a whole") {
  MapSource source;
  source.failure = absl::DataLossError("damaged");
  Transaction transaction(&source, kNow, 1 << 20);
  CHECK(transaction.Get("a") == nullptr);
  CHECK_CODE(transaction.status(), kDataLoss);
  transaction.Put("b", "1");
  CHECK_FALSE(transaction.writes());

  MapSource cold;
  cold.walks = false;
  Transaction walking(&cold, kNow, 1 << 20);
  CHECK(Walked(&walking).empty());
  CHECK_CODE(walking.status(), kUnavailable);
}

TEST_CASE("a walk pauses where its step has done enough, and shows each key once, its own among them") {
  MapSource source;
  for (const char* key : {"b", "d", "f", "h"}) source.entries[key] = StoredEntry{"1"};
  // One key of the store in each step.
  Transaction transaction(&source, kNow, 1 << 20, nullptr, {.work_max = 0});
  for (const char* key : {"a", "c", "d", "g", "i"}) transaction.Put(key, "2");
  std::string keys;
  const auto walk = [&] {
    return transaction.Walk({}, [&](std::string_view key) {
      keys += key;
      return true;
    });
  };
  int steps = 1;
  while (!walk() && steps < 100) {
    REQUIRE(transaction.paused());
    transaction.Resume();
    steps++;
  }
  CHECK(keys == "abcdfghi");
  CHECK(steps == 4);
  CHECK(transaction.resumed());
  CHECK_OK(transaction.status());
  // Where it would pause it may end, too.
  std::optional<std::string> rest;
  transaction.WalkSome(
      "b", {}, [](std::string_view) { return true; }, &rest);
  CHECK(rest == "d");
  CHECK_FALSE(transaction.paused());
  rest.reset();
  transaction.WalkSome(
      "b", "b", [](std::string_view) { return true; }, &rest);
  CHECK_FALSE(rest.has_value());
}

TEST_CASE("what is put by of a walk is there in the next step, and on the account until it is forgotten") {
  struct Count final : server::WalkState {
    int count = 0;
  };
  MapSource source;
  net::Quota quota;
  {
    Transaction transaction(&source, kNow, 1 << 20, nullptr, {.quota = &quota, .memory_bytes_max = 10'000});
    transaction.Remember<Count>().count = 7;
    transaction.Keep(1000);
    CHECK(quota.memory_bytes == 1000);
    transaction.Resume();
    CHECK(transaction.Remember<Count>().count == 7);
    transaction.Forget();
    CHECK(transaction.Remember<Count>().count == 0);
    CHECK(quota.memory_bytes == 0);
    source.entries["a"] = StoredEntry{std::string(1000, 'x')};
    REQUIRE(transaction.Get("a") != nullptr);
    CHECK(quota.memory_bytes == static_cast<int64_t>(transaction.bytes()));
    CHECK(transaction.HasRoomFor(2000));
    CHECK(quota.memory_bytes == static_cast<int64_t>(transaction.bytes()) + 2000);
    // What others hold counts.
    quota.AddMemory(8000);
    transaction.Put("b", "1");
    CHECK_CODE(transaction.status(), kUnavailable);
    quota.AddMemory(-8000);
  }
  CHECK(quota.memory_bytes == 0);
}

TEST_CASE("what may not pause fails where its step has done enough, before it reads more") {
  MapSource source;
  source.entries["a"] = StoredEntry{std::string(1000, 'x')};
  Transaction transaction(&source, kNow, 1 << 20, nullptr, {.work_max = 500, .may_pause = false});
  REQUIRE(transaction.Get("a") != nullptr);
  CHECK(transaction.Get("a") != nullptr);
  CHECK_OK(transaction.status());
  CHECK(transaction.Get("b") == nullptr);
  CHECK_CODE(transaction.status(), kUnavailable);
  CHECK(transaction.Yield());
  CHECK_FALSE(transaction.paused());
  CHECK(source.reads == std::vector<std::string>{"a"});
}

TEST_CASE("a key that is read under another name is written under its own, and is the same key") {
  MapSource source;
  source.entries["t:a"] = StoredEntry{"1"};
  const std::map<std::string, std::string, std::less<>> names = {{"a", "t:a"}};
  Transaction transaction(&source, kNow, 1 << 20, nullptr, {.stored_names = &names});
  REQUIRE(transaction.Get("a") != nullptr);
  transaction.Put("a", "2");
  CHECK(transaction.Get("a")->value == "2");
  CHECK(transaction.GetStored("t:a")->value == "1");
  REQUIRE(transaction.Conditions().size() == 1);
  CHECK(transaction.Conditions()[0].key == "t:a");
  REQUIRE(transaction.Writes().size() == 1);
  CHECK(transaction.Writes()[0].key == "a");
}

TEST_CASE("a transaction has missed what it wrote of a key by one name if it read it by another one since") {
  const struct {
    std::string_view steps;
    bool missed;
  } rows[] = {
      {"=A=B?A", true},      {"=A=B?A=A", true},        {"=A=B?A=A=B", true},   {"=A=B?A?B", true},
      {"=A?B", true},        {"=x=A=B=C?B", true},      {"=A=x=B=y?A=z", true}, {"=A=B=A=x?A", false},
      {"?A=A?A=B", false},   {"=A=x?A=A=B", false},     {"=A=B?B", false},      {"=A=B=A?A=B?B", false},
      {"=B=A=x?A=B", false}, {"=A=x?A=B=A=x?A", false}, {"=A=x=y?A?x", false},  {"=x=y?x", false},
  };
  for (const auto& row : rows) {
    INFO(row.steps);
    Run run(row.steps, AddedBy::kNobody);
    CHECK(run.Check() == (row.missed ? Reads::kMissed : Reads::kGood));
    CHECK(run.Expected() == run.Check());
  }
}

TEST_CASE(
    "nothing that a transaction or its hooks wrote is lost to one of its reads, whatever it does in which order") {
  const AddedBy added = GENERATE(AddedBy::kNobody, AddedBy::kDelete, AddedBy::kRange);
  constexpr std::string_view kSteps[] = {"=A", "?A", "=B", "?B", "-A", "=x", "?x", "!!"};
  constexpr size_t kStepsMax = 5;
  std::string different;
  size_t refused = 0;
  for (size_t length = 1; length <= kStepsMax; ++length) {
    const auto count = static_cast<size_t>(std::pow(std::size(kSteps), length));
    for (size_t number = 0; number < count; ++number) {
      std::string steps;
      for (size_t rest = number, i = 0; i < length; ++i, rest /= std::size(kSteps)) {
        steps += kSteps[rest % std::size(kSteps)];
      }
      const Run run(steps, added);
      const Reads found = run.Check();
      if (found != Reads::kGood) ++refused;
      if (found != run.Expected()) different += steps + " ";
    }
  }
  CHECK(different.empty());
  CHECK(refused > 1000);
}

TEST_CASE("where no hook looks at what it writes, a transaction keeps no more of a key than its last write") {
  MapSource source;
  Transaction plain(&source, kNow, 1 << 20), judged(&source, kNow, 1 << 20, nullptr, {.is_judged = true});
  const auto do_some = [](Transaction& transaction) {
    transaction.Put("a", "1");
    const size_t bytes = transaction.bytes();
    for (int i = 0; i < 10; i++) transaction.Put("a", "1");
    return transaction.bytes() - bytes;
  };
  CHECK(do_some(plain) == 0);
  CHECK(do_some(judged) == 10 * sizeof(server::WriteTurn));
  judged.DeleteAll();
  CHECK(judged.bytes() == 0);
}

TEST_CASE("what a transaction holds has a limit, by what it reads and what it writes") {
  MapSource source;
  for (int i = 0; i < 100; i++) source.entries["k" + std::to_string(i)] = StoredEntry{std::string(1000, 'x')};
  Transaction reading(&source, kNow, 50'000);
  for (const auto& [key, state] : source.entries) reading.Get(key);
  CHECK_CODE(reading.status(), kResourceExhausted);
  CHECK(source.reads.size() < 50);
  CHECK(reading.bytes() < 60'000);

  Transaction writing(&source, kNow, 50'000);
  int written = 0;
  for (; writing.status().ok() && written < 1000; written++)
    writing.Put("n" + std::to_string(written), std::string(1000, 'x'));
  CHECK_CODE(writing.status(), kResourceExhausted);
  CHECK(written < 50);
  CHECK(writing.bytes() < 60'000);

  // The same key again and again holds no more.
  Transaction again(&source, kNow, 50'000);
  for (int i = 0; i < 1000; i++) again.Put("n", std::string(1000, 'x'));
  CHECK_OK(again.status());
  again.DeleteAll();
  CHECK(again.bytes() == 0);
  CHECK(again.HasRoomFor(50'000));
  CHECK_FALSE(again.HasRoomFor(50'001));
  CHECK_CODE(again.status(), kResourceExhausted);
}

}  // namespace bandb::test
