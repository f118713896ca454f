#include "backup/repository_mark.h"

#include <fmt/format.h>

#include <string>

#include "base/checksum.h"
#include "support/catch.h"

namespace bandb::backup {

namespace {

storage::Uuid SomeId() {
  storage::Uuid id;
  for (size_t i = 0; i < id.bytes.size(); i++) id.bytes[i] = static_cast<char>(17 * i);
  return id;
}

}  // namespace

TEST_CASE("a mark is read as it was written, and as nothing else") {
  for (const bool first : {false, true}) {
    const RepositoryMark mark{.id = SomeId(), .first = first};
    const std::string text = EncodeMark(mark);
    CHECK(DecodeMark(text, "/r/REPOSITORY").value() == mark);
    for (size_t i = 0; i < text.size(); i++) {
      CHECK_CODE(DecodeMark(text.substr(0, i), "/r/REPOSITORY").status(), kDataLoss);
      for (int bit = 0; bit < 8; bit++) {
        std::string flipped = text;
        flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
        CHECK_CODE(DecodeMark(flipped, "/r/REPOSITORY").status(), kDataLoss);
      }
    }
    CHECK_CODE(DecodeMark(text + "\n", "/r/REPOSITORY").status(), kDataLoss);
  }
}

TEST_CASE("the mark has this text, and one of a later release is not taken for damage") {
  CHECK(EncodeMark({.id = SomeId(), .first = true}) ==
        "BanDB repository 1\nid 00112233445566778899aabbccddeeff\nfirst\nchecksum 7753e0463b6f9f9c\n");
  const std::string body = "BanDB repository 2\nid 1\n";
  const std::string checksum = fmt::format("checksum {:016x}\n", base::Hash64(body));
  const absl::Status later = DecodeMark(body + checksum, "/r/REPOSITORY").status();
  CHECK_CODE(later, kFailedPrecondition);
  CHECK(later.message() == "/r/REPOSITORY: format 2 of repositories, which is not known here");
}

}  // namespace bandb::backup
