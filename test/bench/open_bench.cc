// Measures how long Open takes after a process that died with a full write buffer. For people who
// change recovery; nothing checks the numbers.
//
//   open_bench DIR [megabytes] [value_bytes]
//
// A child writes so much into a database in DIR/open_bench that nothing of it was flushed, and
// kills itself; then the database is opened, three times over.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "bandb/db.h"
#include "base/clock.h"

namespace bandb {

namespace {

// A memtable is half of the write buffer, and holds a little less than its size in keys and values.
Options OptionsFor(uint64_t bytes) {
  Options options;
  options.write_buffer_bytes = bytes * 5 / 2;
  return options;
}

[[noreturn]] void WriteAndDie(const std::filesystem::path& dir, uint64_t bytes, size_t value_bytes) {
  absl::StatusOr<std::unique_ptr<Db>> db = Db::Open(dir, OptionsFor(bytes));
  if (!db.ok()) std::_Exit(1);
  const std::string value(value_bytes, 'v');
  for (uint64_t written = 0, i = 0; written < bytes; written += value.size() + 16, ++i) {
    if (!(*db)->Put(fmt::format("{:016}", i * 7919 % 100'000'000), value).ok()) std::_Exit(1);
  }
  std::raise(SIGKILL);
  std::_Exit(1);
}

int Run(const std::filesystem::path& dir, uint64_t bytes, size_t value_bytes) {
  base::SystemClock clock;
  for (int round = 0; round < 3; ++round) {
    std::filesystem::remove_all(dir);
    const pid_t child = ::fork();
    if (child < 0) return 1;
    if (child == 0) WriteAndDie(dir, bytes, value_bytes);
    int how = 0;
    if (::waitpid(child, &how, 0) != child || !WIFSIGNALED(how)) return 1;
    const int64_t begin = clock.MonotonicNanos();
    absl::StatusOr<std::unique_ptr<Db>> db = Db::Open(dir, OptionsFor(bytes));
    const int64_t nanos = clock.MonotonicNanos() - begin;
    if (!db.ok()) {
      fmt::print(stderr, "{}\n", db.status().ToString());
      return 1;
    }
    fmt::print("open: {:.3f} s, {} log records\n", static_cast<double>(nanos) / 1e9,
               (*db)->GetStats().recovered_log_records);
  }
  std::filesystem::remove_all(dir);
  return 0;
}

}  // namespace

}  // namespace bandb

int main(int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') {
    fmt::print(stderr, "usage: open_bench DIR [megabytes] [value_bytes]\n");
    return 2;
  }
  const uint64_t megabytes = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 64;
  const uint64_t value_bytes = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 100;
  return bandb::Run(std::filesystem::path(argv[1]) / "open_bench", megabytes << 20, value_bytes);
}
