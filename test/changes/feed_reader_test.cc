#include "changes/feed_reader.h"

#include <fmt/format.h>

#include <deque>
#include <memory>

#include "kv/batch_format.h"
#include "support/catch.h"

namespace bandb::changes {

namespace {

// Commits that a test has put there; more come while it is waited for.
class ListedSource final : public CommitSource {
 public:
  struct Listed {
    uint64_t first_sequence;
    uint64_t count;
    uint64_t time_ms;
    std::string operations;
    uint64_t ahead_ms = 0;
  };

  absl::StatusOr<bool> Next(LoggedCommit* commit) override {
    if (!failure.ok()) return failure;
    if (listed.empty()) return false;
    given_ = std::move(listed.front());
    listed.pop_front();
    *commit = {.first_sequence = given_.first_sequence,
               .last_sequence = given_.first_sequence + given_.count - 1,
               .commit_time_ms = given_.time_ms,
               .ahead_ms = given_.ahead_ms,
               .operations = given_.operations};
    place_.sequence = commit->last_sequence;
    return true;
  }
  absl::Status Wait(int64_t* nanos) override {
    ++waits;
    if (later.empty()) {
      *nanos = 0;
    } else {
      listed.push_back(std::move(later.front()));
      later.pop_front();
      *nanos /= 2;
    }
    return absl::OkStatus();
  }
  void Release() override { ++releases; }
  ChangePlace place() const override { return place_; }

  std::deque<Listed> listed;
  std::deque<Listed> later;
  absl::Status failure;
  int waits = 0;
  int releases = 0;

 private:
  Listed given_{};
  ChangePlace place_;
};

std::string Put(std::string_view key, std::string_view value) {
  std::string bytes;
  kv::AppendOperation(&bytes, {.kind = kv::Kind::kPut, .key = key, .value = value});
  return bytes;
}

struct Scene {
  explicit Scene(const ChangesOptions& options = {}, uint64_t not_before_ms = 0) {
    auto made = std::make_unique<ListedSource>();
    source = made.get();
    reader = std::make_unique<FeedReader>(std::move(made), *KeyFilter::Make(options), not_before_ms);
  }
  ListedSource* source;
  std::unique_ptr<FeedReader> reader;
  Commit commit;
};

}  // namespace

TEST_CASE("operations of every kind come as they were written") {
  Scene scene;
  std::string operations = Put("a", "1");
  kv::AppendOperation(&operations, {.kind = kv::Kind::kPutWithExpiry, .key = "b", .value = "", .expiry_ms = 7000});
  kv::AppendOperation(&operations, {.kind = kv::Kind::kDelete, .key = "c", .value = {}});
  kv::AppendOperation(&operations, {.kind = kv::Kind::kRangeDelete, .key = "d", .value = "e"});
  scene.source->listed.push_back({11, 4, 5000, operations});
  REQUIRE_OK(scene.reader->Next(&scene.commit, absl::ZeroDuration()));
  const Commit& commit = scene.commit;
  CHECK(commit.first_sequence == 11);
  CHECK(commit.last_sequence == 14);
  CHECK(commit.time == absl::FromUnixMillis(5000));
  REQUIRE(commit.changes.size() == 4);
  CHECK(commit.changes[0].kind == ChangeKind::kPut);
  CHECK(commit.changes[0].key == "a");
  CHECK(commit.changes[0].value == "1");
  CHECK(commit.changes[0].expiry == absl::InfiniteFuture());
  CHECK(commit.changes[1].expiry == absl::FromUnixMillis(7000));
  CHECK(commit.changes[2].kind == ChangeKind::kDelete);
  CHECK(commit.changes[2].key == "c");
  CHECK(commit.changes[3].kind == ChangeKind::kDeleteRange);
  CHECK(commit.changes[3].key == "d");
  CHECK(commit.changes[3].limit == "e");
}

TEST_CASE("what nobody asked for is passed over, and moves the token all the same") {
  ChangesOptions options;
  options.lower_bound = "m";
  Scene scene(options, 100);
  scene.source->listed.push_back({1, 1, 99, Put("z", "too early")});
  scene.source->listed.push_back({2, 1, 200, Put("a", "")});
  const std::string before = scene.reader->token();
  REQUIRE_OK(scene.reader->Next(&scene.commit, absl::ZeroDuration()));
  CHECK(scene.commit.empty());
  CHECK(scene.commit.last_sequence == 2);
  CHECK(scene.reader->token() != before);
  scene.source->listed.push_back({3, 2, 100, Put("a", "") + Put("z", "")});
  REQUIRE_OK(scene.reader->Next(&scene.commit, absl::ZeroDuration()));
  CHECK(scene.commit.changes.size() == 1);
  CHECK(scene.commit.first_sequence == 3);
  CHECK(scene.commit.last_sequence == 4);
}

TEST_CASE("after the first commit of a time all are given, also where the clock was set back") {
  Scene scene({}, 100);
  for (const uint64_t time_ms : {99, 100, 50, 70}) {
    scene.source->listed.push_back({time_ms, 1, time_ms, Put(fmt::format("{}", time_ms), "")});
  }
  for (const char* key : {"100", "50", "70"}) {
    REQUIRE_OK(scene.reader->Next(&scene.commit, absl::ZeroDuration()));
    REQUIRE(scene.commit.changes.size() == 1);
    CHECK(scene.commit.changes[0].key == key);
  }
}

TEST_CASE("where the log is ahead of clocks, all times are given as clocks have shown them") {
  Scene scene({}, 13'000);
  std::string operations;
  for (const uint64_t expiry_ms : {uint64_t{17'000}, uint64_t{INT64_MAX}}) {
    kv::AppendOperation(&operations,
                        {.kind = kv::Kind::kPutWithExpiry, .key = "k", .value = "", .expiry_ms = expiry_ms});
  }
  scene.source->listed.push_back({1, 1, 12'000, Put("early", ""), 10'000});
  scene.source->listed.push_back({2, 2, 13'000, operations, 10'000});
  REQUIRE_OK(scene.reader->Next(&scene.commit, absl::ZeroDuration()));
  REQUIRE(scene.commit.changes.size() == 2);
  CHECK(scene.commit.time == absl::FromUnixMillis(3000));
  CHECK(scene.commit.changes[0].expiry == absl::FromUnixMillis(7000));
  CHECK(scene.commit.changes[1].expiry == absl::FromUnixMillis(INT64_MAX));
}

TEST_CASE("an expiry in a thousand years is given as it was written") {
  Scene scene;
  constexpr uint64_t kYear3000Ms = 32'503'680'000'000;
  std::string operations;
  for (const uint64_t expiry_ms : {kYear3000Ms, uint64_t{INT64_MAX}}) {
    kv::AppendOperation(&operations,
                        {.kind = kv::Kind::kPutWithExpiry, .key = "k", .value = "", .expiry_ms = expiry_ms});
  }
  scene.source->listed.push_back({1, 2, 1, operations});
  REQUIRE_OK(scene.reader->Next(&scene.commit, absl::ZeroDuration()));
  REQUIRE(scene.commit.changes.size() == 2);
  CHECK(absl::ToUnixMillis(scene.commit.changes[0].expiry) == kYear3000Ms);
  CHECK(absl::ToUnixMillis(scene.commit.changes[1].expiry) == INT64_MAX);
}

TEST_CASE("it waits as long as it may, and no longer") {
  Scene scene;
  REQUIRE_OK(scene.reader->Next(&scene.commit, absl::ZeroDuration()));
  CHECK(scene.commit.empty());
  CHECK(scene.source->waits == 1);
  scene.source->later.push_back({1, 1, 1, Put("a", "")});
  REQUIRE_OK(scene.reader->Next(&scene.commit, absl::Seconds(1)));
  CHECK(scene.commit.changes.size() == 1);
  CHECK(scene.source->waits == 2);
  // Once more at the end of the time: what has come meanwhile is found.
  REQUIRE_OK(scene.reader->Next(&scene.commit, absl::Seconds(1)));
  CHECK(scene.commit.empty());
  CHECK(scene.source->waits == 4);
}

TEST_CASE("a call that finds nothing in much comes back before the end") {
  ChangesOptions options;
  options.lower_bound = "m";
  Scene scene(options);
  for (uint64_t i = 1; i <= 64; ++i) scene.source->listed.push_back({i, 1, 1, Put("a", std::string(1 << 20, 'v'))});
  REQUIRE_OK(scene.reader->Next(&scene.commit, absl::InfiniteDuration()));
  CHECK(scene.commit.empty());
  CHECK(scene.source->listed.size() == 48);
  // Thousands may be there at once.
  CHECK(scene.source->releases == 1);
}

TEST_CASE("errors of the source, and what is malformed, are answers") {
  Scene scene;
  scene.source->listed.push_back({1, 1, 1, "\x63"});
  CHECK_CODE(scene.reader->Next(&scene.commit, absl::ZeroDuration()), kDataLoss);
  scene.source->failure = absl::OutOfRangeError("gone");
  CHECK_CODE(scene.reader->Next(&scene.commit, absl::ZeroDuration()), kOutOfRange);
}

}  // namespace bandb::changes
