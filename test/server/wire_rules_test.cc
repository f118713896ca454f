// The rules of the wire, each by name.
#include <string>

#include "base/random.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

constexpr uint16_t kNotFound = 5;

uint16_t Code(proto::ErrorCode code) { return ToCode(code); }

std::string RawFrame(uint32_t id, std::string_view payload) {
  std::string frame;
  proto::AppendFrame(&frame, id, payload);
  return frame;
}

// The ways of serving between which no client may see a difference.
ServerOptions Variant(int which) {
  ServerOptions options;
  options.reads_inline = which != 1;
  options.loops = which == 2 ? 2 : 1;
  return options;
}

}  // namespace

TEST_CASE("a client of the original server is served byte for byte") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  REQUIRE(client.connected());
  CHECK(client.StaysSilent(50));  // the server never speaks first
  CHECK(client.Ask(std::string("\x11\0\0\0\x01\0\0\0\x04\0\0\0\x05\0\0\0nameAlice", 25)) == OkReply());
  CHECK(client.Ask(std::string("\x08\0\0\0\x02\0\0\0\x04\0\0\0name", 16)) == ValueReply("Alice"));
  CHECK(client.Ask(std::string("\x08\0\0\0\x03\0\0\0\x04\0\0\0name", 16)) == OkReply());
  const auto missing = client.Ask(std::string("\x08\0\0\0\x02\0\0\0\x04\0\0\0name", 16));
  REQUIRE(missing.has_value());
  CHECK_FALSE(missing->ok);
  CHECK(missing->code == kNotFound);
}

TEST_CASE("deleting a missing key succeeds, and an empty key and value are a key and a value") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  CHECK(client.Ask(DeleteFrame("never there")) == OkReply());
  CHECK(client.Ask(PutFrame("", "")) == OkReply());
  CHECK(client.Ask(GetFrame("")) == ValueReply(""));
  const std::string odd("\0\n\x1b[31m\xff", 8);
  CHECK(client.Ask(PutFrame(odd, odd)) == OkReply());
  CHECK(client.Ask(GetFrame(odd)) == ValueReply(odd));
}

TEST_CASE("every pipelined frame gets one reply, in request order") {
  ServerFixture fixture(Variant(GENERATE(0, 1, 2)));
  WireClient client(fixture.address());
  constexpr int kFrames = 5000;
  std::string frames;
  for (int i = 0; i < kFrames; i++) frames += PutFrame("key" + std::to_string(i), std::to_string(i));
  for (int i = 0; i < kFrames; i++) frames += GetFrame("key" + std::to_string(i));
  size_t sent = 0;
  std::vector<OwnedReply> replies;
  // Sent and received by turns, as a client must that pipelines more than both sides' buffers.
  while (replies.size() < 2 * kFrames) {
    if (sent < frames.size()) sent += client.SendSome(std::string_view(frames).substr(sent, 20000));
    if (sent == frames.size() || !client.StaysSilent(0)) {
      const auto reply = client.Receive();
      REQUIRE(reply.has_value());
      replies.push_back(*reply);
    }
  }
  for (int i = 0; i < kFrames; i++) {
    REQUIRE(replies[static_cast<size_t>(i)] == OkReply());
    REQUIRE(replies[static_cast<size_t>(kFrames + i)] == ValueReply(std::to_string(i)));
  }
  CHECK(client.StaysSilent(20));
}

TEST_CASE("what could be answered at once waits for the replies before it") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  fixture.store.SetHolding(true);
  const auto ping = static_cast<uint32_t>(proto::MessageId::kPing);
  REQUIRE(client.Send(PutFrame("k", "v") + RawFrame(ping, "ping") + RawFrame(99, "unknown") + PutFrame("l", "v") +
                      RawFrame(ping, "pong")));
  CHECK(client.StaysSilent(20));
  fixture.store.SetHolding(false);
  const std::vector<OwnedReply> replies = client.ReceiveMany(5);
  REQUIRE(replies.size() == 5);
  CHECK(replies[0] == OkReply());
  CHECK(replies[1] == OkReply("ping"));
  CHECK(replies[2].code == Code(proto::ErrorCode::kUnknownMessage));
  CHECK(replies[3] == OkReply());
  CHECK(replies[4] == OkReply("pong"));
}

TEST_CASE("frames of one connection take effect in request order") {
  ServerFixture fixture(Variant(GENERATE(0, 1, 2)));
  WireClient client(fixture.address());
  std::string frames;
  constexpr int kRounds = 200;
  for (int i = 0; i < kRounds; i++) {
    frames += PutFrame("k", std::to_string(i)) + GetFrame("k") + DeleteFrame("k") + GetFrame("k");
  }
  REQUIRE(client.Send(frames));
  const std::vector<OwnedReply> replies = client.ReceiveMany(4 * kRounds);
  REQUIRE(replies.size() == 4 * kRounds);
  for (size_t i = 0; i < kRounds; i++) {
    REQUIRE(replies[4 * i] == OkReply());
    REQUIRE(replies[4 * i + 1] == ValueReply(std::to_string(i)));
    REQUIRE(replies[4 * i + 2] == OkReply());
    REQUIRE(replies[4 * i + 3].code == kNotFound);
  }
}

TEST_CASE("a malformed payload in a well-formed frame gets an error reply and the connection stays") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  const std::string length_lies("\x05\0\0\0abc", 7);
  for (const uint32_t id : {1u, 2u, 3u, 16u, 18u, 19u, 20u}) {
    for (const std::string& payload : {std::string("\x01", 1), length_lies, std::string(11, '\xff')}) {
      const auto reply = client.Ask(RawFrame(id, payload));
      REQUIRE(reply.has_value());
      CHECK_FALSE(reply->ok);
      CHECK(reply->code == Code(proto::ErrorCode::kMalformed));
    }
  }
  // Right by themselves, with a byte too many.
  for (const std::string& frame : {PutFrame("key", "value"), GetFrame("key"), DeleteFrame("key")}) {
    const auto id = static_cast<uint32_t>(frame[4]);
    const auto reply = client.Ask(RawFrame(id, frame.substr(proto::kFrameHeaderBytes) + "x"));
    REQUIRE(reply.has_value());
    CHECK(reply->code == Code(proto::ErrorCode::kMalformed));
  }
  const auto too_long_a_ping = client.Ask(RawFrame(17, std::string(proto::kPingBytesMax + 1, 'p')));
  REQUIRE(too_long_a_ping.has_value());
  CHECK(too_long_a_ping->code == Code(proto::ErrorCode::kMalformed));
  CHECK(client.Ask(PutFrame("still", "here")) == OkReply());
  CHECK(fixture.server->Stats().malformed_frames == 25);
  CHECK(fixture.store.size() == 1);
}

TEST_CASE("an unknown message id gets an error reply and the connection stays") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  for (const uint32_t id : {0u, 4u, 5u, 6u, 15u, 25u, 63u, 64u, 255u, 256u, 65536u, 0xffffffffu}) {
    const auto reply = client.Ask(RawFrame(id, "payload"));
    REQUIRE(reply.has_value());
    CHECK(reply->code == Code(proto::ErrorCode::kUnknownMessage));
  }
  CHECK(client.Ask(PutFrame("a", "b")) == OkReply());
}

TEST_CASE("a frame longer than the limit gets an error reply and then the connection closes") {
  ServerFixture fixture;
  for (const std::string& header :
       {std::string("\xff\xff\xff\xff\x01\0\0\0", 8), std::string("\x01\0\0\x01\x01\0\0\0", 8),
        std::string("GET / HTTP/1.1\r\n\r\n"), std::string("*1\r\n$4\r\nPING\r\n")}) {
    WireClient client(fixture.address());
    // What comes before it is answered, and before the error.
    REQUIRE(client.Send(PutFrame("before", "it") + header));
    CHECK(client.Receive() == OkReply());
    const auto error = client.Receive();
    REQUIRE(error.has_value());
    CHECK(error->code == Code(proto::ErrorCode::kTooLarge));
    CHECK(client.SeesEnd());
  }
  CHECK(WireClient(fixture.address()).Ask(GetFrame("before")) == ValueReply("it"));
}

TEST_CASE("the error for a frame that is too long arrives although its sender goes on sending") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  REQUIRE(client.Send(std::string("\xff\xff\xff\x7f\x01\0\0\0", 8)));
  // Into a server that closed at once it would not go: it would answer with a reset.
  REQUIRE(client.Send(std::string(8 << 20, 'x')));
  const auto error = client.Receive();
  REQUIRE(error.has_value());
  CHECK(error->code == Code(proto::ErrorCode::kTooLarge));
}

TEST_CASE("a reply that would exceed the limit is the error too large, and the connection stays") {
  ServerOptions options = Variant(GENERATE(0, 1));
  options.frame_bytes_max = 1000;
  options.memory_bytes_max = 1 << 20;
  ServerFixture fixture(options);
  REQUIRE_OK(fixture.store.Put("fits", std::string(995, 'f')));
  REQUIRE_OK(fixture.store.Put("large", std::string(996, 'l')));
  WireClient client(fixture.address());
  const auto reply = client.Ask(GetFrame("large"));
  REQUIRE(reply.has_value());
  CHECK(reply->code == Code(proto::ErrorCode::kTooLarge));
  CHECK(client.Ask(GetFrame("fits")) == ValueReply(std::string(995, 'f')));
}

TEST_CASE("a frame at the limit is served, and one byte more is not") {
  ServerOptions options;
  options.frame_bytes_max = 1000;
  options.memory_bytes_max = 1 << 20;
  ServerFixture fixture(options);
  WireClient client(fixture.address());
  CHECK(client.Ask(PutFrame("k", std::string(1000 - 8 - 1, 'v'))) == OkReply());
  const auto reply = client.Ask(PutFrame("k", std::string(1000 - 8, 'v')));
  REQUIRE(reply.has_value());
  CHECK(reply->code == Code(proto::ErrorCode::kTooLarge));
  CHECK(client.SeesEnd());
}

TEST_CASE("keys beyond 64 KiB are refused in words, by themselves, and values of 15 MiB are stored") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  REQUIRE(
      client.Send(PutFrame("before", "1") + PutFrame(std::string((64 << 10) + 1, 'k'), "v") + PutFrame("after", "2")));
  CHECK(client.Receive() == OkReply());
  const auto refused = client.Receive();
  REQUIRE(refused.has_value());
  CHECK(refused->code == proto::ToCode(absl::StatusCode::kInvalidArgument));
  CHECK(client.Receive() == OkReply());
  CHECK(client.Ask(PutFrame(std::string(64 << 10, 'k'), "v")) == OkReply());
  const std::string large(15 << 20, 'L');
  CHECK(client.Ask(PutFrame("large", large)) == OkReply());
  CHECK(client.Ask(GetFrame("large")) == ValueReply(large));
}

TEST_CASE("a client that closed its writing side still gets every reply") {
  ServerFixture fixture(Variant(GENERATE(0, 1)));
  WireClient client(fixture.address());
  REQUIRE(client.Send(PutFrame("a", "1") + GetFrame("a") + GetFrame("a").substr(0, 9)));
  client.CloseWrite();
  CHECK(client.Receive() == OkReply());
  CHECK(client.Receive() == ValueReply("1"));
  CHECK(client.SeesEnd());
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().connections_open == 0; }));
}

TEST_CASE("frames cut at every byte are served like whole ones") {
  ServerFixture fixture;
  WireClient client(fixture.address());
  const std::string frames = PutFrame("cut", "anywhere") + GetFrame("cut");
  for (size_t cut = 0; cut <= frames.size(); cut++) {
    REQUIRE(client.Send(std::string_view(frames).substr(0, cut)));
    client.StaysSilent(cut % 10 == 0 ? 1 : 0);
    REQUIRE(client.Send(std::string_view(frames).substr(cut)));
    REQUIRE(client.Receive() == OkReply());
    REQUIRE(client.Receive() == ValueReply("anywhere"));
  }
}

TEST_CASE("noise harms nobody but its sender") {
  ServerFixture fixture;
  WireClient witness(fixture.address());
  base::Random random(7);
  for (int round = 0; round < 200; round++) {
    WireClient client(fixture.address());
    std::string noise;
    for (uint64_t i = random.Uniform(300) + 1; i > 0; i--) noise.push_back(static_cast<char>(random.Next()));
    // Half of it after a plausible header, so that it gets past the framing.
    if (random.OneIn(2)) noise = RawFrame(static_cast<uint32_t>(random.Uniform(24)), noise);
    client.Send(noise);
    client.CloseWrite();
    while (client.Receive().has_value()) {
    }
  }
  CHECK(witness.Ask(PutFrame("un", "harmed")) == OkReply());
  CHECK(witness.Ask(GetFrame("un")) == ValueReply("harmed"));
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().connections_open == 1; }));
}

TEST_CASE("a header over the limit that is read with the end of a large frame is answered after that frame") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  ServerFixture fixture(options);
  WireClient witness(fixture.address());
  const std::string large = PutFrame("k", std::string(200000, 'v'));
  const std::string too_long("\xff\xff\xff\xff\x01\0\0\0", 8);
  SECTION("because the frame came in two pieces") {
    WireClient client(fixture.address());
    const size_t begun = large.size() - 10;
    REQUIRE(client.Send(large.substr(0, begun)));
    REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().bytes_read == begun; }));
    REQUIRE(client.Send(large.substr(begun) + too_long));
    CHECK(client.Receive() == OkReply());
    const auto refused = client.Receive();
    REQUIRE(refused.has_value());
    CHECK(refused->code == ToCode(proto::ErrorCode::kTooLarge));
    CHECK(client.SeesEnd());
  }
  SECTION("because both waited for the requests before them") {
    fixture.store.SetHolding(true);
    WireClient client(fixture.address());
    const std::string waiting = PutFrame("a", "1") + GetFrame("a") + PutFrame("k", std::string(20000, 'v')) + too_long;
    REQUIRE(client.Send(waiting));
    REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().bytes_read == waiting.size(); }));
    fixture.store.SetHolding(false);
    CHECK(client.Receive() == OkReply());
    CHECK(client.Receive() == ValueReply("1"));
    CHECK(client.Receive() == OkReply());
    const auto refused = client.Receive();
    REQUIRE(refused.has_value());
    CHECK(refused->code == ToCode(proto::ErrorCode::kTooLarge));
    CHECK(client.SeesEnd());
  }
  CHECK(witness.Ask(GetFrame("k"))->ok);
}

TEST_CASE("foreign bytes are told at once, without waiting for the frame that they seem to announce") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  ServerFixture fixture(options);
  WireClient client(fixture.address());
  SECTION("a TLS hello, whose first bytes look like a frame of 66 KiB with an unknown message id") {
    REQUIRE(client.Send(std::string("\x16\x03\x01\x00\xf8\x01\x00\x00\xf4\x03\x03", 11) + std::string(241, 'r')));
    const auto reply = client.Receive();
    REQUIRE(reply.has_value());
    CHECK(reply->code == ToCode(proto::ErrorCode::kUnknownMessage));
    CHECK(fixture.server->Stats().memory_bytes < 10000);
  }
  SECTION("HTTP and RESP, whose first four bytes are a length above every limit") {
    REQUIRE(client.Send(GENERATE("GET ", "PING", "*1\r\n")));
    const auto reply = client.Receive();
    REQUIRE(reply.has_value());
    CHECK(reply->code == ToCode(proto::ErrorCode::kTooLarge));
    CHECK(client.SeesEnd());
  }
}

TEST_CASE("\"not found\" is an answer to GET alone, whatever the store says of other requests") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  ServerFixture fixture(options);
  WireClient client(fixture.address());
  fixture.store.FailWritesWith(absl::NotFoundError("no such file"));
  for (const std::string& frame : {PutFrame("k", "v"), DeleteFrame("k")}) {
    const auto reply = client.Ask(frame);
    REQUIRE(reply.has_value());
    CHECK(reply->code == proto::ToCode(absl::StatusCode::kInternal));
  }
  CHECK(client.Ask(GetFrame("k"))->code == kNotFound);
}

}  // namespace bandb::test
