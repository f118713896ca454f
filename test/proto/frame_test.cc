#include "proto/frame.h"

#include <string>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::proto {

TEST_CASE("a frame is its length, its id and its payload, little-endian") {
  std::string bytes;
  AppendFrame(&bytes, 0x01020304, "abc");
  CHECK(bytes == std::string("\x03\x00\x00\x00\x04\x03\x02\x01"
                             "abc",
                             11));
}

TEST_CASE("a frame cut at every byte is incomplete and then whole") {
  std::string bytes;
  AppendFrame(&bytes, 7, "hello, frame");
  const size_t whole = bytes.size();
  bytes += "the next one";
  for (size_t cut = 0; cut < whole; cut++) {
    Frame frame;
    size_t needed = 0;
    REQUIRE(CutFrame(std::string_view(bytes).substr(0, cut), 100, &frame, &needed) == CutResult::kIncomplete);
    CHECK(needed == (cut < kFrameHeaderBytes ? kFrameHeaderBytes : whole));
  }
  Frame frame;
  size_t needed = 0;
  REQUIRE(CutFrame(bytes, 100, &frame, &needed) == CutResult::kFrame);
  CHECK(frame.message_id == 7);
  CHECK(frame.payload == "hello, frame");
  CHECK(frame.payload.data() == bytes.data() + kFrameHeaderBytes);
}

TEST_CASE("a length above the limit is known from four bytes") {
  std::string bytes;
  AppendFrame(&bytes, 9, std::string(101, 'x'));
  Frame frame;
  size_t needed = 0;
  CHECK(CutFrame(std::string_view(bytes).substr(0, 3), 100, &frame, &needed) == CutResult::kIncomplete);
  CHECK(CutFrame(std::string_view(bytes).substr(0, 4), 100, &frame, &needed) == CutResult::kTooLong);
  CHECK(CutFrame(bytes, 100, &frame, &needed) == CutResult::kTooLong);
  CHECK(frame.message_id == 9);
  CHECK(CutFrame(bytes, 101, &frame, &needed) == CutResult::kFrame);
}

TEST_CASE("no text of another protocol passes for a frame header") {
  for (const std::string_view text : {"GET / HTTP/1.1\r\n", "PUT /", "POST ", "PRI * HTTP/2.0", "*1\r\n$4\r\nPING\r\n",
                                      "PING\r\n", "SET a b\r\n", "+OK\r\n", "get a\r\n", "quit\r\n"}) {
    Frame frame;
    size_t needed = 0;
    CHECK(CutFrame(text, kFrameBytesHardMax, &frame, &needed) == CutResult::kTooLong);
  }
}

TEST_CASE("a frame reader gives out the same frames however the bytes are split") {
  base::Random random(1);
  for (int round = 0; round < 200; round++) {
    std::string stream;
    std::vector<std::string> payloads;
    for (uint64_t i = random.Uniform(8) + 1; i > 0; i--) {
      payloads.push_back(std::string(random.Uniform(50), static_cast<char>('a' + i)));
      AppendFrame(&stream, static_cast<uint32_t>(i), payloads.back());
    }
    FrameReader reader(50);
    size_t seen = 0;
    for (size_t at = 0; at < stream.size();) {
      const size_t count = std::min<size_t>(random.Uniform(20) + 1, stream.size() - at);
      reader.Append(std::string_view(stream).substr(at, count));
      at += count;
      Frame frame;
      while (reader.Next(&frame) == CutResult::kFrame) {
        REQUIRE(seen < payloads.size());
        CHECK(frame.payload == payloads[seen++]);
      }
    }
    CHECK(seen == payloads.size());
    CHECK(reader.buffered_bytes() == 0);
  }
}

}  // namespace bandb::proto
