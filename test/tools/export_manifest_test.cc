#include "transfer/export_manifest.h"

#include <string>
#include <vector>

#include "base/status.h"
#include "support/catch.h"

namespace bandb::transfer {
namespace {

Manifest Sample() {
  Manifest manifest;
  manifest.head.begin = "\xff";
  manifest.head.state = "sequence 7";
  manifest.chunks.push_back({"part-00000000.jsonl", "a", "b\xfe", 2, 30, 0x0123456789abcdef});
  manifest.chunks.push_back({"part-00000001.jsonl", "c", "c", 1, 10, 5});
  manifest.complete = true;
  return manifest;
}

std::string Text(const Manifest& manifest) {
  std::string text = HeadLine(manifest.head);
  for (const ManifestChunk& chunk : manifest.chunks) text += ChunkLine(chunk);
  return manifest.complete ? text + TotalLine(manifest) : text;
}

}  // namespace

TEST_CASE("a manifest is read back as it was written") {
  const Manifest manifest = ParseManifest(Text(Sample())).value();
  CHECK(manifest.head == Sample().head);
  CHECK(manifest.complete);
  CHECK(manifest.entries() == 3);
  CHECK(Text(manifest) == Text(Sample()));
}

TEST_CASE("a manifest that was cut off anywhere is one of fewer chunks") {
  const std::string text = Text(Sample());
  const size_t head = HeadLine(Sample().head).size();
  for (size_t size = head; size < text.size(); ++size) {
    CAPTURE(size);
    const absl::StatusOr<Manifest> manifest = ParseManifest(text.substr(0, size));
    REQUIRE_OK(manifest.status());
    CHECK_FALSE(manifest->complete);
    CHECK(text.starts_with(Text(*manifest)));
    // Torn: zeros and garbage where the rest was to be.
    REQUIRE_OK(ParseManifest(text.substr(0, size) + std::string(100, '\0')).status());
  }
  CHECK_CODE(ParseManifest("").status(), kInvalidArgument);
}

TEST_CASE("lines that do not fit are named, with their number") {
  const std::string head = HeadLine(Sample().head);
  const std::string one = ChunkLine(Sample().chunks[0]);
  const std::string two = ChunkLine(Sample().chunks[1]);
  Manifest short_total = Sample();
  short_total.chunks.pop_back();
  const std::vector<std::string> damaged = {
      head + two + one,                             // out of order
      head + one + one,                             // twice
      head + two,                                   // not the first
      head + "garbage\n" + one,                     // before what is whole
      head + one + TotalLine(Sample()),             // a chunk is missing
      head + one + two + TotalLine(short_total),    // a chunk too many
      Text(Sample()) + two,                         // after the end
      head + "{\"file\": \"../../etc/passwd\"}\n",  // not a chunk
      head + "{\"entries\": -1, \"chunks\": 0}\n",  // numbers that are none
      head + "{}\n",
  };
  for (const std::string& text : damaged) {
    CAPTURE(text);
    const absl::Status status = ParseManifest(text).status();
    CHECK_CODE(status, kDataLoss);
    CHECK(base::Message(status).find("line ") != std::string_view::npos);
  }
}

TEST_CASE("files of other places are never named") {
  for (const std::string name : {"../part-00000000.jsonl", "/part-00000000.jsonl", "part-00000000.raw", ""}) {
    Manifest manifest = Sample();
    manifest.chunks[0].file = name;
    CHECK_CODE(ParseManifest(Text(manifest)).status(), kDataLoss);
  }
}

TEST_CASE("what is no manifest, or one of another version, is refused") {
  for (const std::string text : {"x\n", "[]\n", "{}\n", "{\"bandb_export\": \"1\"}\n", "{\"bandb_export\": 2}\n"}) {
    CHECK_CODE(ParseManifest(text).status(), kInvalidArgument);
  }
  CHECK_CODE(ParseManifest("{\"bandb_export\": 1}\n").status(), kDataLoss);
  ManifestHead huge = Sample().head;
  huge.chunk_bytes = kChunkBytesMax + 1;
  CHECK_CODE(ParseManifest(HeadLine(huge)).status(), kDataLoss);
}

}  // namespace bandb::transfer
