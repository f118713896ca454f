#include "base/stream_logger.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

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

TEST_CASE("a pipe that nobody reads is refused, and one that is read gets whole lines, however slowly") {
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
  // More than a pipe holds: a writer waits for the reader.
  constexpr size_t kLines = 40;
  const std::string text(4000, 'x');
  std::thread writer([&] {
    for (size_t i = 0; i < kLines; ++i) (*logger)->Write(LogLevel::kInfo, text);
  });
  REQUIRE(::fcntl(reader, F_SETFL, 0) == 0);
  std::string got;
  std::string piece(1 << 16, '\0');
  size_t lines = 0;
  while (lines < kLines) {
    const ssize_t bytes = ::read(reader, piece.data(), piece.size());
    REQUIRE(bytes > 0);
    got.append(piece, 0, static_cast<size_t>(bytes));
    lines = static_cast<size_t>(std::count(got.begin(), got.end(), '\n'));
  }
  writer.join();
  CHECK((*logger)->dropped_lines() == 0);
  REQUIRE_OK((*logger)->Reopen());
  ::close(reader);
  CHECK_CODE((*logger)->Reopen(), kFailedPrecondition);
}

}  // namespace bandb::base
