#include "top_frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/escape.h"
#include "latency_command.h"
#include "units/units.h"

namespace bandb::cli {

namespace {

constexpr size_t kBarColumns = 20;

// Number of characters, of which one may be several bytes; the rest is cut off.
std::string Cut(std::string_view line, size_t columns) {
  std::string cut;
  for (size_t count = 0; !line.empty() && count < columns; ++count) {
    const size_t bytes = std::max<size_t>(1, base::Utf8CharacterLength(line));
    cut += line.substr(0, bytes);
    line.remove_prefix(bytes);
  }
  return cut;
}

class Frame {
 public:
  explicit Frame(const TopInput& input) : input_(input) {}

  std::vector<std::string> Lines() {
    Head();
    Server();
    Store();
    Levels();
    Table("LATENCY", ShowLatencies(Since(input_.now, input_.before), input_.seconds));
    Table("MEMBERS", input_.members);
    return std::move(lines_);
  }

 private:
  uint64_t Now(std::string_view name) const { return input_.now.Number(name); }
  double Rate(std::string_view name) const {
    const uint64_t now = Now(name);
    const uint64_t before = input_.before.Number(name);
    const double seconds = input_.seconds > 0 ? input_.seconds : static_cast<double>(std::max<int64_t>(1, Uptime()));
    return now <= before ? 0 : static_cast<double>(now - before) / seconds;
  }
  std::string Bytes(std::string_view name) const { return units::ShowSize(Rounded(Now(name))); }
  std::string ByteRate(std::string_view name) const {
    return units::ShowSize(Rounded(static_cast<uint64_t>(Rate(name)))) + "/s";
  }
  // So that it is shown with a unit and few digits.
  static uint64_t Rounded(uint64_t bytes) {
    uint64_t unit = 1;
    while (bytes / unit >= 10 * 1024) unit *= 1024;
    return bytes / unit * unit;
  }
  int64_t Uptime() const { return input_.now_seconds - static_cast<int64_t>(Now("start_seconds")); }

  void Head() {
    const int64_t up = std::max<int64_t>(0, Uptime());
    lines_.push_back(fmt::format("bandb_server {} at {}, up {}d {:02}:{:02}:{:02}{}", input_.now.version,
                                 input_.address, up / 86400, up / 3600 % 24, up / 60 % 60, up % 60,
                                 input_.seconds > 0 ? "" : "; rates since the start"));
    lines_.emplace_back();
  }
  void Server() {
    lines_.push_back(fmt::format("requests    {:>10.0f}/s  errors {:>8.0f}/s  overloaded {:.0f}/s  slow {:.0f}/s",
                                 Rate("server.frames_read"), Rate("server.error_replies"), Rate("server.overloaded"),
                                 Rate("server.slow_requests")));
    lines_.push_back(fmt::format("connections {:>10}    new    {:>8.0f}/s  refused    {:.0f}/s  evicted {:.0f}/s",
                                 Now("server.connections_open"), Rate("server.connections_accepted"),
                                 Rate("server.connections_refused"), Rate("server.connections_evicted")));
    lines_.push_back(fmt::format("network     in {}, out {}; memory {}; in flight {}", ByteRate("server.read_bytes"),
                                 ByteRate("server.written_bytes"), Bytes("server.memory_bytes"),
                                 Now("server.in_flight_requests")));
    lines_.push_back(fmt::format("hooks       dropped {:.0f}/s, rejected {:.0f}/s, failed {:.0f}/s, too long {:.0f}/s",
                                 Rate("server.hook_drops"), Rate("server.hook_rejections"),
                                 Rate("server.hook_failures"), Rate("server.hook_overruns")));
    lines_.emplace_back();
  }
  void Store() {
    if (input_.now.numbers.find("store.memory_bytes") == input_.now.numbers.end()) return;
    lines_.push_back(fmt::format("store       {} of {} memory; tables {}, logs {}, memtables {}",
                                 Bytes("store.memory_bytes"), Bytes("store.memory_budget_bytes"),
                                 Bytes("store.table_bytes"), Bytes("store.log_bytes"), Bytes("store.memtable_bytes")));
    const double hits = Rate("store.cache_hits"), misses = Rate("store.cache_misses");
    lines_.push_back(fmt::format("            writes {:.0f}/s, gets {:.0f}/s, cache hits {:.0f}%, syncs {:.0f}/s",
                                 Rate("store.operations_written"), Rate("store.gets"),
                                 hits + misses > 0 ? 100 * hits / (hits + misses) : 0, Rate("store.log_syncs")));
    lines_.push_back(
        fmt::format("            stalled {:.1f}% of the time; compaction debt {}; {} flushes, {} compactions",
                    Rate("store.stall_micros") / 1e4, Bytes("store.compaction_debt_bytes"), Now("store.flushes"),
                    Now("store.compactions")));
    lines_.emplace_back();
  }
  void Levels() {
    uint64_t most = 1;
    size_t levels = 0;
    for (size_t i = 0; input_.now.numbers.count(fmt::format("store.level.{}.tables", i)) > 0; ++i) {
      most = std::max(most, Now(fmt::format("store.level.{}.bytes", i)));
      if (Now(fmt::format("store.level.{}.tables", i)) > 0) levels = i + 1;
    }
    for (size_t i = 0; i < levels; ++i) {
      const uint64_t bytes = Now(fmt::format("store.level.{}.bytes", i));
      const auto filled = static_cast<size_t>(static_cast<double>(bytes) / static_cast<double>(most) * kBarColumns);
      lines_.push_back(fmt::format("level {}     [{:<{}}] {} in {} tables", i, std::string(filled, '#'), kBarColumns,
                                   units::ShowSize(Rounded(bytes)), Now(fmt::format("store.level.{}.tables", i))));
    }
    if (levels > 0) lines_.emplace_back();
  }
  void Table(std::string_view title, std::string_view text) {
    if (text.empty()) return;
    lines_.emplace_back(title);
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      lines_.emplace_back(line);
      text.remove_prefix(std::min(line.size() + 1, text.size()));
    }
    lines_.emplace_back();
  }

  const TopInput& input_;
  std::vector<std::string> lines_;
};

}  // namespace

std::string TopFrame(const TopInput& input, size_t columns, size_t rows) {
  std::vector<std::string> lines = Frame(input).Lines();
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  if (lines.size() > rows) lines.resize(rows);
  std::string text;
  for (const std::string& line : lines) text += Cut(line, columns) + "\n";
  return text;
}

}  // namespace bandb::cli
