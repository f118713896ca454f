// Fuzzes two frame links against each other, and one against bytes.
//
// The input is a program: it chooses the limits and the seed of a network in memory, and then has
// the ends send frames of all sizes, stop and start reading, say what is no frame, close, vanish
// and break, while time passes. Beyond not crashing: each end hears a prefix of what the other has
// sent, unchanged and in order, and all of it if nothing happened but time; a hello comes first,
// the end once, nothing after it; input and output stay within their bounds; in the end every
// stream is gone.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "fuzz/fuzz_program.h"
#include "net/frame_link.h"
#include "net/length_codec.h"
#include "net/link_host.h"
#include "net/stream_world.h"
#include "support/sim_streams.h"

namespace bandb::test {
namespace {

constexpr size_t kStepsMax = 200;
constexpr int64_t kMillis = 1'000'000;

using Message = std::pair<uint32_t, std::string>;

// One end, and what it must hear.
class FuzzEnd final : public net::LinkHandler {
 public:
  FuzzEnd(net::LinkHost* host, const net::LinkOptions& options, uint8_t habits)
      : options_(options),
        habits_(habits),
        link(std::make_unique<net::FrameLink>(host, options, std::make_unique<LengthCodec>(), "hello", this)) {}

  absl::Status OnHello(std::string_view hello) override {
    BANDB_ASSERT(state_ == State::kNew);
    BANDB_ASSERT(!trusted_ || hello == "hello");
    state_ = State::kGreeted;
    return (habits_ & 1) != 0 ? absl::UnavailableError("no") : absl::OkStatus();
  }
  void OnUp() override {
    BANDB_ASSERT(state_ == State::kGreeted);
    state_ = State::kUp;
    if ((habits_ & 2) != 0) Send(1000);
  }
  void OnFrame(const net::Frame& frame) override {
    BANDB_ASSERT(state_ == State::kUp && reading_);
    if (trusted_) {
      BANDB_ASSERT(heard_ < other_->sent_.size());
      BANDB_ASSERT(other_->sent_[heard_] == Message(frame.message_id, frame.payload));
    }
    heard_++;
    if ((habits_ & 4) != 0 && heard_ % 3 == 0 && !hushed_) SetReading(false);
    if ((habits_ & 8) != 0 && heard_ == 5) Vanish();
    if ((habits_ & 16) != 0 && heard_ == 7) Close();
  }
  void OnWritable() override {
    BANDB_ASSERT(state_ == State::kUp && link->writable());
    if ((habits_ & 32) != 0 && !hushed_ && sent_.size() < 500) Send(5000);
  }
  void OnDown(const net::LinkEnd& end) override {
    BANDB_ASSERT(state_ != State::kDown);
    BANDB_ASSERT(end.reason.size() <= 4 * net::FrameLink::kReasonBytesMax);
    BANDB_ASSERT(!trusted_ || end.cause != net::LinkEnd::Cause::kMalformed);
    state_ = State::kDown;
    timed_out_ = end.cause == net::LinkEnd::Cause::kTimedOut;
    if ((habits_ & 64) != 0) Vanish();
  }

  void Send(size_t bytes) {
    if (link == nullptr) return;
    bytes = std::min(bytes, options_.frame_bytes_max - LengthCodec::kHeadBytes);
    const Message message(net::kFirstLinkMessage + static_cast<uint32_t>(sent_.size() % 1000),
                          std::string(bytes, static_cast<char>(sent_.size())));
    const bool writable = link->writable();
    const bool queued = sent_.size() % 2 == 0
                            ? link->Send(message.first, message.second)
                            : link->SendOwned(message.first, net::OwnedBytes::Of(std::string(message.second)));
    BANDB_ASSERT(queued == writable);
    if (queued) sent_.push_back(message);
  }
  void SetReading(bool on) {
    reading_ = on;
    if (link != nullptr) link->SetReading(on);
  }
  void Close() {
    state_ = State::kDown;
    if (link != nullptr) link->Close("enough");
  }
  void Vanish() {
    state_ = State::kDown;
    link.reset();
  }
  void Check() const {
    if (link == nullptr) return;
    BANDB_ASSERT(link->output_bytes() <= options_.output_bytes_high + options_.frame_bytes_max + 1000);
    BANDB_ASSERT(link->input_bytes() <= options_.frame_bytes_max + net::LinkHost::kReadBytes);
  }
  // Its peer is another FuzzEnd, or null: then it may hear anything.
  void SetPeer(FuzzEnd* other) {
    other_ = other;
    trusted_ = other != nullptr;
  }
  // From here on it only listens.
  void Hush() {
    hushed_ = true;
    SetReading(true);
  }
  bool timed_out() const { return timed_out_; }
  bool down() const { return state_ == State::kDown; }
  bool HeardAll() const { return heard_ == other_->sent_.size(); }
  bool MayEnd() const { return (habits_ & (1 | 8 | 16 | 64)) != 0; }

 private:
  enum class State : uint8_t { kNew, kGreeted, kUp, kDown };

  const net::LinkOptions options_;
  const uint8_t habits_;
  FuzzEnd* other_ = nullptr;
  bool trusted_ = false;
  bool reading_ = true;
  bool timed_out_ = false;
  bool hushed_ = false;
  State state_ = State::kNew;
  std::vector<Message> sent_;
  size_t heard_ = 0;

 public:
  std::unique_ptr<net::FrameLink> link;
};

net::LinkOptions MakeOptions(uint8_t choice) {
  net::LinkOptions options;
  options.frame_bytes_max = (choice & 1) != 0 ? 5000 : 300'000;
  options.output_bytes_high = (choice & 2) != 0 ? 1 : 200'000;
  options.output_bytes_low = (choice & 4) != 0 ? 0 : options.output_bytes_high / 2;
  options.idle_timeout_nanos = options.output_timeout_nanos =
      (choice & 8) != 0 ? net::kNoTimeout : int64_t{10'000} * kMillis;
  return options;
}

class FuzzWorld final : private base::AcceptHandler {
 public:
  explicit FuzzWorld(Program* program)
      : program_(program),
        options_(MakeOptions(program->Byte())),
        network_({.seed = program->Byte(), .window_bytes = size_t{1} << (10 + program->Byte() % 9)}),
        loops_{network_.MakeLoop(), network_.MakeLoop()},
        hosts_{std::make_unique<net::LinkHost>(loops_[0].get()), std::make_unique<net::LinkHost>(loops_[1].get())} {
    auto listener = loops_[1]->Listen({.address = "server:0"}, this);
    BANDB_ASSERT(listener.ok());
    listener_ = *std::move(listener);
    acceptor_ = std::make_unique<FuzzEnd>(hosts_[1].get(), options_, program->Byte());
    if (program->Byte() % 4 == 0) {
      auto stream = loops_[0]->Connect(listener_->address(), &raw_);
      BANDB_ASSERT(stream.ok());
      raw_.Own(*std::move(stream));
      // It may begin as a link would.
      if (program->Byte() % 2 == 0) said_ = LengthFrame(1, "hello") + LengthFrame(2, "");
    } else {
      dialer_ = std::make_unique<FuzzEnd>(hosts_[0].get(), options_, program->Byte());
      acceptor_->SetPeer(dialer_.get());
      dialer_->SetPeer(acceptor_.get());
      BANDB_ASSERT(dialer_->link->Connect(listener_->address()).ok());
    }
  }

  void Run() {
    for (size_t i = 0; i < kStepsMax && !program_->empty(); i++) {
      Step();
      Nudge();
      acceptor_->Check();
      if (dialer_ != nullptr) dialer_->Check();
    }
    if (dialer_ != nullptr && !disturbed_ && !dialer_->MayEnd() && !acceptor_->MayEnd()) CheckDelivery();
    raw_.Close();
    acceptor_->Vanish();
    if (dialer_ != nullptr) dialer_->Vanish();
    Nudge();
    network_.RunFor(3000 * kMillis);
    BANDB_ASSERT(hosts_[0]->leaving() == 0 && hosts_[1]->leaving() == 0);
  }

 private:
  void OnAcceptable() override {
    auto stream = listener_->Accept(loops_[1].get());
    if (!stream.ok() || *stream == nullptr) return;
    if (acceptor_->link != nullptr && !acceptor_->down()) acceptor_->link->Accept(*std::move(stream));
  }

  void Nudge() {
    for (const auto& loop : loops_) loop->Post([] {});
  }

  // What both ends may say arrives, if nothing but time happened to them.
  void CheckDelivery() {
    dialer_->Hush();
    acceptor_->Hush();
    Nudge();
    network_.RunFor(1000 * kMillis);
    BANDB_ASSERT(dialer_->down() == acceptor_->down());
    BANDB_ASSERT(dialer_->down() || (dialer_->HeardAll() && acceptor_->HeardAll()));
    // Time passed, and one of them gave up.
    BANDB_ASSERT(!dialer_->down() || dialer_->timed_out() || acceptor_->timed_out());
  }

  void Step() {
    const uint8_t what = program_->Byte();
    FuzzEnd* const end = what % 2 == 0 && dialer_ != nullptr ? dialer_.get() : acceptor_.get();
    const uint8_t how = program_->Byte();
    switch (what / 2 % 12) {
      case 0:
      case 1:
        return end->Send(how);
      case 2:
        return end->Send(size_t{1500} * how);
      case 3:
        return end->SetReading(how % 2 == 0);
      case 4:
      case 5:
        return SayRaw(how);
      case 6:
        return network_.RunFor(int64_t{100} * how * kMillis);
      case 7:
        if (how > 8) return;
        disturbed_ = true;
        return how % 2 == 0 ? end->Close() : end->Vanish();
      case 8:
        if (how > 3) return;
        disturbed_ = true;
        return network_.BreakAll();
      case 9:
        for (int i = 0; i < how % 16; i++) end->Send(how);
        return;
      default:
        for (int i = 0; i < how; i++) network_.Step();
    }
  }

  // Part of what there is to say, with noise or a frame after it.
  void SayRaw(uint8_t how) {
    if (dialer_ != nullptr || raw_.stream() == nullptr || raw_.broken) return;
    if (how % 4 == 0) {
      said_ += program_->Take(how / 4);
    } else {
      said_ += LengthFrame(how % 8 == 1 ? how % 5 : how, std::string(size_t{20} * program_->Byte(), 'r'));
    }
    if (!raw_.connected) return;
    const size_t part = std::min<size_t>(said_.size(), size_t{40} * how);
    if (part > 0) raw_.Send(std::string_view(said_).substr(0, part));
    said_.erase(0, part);
  }

  Program* const program_;
  const net::LinkOptions options_;
  SimNetwork network_;
  std::unique_ptr<base::EventLoop> loops_[2];
  std::unique_ptr<net::LinkHost> hosts_[2];
  std::unique_ptr<base::Listener> listener_;
  std::unique_ptr<FuzzEnd> acceptor_;
  std::unique_ptr<FuzzEnd> dialer_;  // null: the acceptor's peer is `raw_`
  RecordingEnd raw_;
  std::string said_;
  bool disturbed_ = false;
};

}  // namespace
}  // namespace bandb::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bandb::test::Program program(std::string_view(reinterpret_cast<const char*>(data), size));
  bandb::test::FuzzWorld(&program).Run();
  return 0;
}
