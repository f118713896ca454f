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
  newer[0] = 3;
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
  std::vector<CursorTable::Underway> taken;
  const WriteBatch batch = table.TakeMoved(&taken, 0);
  REQUIRE(taken.size() == 2);
  CHECK(taken[0].name == "a");
  CHECK(taken[1].name == "b");
  // Two of them conditions: one that was dropped meanwhile must not come back.
  CHECK(batch.Count() == 4);
  taken.clear();
  table.TakeMoved(&taken, 0);
  CHECK(taken.empty());
}

TEST_CASE("what a dropped cursor had moved to is not written over one that was made again under its name") {
  CursorTable table;
  // What a write of these is done under.
  const auto conditions = [](std::string_view key, std::string_view value) {
    WriteBatch batch;
    batch.RequireValue(key, value);
    return std::string(WriteBatchAccess::Conditions(batch));
  };
  REQUIRE_OK(table.Add("a", At(5), 1));
  const auto [key, made] = OnlyPut(table.MakeBatch("a"));
  table.Move("a", At(8), 2, false);
  std::vector<CursorTable::Underway> taken;
  const WriteBatch first = table.TakeMoved(&taken, 0);
  CHECK(WriteBatchAccess::Conditions(first) == conditions(key, made));
  table.Written(taken, true, 9);
  table.Move("a", At(12), 3, false);
  taken.clear();
  const WriteBatch second = table.TakeMoved(&taken, 0);
  CHECK(WriteBatchAccess::Conditions(second) == conditions(key, OnlyPut(first).second));
  // That failed, so that what was there before is there still.
  table.Written(taken, false, 0);
  taken.clear();
  CHECK(WriteBatchAccess::Conditions(table.TakeMoved(&taken, 0)) == conditions(key, OnlyPut(first).second));
  CursorTable again;
  REQUIRE_OK(again.Load(key, OnlyPut(second).second));
  again.Move("a", At(20), 4, false);
  CHECK(WriteBatchAccess::Conditions(again.TakeMoved(&taken, 0)) == conditions(key, OnlyPut(second).second));
}

TEST_CASE("how the write of a dropped cursor ended is nothing to the one that was made again under its name") {
  CursorTable table;
  REQUIRE_OK(table.Add("a", At(5), 1));
  table.Move("a", At(8), 2, false);
  std::vector<CursorTable::Underway> first, second, none;
  table.TakeMoved(&first, 0);
  table.Remove("a");
  REQUIRE_OK(table.Add("a", At(6), 3));
  table.Move("a", At(9), 4, false);
  table.TakeMoved(&second, 0);
  REQUIRE(second.size() == 1);
  const bool done = GENERATE(false, true);
  table.Written(first, done, 10);
  // It is still on its way.
  table.Move("a", At(11), 5, false);
  table.TakeMoved(&none, 0);
  CHECK(none.empty());
  CHECK(table.Floor(100) == 6);
  table.Written(second, true, 11);
  CHECK(table.Floor(100) == 9);
}

TEST_CASE("logs are held back for what is durable of a cursor, not for what it says") {
  CursorTable table;
  CHECK(table.Floor(100) == UINT64_MAX);
  REQUIRE_OK(table.Add("a", At(5), 0));
  CHECK(table.Floor(100) == 5);
  table.Move("a", At(20), 1, false);
  CHECK(table.Floor(100) == 5);
  std::vector<CursorTable::Underway> taken;
  table.TakeMoved(&taken, 100);
  CHECK(table.Floor(100) == 5);
  // It moves again meanwhile: one that is on its way comes first.
  table.Move("a", At(30), 1, false);
  std::vector<CursorTable::Underway> more;
  table.TakeMoved(&more, 100);
  CHECK(more.empty());
  table.Written(taken, true, 101);
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

TEST_CASE("a cursor that is put elsewhere holds logs back for both places until it is there") {
  CursorTable table;
  REQUIRE_OK(table.Add("a", At(50), 1));
  const std::string made = OnlyPut(table.MakeBatch("a")).second;
  table.Move("a", At(60), 2, false);
  std::vector<CursorTable::Underway> underway, none;
  table.TakeMoved(&underway, 0);
  const auto batch = table.BeginReset("a", At(20), 3);
  REQUIRE_OK(batch.status());
  CHECK(table.Floor(100) == 20);
  CHECK_CODE(table.BeginReset("a", At(10), 3).status(), kUnavailable);
  // What is on its way was put there under the value of before.
  table.EndReset("a", false);
  CHECK(table.Floor(100) == 50);
  table.Written(underway, true, 70);
  CHECK(table.Floor(100) == 60);
  const auto again = table.BeginReset("a", At(20), 3);
  REQUIRE_OK(again.status());
  const auto [key, value] = OnlyPut(*again);
  WriteBatch condition;
  condition.RequireValue(key, underway[0].value);
  CHECK(WriteBatchAccess::Conditions(*again) == WriteBatchAccess::Conditions(condition));
  // What is acknowledged meanwhile is of before.
  table.Move("a", At(65), 4, false);
  table.EndReset("a", true);
  CHECK(table.Find("a")->place == At(20));
  CHECK(table.Find("a")->created_ms == 1);
  CHECK(table.Floor(100) == 20);
  table.TakeMoved(&none, 0);
  CHECK(none.empty());
  CursorTable loaded;
  REQUIRE_OK(loaded.Load(key, value));
  CHECK(loaded.Find("a")->place == At(20));
  CHECK(loaded.Find("a")->created_ms == 1);
  // One that was dropped and made again is another one.
  REQUIRE_OK(table.BeginReset("a", At(30), 5).status());
  table.Remove("a");
  REQUIRE_OK(table.Add("a", At(90), 6));
  table.EndReset("a", true);
  CHECK(table.Find("a")->place == At(90));
}

TEST_CASE("a lost cursor is one again where it is put to what is there") {
  CursorTable table;
  REQUIRE_OK(table.Add("a", At(5), 1));
  CHECK(table.Forget(10).size() == 1);
  REQUIRE_OK(table.BeginReset("a", At(20), 3).status());
  CHECK(table.Floor(100) == 20);
  table.EndReset("a", true);
  CHECK(table.lost() == 0);
  CHECK(table.Forget(21).empty());
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

TEST_CASE("a cursor that was moved in memory alone is written down before it would be lost by an opening") {
  CursorTable table;
  REQUIRE_OK(table.Add("a", At(5), 0));
  CHECK_FALSE(table.Move("a", At(20), 1, true));
  std::vector<CursorTable::Underway> taken;
  CHECK(table.Forget(6).empty());
  table.TakeMoved(&taken, 0);
  CHECK(taken.empty());
  CHECK(table.Forget(7).empty());
  table.TakeMoved(&taken, 0);
  REQUIRE(taken.size() == 1);
  table.Written(taken, true, 30);
  // It is, now.
  CHECK(table.Forget(21).empty());
  taken.clear();
  table.TakeMoved(&taken, 0);
  CHECK(taken.empty());
  CHECK(table.Forget(22) == std::vector<std::string>{"a"});
}

}  // namespace bandb::changes
