// The log and its term trail, against a plain vector of entries.
#include "raft/log.h"

#include <vector>

#include "support/catch.h"

namespace bandb::raft {
namespace {

Entry At(Index index, Term term) { return {.term = term, .index = index, .payload = Payload("0123456789")}; }

TEST_CASE("a write that was overtaken by a truncation makes nothing durable that replaced it", "[raft]") {
  // The ABA trap: index 2 is written in term 1, replaced in term 2, and then holds an entry of term
  // 1's index again.
  Log log{Restart()};
  LogWrite first;
  log.Append(At(1, 1));
  log.Append(At(2, 1));
  REQUIRE(log.TakeWrite(1, 0, &first));
  log.TruncateFrom(2);
  log.Append(At(2, 2));
  LogWrite second;
  REQUIRE(log.TakeWrite(2, 0, &second));
  REQUIRE(log.Persisted(1, 1, 2));
  CHECK(log.durable() == 1);
  CHECK(log.WriteCovering(2) == 2);
  REQUIRE(log.Persisted(2, 2, 2));
  CHECK(log.durable() == 2);
}

TEST_CASE("a truncation takes the durable index down", "[raft]") {
  Log log{Restart()};
  LogWrite write;
  for (Index i = 1; i <= 5; ++i) log.Append(At(i, 1));
  REQUIRE(log.TakeWrite(1, 0, &write));
  REQUIRE(log.Persisted(1, 1, 5));
  CHECK(log.durable() == 5);
  log.TruncateFrom(3);
  CHECK(log.durable() == 2);
  CHECK(log.last() == 2);
}

TEST_CASE("reports of writes that are not under way change nothing", "[raft]") {
  Log log{Restart()};
  LogWrite write;
  log.Append(At(1, 1));
  REQUIRE(log.TakeWrite(7, 0, &write));
  CHECK_FALSE(log.Persisted(6, 1, 1));
  CHECK_FALSE(log.Persisted(7, 2, 1));
  CHECK_FALSE(log.Persisted(7, 1, 2));
  CHECK(log.durable() == 0);
  CHECK(log.Persisted(7, 1, 1));
  CHECK_FALSE(log.Persisted(7, 1, 1));
}

TEST_CASE("uncommitted bytes count every entry once, whatever its term", "[raft]") {
  Log log{Restart()};
  const uint64_t cost = CostBytes(At(1, 1));
  for (Index i = 1; i <= 4; ++i) log.Append(At(i, i));
  CHECK(log.uncommitted_bytes() == 4 * cost);
  log.CommitTo(1);
  log.TruncateFrom(4);
  CHECK(log.uncommitted_bytes() == 2 * cost);
}

TEST_CASE("memory gives up what is durable and handed out, and never what is not durable", "[raft]") {
  Log log{Restart()};
  LogWrite write;
  for (Index i = 1; i <= 4; ++i) log.Append(At(i, 1));
  REQUIRE(log.TakeWrite(1, 0, &write));
  log.CommitTo(2);
  log.Evict(100, 0, 0);
  CHECK(log.Cached(1));
  REQUIRE(log.Persisted(1, 1, 4));
  log.HandOutTo(2);
  log.Evict(2, 1000, 1000);
  CHECK_FALSE(log.Cached(1));
  CHECK(log.Cached(2));
  log.Evict(2, 0, 1000);
  CHECK_FALSE(log.Cached(2));
  CHECK(log.Cached(3));
  log.Evict(2, 0, 0);
  CHECK_FALSE(log.Cached(4));
}

}  // namespace
}  // namespace bandb::raft
