#include "storage/engine/entry_conditions.h"

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "kv/batch_format.h"
#include "support/catch.h"

namespace bandb::storage {

namespace {

std::string Encoded(const kv::Operation& operation) {
  std::string bytes;
  kv::AppendOperation(&bytes, operation);
  return bytes;
}

std::string Put(std::string_view key, std::string_view value) {
  return Encoded({.kind = kv::Kind::kPut, .key = key, .value = value});
}

std::string PutUntil(std::string_view key, std::string_view value, uint64_t expiry_ms) {
  return Encoded({.kind = kv::Kind::kPutWithExpiry, .key = key, .value = value, .expiry_ms = expiry_ms});
}

std::string Conditions(const WriteBatch& batch) { return WriteBatchAccess::Conditions(batch); }

std::string Present(std::string_view key) {
  WriteBatch batch;
  batch.RequirePresent(key);
  return Conditions(batch);
}

std::string Value(std::string_view key, std::string_view value) {
  WriteBatch batch;
  batch.RequireValue(key, value);
  return Conditions(batch);
}

std::string Absent(std::string_view key) {
  WriteBatch batch;
  batch.RequireAbsent(key);
  return Conditions(batch);
}

std::string Version(std::string_view key, uint64_t version) {
  WriteBatch batch;
  batch.RequireVersion(key, version);
  return Conditions(batch);
}

std::string EmptyRange(std::string_view begin, std::string_view limit) {
  WriteBatch batch;
  batch.RequireEmptyRange(begin, limit);
  return Conditions(batch);
}

std::string Delete(std::string_view key) { return Encoded({.kind = kv::Kind::kDelete, .key = key, .value = {}}); }

std::string DeleteRange(std::string_view begin, std::string_view limit) {
  return Encoded({.kind = kv::Kind::kRangeDelete, .key = begin, .value = limit});
}

using Values = std::map<std::string, std::string, std::less<>>;

// Forward over a map, or an error.
class ValuesIterator final : public Iterator {
 public:
  ValuesIterator(const Values& values, std::string_view begin, std::string_view limit, const absl::Status& status)
      : begin_(values.lower_bound(begin)),
        end_(limit.empty() ? values.end() : values.lower_bound(limit)),
        values_(values),
        status_(status),
        at_(end_) {}
  bool Valid() const override { return at_ != end_; }
  void SeekToFirst() override { at_ = status_.ok() ? begin_ : end_; }
  void Seek(std::string_view target) override {
    at_ = values_.lower_bound(target);
    if (end_ != values_.end() && (at_ == values_.end() || at_->first > end_->first)) at_ = end_;
  }
  void Next() override { ++at_; }
  void SeekToLast() override { FAIL("unasked"); }
  void SeekForPrev(std::string_view) override { FAIL("unasked"); }
  void Prev() override { FAIL("unasked"); }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second; }
  absl::Status status() const override { return status_; }

 private:
  const Values::const_iterator begin_, end_;
  const Values& values_;
  const absl::Status status_;
  Values::const_iterator at_;
};

// What was there before the entry, each value with version 7, and how often it was asked.
struct EntryWorld {
  explicit EntryWorld(Values given = {}) : values(std::move(given)) {}

  Values values;
  // Every value is told to be of this size, of which no copy can be made.
  size_t claimed_size = 0;
  int reads = 0;
  int walks = 0;
  std::pair<std::string, std::string> walked;
  absl::Status walk_error;
  EntryConditions conditions{{
      .get = [this](std::string_view key, PinnedValue* value) -> absl::Status {
        ++reads;
        const auto at = values.find(key);
        if (at == values.end()) return absl::NotFoundError("");
        if (claimed_size == 0) {
          value->Copy(at->second);
        } else {
          value->Pin(std::string_view(at->second.data(), claimed_size), this, [](void*) {});
        }
        value->SetVersion(7);
        return absl::OkStatus();
      },
      .walk =
          [this](std::string_view begin, std::string_view limit) {
            ++walks;
            walked = {std::string(begin), std::string(limit)};
            return std::make_unique<ValuesIterator>(values, begin, limit, walk_error);
          },
  }};

  bool Hold(const std::string& encoded) {
    const absl::StatusOr<bool> held = conditions.Hold(entry.emplace_back(encoded));
    REQUIRE_OK(held.status());
    return *held;
  }
  void Done(std::string operations, uint64_t now_ms, Sequence first = 20) {
    conditions.Done(entry.emplace_back(std::move(operations)), now_ms, first);
  }
  // The bytes must stay, as those of an entry do.
  std::deque<std::string> entry;
};

}  // namespace

TEST_CASE("conditions are held against what was there before the entry") {
  EntryWorld world(Values{{"a", "1"}});
  for (const std::string& encoded :
       {Present("a"), Present("b"), Absent("a"), Absent("b"), Value("a", "2"), Version("b", 1)}) {
    REQUIRE_OK(world.conditions.Read(encoded));
  }
  // Once each, and once more the value that is compared after all.
  CHECK(world.reads == 3);
  CHECK(world.Hold(Present("a")));
  CHECK_FALSE(world.Hold(Absent("a")));
  CHECK(world.Hold(Value("a", "1")));
  CHECK_FALSE(world.Hold(Value("a", "2")));
  CHECK_FALSE(world.Hold(Value("b", "")));
  CHECK(world.Hold(Absent("b")));
  CHECK(world.Hold(""));
  CHECK(world.Hold(Present("a") + Absent("b")));
  CHECK_FALSE(world.Hold(Absent("b") + Present("b")));
  CHECK(world.Hold(Version("a", 7) + Version("b", 0)));
  CHECK_FALSE(world.Hold(Version("a", 6)));
  CHECK_FALSE(world.Hold(Version("a", 0)));
  CHECK_FALSE(world.Hold(Version("b", 7)));
}

TEST_CASE("writes of the entry that were done count for the conditions of those after them") {
  EntryWorld world(Values{{"a", "1"}, {"b", "1"}, {"c", "1"}});
  for (const char* key : {"a", "b", "c", "d"}) REQUIRE_OK(world.conditions.Read(Present(key)));

  world.Done(Put("other", "x") + Put("d", "new"), 100, 20);
  CHECK(world.Hold(Value("d", "new") + Version("d", 21)));
  world.Done(Delete("a"), 100);
  CHECK(world.Hold(Absent("a") + Version("a", 0)));
  // The limit is not part of a range, and one that is the wrong way round holds nothing.
  world.Done(DeleteRange("c", "b"), 100);
  CHECK(world.Hold(Present("b") + Present("c") + Version("b", 7)));
  world.Done(DeleteRange("a", "c"), 100);
  CHECK(world.Hold(Absent("b") + Present("c") + Version("b", 0)));
}

TEST_CASE("no bytes are kept of a value that no condition compares with one of its size") {
  EntryWorld world(Values{{"a", "1"}, {"b", "1"}});
  world.claimed_size = SIZE_MAX / 2 + 1;
  REQUIRE_OK(world.conditions.Read(Present("a") + Absent("a") + Version("a", 7) + Value("a", "1")));
  REQUIRE_OK(world.conditions.Read(Value("b", std::string(1000, 'x')) + Value("b", "")));
  CHECK(world.reads == 2);
  CHECK(world.Hold(Present("a") + Version("a", 7)));
  CHECK_FALSE(world.Hold(Absent("a")));
  CHECK_FALSE(world.Hold(Value("a", "1")));
  CHECK_FALSE(world.Hold(Value("b", std::string(1000, 'x'))));
  CHECK_FALSE(world.Hold(Value("b", "")));
  // What the entry writes can be compared.
  world.Done(Put("a", "1"), 100);
  CHECK(world.Hold(Value("a", "1")));
}

TEST_CASE("a value is compared also where other conditions on its key came first") {
  EntryWorld world(Values{{"a", "12"}});
  REQUIRE_OK(world.conditions.Read(Present("a") + Value("a", "1") + Value("a", "21")));
  REQUIRE_OK(world.conditions.Read(Value("a", "12")));
  CHECK(world.reads == 2);
  CHECK(world.Hold(Value("a", "12") + Present("a")));
  CHECK_FALSE(world.Hold(Value("a", "21")));
  CHECK_FALSE(world.Hold(Value("a", "1")));
}

TEST_CASE("whatever the writes of an entry do, its keys hold what a map says") {
  base::Random random(11);
  const auto key = [&] { return std::string(1, static_cast<char>('a' + random.Uniform(4))); };
  const auto value = [&] { return std::string(random.Uniform(3), static_cast<char>('x' + random.Uniform(2))); };
  for (int round = 0; round < 300; ++round) {
    EntryWorld world;
    for (uint64_t n = random.Uniform(5); n > 0; --n) world.values[key()] = value();
    Values model = world.values;
    std::vector<std::pair<std::string, std::string>> asked;
    for (int i = 0; i < 8; ++i) {
      asked.emplace_back(key(), value());
      REQUIRE_OK(world.conditions.Read(random.OneIn(2) ? Present(asked[i].first) : ""));
      REQUIRE_OK(world.conditions.Read(Value(asked[i].first, asked[i].second)));
    }
    for (const auto& [at, compared] : asked) {
      INFO("round " << round << " key " << at << " value " << compared);
      const auto found = model.find(at);
      REQUIRE(world.Hold(Value(at, compared)) == (found != model.end() && found->second == compared));
      REQUIRE(world.Hold(Present(at)) == (found != model.end()));
      const std::string written = key(), now = value();
      switch (random.Uniform(3)) {
        case 0:
          world.Done(Put(written, now), 100);
          model[written] = now;
          break;
        case 1:
          world.Done(Delete(written), 100);
          model.erase(written);
          break;
        default:
          break;
      }
    }
  }
}

TEST_CASE("a range that was found empty once is not walked again") {
  EntryWorld world(Values{{"a", "1"}, {"f", "1"}, {"x", "1"}});
  REQUIRE_OK(world.conditions.Read(EmptyRange("b", "")));
  world.Done(Delete("f"), 100);
  CHECK(world.Hold(EmptyRange("c", "m")));
  CHECK(world.walks == 1);
  CHECK(world.Hold(EmptyRange("c", "m") + EmptyRange("d", "m") + EmptyRange("e", "g")));
  CHECK(world.walks == 1);
  // Of a longer one, only the rest.
  CHECK(world.Hold(EmptyRange("d", "p")));
  CHECK(world.walked == std::pair<std::string, std::string>("m", "p"));
  CHECK(world.Hold(EmptyRange("b", "n")));
  CHECK(world.walked == std::pair<std::string, std::string>("b", "c"));
  CHECK_FALSE(world.Hold(EmptyRange("c", "")));
  CHECK(world.Hold(EmptyRange("y", "")));
  const int walks = world.walks;
  CHECK(world.Hold(EmptyRange("y", "") + EmptyRange("z", "") + EmptyRange("y0", "z")));
  CHECK(world.walks == walks);
  world.Done(Delete("x"), 100);
  CHECK(world.Hold(EmptyRange("c", "")));
  CHECK(world.walked == std::pair<std::string, std::string>("p", "y"));
  // What the entry puts there is there.
  world.Done(Put("z", "2"), 100);
  CHECK_FALSE(world.Hold(EmptyRange("c", "")));
  CHECK(world.Hold(EmptyRange("b", "z") + EmptyRange("z0", "")));
}

TEST_CASE("a range that was found not empty is not walked again while what was met is there") {
  EntryWorld world(Values{{"b", "1"}, {"f", "1"}, {"m", "1"}});
  REQUIRE_OK(world.conditions.Read(EmptyRange("a", "")));
  CHECK_FALSE(world.Hold(EmptyRange("a", "d")));
  CHECK(world.walks == 1);
  CHECK_FALSE(world.Hold(EmptyRange("a", "d")));
  CHECK_FALSE(world.Hold(EmptyRange("b", "c")));
  CHECK_FALSE(world.Hold(EmptyRange("", "")));
  CHECK(world.walks == 1);
  // Where it is not, there may be others.
  CHECK_FALSE(world.Hold(EmptyRange("c", "g")));
  CHECK(world.walks == 2);
  world.Done(Put("b", "2"), 100);
  CHECK_FALSE(world.Hold(EmptyRange("a", "d")));
  CHECK(world.walks == 2);
  world.Done(Delete("b"), 100);
  CHECK(world.Hold(EmptyRange("a", "d")));
  CHECK(world.walks == 3);
  world.Done(DeleteRange("e", "g"), 100);
  CHECK(world.Hold(EmptyRange("c", "g")));
  CHECK_FALSE(world.Hold(EmptyRange("c", "n")));
  const int walks = world.walks;
  CHECK_FALSE(world.Hold(EmptyRange("l", "")));
  CHECK(world.walks == walks);
}

TEST_CASE("what is kept of what was met is bounded, and the answers are the same without") {
  // Larger than all that may be kept together.
  const std::string large(EntryConditions::kFoundBytesMax / 2 + 1, 'x');
  EntryWorld world(Values{{"a" + large, "1"}, {"b" + large, "1"}});
  REQUIRE_OK(world.conditions.Read(EmptyRange("a", "")));
  for (int i = 0; i < 2; ++i) {
    CHECK_FALSE(world.Hold(EmptyRange("a", "b")));
    CHECK_FALSE(world.Hold(EmptyRange("b", "c")));
  }
  CHECK(world.walks == 3);
  world.Done(DeleteRange("a", "b"), 100);
  for (int i = 0; i < 2; ++i) CHECK_FALSE(world.Hold(EmptyRange("b", "c")));
  CHECK(world.walks == 4);
}

TEST_CASE("what has expired by the time of the entry is absent for its conditions") {
  EntryWorld world;
  REQUIRE_OK(world.conditions.Read(Present("a")));
  REQUIRE_OK(world.conditions.Read(EmptyRange("a", "b")));
  world.Done(PutUntil("a", "1", 101), 100);
  CHECK(world.Hold(Value("a", "1")));
  CHECK_FALSE(world.Hold(EmptyRange("a", "b")));
  world.Done(PutUntil("a", "2", 100), 100);
  CHECK(world.Hold(Absent("a") + Version("a", 0) + EmptyRange("a", "b")));
}

TEST_CASE("a range is empty without what the entry has removed of it, and with what it has put there") {
  EntryWorld world(Values{{"a", "1"}, {"b", "1"}, {"c", "1"}, {"d", "1"}});
  REQUIRE_OK(world.conditions.Read(EmptyRange("a", "b")));
  CHECK_FALSE(world.Hold(EmptyRange("", "")));
  CHECK_FALSE(world.Hold(EmptyRange("d", "")));
  CHECK(world.Hold(EmptyRange("a0", "b")));
  CHECK(world.Hold(EmptyRange("e", "")));
  const int walks = world.walks;
  CHECK(world.Hold(EmptyRange("b", "a")));
  CHECK(world.Hold(EmptyRange("b", "b")));
  CHECK(world.walks == walks);
  world.Done(Delete("a") + DeleteRange("c", "d") + DeleteRange("b", "c"), 100);
  CHECK(world.Hold(EmptyRange("", "d")));
  CHECK_FALSE(world.Hold(EmptyRange("", "")));
  world.Done(Put("c", "2") + Delete("d"), 100);
  CHECK_FALSE(world.Hold(EmptyRange("", "")));
  CHECK(world.Hold(EmptyRange("", "c") + EmptyRange("d", "")));
  world.Done(Delete("c"), 100);
  CHECK(world.Hold(EmptyRange("", "")));
}

TEST_CASE("whatever the writes of an entry do, its ranges are empty when a map says so") {
  base::Random random(7);
  const auto key = [&] { return std::string(1, static_cast<char>('a' + random.Uniform(8))); };
  for (int round = 0; round < 300; ++round) {
    EntryWorld world;
    for (uint64_t n = random.Uniform(8); n > 0; --n) world.values[key()] = "before";
    Values model = world.values;
    REQUIRE_OK(world.conditions.Read(EmptyRange("", "")));
    for (int step = 0; step < 12; ++step) {
      const std::string at = random.OneIn(8) ? std::string() : key(), limit = key();
      switch (random.Uniform(4)) {
        case 0:
          world.Done(Put(at, "x"), 100);
          model[at] = "x";
          break;
        case 1:
          world.Done(Delete(at), 100);
          model.erase(at);
          break;
        case 2:
          world.Done(DeleteRange(at, limit), 100);
          if (at < limit) model.erase(model.lower_bound(at), model.lower_bound(limit));
          break;
        default:
          world.Done(PutUntil(at, "x", 99), 100);
          model.erase(at);
      }
      const std::string begin = random.OneIn(4) ? std::string() : key();
      const std::string end = random.OneIn(4) ? std::string() : key();
      const auto first = model.lower_bound(begin);
      const bool empty = first == model.end() || (!end.empty() && first->first >= end);
      INFO("round " << round << " step " << step << " [" << begin << ", " << end << ")");
      REQUIRE(world.Hold(EmptyRange(begin, end)) == empty);
    }
  }
}

TEST_CASE("a read that fails, and conditions that are malformed, are told") {
  EntryConditions fails(
      {.get = [](std::string_view, PinnedValue*) { return absl::DataLossError("rot"); }, .walk = nullptr});
  CHECK_CODE(fails.Read(Present("a")), kDataLoss);
  EntryWorld world;
  CHECK_CODE(world.conditions.Read("\x09"), kDataLoss);
  CHECK_CODE(world.conditions.Read(Value("a", "1").substr(0, 3)), kDataLoss);
  REQUIRE_OK(world.conditions.Read(EmptyRange("a", "")));
  world.walk_error = absl::DataLossError("rot");
  CHECK_CODE(world.conditions.Hold(EmptyRange("a", "")).status(), kDataLoss);
}

}  // namespace bandb::storage
