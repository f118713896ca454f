// What two ends of a link may count on, on sockets and in memory alike.
#include "net/frame_link.h"

#include <algorithm>

#include "base/coding.h"
#include "base/random.h"
#include "net/link_world.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

using Cause = net::LinkEnd::Cause;

constexpr uint32_t kHello = 1;
constexpr uint32_t kAccept = 2;
constexpr uint32_t kRefuse = 3;
constexpr uint32_t kFirst = net::kFirstLinkMessage;

net::LinkOptions Small() {
  net::LinkOptions options;
  options.frame_bytes_max = 400'000;
  options.output_bytes_high = 1 << 20;
  options.output_bytes_low = 256 << 10;
  return options;
}

// Somebody who speaks to an accepting link in bytes.
struct Stranger {
  explicit Stranger(LinkWorld* world, LinkPair* pair) {
    auto stream = world->dialing_loop->Connect(pair->address(), &end);
    REQUIRE_OK(stream.status());
    end.Own(*std::move(stream));
    REQUIRE(world->RunUntil([&] { return end.connected && pair->acceptor != nullptr; }));
  }
  RecordingEnd end;
};

}  // namespace

TEST_CASE("both ends are up after a hello each way, and carry frames in order") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2, 3, 4));
  LinkPair pair(&world, Small(), Small());
  pair.ConnectUp();
  CHECK(pair.at_dialer.hello == "I serve");
  CHECK(pair.at_acceptor.hello == "I dial");
  base::Random random(7);
  std::vector<std::pair<uint32_t, std::string>> sent[2];
  const auto send = [&](int side, const std::string& payload) {
    net::FrameLink* const link = side == 0 ? pair.dialer.get() : pair.acceptor.get();
    const uint32_t id = kFirst + static_cast<uint32_t>(random.Uniform(100));
    sent[side].emplace_back(id, payload);
    const bool queued =
        random.OneIn(2) ? link->Send(id, payload) : link->SendOwned(id, net::OwnedBytes::Of(std::string(payload)));
    CHECK(queued);
  };
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{70'000}, Small().frame_bytes_max - LengthCodec::kHeadBytes}) {
    send(0, std::string(bytes, static_cast<char>('a' + bytes % 26)));
    send(1, std::string(bytes, static_cast<char>('A' + bytes % 26)));
  }
  for (int i = 0; i < 400; i++) send(i % 2, std::string(random.Uniform(300), static_cast<char>(random.Next())));
  REQUIRE(world.RunUntil([&] {
    return pair.at_acceptor.frames.size() == sent[0].size() && pair.at_dialer.frames.size() == sent[1].size();
  }));
  CHECK(pair.at_acceptor.frames == sent[0]);
  CHECK(pair.at_dialer.frames == sent[1]);
  CHECK(pair.dialer->output_bytes() == 0);
  CHECK(pair.acceptor->input_bytes() == 0);
}

TEST_CASE("a hello that is refused ends the link at both ends, with the reason") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2, 3));
  const bool acceptor_refuses = GENERATE(true, false);
  LinkPair pair(&world);
  RecordingLink& refusing = acceptor_refuses ? pair.at_acceptor : pair.at_dialer;
  RecordingLink& refused = acceptor_refuses ? pair.at_dialer : pair.at_acceptor;
  refusing.verdict = absl::FailedPreconditionError("of another cluster\n");
  pair.Connect();
  REQUIRE(world.RunUntil([&] { return refusing.down() && refused.down(); }));
  CHECK(refusing.events == std::vector<std::string>{"hello", "down"});
  CHECK(refusing.ends[0].cause == Cause::kRefusedHere);
  CHECK(refused.ends[0].cause == Cause::kRefusedByPeer);
  CHECK(refused.ends[0].reason == "of another cluster\\n");
  CHECK_FALSE(refused.Saw("up"));
  CHECK_FALSE(pair.dialer->up());
}

TEST_CASE("what is no handshake is told so and ended") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  LinkPair pair(&world);
  Stranger stranger(&world, &pair);
  std::string header;  // of a hello that is too long: the rest need not come
  base::PutFixed32(&header, 5000);
  base::PutFixed32(&header, kHello);
  const std::string said = GENERATE_COPY(std::string("GET / HTTP/1.1\r\n\r\n"), header, LengthFrame(kFirst, "data"),
                                         LengthFrame(kAccept, ""), LengthFrame(0, "zero"),
                                         LengthFrame(kHello, "a") + LengthFrame(kHello, "b"),
                                         LengthFrame(kHello, "a") + LengthFrame(kFirst, "early"));
  stranger.end.Send(said);
  REQUIRE(world.RunUntil([&] { return stranger.end.ended || stranger.end.broken; }));
  REQUIRE(pair.at_acceptor.down());
  CHECK(pair.at_acceptor.ends[0].cause == Cause::kMalformed);
  CHECK_FALSE(pair.at_acceptor.Saw("up"));
  CHECK_FALSE(pair.at_acceptor.Saw("frame"));
  // The last thing that it reads is a refusal.
  const std::string refusals[] = {LengthFrame(kRefuse, "not a frame of this protocol, or too long"),
                                  LengthFrame(kRefuse, "an unexpected message")};
  CHECK(std::any_of(std::begin(refusals), std::end(refusals), [&](const std::string& refusal) {
    return stranger.end.received.size() >= refusal.size() &&
           stranger.end.received.compare(stranger.end.received.size() - refusal.size(), refusal.size(), refusal) == 0;
  }));
}

TEST_CASE("a frame that is too long, or of the handshake, ends a link that is up") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  LinkPair pair(&world, {}, Small());
  Stranger stranger(&world, &pair);
  stranger.end.Send(LengthFrame(kHello, "hello") + LengthFrame(kAccept, "") + LengthFrame(kFirst, "one"));
  REQUIRE(world.RunUntil([&] { return pair.at_acceptor.frames.size() == 1; }));
  const bool too_long = GENERATE(true, false);
  std::string header;
  base::PutFixed32(&header, 400'000);
  base::PutFixed32(&header, kFirst);
  stranger.end.Send(too_long ? header : LengthFrame(kHello, "again"));
  REQUIRE(world.RunUntil([&] { return pair.at_acceptor.down() && stranger.end.ended; }));
  CHECK(pair.at_acceptor.ends[0].cause == Cause::kMalformed);
}

TEST_CASE("a peer that connects or accepts and says nothing is given up in time") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  const bool silent_dialer = GENERATE(true, false);
  LinkPair pair(&world);
  RecordingListener silent;
  RecordingLink& waiting = silent_dialer ? pair.at_acceptor : pair.at_dialer;
  std::unique_ptr<Stranger> stranger;
  if (silent_dialer) {
    stranger = std::make_unique<Stranger>(&world, &pair);
    // Bytes that never become a hello change nothing.
    stranger->end.Send(std::string(3, 'x'));
  } else {
    REQUIRE_OK(silent.Listen(world.serving_loop.get(), world.Anywhere()));
    REQUIRE_OK(pair.dialer->Connect(silent.address()));
    REQUIRE(world.RunUntil([&] { return silent.ends.size() == 1 && !silent.ends[0]->received.empty(); }));
  }
  world.RunFor(2 * kSecond);
  CHECK_FALSE(waiting.down());
  world.RunFor(2 * kSecond);
  REQUIRE(waiting.down());
  CHECK(waiting.ends[0].cause == Cause::kTimedOut);
  CHECK(waiting.ends[0].reason == "no hello in time");
}

TEST_CASE("a peer that speaks TLS is known as one at once, whichever side it is") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  LinkPair pair(&world);
  RecordingListener tls;
  std::unique_ptr<Stranger> stranger;
  const bool dials = GENERATE(true, false);
  RecordingLink& link = dials ? pair.at_acceptor : pair.at_dialer;
  if (dials) {
    stranger = std::make_unique<Stranger>(&world, &pair);
    stranger->end.Send("\x16\x03\x01");
  } else {
    REQUIRE_OK(tls.Listen(world.serving_loop.get(), world.Anywhere()));
    REQUIRE_OK(pair.dialer->Connect(tls.address()));
    REQUIRE(world.RunUntil([&] { return tls.ends.size() == 1 && !tls.ends[0]->received.empty(); }));
    tls.ends[0]->Send(std::string("\x15\x03\x01\x00\x02\x02\x46", 7));
  }
  REQUIRE(world.RunUntil([&] { return link.down(); }));
  CHECK(link.ends[0].cause == Cause::kInsecure);
  CHECK(net::ToString(link.ends[0]) == "TLS failed: the peer speaks TLS, and this side does not");
}

TEST_CASE("a connection to nobody fails, and one that is not made in time") {
  SECTION("nobody") {
    LinkWorld world(GENERATE(kSockets, kPollSockets, 1));
    LinkPair pair(&world);
    REQUIRE_OK(pair.dialer->Connect(world.Nowhere()));
    REQUIRE(world.RunUntil([&] { return pair.at_dialer.down(); }));
    CHECK(pair.at_dialer.ends[0].cause == Cause::kUnreachable);
  }
  SECTION("too late") {
    LinkWorld world(1, {.delay_nanos_min = 4 * kSecond, .delay_nanos_max = 5 * kSecond});
    LinkPair pair(&world);
    pair.Connect();
    REQUIRE(world.RunUntil([&] { return pair.at_dialer.down(); }));
    CHECK(pair.at_dialer.ends[0].cause == Cause::kTimedOut);
    CHECK(pair.at_dialer.ends[0].reason == "no connection in time");
    CHECK(world.now_nanos() >= 3 * kSecond);
    CHECK(world.now_nanos() < 4 * kSecond);
  }
  SECTION("no address") {
    LinkWorld world(GENERATE(kSockets, kPollSockets, 1));
    LinkPair pair(&world);
    CHECK_CODE(pair.dialer->Connect("nonsense"), kInvalidArgument);
    CHECK(pair.at_dialer.events.empty());
  }
}

TEST_CASE("an idle link ends, unless its peer says something or is not listened to") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  net::LinkOptions patient;
  patient.idle_timeout_nanos = net::kNoTimeout;
  LinkPair pair(&world, {}, patient);
  pair.ConnectUp();
  for (int i = 1; i <= 5; i++) {
    world.RunFor(6 * kSecond);
    REQUIRE(pair.acceptor->Send(kFirst, "here"));
    const auto count = static_cast<size_t>(i);
    REQUIRE(world.RunUntil([&] { return pair.at_dialer.frames.size() == count; }));
  }
  pair.dialer->SetReading(false);
  world.RunFor(60 * kSecond);
  CHECK_FALSE(pair.at_dialer.down());
  pair.dialer->SetReading(true);
  world.RunFor(9 * kSecond);
  CHECK_FALSE(pair.at_dialer.down());
  world.RunFor(11 * kSecond);
  REQUIRE(pair.at_dialer.down());
  CHECK(pair.at_dialer.ends[0].cause == Cause::kTimedOut);
  CHECK(pair.at_dialer.ends[0].reason == "nothing heard for too long");
}

TEST_CASE("a slow reader makes its peer unwritable, in bounded memory, and writable again") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2, 3));
  net::LinkOptions patient = Small();
  patient.idle_timeout_nanos = patient.output_timeout_nanos = net::kNoTimeout;
  LinkPair pair(&world, patient, patient);
  pair.ConnectUp();
  pair.acceptor->SetReading(false);
  const std::string payload(100'000, 'p');
  uint32_t sent = 0;
  // Until neither socket nor queue takes more.
  for (int idle = 0; idle < 20;) {
    idle++;
    while (pair.dialer->Send(kFirst + sent, payload)) {
      sent++;
      idle = 0;
    }
    CHECK(pair.dialer->output_bytes() <= Small().output_bytes_high + Small().frame_bytes_max);
    world.RunUntil([turns = 0]() mutable { return ++turns > 5; });
  }
  CHECK_FALSE(pair.dialer->writable());
  const auto told_writable = [&] {
    return std::count(pair.at_dialer.events.begin(), pair.at_dialer.events.end(), "writable");
  };
  const auto told_before = told_writable();
  CHECK(pair.acceptor->input_bytes() <= Small().frame_bytes_max + net::LinkHost::kReadBytes);
  pair.acceptor->SetReading(true);
  REQUIRE(world.RunUntil([&] { return pair.at_acceptor.frames.size() == sent; }));
  CHECK(told_writable() == told_before + 1);
  CHECK(pair.dialer->writable());
  for (uint32_t i = 0; i < sent; i++) REQUIRE(pair.at_acceptor.frames[i].first == kFirst + i);
}

TEST_CASE("a peer that takes nothing of what waits for it is given up") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  net::LinkOptions options = Small();
  options.idle_timeout_nanos = net::kNoTimeout;
  LinkPair pair(&world, options, options);
  pair.ConnectUp();
  // Nothing waits: no hurry.
  world.RunFor(30 * kSecond);
  REQUIRE(pair.dialer->up());
  pair.acceptor->SetReading(false);
  for (int idle = 0; idle < 20; idle++) {
    while (pair.dialer->Send(kFirst, std::string(300'000, 'p'))) idle = 0;
    world.RunUntil([turns = 0]() mutable { return ++turns > 5; });
  }
  world.RunFor(21 * kSecond);
  REQUIRE(pair.at_dialer.down());
  CHECK(pair.at_dialer.ends[0].reason == "the peer takes nothing");
}

TEST_CASE("a link that is closed says all it had to say, and why") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2, 3));
  LinkPair pair(&world);
  pair.ConnectUp();
  for (uint32_t i = 0; i < 50; i++) REQUIRE(pair.dialer->Send(kFirst + i, std::string(1000, 'x')));
  // What comes the other way is read to nowhere.
  REQUIRE(pair.acceptor->Send(kFirst, std::string(100'000, 'y')));
  const size_t events = pair.at_dialer.events.size();
  pair.dialer->Close(std::string(1000, '\n'));
  CHECK_FALSE(pair.dialer->up());
  CHECK_FALSE(pair.dialer->Send(kFirst, "late"));
  pair.dialer->Close("twice");
  REQUIRE(world.RunUntil([&] { return pair.at_acceptor.down(); }));
  CHECK(pair.at_dialer.events.size() == events);
  CHECK(pair.at_acceptor.frames.size() == 50);
  CHECK(pair.at_acceptor.ends[0].cause == Cause::kClosedByPeer);
  // Cut by the side that says it, escaped by the side that is told.
  CHECK(pair.at_acceptor.ends[0].reason.size() == 2 * net::FrameLink::kReasonBytesMax);
  REQUIRE(world.RunUntil([&] { return world.dialing.leaving() == 0; }));
}

TEST_CASE("an acceptor that closes before it saw the accept still tells its reason") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2, 3));
  LinkPair pair(&world);
  // The dialer is up, and the accept on its way.
  pair.at_dialer.then = [&](std::string_view event) {
    if (event == "up") pair.acceptor->Close("not now");
  };
  pair.Connect();
  REQUIRE(world.RunUntil([&] { return pair.at_dialer.down(); }));
  CHECK(pair.at_dialer.ends[0].cause == Cause::kClosedByPeer);
  CHECK(pair.at_dialer.ends[0].reason == "not now");
}

TEST_CASE("a link that breaks is lost at both ends, once") {
  LinkWorld world(GENERATE(1, 2, 3));
  LinkPair pair(&world);
  pair.ConnectUp();
  REQUIRE(pair.dialer->Send(kFirst, "in flight"));
  world.network()->BreakAll();
  REQUIRE(world.RunUntil([&] { return pair.at_dialer.down() && pair.at_acceptor.down(); }));
  world.RunFor(kSecond);
  CHECK(pair.at_dialer.ends.size() == 1);
  CHECK(pair.at_dialer.ends[0].cause == Cause::kLost);
  CHECK(pair.at_acceptor.ends[0].cause == Cause::kLost);
}

TEST_CASE("a link whose other end is destroyed is lost") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  LinkPair pair(&world);
  const bool early = GENERATE(true, false);
  if (early) {
    pair.at_acceptor.then = [&](std::string_view) { pair.acceptor.reset(); };
    pair.Connect();
  } else {
    pair.ConnectUp();
    pair.acceptor.reset();
  }
  REQUIRE(world.RunUntil([&] { return pair.at_dialer.down(); }));
  CHECK(pair.at_dialer.ends[0].cause == Cause::kLost);
  CHECK(pair.at_dialer.Saw("up") == !early);
}

TEST_CASE("a handler may destroy its link, or close it, inside every callback") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  const std::string when = GENERATE("hello", "up", "frame", "writable", "down");
  const bool dialer_does = GENERATE(true, false);
  const bool close = GENERATE(true, false);
  net::LinkOptions options = Small();
  LinkPair pair(&world, options, options);
  RecordingLink& recording = dialer_does ? pair.at_dialer : pair.at_acceptor;
  std::unique_ptr<net::FrameLink>& link = dialer_does ? pair.dialer : pair.acceptor;
  std::unique_ptr<net::FrameLink>& other = dialer_does ? pair.acceptor : pair.dialer;
  bool done = false;
  recording.then = [&](std::string_view event) {
    if (event == "up" && when == "writable") {
      while (link->Send(kFirst, std::string(100'000, 'w'))) {
      }
    }
    if (event != when) return;
    done = true;
    close ? link->Close("enough") : link.reset();
  };
  pair.Connect();
  bool said = false;
  REQUIRE(world.RunUntil([&] {
    if (!said && other != nullptr && other->up() && (when == "frame" || when == "down")) {
      said = true;
      // Several in one read: none but the first is told.
      for (int i = 0; i < 3; i++) other->Send(kFirst, "x");
      if (when == "down") other->Close("that is all");
    }
    return done;
  }));
  world.RunFor(kSecond);
  CHECK(recording.events.back() == when);
  if (when == "frame") CHECK(recording.frames.size() == 1);
}

TEST_CASE("no frame comes while reading is off, and none is lost") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2, 3));
  LinkPair pair(&world);
  pair.ConnectUp();
  // Off after each frame, on again only from outside.
  pair.at_acceptor.then = [&](std::string_view event) {
    if (event == "frame") pair.acceptor->SetReading(false);
  };
  for (uint32_t i = 0; i < 20; i++) REQUIRE(pair.dialer->Send(kFirst + i, std::string(i * 100, 'f')));
  for (size_t i = 1; i <= 20; i++) {
    REQUIRE(world.RunUntil([&] { return pair.at_acceptor.frames.size() >= i; }));
    world.RunFor(10 * kMillis);
    REQUIRE(pair.at_acceptor.frames.size() == i);
    REQUIRE(pair.at_acceptor.frames.back().first == kFirst + i - 1);
    pair.acceptor->SetReading(true);
  }
  world.RunFor(10 * kMillis);
  CHECK(pair.acceptor->input_bytes() == 0);
}

TEST_CASE("a handler that takes one frame at a time gathers no input") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2, 3));
  net::LinkOptions options;
  options.frame_bytes_max = 20'000;
  LinkPair pair(&world, {}, options);
  pair.ConnectUp();
  pair.at_acceptor.then = [&](std::string_view event) {
    if (event == "frame") pair.acceptor->SetReading(false);
  };
  constexpr size_t kFrames = 200;
  for (size_t i = 0; i < kFrames; i++) REQUIRE(pair.dialer->Send(kFirst, std::string(10'000, 'f')));
  REQUIRE(world.RunUntil([&] {
    REQUIRE(pair.acceptor->input_bytes() <= options.frame_bytes_max + net::LinkHost::kReadBytes);
    pair.acceptor->SetReading(true);
    return pair.at_acceptor.frames.size() == kFrames;
  }));
}

TEST_CASE("a link may change its handler in the middle") {
  LinkWorld world(GENERATE(kSockets, kPollSockets, 1, 2));
  LinkPair pair(&world);
  RecordingLink heir;
  pair.at_acceptor.then = [&](std::string_view event) {
    if (event == "up") pair.acceptor->SetHandler(&heir);
  };
  pair.at_dialer.then = [&](std::string_view event) {
    if (event == "up") CHECK(pair.dialer->Send(kFirst, "with the accept"));
  };
  pair.Connect();
  REQUIRE(world.RunUntil([&] { return heir.frames.size() == 1; }));
  CHECK(pair.at_acceptor.frames.empty());
}

}  // namespace bandb::test
