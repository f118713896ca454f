#include "transfer/change_manifest.h"

#include <string>
#include <vector>

#include "base/status.h"
#include "support/catch.h"
#include "transfer/export_manifest.h"

namespace bandb::transfer {
namespace {

ChangesHead SampleHead() { return {.begin = "\xff", .limit = "z", .part = 1, .parts = 3, .cursor = "mail \"7\""}; }

ChangesFile SampleFile(uint64_t first, uint64_t last) {
  return {ChangesFileName(SampleHead(), first), first, last, 2, 3, 40, 0x0123456789abcdef};
}

std::string SampleText() {
  return ChangesHeadLine(SampleHead()) + ChangesFileLine(SampleFile(1, 9)) + ChangesFileLine(SampleFile(11, 11));
}

}  // namespace

TEST_CASE("a manifest of changes is read back as it was written, and cut off anywhere it is one of fewer files") {
  const std::string text = SampleText();
  const ChangesManifest manifest = ParseChangesManifest(text).value();
  CHECK(manifest.head == SampleHead());
  CHECK(manifest.last == SampleFile(11, 11));
  CHECK(manifest.files == 2);
  CHECK(manifest.changes == 6);
  CHECK(ChangesHeadLine(SampleHead()) + manifest.lines == text);
  for (size_t size = ChangesHeadLine(SampleHead()).size(); size < text.size(); ++size) {
    CAPTURE(size);
    for (const std::string& torn : {text.substr(0, size), text.substr(0, size) + std::string(50, '\0')}) {
      const absl::StatusOr<ChangesManifest> part = ParseChangesManifest(torn);
      REQUIRE_OK(part.status());
      CHECK(part->files < 2);
      CHECK(text.starts_with(ChangesHeadLine(SampleHead()) + part->lines));
    }
  }
}

TEST_CASE("names of files of changes sort as their sequences do") {
  CHECK(ChangesFileName({}, 7) == "changes-00000000000000000007.jsonl");
  CHECK(ChangesFileName({.compress = true}, UINT64_MAX) == "changes-18446744073709551615.jsonl.zst");
  CHECK(ChangesFileName({.layout = {.format = Format::kParquet}, .compress = true}, 10) ==
        "changes-00000000000000000010.parquet");
}

TEST_CASE("lines of a manifest of changes that do not fit are named") {
  const std::string head = ChangesHeadLine(SampleHead());
  const std::string one = ChangesFileLine(SampleFile(1, 9));
  const std::string two = ChangesFileLine(SampleFile(11, 11));
  std::string moved = one;
  moved.replace(moved.find("changes-"), 8, "../nges-");
  for (const std::string& text :
       {head + two + one, head + one + one, head + one + ChangesFileLine(SampleFile(9, 10)), head + "{}\n",
        head + "garbage\n" + one, head + moved, head + ChangesFileLine(SampleFile(9, 8))}) {
    CAPTURE(text);
    CHECK_CODE(ParseChangesManifest(text).status(), kDataLoss);
  }
  for (const std::string text : {"", "x\n", "[]\n", "{}\n", "{\"bandb_changes\": 2}\n"}) {
    CHECK_CODE(ParseChangesManifest(text).status(), kInvalidArgument);
  }
  CHECK_CODE(ParseChangesManifest(HeadLine({})).status(), kInvalidArgument);
  CHECK_CODE(ParseChangesManifest("{\"bandb_changes\": 1}\n").status(), kDataLoss);
  CHECK_CODE(ParseManifest(head).status(), kInvalidArgument);
}

TEST_CASE("a place is read back as it was written, and not if it is cut off") {
  const ChangesPlace rest{.token = "\x01\xff", .sequence = 9};
  const ChangesPlace next{.token = "\x01", .sequence = 9, .next = SampleFile(11, 30), .next_token = "\x02"};
  for (const ChangesPlace& place : {rest, next}) {
    const std::string text = PlaceText(place);
    CHECK(text.size() < kPlaceBytesMax);
    CHECK(ParsePlace(SampleHead(), text).value() == place);
    for (size_t size = 0; size + 2 < text.size(); ++size) {
      CHECK_FALSE(ParsePlace(SampleHead(), text.substr(0, size)).ok());
    }
  }
  ChangesPlace bad = next;
  bad.next->first = 9;
  bad.next->file = ChangesFileName(SampleHead(), 9);
  CHECK_CODE(ParsePlace(SampleHead(), PlaceText(bad)).status(), kDataLoss);
  CHECK_CODE(ParsePlace({}, PlaceText({.token = "", .sequence = 1})).status(), kDataLoss);
  CHECK_CODE(ParsePlace({}, "{\"bandb_changes_place\": 2}").status(), kInvalidArgument);
}

}  // namespace bandb::transfer
