#include "backup/description.h"

#include <string>

#include "support/catch.h"

namespace bandb::test {

namespace {

using backup::Description;

Description Sample() {
  Description description;
  for (size_t i = 0; i < 16; i++) description.database_id.bytes[i] = static_cast<char>(16 * i + 1);
  description.time_ms = 1'790'000'000'123;
  description.last_sequence = 77;
  description.new_bytes = 4096;
  description.files = {{"IDENTITY", {64, 0x1234}}, {"groups/0/db/CURRENT", {33, UINT64_MAX}}};
  backup::TableEntry table{.number = 12, .id = description.database_id, .stored = {2048, 0xabc}};
  description.tables = {table, table};
  description.tables[1].number = 13;
  return description;
}

}  // namespace

TEST_CASE("the description of a backup is text that anybody can read, and comes back as it was") {
  const std::string text = backup::Encode(Sample());
  CHECK(
      text.starts_with("BanDB backup 1\n"
                       "database 01112131415161718191a1b1c1d1e1f1\n"
                       "time 1790000000123\n"
                       "sequence 77\n"
                       "new 4096\n"
                       "file IDENTITY 64 0000000000001234\n"
                       "file groups/0/db/CURRENT 33 ffffffffffffffff\n"
                       "table 12 01112131415161718191a1b1c1d1e1f1 2048 0000000000000abc\n"
                       "table 13 01112131415161718191a1b1c1d1e1f1 2048 0000000000000abc\n"
                       "checksum "));
  const absl::StatusOr<Description> back = backup::Decode(text, "x");
  REQUIRE_OK(back.status());
  CHECK(*back == Sample());
  CHECK(back->bytes() == 64 + 33 + 2 * 2048);
  const Description nothing{};
  CHECK(backup::Decode(backup::Encode(nothing), "x").value() == nothing);
}

TEST_CASE("a description with logs says from where they lead, and one with a hole what is missing") {
  Description description = Sample();
  description.place = std::string("\x01\xab\0z", 4);
  description.commit_ms = 1'790'000'000'100;
  description.after = 6;
  description.logs = {{.first_sequence = 70,
                       .last_sequence = 77,
                       .end_ms = 1'790'000'000'100,
                       .id = description.database_id,
                       .stored = {900, 0xdef}}};
  const std::string text = backup::Encode(description);
  CHECK(text.find("new 4096\nplace 01ab007a 1790000000100\nafter 6\nfile IDENTITY") != std::string::npos);
  CHECK(text.find("\nlog 70 77 1790000000100 01112131415161718191a1b1c1d1e1f1 900 0000000000000def\nchecksum ") !=
        std::string::npos);
  CHECK(text.starts_with("BanDB backup 2\n"));
  CHECK(backup::Decode(text, "x").value() == description);
  description.complete_ms = 1'790'000'000'109;
  const std::string complete = backup::Encode(description);
  CHECK(complete.starts_with("BanDB backup 3\n"));
  CHECK(complete.find("\nplace 01ab007a 1790000000100\ncomplete 1790000000109\nafter 6\nfile") != std::string::npos);
  CHECK(backup::Decode(complete, "x").value() == description);
  description.complete_ms.reset();
  // The state of a backup is there without its logs.
  CHECK(description.bytes() == 64 + 33 + 2 * 2048);
  description.after = 0;
  description.logs.clear();
  description.hole = {.first = 60, .last = 69};
  const std::string hole = backup::Encode(description);
  CHECK(hole.find("\nhole 60 69\n") != std::string::npos);
  CHECK(backup::Decode(hole, "x").value() == description);
  for (size_t i = 0; i < text.size(); i++) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 2);
    CHECK(!backup::Decode(changed, "x").ok());
  }
}

TEST_CASE("a description with any byte changed, cut off or put to it is damaged") {
  const std::string text = backup::Encode(Sample());
  for (size_t i = 0; i < text.size(); i++) {
    for (const int mask : {1, 0x20, 0x80}) {
      std::string changed = text;
      changed[i] = static_cast<char>(changed[i] ^ mask);
      CAPTURE(i, mask);
      const absl::Status status = backup::Decode(changed, "x").status();
      // The version is told apart, since a later one may have another end.
      CHECK((status.code() == absl::StatusCode::kDataLoss || i == 13));
      CHECK(!status.ok());
    }
    CHECK_CODE(backup::Decode(text.substr(0, i), "x").status(), kDataLoss);
  }
  CHECK_CODE(backup::Decode(text + "\n", "x").status(), kDataLoss);
  CHECK_CODE(backup::Decode("BanDB backup 4\nwhatever", "x").status(), kFailedPrecondition);
}

TEST_CASE("a description with the right checksum leads out of no folder, and says nothing twice") {
  const auto with_path = [](const std::string& path) {
    Description description = Sample();
    description.files[0].path = path;
    return backup::Decode(backup::Encode(description), "x").status();
  };
  REQUIRE_OK(with_path("a/b.c"));
  for (const char* path : {"", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".", "a/./b", "a b"}) {
    CAPTURE(path);
    CHECK_CODE(with_path(path), kDataLoss);
  }
}

}  // namespace bandb::test
