#include "server/transaction.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
