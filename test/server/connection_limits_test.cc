// What a server bears: too many, too much, too slow.
#include <sys/resource.h>
#include <unistd.h>

#include <string>

#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

// Resident memory of this process, which holds server and clients. Sanitizers keep what was freed,
// so under them there is nothing to measure.
int64_t ResidentBytes() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 0;
#endif
  FILE* file = std::fopen("/proc/self/statm", "r");
  REQUIRE(file != nullptr);
  long pages = 0, resident = 0;
  REQUIRE(std::fscanf(file, "%ld %ld", &pages, &resident) == 2);
  std::fclose(file);
  return int64_t{resident} * ::sysconf(_SC_PAGESIZE);
}

}  // namespace

TEST_CASE("a connection over the limit gets an error frame and is closed, and room is made by leaving") {
  ServerOptions options;
  options.connections_max = 2;
  ServerFixture fixture(options);
  WireClient one(fixture.address());
  CHECK(one.Ask(PutFrame("a", "1")) == OkReply());
  {
    WireClient two(fixture.address());
    CHECK(two.Ask(PutFrame("a", "2")) == OkReply());
    for (int i = 0; i < 5; i++) {
      WireClient three(fixture.address());
      // Its request was on the way already; the error still arrives.
      three.Send(PutFrame("a", "3"));
      const auto reply = three.Receive();
      REQUIRE(reply.has_value());
      CHECK(reply->code == ToCode(proto::ErrorCode::kTooManyConnections));
      CHECK(three.SeesEnd());
    }
    CHECK(two.Ask(GetFrame("a")) == ValueReply("2"));
  }
  CHECK(fixture.server->Stats().connections_refused == 5);
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().connections_open == 1; }));
  WireClient four(fixture.address());
  CHECK(four.Ask(GetFrame("a")) == ValueReply("2"));
}

TEST_CASE("hundreds of connections over the limit at once are all closed, and nobody else suffers") {
  ServerOptions options;
  options.connections_max = 1;
  ServerFixture fixture(options);
  WireClient witness(fixture.address());
  CHECK(witness.Ask(PutFrame("a", "1")) == OkReply());
  std::vector<std::unique_ptr<WireClient>> crowd;
  for (int i = 0; i < 300; i++) crowd.push_back(std::make_unique<WireClient>(fixture.address()));
  CHECK(witness.Ask(GetFrame("a")) == ValueReply("1"));
  for (const auto& client : crowd) {
    // Either the error and the end, or, in a crowd, just the end.
    client->Receive();
    CHECK(client->SeesEnd());
  }
}

TEST_CASE("replies that nobody reads are bounded, and the connection is closed when its time has passed") {
  ServerOptions options;
  options.output_bytes_max = 1 << 20;
  options.unread_timeout = absl::Milliseconds(300);
  ServerFixture fixture(options);
  REQUIRE_OK(fixture.store.Put("large", std::string(1 << 20, 'L')));
  WireClient witness(fixture.address());
  REQUIRE(witness.Ask(GetFrame("none")).has_value());
  const int64_t before = ResidentBytes();
  WireClient greedy(fixture.address());
  std::string asking;
  for (int i = 0; i < 500; i++) asking += GetFrame("large");
  REQUIRE(greedy.Send(asking));
  int64_t peak = 0;
  REQUIRE(fixture.Eventually([&] {
    const ServerStats stats = fixture.server->Stats();
    peak = std::max(peak, static_cast<int64_t>(stats.memory_bytes));
    return stats.connections_timed_out == 1;
  }));
  CHECK(peak < 4 << 20);
  CHECK(ResidentBytes() - before < 32 << 20);
  CHECK(witness.Ask(GetFrame("none")).has_value());
  CHECK(fixture.server->Stats().pauses > 0);
  CHECK(fixture.server->Stats().memory_bytes < 100000);
}

TEST_CASE("a client that takes its replies slowly gets all of them") {
  ServerOptions options;
  options.output_bytes_max = 64 << 10;
  ServerFixture fixture(options);
  REQUIRE_OK(fixture.store.Put("k", std::string(200000, 'v')));
  WireClient client(fixture.address());
  std::string asking;
  for (int i = 0; i < 200; i++) asking += GetFrame("k");
  REQUIRE(client.Send(asking));
  const auto replies = client.ReceiveMany(200);
  REQUIRE(replies.size() == 200);
  CHECK(std::all_of(replies.begin(), replies.end(), [](const OwnedReply& r) { return r.body.size() == 200004; }));
}

TEST_CASE("requests in flight are bounded by number and by bytes, and all are answered in the end") {
  ServerOptions options;
  options.in_flight_requests_max = 10;
  options.in_flight_bytes_max = 100 << 10;
  ServerFixture fixture(options);
  fixture.store.SetHolding(true);
  WireClient many(fixture.address()), large(fixture.address());
  std::string small_frames, large_frames;
  for (int i = 0; i < 100; i++) small_frames += PutFrame("small" + std::to_string(i), "v");
  for (int i = 0; i < 20; i++) large_frames += PutFrame("large" + std::to_string(i), std::string(50 << 10, 'v'));
  REQUIRE(many.Send(small_frames));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 10; }));
  CHECK(many.StaysSilent(30));
  CHECK(fixture.server->Stats().in_flight == 10);
  REQUIRE(large.Send(large_frames));
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().pauses == 2; }));
  CHECK(fixture.server->Stats().in_flight == 12);
  fixture.store.SetHolding(false);
  CHECK(many.ReceiveMany(100).size() == 100);
  CHECK(large.ReceiveMany(20).size() == 20);
  CHECK(fixture.store.size() == 120);
}

TEST_CASE("when memory is short large frames are answered overloaded, and nobody is closed") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  options.frame_bytes_max = 4 << 20;
  options.memory_bytes_max = 16 << 20;
  ServerFixture fixture(options);
  WireClient witness(fixture.address());
  REQUIRE(witness.Ask(PutFrame("a", "1")) == OkReply());
  // Each begins a frame of the largest size and does not end it.
  std::vector<std::unique_ptr<WireClient>> hoarders;
  const std::string frame = PutFrame("k", std::string((4 << 20) - 9, 'v'));
  for (int i = 0; i < 10; i++) {
    hoarders.push_back(std::make_unique<WireClient>(fixture.address()));
    REQUIRE(hoarders.back()->Send(frame.substr(0, 4 << 20)));
  }
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().overloaded >= 7; }));
  CHECK(fixture.server->Stats().memory_bytes <= 16 << 20);
  CHECK(witness.Ask(GetFrame("a")) == ValueReply("1"));
  CHECK(witness.Ask(PutFrame("a", "2")) == OkReply());
  int stored = 0;
  for (const auto& hoarder : hoarders) {
    REQUIRE(hoarder->Send(frame.substr(4 << 20) + GetFrame("a")));
    const auto reply = hoarder->Receive();
    REQUIRE(reply.has_value());
    CHECK((reply->ok || reply->code == ToCode(proto::ErrorCode::kOverloaded)));
    if (reply->ok) stored++;
    CHECK(hoarder->Receive() == ValueReply("2"));
  }
  CHECK(stored > 0);
  CHECK(fixture.server->Stats().connections_evicted == 0);
}

TEST_CASE("writes of clients that vanished count until they are done, and are bounded") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  options.frame_bytes_max = 1 << 20;
  options.memory_bytes_max = 8 << 20;
  options.stall_timeout = absl::Milliseconds(50);
  ServerFixture fixture(options);
  fixture.store.SetHolding(true);
  // A reply that is not read makes the end of a connection a reset.
  const std::string frames = GetFrame("unread") + PutFrame("k", std::string(500 << 10, 'v'));
  for (int i = 0; i < 40; i++) {
    WireClient client(fixture.address());
    client.Send(frames);
    const uint64_t read = static_cast<uint64_t>(i + 1) * frames.size();
    REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().bytes_read >= read; }));
  }
  REQUIRE(fixture.Eventually([&] {
    const ServerStats now = fixture.server->Stats();
    return now.connections_open == 0 && now.overloaded > 0;
  }));
  const ServerStats stats = fixture.server->Stats();
  // What the store has, with each loop, and nothing that waited for it too long.
  CHECK(stats.memory_bytes > 1000 << 10);
  CHECK(stats.memory_bytes <= 8 << 20);
  fixture.store.SetHolding(false);
  CHECK(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes < 10000; }));
}

TEST_CASE("scans count by what they produced, and readers of one value count it once") {
  ServerOptions options;
  options.loops = GENERATE(1, 4);
  options.memory_bytes_max = 64 << 20;
  // The last ones are read late.
  options.unread_timeout = absl::InfiniteDuration();
  ServerFixture fixture(options);
  const std::string large(15 << 20, 'L');
  REQUIRE_OK(fixture.store.Put("large", large));
  std::vector<std::unique_ptr<WireClient>> clients;
  for (int i = 0; i < 40; i++) clients.push_back(std::make_unique<WireClient>(fixture.address()));
  SECTION("scans") {
    fixture.store.SetHolding(true);
    std::string scan;
    proto::AppendScan(&scan, {.bytes_max = 16 << 20, .begin = "a", .limit = "b"});
    for (const auto& client : clients) REQUIRE(client->Send(scan));
    REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().in_flight == 40; }));
    CHECK(fixture.server->Stats().memory_bytes < 100000);
    fixture.store.SetHolding(false);
    for (const auto& client : clients) CHECK(client->Receive()->ok);
  }
  SECTION("readers") {
    for (const auto& client : clients) REQUIRE(client->Send(GetFrame("large")));
    REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().replies == 40; }));
    CHECK(fixture.server->Stats().memory_bytes < 16 << 20);
    for (const auto& client : clients) CHECK(client->Receive() == ValueReply(large));
    CHECK(fixture.Eventually([&] { return fixture.server->Stats().memory_bytes < 200000; }));
  }
  CHECK(fixture.server->Stats().connections_evicted == 0);
  CHECK(fixture.server->Stats().overloaded == 0);
}

TEST_CASE("a frame header that announces much allocates nothing") {
  ServerFixture fixture;
  WireClient witness(fixture.address());
  REQUIRE(witness.Ask(GetFrame("a")).has_value());
  const int64_t before = ResidentBytes();
  // 15 MiB of payload, of which the first twelve bytes follow.
  const std::string begun("\0\0\xf0\0\x01\0\0\0\x01\0\0\0\xf7\xff\xef\0kvvv", 20);
  std::vector<std::unique_ptr<WireClient>> clients;
  for (int i = 0; i < 100; i++) {
    clients.push_back(std::make_unique<WireClient>(fixture.address()));
    REQUIRE(clients.back()->Send(begun));
  }
  REQUIRE(fixture.Eventually([&] { return fixture.server->Stats().bytes_read == 2000 + GetFrame("a").size(); }));
  CHECK(fixture.server->Stats().memory_bytes < 100 * 1024);
  CHECK(ResidentBytes() - before < 16 << 20);
}

TEST_CASE("a frame that is not completed in time is answered so, and its connection closed") {
  ServerOptions options;
  options.frame_timeout = absl::Milliseconds(200);
  ServerFixture fixture(options);
  WireClient witness(fixture.address()), slow(fixture.address());
  REQUIRE(slow.Send(PutFrame("k", "v").substr(0, 10)));
  const auto reply = slow.Receive();
  REQUIRE(reply.has_value());
  CHECK(reply->code == ToCode(proto::ErrorCode::kTimedOut));
  CHECK(slow.SeesEnd());
  CHECK(fixture.server->Stats().connections_timed_out == 1);
  CHECK(witness.Ask(GetFrame("a")).has_value());
}

TEST_CASE("a connection without a request is closed when the idle timeout has passed") {
  ServerOptions options;
  options.idle_timeout = absl::Milliseconds(200);
  ServerFixture fixture(options);
  WireClient silent(fixture.address());
  CHECK(silent.SeesEnd());
  CHECK(fixture.server->Stats().connections_timed_out == 1);
}

TEST_CASE("out of descriptors, those who wait are turned away, those inside are served, and it recovers") {
  ServerFixture fixture;
  WireClient inside(fixture.address());
  REQUIRE(inside.Ask(PutFrame("a", "1")) == OkReply());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  // Room for one descriptor more, which the next client takes, so that the server finds none for
  // it.
  const int next = ::dup(0);
  REQUIRE(next >= 0);
  ::close(next);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(next) + 1;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  for (int i = 0; i < 5; i++) {
    WireClient outside(fixture.address());
    REQUIRE(outside.connected());
    CHECK(outside.SeesEnd());
    CHECK(inside.Ask(GetFrame("a")) == ValueReply("1"));
  }
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(fixture.server->Stats().accept_failures >= 5);
  WireClient later(fixture.address());
  CHECK(later.Ask(GetFrame("a")) == ValueReply("1"));
}

TEST_CASE("what the store answers reaches the client with its code and message") {
  ServerOptions options;
  options.reads_inline = GENERATE(true, false);
  ServerFixture fixture(options);
  WireClient client(fixture.address());
  for (const absl::Status& status :
       {absl::DataLossError("000007.table at 4096"), absl::ResourceExhaustedError("disk full"),
        absl::FailedPreconditionError("closed"), absl::UnknownError("outcome unknown")}) {
    fixture.store.FailWritesWith(status);
    fixture.store.FailReadsWith(status);
    const OwnedReply expected{false, {}, proto::ToCode(status.code()), std::string(status.message())};
    CHECK(client.Ask(PutFrame("a", "1")) == expected);
    CHECK(client.Ask(GetFrame("a")) == expected);
  }
}

}  // namespace bandb::test
