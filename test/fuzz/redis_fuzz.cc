// A server for clients of Redis, and clients that say anything.
//
// The input is a program: it chooses the limits and the network (in memory, or sockets), then has
// up to three clients send requests that are right, wrong, too long or not requests at all, in
// pieces, vanish, and come back. Beyond not crashing: every byte that a server sends is part of a
// whole reply; a client that said only requests gets one reply for each, in order, and ECHO what it
// asked; INCR counts as far as a counter that only this client has; a connection ends only for a
// reason that the protocol names; and in the end nothing is held.
#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "fuzz/fuzz_program.h"
#include "fuzz/fuzz_server.h"
#include "net/stream_world.h"

namespace bandb::test {
namespace {

constexpr size_t kFrameBytesMax = 8192;
constexpr int kDepthMax = 8;

// The bytes of the reply at the front; 0: it is not whole.
size_t ReplyBytes(std::string_view bytes, int depth = 0) {
  BANDB_ASSERT(depth < kDepthMax);
  const size_t end = bytes.find("\r\n");
  if (end == std::string_view::npos) return 0;
  const char type = bytes[0];
  size_t used = end + 2;
  if (type == '+' || type == '-' || type == ':' || type == '_') return used;
  int64_t count = 0;
  const auto parsed = std::from_chars(bytes.data() + 1, bytes.data() + end, count);
  BANDB_ASSERT(parsed.ec == std::errc() && parsed.ptr == bytes.data() + end && count >= -1);
  if (type == '$' || type == '=') {
    if (count < 0) return used;
    used += static_cast<size_t>(count) + 2;
    return bytes.size() < used ? 0 : used;
  }
  BANDB_ASSERT(type == '*' || type == '~' || type == '%');
  for (int64_t left = type == '%' ? 2 * count : count; left > 0; left--) {
    const size_t part = ReplyBytes(bytes.substr(used), depth + 1);
    if (part == 0) return 0;
    used += part;
  }
  return used;
}

std::string Request(const std::vector<std::string>& arguments) {
  std::string request = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const std::string& argument : arguments) {
    request += "$" + std::to_string(argument.size()) + "\r\n" + argument + "\r\n";
  }
  return request;
}

ServerOptions MakeOptions(uint8_t choice) {
  ServerOptions options;
  options.frame_bytes_max = kFrameBytesMax;
  options.in_flight_requests_max = choice & 2 ? 2 : 1024;
  options.output_bytes_max = choice & 4 ? 4096 : 1 << 20;
  options.memory_bytes_max = choice & 8 ? 60000 : 64 << 20;
  options.in_flight_bytes_max = choice & 16 ? 4096 : 4 << 20;
  options.reads_inline = (choice & 32) == 0;
  options.batch_operations_max = choice & 1 ? 10 : 10000;
  // Time passes in leaps here.
  options.frame_timeout = options.unread_timeout = absl::InfiniteDuration();
  options.stall_timeout = choice & 128 ? absl::Seconds(1) : absl::InfiniteDuration();
  return options;
}

// A client and what it may expect. Its keys begin with a number that nobody else has.
class FuzzClient {
 public:
  FuzzClient(base::EventLoop* loop, const std::string& address, int number, bool may_be_refused)
      : prefix_(std::to_string(number) + "/"), may_be_refused_(may_be_refused) {
    auto stream = loop->Connect(address, &end_);
    if (stream.ok()) end_.Own(*std::move(stream));
  }

  bool gone() const { return end_.ended || end_.broken || end_.stream() == nullptr; }
  bool tracked() const { return tracked_; }
  size_t unanswered() const { return expected_.size(); }

  // A request, right or wrong, that gets one reply.
  void Ask(Program* program);
  // Bytes that are no request, or are one by chance.
  void Noise(std::string_view bytes) {
    tracked_ = false;
    pending_ += bytes;
  }
  // Any command with any arguments; it may change what later replies look like.
  void Wild(Program* program) {
    const absl::Span<const server::RedisCommand> commands = server::RedisCommands();
    std::string_view name = commands[program->Byte() % commands.size()].name;
    // Nobody else's keys.
    if (name.starts_with("flush")) name = "dbsize";
    std::vector<std::string> arguments = {std::string(name)};
    for (size_t left = program->Byte() % 6; left > 0; left--) arguments.push_back(Argument(program));
    Noise(Request(arguments));
  }
  void TooLong(uint8_t choice) {
    const char* const requests[] = {"*1000000000\r\n", "*2\r\n$3\r\nGET\r\n$1073741824\r\n", "*1\r\n$-1\r\n",
                                    "*9223372036854775808\r\n"};
    pending_ += requests[choice % 4];
    to_be_closed_ = true;
    expected_.push_back("-ERR Protocol error");
  }
  // All but the last bytes of what there is to say.
  void Flush(size_t but) {
    if (gone() || !end_.connected) return;
    const size_t count = pending_.size() - std::min(but, pending_.size());
    if (count > 0) end_.Send(std::string_view(pending_).substr(0, count));
    pending_.erase(0, count);
  }
  void StopReading() {
    if (!gone() && end_.connected) end_.StopReading();
  }
  void Finish() {
    if (gone()) return;
    if (end_.connected) end_.StartReading();
    Flush(0);
  }
  void CloseWrite() {
    tracked_ = false;
    if (!gone()) end_.stream()->CloseWrite();
  }
  void Vanish() { end_.Close(); }
  // Looks at the replies that came.
  void Check();

 private:
  std::string Argument(Program* program);
  void Say(const std::vector<std::string>& arguments, std::string reply) {
    pending_ += Request(arguments);
    expected_.push_back(std::move(reply));
  }
  void CheckReply(std::string_view reply);

  const std::string prefix_;
  const bool may_be_refused_;
  RecordingEnd end_;
  std::string pending_;
  size_t checked_bytes_ = 0;
  // What each reply begins with; "counter": the next number.
  std::deque<std::string> expected_;
  int64_t counter_ = 0;
  bool tracked_ = true;
  bool to_be_closed_ = false;
};

std::string FuzzClient::Argument(Program* program) {
  const uint8_t choice = program->Byte();
  const char* const words[] = {"0",       "-1",    "10",    "ex", "px", "nx", "get",
                               "keepttl", "match", "count", "*",  "[a", "",   "9223372036854775807"};
  if (choice % 3 == 0) return words[choice / 3 % std::size(words)];
  if (choice % 3 == 1) return prefix_ + static_cast<char>('a' + choice % 4);
  return std::string(choice < 200 ? choice : 20u * choice, 'x');
}

void FuzzClient::Ask(Program* program) {
  const uint8_t choice = program->Byte();
  const std::string value(choice % 3 == 0 ? 16u * choice : choice, static_cast<char>('A' + choice % 26));
  const std::string bulk = "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
  switch (program->Byte() % 8) {
    case 0:
      return Say({"SET", prefix_ + "v", value}, "+OK");
    case 1:
      return Say({"ECHO", value}, bulk);
    case 2:
    case 3:
      return Say({"INCR", prefix_ + "n"}, "counter");
    case 4:
      return Say({"GET", prefix_ + "absent"}, "$-1");
    case 5:
      return Say({"SET", prefix_ + "w", value, "GET"}, "$");
    case 6:
      return Say({"EXISTS", prefix_ + "absent", prefix_ + "none"}, ":0");
    default:
      return Say({"INCR"}, "-ERR wrong number of arguments for 'incr' command");
  }
}

void FuzzClient::CheckReply(std::string_view reply) {
  if (!tracked_) return;
  BANDB_ASSERT(!expected_.empty());
  const std::string expected = std::move(expected_.front());
  expected_.pop_front();
  if (may_be_refused_ && reply.starts_with("-ERR ") && !reply.starts_with("-ERR Protocol")) {
    // Not done, or its outcome unknown: what follows may be anything.
    tracked_ = false;
    return;
  }
  if (expected == "counter") {
    BANDB_ASSERT(reply == ":" + std::to_string(++counter_) + "\r\n");
  } else {
    BANDB_ASSERT(reply.starts_with(expected));
  }
  if (!expected.starts_with("-ERR Protocol")) return;
  // What came after it on the way is not read.
  expected_.clear();
  tracked_ = false;
}

void FuzzClient::Check() {
  const auto rest = [this] { return std::string_view(end_.received).substr(checked_bytes_); };
  while (const size_t bytes = ReplyBytes(rest())) {
    CheckReply(rest().substr(0, bytes));
    checked_bytes_ += bytes;
  }
  // It never ends inside a reply.
  if (end_.ended) BANDB_ASSERT(rest().empty());
  if (tracked_ && !may_be_refused_ && !to_be_closed_) BANDB_ASSERT(!end_.broken && (!end_.ended || expected_.empty()));
}

class FuzzWorld final : public FuzzServer<FuzzClient> {
 public:
  FuzzWorld(uint8_t choice, uint8_t seed)
      : FuzzServer(MakeOptions(choice), {}, choice, seed), may_be_refused_((choice & (8 | 128)) != 0) {
    environment_.value_bytes_max = kFrameBytesMax;
    environment_.reply_bytes_max = options_.memory_bytes_max / 4;
    environment_.stats = [] { return std::string("reads 1\n"); };
    environment_.now_ms = [this] { return clock_.WallMillis(); };
    Start(&environment_);
  }

 private:
  std::unique_ptr<FuzzClient> NewClient(int number) override {
    return std::make_unique<FuzzClient>(client_loop_.get(), unit_->redis_address(), number, may_be_refused_);
  }
  void Do(int what, FuzzClient* client, Program* program) override {
    return what <= 10 ? client->Wild(program) : client->Ask(program);
  }

  const bool may_be_refused_;
};

}  // namespace
}  // namespace bandb::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bandb::test::Program program(std::string_view(reinterpret_cast<const char*>(data), size));
  const uint8_t choice = program.Byte();
  const uint8_t seed = program.Byte();
  bandb::test::FuzzWorld(choice, seed).Run(program);
  return 0;
}
