#include "changes/cursor_codec.h"

#include <string>

#include "support/catch.h"

namespace bandb::changes {

namespace {

StoredCursor Some(uint64_t id) {
  StoredCursor cursor{.created_ms = 300, .acknowledged_ms = 5, .place = {}, .id = id};
  cursor.place.database.fill('d');
  cursor.place.branch = 7;
  cursor.place.sequence = 9;
  return cursor;
}

}  // namespace

TEST_CASE("a cursor comes back as it was, with an id and without one") {
  for (const uint64_t id : {0, 1, 1 << 20}) {
    const std::string value = EncodeCursor(Some(id));
    CHECK(value[0] == (id == 0 ? 1 : 2));
    const absl::StatusOr<StoredCursor> cursor = DecodeCursor("c", value);
    REQUIRE_OK(cursor.status());
    CHECK(*cursor == Some(id));
    for (size_t size = 0; size < value.size(); ++size)
      CHECK_CODE(DecodeCursor("c", value.substr(0, size)).status(), kDataLoss);
    CHECK_CODE(DecodeCursor("c", value + "x").status(), kDataLoss);
  }
}

TEST_CASE("a cursor of a version that is not known is told from one that is malformed") {
  std::string value = EncodeCursor(Some(1));
  value[0] = 3;
  CHECK_CODE(DecodeCursor("c", value).status(), kFailedPrecondition);
  value[0] = 0;
  CHECK_CODE(DecodeCursor("c", value).status(), kDataLoss);
  // An id of a cursor that has none.
  value[0] = 1;
  CHECK_CODE(DecodeCursor("c", value).status(), kDataLoss);
}

TEST_CASE("the name of a cursor is 1 to 255 bytes") {
  CHECK_OK(CheckCursorName("a"));
  CHECK_OK(CheckCursorName(std::string(255, 'n')));
  CHECK_CODE(CheckCursorName(""), kInvalidArgument);
  CHECK_CODE(CheckCursorName(std::string(256, 'n')), kInvalidArgument);
}

}  // namespace bandb::changes
