#include "net/line_world.h"

#include <algorithm>
#include <charconv>

namespace bandb::test {

namespace {

net::HookDecision Judge(const net::RequestView& request) {
  using Verdict = net::HookDecision::Verdict;
  if (request.payload == "drop") return {.verdict = Verdict::kDrop};
  if (request.payload == "reject") return {.verdict = Verdict::kReject, .code = 7, .text = "not here"};
  if (request.payload == "change") return {.verdict = Verdict::kModify, .text = "changed"};
  return {};
}

std::unique_ptr<StreamWorld> MakeLineWorld(int which, base::Clock* clock) {
  if (which == LineWorld::kStoppedSockets) return MakeWorld(kSockets, clock);
  if (which == LineWorld::kStoppedPollSockets) return MakeWorld(kPollSockets, clock);
  return MakeWorld(which);
}

void Echo(net::Call& call) {
  const std::string line = fmt::format("{}\n", call.request().payload);
  call.Answer({.head = line});
}

}  // namespace

net::Cut LineCodec::Next(std::string_view bytes, net::Frame* frame, size_t* frame_bytes) {
  const size_t end = bytes.find('\n');
  if (std::min(end, bytes.size()) > kLineBytesMax) return net::Cut::kTooLong;
  *frame_bytes = (end == std::string_view::npos ? bytes.size() : end) + 1;
  if (end == std::string_view::npos) return net::Cut::kIncomplete;
  const char* const id_end = std::from_chars(bytes.data(), bytes.data() + end, frame->message_id).ptr;
  frame->payload = std::string_view(id_end, static_cast<size_t>(bytes.data() + end - id_end));
  if (!frame->payload.empty()) frame->payload.remove_prefix(1);
  if (frame->payload.substr(0, 1) != "+") return net::Cut::kFrame;
  size_t more = 0;
  std::from_chars(frame->payload.data() + 1, bytes.data() + end, more);
  *frame_bytes += more;
  if (bytes.size() < *frame_bytes) return net::Cut::kHeader;
  frame->payload = bytes.substr(end + 1, more);
  return net::Cut::kFrame;
}

void LineCodec::AppendError(uint16_t code, std::string_view message, std::string* to) const {
  *to += fmt::format("error {} {}\n", code, message);
}

uint16_t LineCodec::CodeOf(net::Refusal refusal) const {
  return static_cast<uint16_t>(100 + static_cast<int>(refusal));
}

std::string ErrorLine(net::Refusal refusal) {
  std::string line;
  const LineCodec codec;
  codec.AppendError(codec.CodeOf(refusal), codec.MessageOf(refusal), &line);
  return line;
}

LineWorld::LineWorld(int which, const net::ServerLimits& limits, int loops)
    : world_(MakeLineWorld(which, &clock)),
      client_loop_(world_->MakeLoop()),
      executor_(&clock, 1),
      echo_(Echo),
      later_([this](net::Call& call) { tickets.push_back(call.Defer(call.request().payload.size() + later_bytes)); }) {
  router_.Add(kEcho, &echo_, net::kLaneFree);
  router_.Add(kLater, &later_, 1);
  router_.Add(kHooked, &echo_, net::kLaneExclusive);
  router_.AddBefore(kHooked, Judge);
  router_.AddAfter(kHooked, [this](const net::RequestView& request, bool ok, uint16_t code) {
    after.push_back(fmt::format("{} {} {}", request.payload, ok, code));
  });
  router_.Add(kOnWorker, &echo_, net::kLaneExclusive, true);
  router_.AddBefore(kOnWorker, Judge);
  std::vector<net::Acceptor::Taker> takers;
  for (int i = 0; i < loops; i++) {
    server_loops_.push_back(world_->MakeLoop());
    const net::FrameServer::Parts parts{.loop = server_loops_.back().get(),
                                        .executor = &executor_,
                                        .quota = &quota_,
                                        .observer = this,
                                        .number = static_cast<uint8_t>(i)};
    servers_.push_back(std::make_unique<net::FrameServer>(parts, limits));
    takers.push_back({parts.loop, servers_.back().get(), {&protocol_, &router_}});
  }
  acceptor_ = std::make_unique<net::Acceptor>(server_loops_[0].get(), net::Acceptor::Limits());
  REQUIRE_OK(acceptor_->Listen({.address = "127.0.0.1:0"}, takers));
  Connect(&client);
  REQUIRE(RunUntil([this] { return connected.size() == 1; }));
}

LineWorld::~LineWorld() {
  client.Close();
  acceptor_->Close();
  for (const auto& server : servers_) server->CloseAll();
  CHECK(world_->RunUntil([this] {
    return std::all_of(servers_.begin(), servers_.end(), [](const auto& server) { return server->idle(); });
  }));
  servers_.clear();
}

void LineWorld::Connect(RecordingEnd* end) {
  auto stream = client_loop_->Connect(acceptor_->address(), end);
  REQUIRE_OK(stream.status());
  end->Own(*std::move(stream));
  REQUIRE(world_->RunUntil([end] { return end->connected; }));
}

std::string LineWorld::Answers(size_t bytes) {
  REQUIRE(RunUntil([&] { return client.received.size() >= bytes; }));
  return client.received;
}

bool LineWorld::RunUntil(const std::function<bool()>& done) {
  return world_->RunUntil([&] {
    executor_.RunReady();
    return done();
  });
}

absl::Status LineWorld::Complete(const net::Ticket& ticket, std::string_view line) {
  return servers_[ticket.connection.index >> 24]->Complete(ticket, {.head = line});
}

uint64_t LineWorld::Sum(net::Counter net::Counters::*counter) const {
  uint64_t sum = 0;
  for (const auto& server : servers_) sum += (server->counters().*counter).Get();
  return sum;
}

void LineWorld::Drain(int64_t timeout_nanos, net::DrainCallback done) {
  acceptor_->Close();
  servers_[0]->Drain(timeout_nanos, std::move(done));
}

net::HookDecision LineWorld::OnConnect(net::ConnectionId id, std::string_view) {
  if (refusal.has_value()) return *refusal;
  connected.push_back(id);
  return {};
}

}  // namespace bandb::test
