#include "proto/response.h"

#include <string>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::proto {
namespace {

Frame WholeFrame(const std::string& bytes) {
  Frame frame;
  size_t needed = 0;
  REQUIRE(CutFrame(bytes, kFrameBytesHardMax, &frame, &needed) == CutResult::kFrame);
  REQUIRE(frame.ByteSize() == bytes.size());
  return frame;
}

bool ScanIsWellFormed(std::string_view body, bool expiries) {
  ScanBodyReader reader(body, expiries);
  for (ScanEntry entry; reader.Next(&entry);) {
  }
  return reader.Complete();
}

}  // namespace

TEST_CASE("OK and a value stand byte for byte as the original client reads them") {
  CHECK(OkFrame() == std::string_view("\x01\0\0\0\x04\0\0\0\0", 9));
  std::string bytes(kValueHeadBytes, 'x');
  StoreValueHead(bytes.data(), 5);
  bytes += "Alice";
  CHECK(bytes == std::string("\x0a\0\0\0\x04\0\0\0\0\x05\0\0\0Alice", 18));
  Reply reply;
  REQUIRE(DecodeReply(WholeFrame(bytes), &reply));
  std::string_view value;
  REQUIRE(DecodeValueBody(reply.body, &value));
  CHECK(value == "Alice");
  for (size_t cut = 0; cut < reply.body.size(); cut++) CHECK_FALSE(DecodeValueBody(reply.body.substr(0, cut), &value));
}

TEST_CASE("an error begins with 1 and carries code and message") {
  std::string bytes;
  AppendError(&bytes, 5, "no");
  CHECK(bytes == std::string("\x09\0\0\0\x05\0\0\0\x01\x05\0\x02\0\0\0no", 17));
  Reply reply;
  REQUIRE(DecodeReply(WholeFrame(bytes), &reply));
  CHECK_FALSE(reply.ok);
  CHECK_CODE(reply.ToStatus(), kNotFound);
  CHECK(reply.message == "no");
  for (size_t cut = 2; cut < 9; cut++) {
    const Frame frame{5, std::string_view(bytes).substr(kFrameHeaderBytes, cut)};
    CHECK_FALSE(DecodeReply(frame, &reply));
  }
}

TEST_CASE("an error without detail, as the original server writes it, is of unknown outcome") {
  Reply reply;
  REQUIRE(DecodeReply({5, "\x01"}, &reply));
  CHECK_FALSE(reply.ok);
  CHECK_CODE(reply.ToStatus(), kUnknown);
}

TEST_CASE("what is not a reply is refused") {
  Reply reply;
  CHECK_FALSE(DecodeReply({4, ""}, &reply));
  CHECK_FALSE(DecodeReply({4, "\x01"}, &reply));
  CHECK_FALSE(DecodeReply({5, std::string_view("\0", 1)}, &reply));
  CHECK_FALSE(DecodeReply({1, std::string_view("\0", 1)}, &reply));
}

TEST_CASE("a long error message is cut") {
  std::string bytes;
  AppendError(&bytes, 13, std::string(5000, 'm'));
  Reply reply;
  REQUIRE(DecodeReply(WholeFrame(bytes), &reply));
  CHECK(reply.message.size() == kErrorMessageBytesMax);
}

TEST_CASE("codes stand for the statuses that clients act upon") {
  CHECK(StatusCodeFor(5) == absl::StatusCode::kNotFound);
  CHECK(StatusCodeFor(256) == absl::StatusCode::kUnavailable);
  CHECK(StatusCodeFor(257) == absl::StatusCode::kInvalidArgument);
  CHECK(StatusCodeFor(262) == absl::StatusCode::kUnavailable);
  CHECK(StatusCodeFor(263) == absl::StatusCode::kDeadlineExceeded);
  CHECK(StatusCodeFor(264) == absl::StatusCode::kInternal);
  CHECK(StatusCodeFor(265) == absl::StatusCode::kUnimplemented);
  CHECK(StatusCodeFor(999) == absl::StatusCode::kUnknown);
  CHECK(StatusCodeFor(40000) == absl::StatusCode::kAborted);
  CHECK(CodeFor(absl::UnavailableError("stalled")) == 256);
  CHECK(CodeFor(absl::NotFoundError("")) == 5);
}

TEST_CASE("the reply to HELLO may grow behind the fields a client knows") {
  std::string body;
  AppendHelloBody(&body, {1, 0, 2, 3, 4, 5, "server"});
  HelloReply hello;
  for (size_t cut = 0; cut < body.size(); cut++) CHECK_FALSE(DecodeHelloBody(body.substr(0, cut), &hello));
  body += "later";
  REQUIRE(DecodeHelloBody(body, &hello));
  CHECK(hello.version == 1);
  CHECK(hello.frame_bytes_max == 2);
  CHECK(hello.in_flight_max == 5);
  CHECK(hello.name == "server");
}

TEST_CASE("the reply to SCAN decodes to its entries, and only if everything adds up") {
  const bool expiries = GENERATE(false, true);
  std::string body;
  base::PutFixed32(&body, 2);
  AppendScanEntry(&body, {"a", "1", 1234}, expiries);
  AppendScanEntry(&body, {"b", ""}, expiries);
  base::PutFixed32(&body, 3);
  body += "cur";
  CHECK(body.size() == 4 + 2 * ScanEntryHeadBytes(expiries) + 3 + 4 + 3);
  ScanBodyReader reader(body, expiries);
  ScanEntry entry;
  REQUIRE(reader.Next(&entry));
  CHECK(entry.key == "a");
  CHECK(entry.value == "1");
  CHECK(entry.expires_ms == (expiries ? 1234 : 0));
  REQUIRE(reader.Next(&entry));
  CHECK(entry.key == "b");
  CHECK(entry.expires_ms == 0);
  CHECK_FALSE(reader.Next(&entry));
  CHECK(reader.Complete());
  CHECK(reader.next_cursor() == "cur");
  for (size_t cut = 0; cut < body.size(); cut++) CHECK_FALSE(ScanIsWellFormed(body.substr(0, cut), expiries));
  CHECK_FALSE(ScanIsWellFormed(body + "x", expiries));
  CHECK(ScanIsWellFormed(std::string(8, '\0'), expiries));
}

TEST_CASE("garbage never makes a reply decoder read outside its payload or hang") {
  base::Random random(3);
  for (int round = 0; round < 20000; round++) {
    std::string garbage;
    for (uint64_t i = random.Uniform(30); i > 0; i--) {
      garbage.push_back(static_cast<char>(random.OneIn(2) ? random.Uniform(3) : random.Next()));
    }
    garbage.shrink_to_fit();
    Reply reply;
    DecodeReply({static_cast<uint32_t>(4 + random.Uniform(2)), garbage}, &reply);
    ScanIsWellFormed(garbage, random.OneIn(2));
    HelloReply hello;
    DecodeHelloBody(garbage, &hello);
    std::string_view bytes;
    DecodeTextBody(garbage, &bytes);
  }
}

}  // namespace bandb::proto
