// Fuzzes a whole server through its connections: streams of frames, cut into pieces, under small
// limits.
//
// The input is a program: it chooses the limits and the network (in memory, or sockets), then has
// up to three clients send frames that are right, wrong, too long or not frames at all, in pieces,
// vanish, and come back. Beyond not crashing: every request of a connection that lives is answered
// once, in order, and as a map that only this client writes to says; a connection ends only for a
// reason that the protocol names; and in the end nothing is held.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "fuzz/fuzz_program.h"
#include "fuzz/fuzz_server.h"
#include "net/stream_world.h"
#include "proto/frame.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "proto/response.h"

namespace bandb::test {
namespace {

constexpr uint32_t kEchoRoute = kFirstUserMessage;
constexpr uint32_t kWorkerRoute = kFirstUserMessage + 1;

ServerOptions MakeOptions(uint8_t choice) {
  ServerOptions options;
  options.frame_bytes_max = choice & 1 ? 256 : 40000;
  options.in_flight_requests_max = choice & 2 ? 2 : 1024;
  options.output_bytes_max = choice & 4 ? 4096 : 1 << 20;
  options.memory_bytes_max = choice & 8 ? 60000 : 64 << 20;
  options.in_flight_bytes_max = choice & 16 ? 4096 : 4 << 20;
  options.reads_inline = (choice & 32) == 0;
  // Time passes in leaps here.
  options.frame_timeout = options.unread_timeout = absl::InfiniteDuration();
  options.stall_timeout = choice & 128 ? absl::Seconds(1) : absl::InfiniteDuration();
  return options;
}

ServerHooks MakeHooks() {
  const auto echo = [](const ServerRequest& request, Responder responder) { responder.Ok(request.payload); };
  ServerHooks hooks;
  hooks.routes.push_back({.message_id = kEchoRoute, .handler = echo, .options = {}});
  hooks.routes.push_back({.message_id = kWorkerRoute, .handler = echo, .options = {.on_worker = true}});
  return hooks;
}

// What a reply may be.
struct Expectation {
  enum class Kind : uint8_t { kPut, kGet, kDelete, kEcho, kCode, kEnd };
  Kind kind = Kind::kCode;
  std::string key{};
  std::string value{};
  uint16_t code = 0;  // of kCode and kEnd
};

// A client and what it may expect. Its keys begin with a number that nobody else has.
class FuzzClient {
 public:
  FuzzClient(base::EventLoop* loop, const std::string& address, int number, const ServerOptions& options)
      : prefix_(std::to_string(number) + "/"),
        short_of_memory_(options.memory_bytes_max < 1 << 20),
        may_be_refused_(short_of_memory_ || options.stall_timeout != absl::InfiniteDuration()),
        frame_bytes_max_(options.frame_bytes_max) {
    auto stream = loop->Connect(address, &end_);
    if (stream.ok()) end_.Own(*std::move(stream));
  }

  bool gone() const { return end_.ended || end_.broken || end_.stream() == nullptr; }
  bool tracked() const { return tracked_; }
  size_t unanswered() const { return expected_.size(); }

  void Frame(Program* program);
  // Bytes that are not a frame, or are one by chance.
  void Noise(std::string_view bytes) {
    tracked_ = false;
    pending_ += bytes;
  }
  // A header whose payload cannot come.
  void TooLong(uint8_t choice) {
    std::string header;
    const uint32_t lengths[] = {0xffffffffu, 0x80000000u, static_cast<uint32_t>(frame_bytes_max_ + 1), 65u << 20};
    base::PutFixed32(&header, lengths[choice % 4]);
    base::PutFixed32(&header, choice);
    to_be_closed_ = true;
    Say(header, {.kind = Expectation::Kind::kEnd, .code = ToCode(proto::ErrorCode::kTooLarge)});
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
  void Say(std::string_view frame, Expectation expectation) {
    pending_ += frame;
    expected_.push_back(std::move(expectation));
  }
  void CheckReply(const Expectation& expectation, const proto::Reply& reply);

  const std::string prefix_;
  const bool short_of_memory_;
  const bool may_be_refused_;
  const size_t frame_bytes_max_;
  RecordingEnd end_;
  std::string pending_;
  size_t checked_bytes_ = 0;
  std::deque<Expectation> expected_;
  std::map<std::string, std::string> model_;
  bool tracked_ = true;
  bool to_be_closed_ = false;
};

void FuzzClient::Frame(Program* program) {
  using Kind = Expectation::Kind;
  const uint8_t kind = program->Byte() % 8;
  const uint8_t choice = program->Byte();
  const std::string key = prefix_ + static_cast<char>('a' + choice % 4);
  size_t value_bytes = choice;
  if (choice % 3 == 0 && frame_bytes_max_ > 20000) value_bytes = 16000 + 20u * program->Byte();
  const std::string value(std::min(value_bytes, frame_bytes_max_ - 20), static_cast<char>('A' + choice % 26));
  std::string frame;
  switch (kind) {
    case 0:
    case 1:
      proto::AppendPut(&frame, key, value);
      return Say(frame, {.kind = Kind::kPut, .key = key, .value = value});
    case 2:
      proto::AppendGet(&frame, key);
      return Say(frame, {.kind = Kind::kGet, .key = key});
    case 3:
      proto::AppendDelete(&frame, key);
      return Say(frame, {.kind = Kind::kDelete, .key = key});
    case 4:
      proto::AppendFrame(&frame, choice % 2 == 0 ? kEchoRoute : kWorkerRoute, value);
      return Say(frame, {.kind = Kind::kEcho, .value = value});
    case 5:
      // A PING that is too long for one is malformed, so it is kept short.
      proto::AppendPing(&frame, std::string_view(value).substr(0, 100));
      return Say(frame, {.kind = Kind::kEcho, .value = value.substr(0, 100)});
    case 6:
      proto::AppendFrame(&frame, 4 + choice % 12, value);
      return Say(frame, {.kind = Kind::kCode, .code = ToCode(proto::ErrorCode::kUnknownMessage)});
    default:
      proto::AppendFrame(&frame, 1 + choice % 3, std::string_view(value).substr(0, choice % 4));
      return Say(frame, {.kind = Kind::kCode, .code = ToCode(proto::ErrorCode::kMalformed)});
  }
}

void FuzzClient::CheckReply(const Expectation& expectation, const proto::Reply& reply) {
  using Kind = Expectation::Kind;
  // Not done: nothing to remember.
  if (may_be_refused_ && !reply.ok && reply.code == ToCode(proto::ErrorCode::kOverloaded)) return;
  // The outcome is unknown, and the connection is about to end.
  if (short_of_memory_ && !reply.ok && reply.code == proto::ToCode(absl::StatusCode::kUnknown)) {
    tracked_ = false;
    return;
  }
  switch (expectation.kind) {
    case Kind::kPut:
      BANDB_ASSERT(reply.ok && reply.body.empty());
      model_[expectation.key] = expectation.value;
      return;
    case Kind::kDelete:
      BANDB_ASSERT(reply.ok && reply.body.empty());
      model_.erase(expectation.key);
      return;
    case Kind::kGet: {
      const auto found = model_.find(expectation.key);
      BANDB_ASSERT(reply.ok == (found != model_.end()));
      std::string_view value;
      BANDB_ASSERT(!reply.ok || (proto::DecodeValueBody(reply.body, &value) && value == found->second));
      BANDB_ASSERT(reply.ok || reply.code == proto::ToCode(absl::StatusCode::kNotFound));
      return;
    }
    case Kind::kEcho:
      BANDB_ASSERT(reply.ok && reply.body == expectation.value);
      return;
    case Kind::kCode:
    case Kind::kEnd:
      BANDB_ASSERT(!reply.ok && reply.code == expectation.code);
      return;
  }
}

void FuzzClient::Check() {
  proto::Frame frame;
  size_t needed = 0;
  const auto rest = [this] { return std::string_view(end_.received).substr(checked_bytes_); };
  for (;;) {
    const proto::CutResult cut = proto::CutFrame(rest(), proto::kFrameBytesHardMax, &frame, &needed);
    BANDB_ASSERT(cut != proto::CutResult::kTooLong);
    if (cut == proto::CutResult::kIncomplete) break;
    proto::Reply reply;
    BANDB_ASSERT(proto::DecodeReply(frame, &reply));
    checked_bytes_ += frame.ByteSize();
    if (!tracked_) continue;
    BANDB_ASSERT(!expected_.empty());
    CheckReply(expected_.front(), reply);
    const bool last = expected_.front().kind == Expectation::Kind::kEnd;
    expected_.pop_front();
    // What came after it on the way is not read.
    if (last) expected_.clear();
    if (last) tracked_ = false;
  }
  // A tracked connection ends only when memory is short; never inside a reply.
  if (end_.ended) BANDB_ASSERT(rest().empty());
  if (tracked_ && !short_of_memory_ && !to_be_closed_) BANDB_ASSERT(!end_.broken && (!end_.ended || expected_.empty()));
}

class FuzzWorld final : public FuzzServer<FuzzClient> {
 public:
  FuzzWorld(uint8_t choice, uint8_t seed) : FuzzServer(MakeOptions(choice), MakeHooks(), choice, seed) {
    Start(nullptr);
  }

 private:
  std::unique_ptr<FuzzClient> NewClient(int number) override {
    return std::make_unique<FuzzClient>(client_loop_.get(), unit_->address(), number, options_);
  }
  void Do(int /*what*/, FuzzClient* client, Program* program) override { client->Frame(program); }
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
