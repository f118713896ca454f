#include "base/stream_logger.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "base/system_env.h"
#include "support/catch.h"
#include "support/manual_clock.h"
#include "support/temp_dir.h"

namespace bandb::base {

namespace {

std::string Content(const std::string& path) {
  PosixFileSystem files;
  return ReadFile(&files, path, 1 << 20).value();
}

}  // namespace

TEST_CASE("times are printed in UTC, to the millisecond") {
  CHECK(FormatUtc(0) == "1970-01-01T00:00:00.000Z");
  CHECK(FormatUtc(1'700'000'000'123) == "2023-11-14T22:13:20.123Z");
  CHECK(FormatUtc(951'782'399'999) == "2000-02-28T23:59:59.999Z");
  CHECK(FormatUtc(-1) == "1969-12-31T23:59:59.999Z");
}

TEST_CASE("lines carry time, level and message, and lines below the level are left out") {
  test::TempDir dir;
  test::ManualClock clock;
  {
    auto logger = StreamLogger::ToFile(dir.File("log"), &clock, {.level = LogLevel::kInfo});
    REQUIRE_OK(logger.status());
    (*logger)->Log(LogLevel::kDebug, "hidden {}", 1);
    (*logger)->Log(LogLevel::kInfo, "opened {} in {} ms", "/db", 12);
    (*logger)->Log(LogLevel::kError, "two\nlines \x1b[31m");
    CHECK_FALSE((*logger)->Enabled(LogLevel::kDebug));
  }
  CHECK(Content(dir.File("log")) ==
        "2023-11-14T22:13:21.000Z INFO opened /db in 12 ms\n"
        "2023-11-14T22:13:21.000Z ERROR two\\nlines \\x1b[31m\n");
}

TEST_CASE("JSON lines are valid JSON whatever the message, and are appended to what was there") {
  test::TempDir dir;
  test::ManualClock clock;
  for (const char* message : {"a \"quoted\" word", "bytes \xff and \\"}) {
    auto logger = StreamLogger::ToFile(dir.File("log"), &clock, {.json = true});
    REQUIRE_OK(logger.status());
    (*logger)->Write(LogLevel::kWarning, message);
  }
  CHECK(Content(dir.File("log")) ==
        "{\"time\":\"2023-11-14T22:13:21.000Z\",\"level\":\"warning\",\"message\":\"a \\\"quoted\\\" word\"}\n"
        "{\"time\":\"2023-11-14T22:13:21.000Z\",\"level\":\"warning\",\"message\":\"bytes \\\\xff and \\\\\\\\\"}\n");
}

TEST_CASE("a log that is reopened goes on in the file that has its path by now") {
  test::TempDir dir;
  test::ManualClock clock;
  auto logger = StreamLogger::ToFile(dir.File("log"), &clock);
  REQUIRE_OK(logger.status());
  (*logger)->Log(LogLevel::kInfo, "one");
  REQUIRE(std::rename(dir.File("log").c_str(), dir.File("moved").c_str()) == 0);
  (*logger)->Log(LogLevel::kInfo, "two");
  REQUIRE_OK((*logger)->Reopen());
  (*logger)->Log(LogLevel::kInfo, "three");
  CHECK(Content(dir.File("moved")) ==
        "2023-11-14T22:13:21.000Z INFO one\n"
        "2023-11-14T22:13:21.000Z INFO two\n");
  CHECK(Content(dir.File("log")) == "2023-11-14T22:13:21.000Z INFO three\n");
  // Where it cannot be opened nothing changes.
  REQUIRE(std::remove(dir.File("log").c_str()) == 0);
  REQUIRE(::mkdir(dir.File("log").c_str(), 0700) == 0);
  CHECK_FALSE((*logger)->Reopen().ok());
  (*logger)->Log(LogLevel::kInfo, "nowhere");
  CHECK((*logger)->dropped_lines() == 0);
  CHECK_OK(StreamLogger::ToStderr(&clock)->Reopen());
}

TEST_CASE("a file that cannot be opened is an error that names it, and a line that cannot be written is counted") {
  test::ManualClock clock;
  const absl::Status status = StreamLogger::ToFile("/nonexistent/log", &clock).status();
  CHECK_CODE(status, kNotFound);
  CHECK(Message(status).find("/nonexistent/log") != std::string_view::npos);
  auto full = StreamLogger::ToFile("/dev/full", &clock);
  REQUIRE_OK(full.status());
  (*full)->Log(LogLevel::kInfo, "lost");
  CHECK((*full)->dropped_lines() == 1);
}

TEST_CASE("lines of many threads do not mix") {
  test::TempDir dir;
  test::ManualClock clock;
  auto logger = StreamLogger::ToFile(dir.File("log"), &clock);
  REQUIRE_OK(logger.status());
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 100; ++j) (*logger)->Log(LogLevel::kInfo, "{}", std::string(100, static_cast<char>('a' + i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = Content(dir.File("log"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 800);
  const size_t line_length = text.find('\n') + 1;
  REQUIRE(text.size() == 800 * line_length);
  for (size_t at = 0; at < text.size(); at += line_length) {
    const std::string message = text.substr(at + line_length - 101, 100);
    CHECK(message == std::string(100, message[0]));
  }
}

TEST_CASE("the system environment has every part") {
  SystemEnv system({.threads = 1});
  const Env env = system.env();
  REQUIRE(env.files != nullptr);
  REQUIRE(env.clock != nullptr);
  REQUIRE(env.logger != nullptr);
  REQUIRE(env.random != nullptr);
  CHECK(env.files->Exists("/").value());
  CHECK_FALSE(env.logger->Enabled(LogLevel::kError));
  const int64_t before = env.clock->MonotonicNanos();
  CHECK(env.clock->MonotonicNanos() >= before);
  Event done;
  env.executor->Post(Priority::kNormal, [&] { done.Set(); });
  CHECK(env.executor->Wait(&done, kForever));
  system.Shutdown();
}

TEST_CASE("nobody waits for who reads a pipe: what has no room is dropped, and it is said how much that was") {
  test::TempDir dir;
  test::ManualClock clock;
  const std::string path = dir.File("pipe");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const absl::Status refused = StreamLogger::ToFile(path, &clock).status();
  REQUIRE_CODE(refused, kFailedPrecondition);
  CHECK(Message(refused).find("pipe that nobody reads") != std::string_view::npos);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
  REQUIRE(reader >= 0);
  auto logger = StreamLogger::ToFile(path, &clock);
  REQUIRE_OK(logger.status());
  const auto take = [reader] {
    std::string all;
    std::string piece(1 << 16, '\0');
    for (ssize_t bytes = 0; (bytes = ::read(reader, piece.data(), piece.size())) > 0;) {
      all.append(piece, 0, static_cast<size_t>(bytes));
    }
    return all;
  };
  // Of a line that is larger than a piece a part may have room.
  const size_t text_bytes = GENERATE(size_t{4000}, size_t{10'000});
  const std::string text(text_bytes, 'x');
  for (int time = 0; time < 3; ++time) {
    const uint64_t dropped_before = (*logger)->dropped_lines();
    size_t written = 0;
    // More than a pipe holds.
    for (; written < (2 << 20) / text_bytes; ++written) (*logger)->Write(LogLevel::kInfo, text);
    const uint64_t dropped = (*logger)->dropped_lines() - dropped_before;
    REQUIRE(dropped > 0);
    std::string got = take();
    (*logger)->Write(LogLevel::kInfo, "and goes on");
    got += take();
    CHECK(got.ends_with(absl::StrCat("WARNING ", dropped, " lines of this log had no room, and were dropped\n",
                                     "2023-11-14T22:13:21.000Z INFO and goes on\n")));
    // Whole lines, as many as were not dropped.
    const std::string line = absl::StrCat("2023-11-14T22:13:21.000Z INFO ", text, "\n");
    size_t lines = 0;
    while (got.substr(lines * line.size()).starts_with(line)) ++lines;
    CHECK(lines == written - dropped);
    CHECK((*logger)->dropped_lines() == dropped_before + dropped);
  }
  REQUIRE_OK((*logger)->Reopen());
  ::close(reader);
  CHECK_CODE((*logger)->Reopen(), kFailedPrecondition);
}

}  // namespace bandb::base
