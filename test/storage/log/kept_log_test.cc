#include "storage/log/kept_log.h"

#include "support/catch.h"

namespace bandb::storage {

namespace {

// Four logs of ten operations and 10,000 bytes, each of which ends a second after the one before.
std::vector<KeptLog> FourLogs() {
  std::vector<KeptLog> logs;
  for (uint64_t i = 0; i < 4; ++i) {
    logs.push_back({.number = i + 1,
                    .bytes = 10'000,
                    .first_sequence = 10 * i + 1,
                    .last_sequence = 10 * i + 10,
                    .begin_ms = 1000 * i,
                    .end_ms = 1000 * (i + 1)});
  }
  return logs;
}

}  // namespace

TEST_CASE("without room for them no logs are kept") {
  CHECK(LogsToLetGo(FourLogs(), {}) == 4);
  CHECK(LogsToLetGo({}, {}) == 0);
}

TEST_CASE("the oldest logs go until the others fit") {
  CHECK(KeptBytes(FourLogs()) == 40'000);
  CHECK(LogsToLetGo(FourLogs(), {.keep_bytes = 40'000}) == 0);
  CHECK(LogsToLetGo(FourLogs(), {.keep_bytes = 39'999}) == 1);
  CHECK(LogsToLetGo(FourLogs(), {.keep_bytes = 20'000}) == 2);
  CHECK(LogsToLetGo(FourLogs(), {.keep_bytes = 9'999}) == 4);
}

TEST_CASE("a log counts as a block at the least") {
  std::vector<KeptLog> logs = FourLogs();
  for (KeptLog& log : logs) log.bytes = 200;
  CHECK(LogsToLetGo(logs, {.keep_bytes = 3 * 4096}) == 1);
}

TEST_CASE("logs of before the time that they are kept for go, but for those that a cursor needs") {
  KeepPolicy policy{.keep_bytes = 100'000, .keep_ms = 1500, .now_ms = 4000};
  CHECK(LogsToLetGo(FourLogs(), policy) == 2);
  policy.keep_ms = 0;
  policy.now_ms = 5000;
  CHECK(LogsToLetGo(FourLogs(), policy) == 4);
  // A cursor has read up to the end of the second one.
  policy.floor = 20;
  CHECK(LogsToLetGo(FourLogs(), policy) == 2);
  policy.floor = 19;
  CHECK(LogsToLetGo(FourLogs(), policy) == 1);
  policy.floor = 0;
  CHECK(LogsToLetGo(FourLogs(), policy) == 0);
  // The room counts more than any cursor.
  policy.keep_bytes = 10'000;
  CHECK(LogsToLetGo(FourLogs(), policy) == 3);
  // A clock that was set back makes nothing old.
  policy = {.keep_bytes = 100'000, .keep_ms = 0, .now_ms = 0};
  CHECK(LogsToLetGo(FourLogs(), policy) == 0);
}

}  // namespace bandb::storage
