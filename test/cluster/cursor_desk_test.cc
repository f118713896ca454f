// What a node knows of cursors between the log and what was acknowledged at it.
#include "cluster/cursor_desk.h"

#include <string>

#include "support/catch.h"

namespace bandb::cluster {

namespace {

changes::ChangePlace PlaceAt(uint64_t sequence) { return {.database = {}, .branch = 7, .sequence = sequence}; }

changes::StoredCursor CursorAt(uint64_t sequence, uint64_t id = 1) {
  return {.created_ms = 1, .acknowledged_ms = 1, .place = PlaceAt(sequence), .id = id};
}

std::string Acknowledged(uint64_t sequence, uint64_t id = 1) {
  std::string bytes;
  AppendCursorChange({.kind = CursorChangeKind::kAcknowledge, .name = "a", .id = id, .place = PlaceAt(sequence)},
                     &bytes);
  return bytes;
}

struct DeskRig {
  DeskRig() {
    desk.Replace({{"a", CursorAt(5)}});
    desk.SetKnown();
  }
  void Acknowledge(uint64_t sequence) { REQUIRE_OK(desk.Acknowledge("a", PlaceAt(sequence), 9)); }
  uint64_t Place() { return desk.Find("a")->place.sequence; }
  void Apply(uint64_t sequence, uint64_t id = 1) { desk.Update({{"a", CursorAt(sequence, id)}}); }

  int asked = 0;  // for a write, soon
  CursorDesk desk{[this] { ++asked; }};
};

}  // namespace

TEST_CASE("acknowledgements of a while are one write, of the last of them") {
  DeskRig rig;
  for (const uint64_t sequence : {6, 9, 8, 5, 9}) rig.Acknowledge(sequence);
  CHECK(rig.Place() == 9);
  CHECK(rig.desk.Find("a")->acknowledged_ms == 9);
  CHECK(rig.desk.Applied().at("a").place.sequence == 5);
  CHECK(rig.asked == 1);
  CHECK(rig.desk.TakeMoved() == Acknowledged(9));
  rig.Apply(9);
  rig.desk.Written();
  CHECK(rig.asked == 1);
  CHECK(rig.desk.Moved().empty());
  CHECK(rig.Place() == 9);
}

TEST_CASE("what is acknowledged while a write is on its way comes with the next one") {
  DeskRig rig;
  rig.Acknowledge(9);
  CHECK(rig.desk.TakeMoved() == Acknowledged(9));
  rig.Acknowledge(12);
  CHECK(rig.asked == 1);
  rig.Apply(9);
  CHECK(rig.Place() == 12);
  rig.desk.Written();
  CHECK(rig.asked == 2);
  CHECK(rig.desk.TakeMoved() == Acknowledged(12));
}

TEST_CASE("a write that came to nothing, or of which nobody knows, is made again, until the log has come as far") {
  DeskRig rig;
  rig.Acknowledge(9);
  for (int i = 1; i < 4; ++i) {
    CHECK(rig.asked == i);
    CHECK(rig.desk.TakeMoved() == Acknowledged(9));
    rig.desk.Written();
  }
  // Another member was told of more.
  rig.Apply(20);
  CHECK(rig.desk.TakeMoved().empty());
  CHECK(rig.Place() == 20);
  rig.Acknowledge(15);
  CHECK(rig.Place() == 20);
  CHECK(rig.asked == 4);
  rig.Acknowledge(21);
  CHECK(rig.asked == 5);
}

TEST_CASE("what was acknowledged of a cursor goes with it, and is not of the next one of that name") {
  DeskRig rig;
  rig.Acknowledge(9);
  SECTION("dropped") {
    rig.desk.Update({{"a", std::nullopt}});
    CHECK_CODE(rig.desk.Find("a").status(), kNotFound);
    CHECK_CODE(rig.desk.Acknowledge("a", PlaceAt(9), 9), kNotFound);
    rig.desk.Update({{"a", CursorAt(2, 8)}});
  }
  SECTION("put elsewhere") { rig.Apply(2, 8); }
  SECTION("with another state") { rig.desk.Replace({{"a", CursorAt(2, 8)}}); }
  CHECK(rig.Place() == 2);
  CHECK(rig.desk.TakeMoved().empty());
  rig.Acknowledge(3);
  CHECK(rig.desk.TakeMoved() == Acknowledged(3, 8));
}

TEST_CASE("another state leaves what was acknowledged, if it does not say as much") {
  DeskRig rig;
  rig.Acknowledge(9);
  rig.desk.Replace({{"a", CursorAt(7)}, {"b", CursorAt(1)}});
  CHECK(rig.Place() == 9);
  CHECK(rig.desk.size() == 2);
  rig.desk.Replace({{"a", CursorAt(11)}});
  CHECK(rig.Place() == 11);
  CHECK(rig.desk.Moved().empty());
}

TEST_CASE("a node that has started says of no cursor what it is before it knows") {
  CursorDesk desk([] {});
  desk.Replace({{"a", CursorAt(5)}});
  for (const std::string name : {"a", "b"}) {
    CHECK_CODE(desk.Find(name).status(), kUnavailable);
    CHECK_CODE(desk.Acknowledge(name, PlaceAt(6), 9), kUnavailable);
  }
  CHECK_CODE(desk.All().status(), kUnavailable);
  CHECK(desk.Applied().size() == 1);
  CHECK_FALSE(desk.is_known());
  desk.Update({{"a", CursorAt(7)}, {"b", CursorAt(6, 2)}});
  desk.SetKnown();
  CHECK(desk.is_known());
  CHECK(desk.Find("a")->place.sequence == 7);
  CHECK_OK(desk.Acknowledge("b", PlaceAt(8), 9));
  CHECK(desk.All()->size() == 2);
}

TEST_CASE("a node that has ended takes no acknowledgement and says why, and leaves what it has taken") {
  DeskRig rig;
  rig.Acknowledge(9);
  rig.desk.End(absl::FailedPreconditionError("its disk failed"));
  rig.desk.End(absl::FailedPreconditionError("it was stopped"));
  rig.desk.SetKnown();
  const absl::Status status = rig.desk.Acknowledge("a", PlaceAt(12), 9);
  CHECK_CODE(status, kFailedPrecondition);
  CHECK(status.message() == "its disk failed");
  CHECK_CODE(rig.desk.Find("a").status(), kFailedPrecondition);
  CHECK_CODE(rig.desk.All().status(), kFailedPrecondition);
  CHECK(rig.desk.Moved() == Acknowledged(9));
}

TEST_CASE("a cursor of another history is not acknowledged") {
  DeskRig rig;
  CHECK_CODE(rig.desk.Acknowledge("a", {.database = {}, .branch = 8, .sequence = 9}, 9), kFailedPrecondition);
  CHECK(rig.asked == 0);
}

}  // namespace bandb::cluster
