#include "top_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "arguments.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/status.h"
#include "client/client.h"
#include "interrupt_watch.h"
#include "shell.h"
#include "standard_streams/standard_streams.h"
#include "top_frame.h"
#include "units/units.h"

namespace bandb::cli {

namespace {

using standard_streams::Print;
using standard_streams::Write;

constexpr const char* kFooter =
    "Rates are those since the frame before; those of the first frame, since the server was started. At a terminal it "
    "goes on\n"
    "until it is interrupted, also while the server is away, and leaves the screen as it was. Elsewhere frames follow "
    "each\n"
    "other as plain text, and a server that is away ends it. The user needs the right to administer.\n"
    "\n"
    "Exit codes: 0 done; 2 usage; 3 server or connection error.\n"
    "\n"
    "Examples:\n"
    "  bandb top\n"
    "  bandb top --once\n"
    "  bandb top --interval 10s --count 6 > minute.txt";

// Sequences that every terminal since the VT100 knows, but for the second screen, which those that
// do not have one pass over.
constexpr std::string_view kEnterScreen = "\x1b[?1049h\x1b[?25l";
constexpr std::string_view kLeaveScreen = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view kHome = "\x1b[H";
constexpr std::string_view kClearLine = "\x1b[K";
constexpr std::string_view kClearBelow = "\x1b[J";

// Where frames go: a terminal's second screen, or a file. Thread safety: any thread.
class Screen {
 public:
  // `is_terminal`: standard output is one, and is to be treated so.
  explicit Screen(bool is_terminal) : is_terminal_(is_terminal) {
    if (is_terminal_) Put(kEnterScreen);
  }
  ~Screen() { Leave(); }

  // Once it was left nothing is shown any more.
  void Show(std::string_view frame) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    if (left_) return;
    if (!is_terminal_) {
      Put((shown_++ > 0 ? "\n" : "") + std::string(frame));
      return;
    }
    std::string text(kHome);
    while (!frame.empty()) {
      const std::string_view line = frame.substr(0, frame.find('\n'));
      frame.remove_prefix(std::min(line.size() + 1, frame.size()));
      text.append(line).append(kClearLine);
      if (!frame.empty()) text += '\n';
    }
    Put(text.append(kClearBelow));
  }
  // As it was before.
  void Leave() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    if (std::exchange(left_, true)) return;
    if (is_terminal_) Put(kLeaveScreen);
  }

  standard_streams::TerminalSize Size() const {
    constexpr standard_streams::TerminalSize kPlain{160, 200};
    return is_terminal_ ? standard_streams::SizeOfTerminal().value_or(kPlain) : kPlain;
  }

 private:
  static void Put(std::string_view text) {
    Write(stdout, text);
    std::fflush(stdout);
  }

  const bool is_terminal_;
  base::Mutex mutex_;
  bool left_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t shown_ ABSL_GUARDED_BY(mutex_) = 0;
};

struct TopFlags {
  std::string interval = "1s";
  uint64_t count = 0;  // 0: until it is interrupted
  bool once = false;
};

class Top {
 public:
  Top(const client::Target& target, absl::Duration interval, uint64_t count, Screen* screen, bool persists)
      : target_(target), interval_(interval), count_(count), screen_(screen), persists_(persists) {}

  absl::Status Run() {
    base::Event never;
    for (uint64_t i = 0; count_ == 0 || i < count_; ++i) {
      if (i > 0) never.BlockUntilSet(absl::ToInt64Nanoseconds(interval_));
      const absl::Status status = Frame();
      if (status.ok()) continue;
      if (!persists_) return status;
      screen_->Show(fmt::format("{}: {}\n", target_.address, base::Message(status)));
      client_.reset();
      before_nanos_ = 0;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Frame() {
    if (client_ == nullptr) {
      BANDB_ASSIGN_OR_RETURN(client_, client::Client::Connect(target_));
    }
    TopInput input;
    BANDB_ASSIGN_OR_RETURN(input.now, AskFigures(client_.get()));
    const int64_t now_nanos = clock_.MonotonicNanos();
    input.address = target_.address;
    input.now_seconds = clock_.WallMillis() / 1000;
    // Of a server that was started again in between nothing can be subtracted.
    const bool is_same = input.now.Number("start_seconds") == before_.Number("start_seconds");
    if (before_nanos_ != 0 && is_same) {
      input.before = std::move(before_);
      input.seconds = static_cast<double>(now_nanos - before_nanos_) / 1e9;
    }
    // A standalone server has none.
    const absl::StatusOr<std::string> members = client_->Administer({"member", "list"});
    if (members.ok()) input.members = *members;
    if (members.status().code() == absl::StatusCode::kUnavailable) return members.status();
    const standard_streams::TerminalSize size = screen_->Size();
    screen_->Show(TopFrame(input, size.columns, size.rows));
    before_ = std::move(input.now);
    before_nanos_ = now_nanos;
    return absl::OkStatus();
  }

  const client::Target target_;
  const absl::Duration interval_;
  const uint64_t count_;
  Screen* const screen_;
  const bool persists_;
  base::SystemClock clock_;
  std::unique_ptr<client::Client> client_;
  Figures before_;
  int64_t before_nanos_ = 0;
};

}  // namespace

int RunTop(const client::Target& target, std::vector<std::string> arguments) {
  CLI::App app("Shows what a server does: rates, latencies, memory, stalls, levels, connections, members.",
               "bandb top");
  app.footer(kFooter);
  TopFlags flags;
  app.add_option("--interval", flags.interval, "from frame to frame [1s]")->type_name("DURATION");
  app.add_option("--count", flags.count, "this many frames [until it is interrupted]")
      ->check(CLI::Range(1.0, 1e15).description(""))
      ->type_name("N");
  app.add_flag("--once", flags.once, "one frame, as plain text");
  if (const std::optional<int> end = ParseArguments(&app, std::move(arguments)); end.has_value()) return *end;
  const std::optional<absl::Duration> interval = units::ParseDuration(flags.interval);
  if (!interval.has_value() || *interval < absl::Milliseconds(50) || *interval > absl::Hours(24)) {
    Print(stderr, "bandb top: --interval takes 50ms to 24h, not {}\n", flags.interval);
    return kUsage;
  }
  const bool is_live = !flags.once && standard_streams::SizeOfTerminal().has_value();
  Screen screen(is_live);
  // Before the first thread: see InterruptWatch.
  const InterruptWatch interrupts([&screen] { screen.Leave(); });
  const absl::Status status = Top(target, *interval, flags.once ? 1 : flags.count, &screen, is_live).Run();
  screen.Leave();
  if (status.ok()) return kDone;
  Print(stderr, "(error) {}\n", base::Message(status));
  return kServerError;
}

}  // namespace bandb::cli
