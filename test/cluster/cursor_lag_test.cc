// How far consumers are behind, against a count entry by entry.
#include "cluster/cursor_lag.h"

#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "base/random.h"
#include "cluster/log_rig.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::cluster {

namespace {

// An index of entries that are drawn, some for users and some not.
struct LagRig {
  LagRig() : env(1) {
    CHECK_OK(env.files().CreateDirs("log"));
    auto opened = ChangeIndex::Open({.directory = {.files = &env.files(), .path = "log", .database_id = RigDatabase()},
                                     .executor = &env.executor(),
                                     .logger = &env.logger(),
                                     .post = [this](base::Task task) { turns.push_back(std::move(task)); },
                                     .durable = [](raft::Index) {},
                                     .random = env.random().Fork()},
                                    ChangeBound{}, 0);
    REQUIRE_OK(opened.status());
    index = *std::move(opened);
  }
  void Run() {
    for (env.executor().RunReady(); !turns.empty(); env.executor().RunReady()) {
      for (base::Task& task : std::exchange(turns, {})) std::move(task)();
    }
  }
  void Append(bool for_users, uint64_t sequences) {
    ChangeEntry entry;
    entry.end = index->applied();
    ++entry.end.index;
    entry.end.sequence += sequences;
    if (for_users) entry.end.user_sequence = entry.end.sequence;
    entry.end.time_ms += 3;
    entry.place.record_bytes = static_cast<uint32_t>(50 + entry.end.index % 7);
    entries.push_back(entry);
    index->Append(std::move(entry));
  }
  CursorLag Count(uint64_t after) const {
    CursorLag lag{.after = after};
    uint64_t user_before = 0;
    for (const ChangeEntry& entry : entries) {
      const bool is_commit = entry.end.user_sequence > std::exchange(user_before, entry.end.user_sequence);
      if (entry.end.sequence <= after) continue;
      lag.bytes += entry.place.record_bytes;
      if (is_commit && ++lag.commits == 1) lag.oldest_ms = entry.end.time_ms;
    }
    if (lag.commits == 0) lag.bytes = 0;
    return lag;
  }

  test::TestEnv env;
  std::deque<base::Task> turns;
  std::shared_ptr<ChangeIndex> index;
  std::vector<ChangeEntry> entries;
};

}  // namespace

TEST_CASE("lags are counted from each place to the end, whatever lies between") {
  LagRig rig;
  base::Random random(3);
  for (int i = 0; i < 12000; ++i) {
    const bool for_users = random.OneIn(2);
    rig.Append(for_users, for_users ? 1 + random.Uniform(4) : random.Uniform(2));
    if (i % 3000 == 0) rig.index->MakeDurable();
    rig.Run();
  }
  std::vector<CursorLag> lags;
  for (int i = 0; i < 20; ++i) lags.push_back({.after = rig.entries[random.Uniform(rig.entries.size())].end.sequence});
  lags.push_back({.after = 0});
  lags.push_back({.after = rig.entries.back().end.sequence});
  // A member may be behind the one that gave the token.
  lags.push_back({.after = rig.entries.back().end.sequence + 100});
  lags.push_back(lags.front());
  REQUIRE_OK(MeasureLags(*rig.index, absl::MakeSpan(lags)));
  for (const CursorLag& lag : lags) {
    const CursorLag expected = rig.Count(lag.after);
    INFO("after " << lag.after);
    CHECK(lag.commits == expected.commits);
    CHECK(lag.bytes == expected.bytes);
    CHECK(lag.oldest_ms == expected.oldest_ms);
  }
}

TEST_CASE("who has seen all that users wrote is not behind, whatever the cluster wrote since") {
  LagRig rig;
  rig.Append(true, 2);
  rig.Append(false, 1);
  rig.Append(false, 0);
  std::vector<CursorLag> lags = {{.after = 2}, {.after = 3}};
  REQUIRE_OK(MeasureLags(*rig.index, absl::MakeSpan(lags)));
  for (const CursorLag& lag : lags) {
    CHECK(lag.commits == 0);
    CHECK(lag.bytes == 0);
  }
}

}  // namespace bandb::cluster
