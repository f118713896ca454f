// What `bandb top` makes of the figures of a server.
#include "top_frame.h"

#include <algorithm>
#include <string>

#include "latency_command.h"
#include "support/catch.h"

namespace bandb::cli {
namespace {

bool Has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

Figures Parsed(std::string_view text) {
  absl::StatusOr<Figures> figures = ParseFigures(text);
  REQUIRE(figures.ok());
  return *std::move(figures);
}

}  // namespace

TEST_CASE("lines of figures are taken apart, unknown ones passed over, and malformed histograms refused") {
  const Figures figures = Parsed(
      "version 1.2 beta\nserver.replies 17\nodd\nserver.text x\nstore.x 18446744073709551615\n"
      "request.redis.get 106 100 2:2 40:1\nhook.before_put_1 0 0\nsome.thing new 1 2\n");
  CHECK(figures.version == "1.2 beta");
  CHECK(figures.Number("server.replies") == 17);
  CHECK(figures.Number("store.x") == UINT64_MAX);
  CHECK(figures.Number("server.text") == 0);
  CHECK(figures.Number("nothing") == 0);
  const LatencyHistogram& get = figures.histograms.at("request.redis.get");
  CHECK(get.count() == 3);
  CHECK(get.CountIn(2) == 2);
  CHECK(get.CountIn(40) == 1);
  CHECK(get.sum() == absl::Nanoseconds(106));
  CHECK(get.max() == absl::Nanoseconds(100));
  CHECK(figures.histograms.at("hook.before_put_1").count() == 0);
  for (const char* line : {"request.a ", "request.a 1", "request.a 1 2 3", "request.a 1 2 3:", "request.a 1 2 x:1",
                           "request.a 1 2 544:1", "hook.a 1 -2"}) {
    CAPTURE(line);
    CHECK(absl::IsDataLoss(ParseFigures(line).status()));
  }
}

TEST_CASE("durations have three digits and the unit that fits") {
  CHECK(ShowDuration(absl::ZeroDuration()) == "0 ns");
  CHECK(ShowDuration(absl::Nanoseconds(999)) == "999 ns");
  CHECK(ShowDuration(absl::Nanoseconds(1000)) == "1.00 us");
  CHECK(ShowDuration(absl::Nanoseconds(12'345)) == "12.3 us");
  CHECK(ShowDuration(absl::Nanoseconds(999'600)) == "1.00 ms");
  CHECK(ShowDuration(absl::Milliseconds(123)) == "123 ms");
  CHECK(ShowDuration(absl::Seconds(137)) == "137 s");
}

TEST_CASE("a frame has the rates between two states") {
  TopInput input;
  input.address = "127.0.0.1:8080";
  input.now_seconds = 1000 + 93'784;
  input.seconds = 2;
  input.before =
      Parsed("start_seconds 1000\nserver.frames_read 100\nserver.read_bytes 0\nrequest.bandb.get 10 10 9:5\n");
  input.now = Parsed(
      "version 1.2\nstart_seconds 1000\nserver.frames_read 5100\nserver.connections_open 3\nserver.read_bytes 4096\n"
      "store.memory_bytes 1048576\nstore.stall_micros 500000\nstore.level.0.tables 2\nstore.level.0.bytes 1024\n"
      "store.level.1.tables 8\nstore.level.1.bytes 2048\nstore.level.2.tables 0\nstore.level.2.bytes 0\n"
      "request.bandb.get 2000010 1000000 9:5 175:2\nrequest.bandb.put 0 0\n");
  input.members = "NAME  ID\na     1";
  const std::string frame = TopFrame(input, 200, 100);
  CHECK(frame.starts_with("bandb_server 1.2 at 127.0.0.1:8080, up 1d 02:03:04\n"));
  CHECK(Has(frame, "requests          2500/s"));
  CHECK(Has(frame, "connections          3 "));
  CHECK(Has(frame, "in 2 KiB/s"));
  CHECK(Has(frame, "stalled 25.0% of the time"));
  CHECK(Has(frame, "level 0     [##########          ] 1 KiB in 2 tables\n"));
  CHECK(Has(frame, "level 1     [####################] 2 KiB in 8 tables\n"));
  CHECK_FALSE(Has(frame, "level 2"));
  // Only the two that came in between, at one in a second.
  CHECK(Has(frame, "request.bandb.get                         2          1"));
  CHECK_FALSE(Has(frame, "request.bandb.put"));
  CHECK(frame.ends_with("MEMBERS\nNAME  ID\na     1\n"));
}

TEST_CASE("a first frame tells that its rates are since the start, and one without a store has none of its lines") {
  TopInput input;
  input.now_seconds = 110;
  input.now = Parsed("version 1\nstart_seconds 100\nserver.frames_read 50\n");
  const std::string frame = TopFrame(input, 200, 100);
  CHECK(Has(frame, "; rates since the start\n"));
  CHECK(Has(frame, "requests             5/s"));
  CHECK_FALSE(Has(frame, "store"));
  CHECK_FALSE(Has(frame, "LATENCY"));
}

TEST_CASE("a frame fits the screen: characters, not bytes, are counted, and the last lines go first") {
  TopInput input;
  input.now = Parsed("version 1\n");
  input.members.assign(50, 'x');
  input.members.append("\n\xc3\xa4\xc3\xb6\xc3\xbc").append(50, 'y');
  for (const size_t rows : {1, 5, 9, 100}) {
    const std::string frame = TopFrame(input, 10, rows);
    CHECK(static_cast<size_t>(std::count(frame.begin(), frame.end(), '\n')) <= rows);
  }
  CHECK(TopFrame(input, 10, 100).ends_with("\nMEMBERS\nxxxxxxxxxx\n\xc3\xa4\xc3\xb6\xc3\xbcyyyyyyy\n"));
  CHECK(TopFrame(input, 10, 1) == "bandb_serv\n");
}

}  // namespace bandb::cli
