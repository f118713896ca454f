#include "changes/cursor_table.h"

#include <fmt/format.h>

#include "kv/batch_format.h"
#include "support/catch.h"

namespace bandb::changes {

namespace {

ChangePlace At(uint64_t sequence) { return {.epoch = 1, .branch = 9, .sequence = sequence}; }

// What a batch of one put writes.
std::pair<std::string, std::string> OnlyPut(const WriteBatch& batch) {
  kv::OperationReader reader(WriteBatchAccess::Operations(batch));
  kv::Operation operation;
  REQUIRE(reader.Next(&operation));
  REQUIRE(operation.kind == kv::Kind::kPut);
  std::pair<std::string, std::string> put(operation.key, operation.value);
  REQUIRE_FALSE(reader.Next(&operation));
  return put;
}

}  // namespace

TEST_CASE("a cursor is found again as it was written down") {
  CursorTable table;
  REQUIRE_OK(table.Add("indexer", At(5), 1000));
  const auto [key, value] = OnlyPut(table.MakeBatch("indexer"));
  CHECK(key == "cursorindexer");
  CursorTable again;
  REQUIRE_OK(again.Load(key, value));
  REQUIRE(again.Find("indexer") != nullptr);
  CHECK(again.Find("indexer")->place == At(5));
  CHECK(again.Find("indexer")->created_ms == 1000);
  CHECK_CODE(again.Load(key, value.substr(0, value.size() - 1)), kDataLoss);
  CHECK_CODE(again.Load(key, ""), kDataLoss);
  std::string newer = value;
  newer[0] = 2;
  CHECK_CODE(again.Load(key, newer), kFailedPrecondition);
}

TEST_CASE("names and numbers of cursors are bounded") {
  CursorTable table;
  CHECK_CODE(table.Add("", At(1), 0), kInvalidArgument);
  CHECK_CODE(table.Add(std::string(kCursorNameBytesMax + 1, 'n'), At(1), 0), kInvalidArgument);
  REQUIRE_OK(table.Add(std::string(kCursorNameBytesMax, 'n'), At(1), 0));
  CHECK_CODE(table.Add(std::string(kCursorNameBytesMax, 'n'), At(1), 0), kAlreadyExists);
  for (size_t i = 1; i < kCursorsMax; ++i) REQUIRE_OK(table.Add(fmt::format("{}", i), At(1), 0));
  CHECK_CODE(table.Add("one more", At(1), 0), kResourceExhausted);
}

TEST_CASE("a cursor goes forward only, and what moved is written down together") {
  CursorTable table;
  REQUIRE_OK(table.Add("a", At(5), 0));
  REQUIRE_OK(table.Add("b", At(5), 0));
  REQUIRE_OK(table.Add("c", At(5), 0));
  CHECK(table.Move("a", At(8), 1, false));
  CHECK(table.Move("b", At(7), 1, false));
  CHECK_FALSE(table.Move("b", At(6), 2, false));
  CHECK(table.Find("b")->place == At(7));
  // Only operations of the system lie between: that is nothing to write about.
  CHECK_FALSE(table.Move("c", At(6), 1, true));
  std::vector<std::string> names;
  const WriteBatch batch = table.TakeMoved(&names, 0);
  CHECK(names == std::vector<std::string>{"a", "b"});
  // One that was dropped meanwhile must not come back.
  CHECK(batch.Count() == 4);
  names.clear();
  table.TakeMoved(&names, 0);
  CHECK(names.empty());
}

TEST_CASE("logs are held back for what is durable of a cursor, not for what it says") {
  CursorTable table;
  CHECK(table.Floor(100) == UINT64_MAX);
  REQUIRE_OK(table.Add("a", At(5), 0));
  CHECK(table.Floor(100) == 5);
  table.Move("a", At(20), 1, false);
  CHECK(table.Floor(100) == 5);
  std::vector<std::string> names;
  table.TakeMoved(&names, 100);
  CHECK(table.Floor(100) == 5);
  // It moves again meanwhile: one that is on its way comes first.
  table.Move("a", At(30), 1, false);
  std::vector<std::string> more;
  table.TakeMoved(&more, 100);
  CHECK(more.empty());
  table.Written(names, true, 101);
  CHECK(table.Floor(100) == 5);
  CHECK(table.Floor(101) == 20);
  table.TakeMoved(&more, 101);
  CHECK(table.Floor(101) == 20);
  // That failed: it is still to be written, and what was durable stays so.
  table.Written(more, false, 0);
  CHECK(table.Floor(200) == 20);
  more.clear();
  table.TakeMoved(&more, 200);
  CHECK(more.size() == 1);
  table.Written(more, true, 201);
  CHECK(table.Floor(201) == 30);
}

TEST_CASE("a cursor whose next operation is gone is lost, and holds back nothing any more") {
  CursorTable table;
  REQUIRE_OK(table.Add("behind", At(5), 0));
  REQUIRE_OK(table.Add("ahead", At(50), 0));
  CHECK(table.Forget(6).empty());
  CHECK(table.Forget(7) == std::vector<std::string>{"behind"});
  CHECK(table.Forget(8).empty());
  CHECK(table.lost() == 1);
  CHECK(table.Floor(0) == 50);
}

}  // namespace bandb::changes
