#include "net/frame_link.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/escape.h"
#include "base/status.h"
#include "net/link_host.h"

namespace bandb::net {

namespace {

// A buffer larger than this is given back once it is empty.
constexpr size_t kFrameInputKeptBytes = 16 << 10;

int64_t Later(int64_t nanos, int64_t timeout_nanos) {
  return timeout_nanos == kNoTimeout ? kNoTimeout : nanos + timeout_nanos;
}

// The beginning of a record of TLS, a hello or an alert, of a length that no hello of a link has.
bool IsTls(std::string_view bytes) {
  return bytes.size() >= 3 && (bytes[0] == '\x16' || bytes[0] == '\x15') && bytes[1] == '\x03' && bytes[2] <= '\x04';
}

std::string_view NameOf(LinkEnd::Cause cause) {
  switch (cause) {
    case LinkEnd::Cause::kUnresolved:
      return "no address";
    case LinkEnd::Cause::kUnreachable:
      return "cannot connect";
    case LinkEnd::Cause::kTimedOut:
      return "timed out";
    case LinkEnd::Cause::kInsecure:
      return "TLS failed";
    case LinkEnd::Cause::kRefusedByPeer:
      return "refused by the peer";
    case LinkEnd::Cause::kRefusedHere:
      return "refused here";
    case LinkEnd::Cause::kMalformed:
      return "malformed";
    case LinkEnd::Cause::kClosedByPeer:
      return "closed by the peer";
    case LinkEnd::Cause::kLost:
      break;
  }
  return "lost";
}

}  // namespace

std::string ToString(const LinkEnd& end) { return fmt::format("{}: {}", NameOf(end.cause), end.reason); }

// On the stack of a function that calls a handler. Only the outermost is registered.
class FrameLink::Watcher {
 public:
  explicit Watcher(FrameLink* link) : link_(link) {
    if (link->watcher_ == nullptr) {
      link->watcher_ = this;
      registered_ = true;
    }
  }
  ~Watcher() {
    if (registered_ && !gone_) link_->watcher_ = nullptr;
  }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  void SetGone() { gone_ = true; }
  bool gone() const { return gone_; }

 private:
  FrameLink* const link_;
  bool registered_ = false;
  bool gone_ = false;
};

FrameLink::FrameLink(LinkHost* host, const LinkOptions& options, std::unique_ptr<LinkCodec> codec, std::string hello,
                     LinkHandler* handler)
    : host_(host),
      options_(options),
      codec_(std::move(codec)),
      hello_(std::move(hello)),
      handler_(handler),
      frame_bytes_max_(options.frame_bytes_max) {
  BANDB_ASSERT(options_.output_bytes_low <= options_.output_bytes_high);
  BANDB_ASSERT(options_.hello_bytes_max <= options_.frame_bytes_max);
}

FrameLink::~FrameLink() {
  GoDown();
  if (watcher_ != nullptr) watcher_->SetGone();
}

absl::Status FrameLink::Connect(const std::string& name, const std::string& address) {
  BANDB_ASSERT(phase_ == Phase::kNew);
  dialed_ = true;
  stream_ = std::make_unique<LinkStream>(host_, static_cast<LinkStreamUser*>(this));
  const absl::Status status = stream_->Connect(name, address);
  if (!status.ok()) {
    GoDown();
    return status;
  }
  phase_ = Phase::kConnecting;
  phase_began_nanos_ = host_->loop()->NowNanos();
  ArmTimer();
  return absl::OkStatus();
}

void FrameLink::Accept(std::unique_ptr<base::Stream> stream) {
  BANDB_ASSERT(phase_ == Phase::kNew);
  stream_ = std::make_unique<LinkStream>(host_, static_cast<LinkStreamUser*>(this));
  stream_->SetReadBytes(std::min(options_.hello_bytes_max, LinkHost::kReadBytes));
  stream_->Take(std::move(stream));
  phase_ = Phase::kAwaitingHello;
  phase_began_nanos_ = host_->loop()->NowNanos();
  ArmTimer();
}

void FrameLink::OnConnected() {
  phase_ = Phase::kAwaitingHello;
  phase_began_nanos_ = host_->loop()->NowNanos();
  stream_->SetReadBytes(std::min(options_.hello_bytes_max, LinkHost::kReadBytes));
  ArmTimer();
  Say(kHello, hello_);
}

void FrameLink::OnInput(std::string_view bytes) {
  last_read_nanos_ = host_->loop()->NowNanos();
  if (input_.empty()) {
    const Watcher watcher(this);
    const size_t used = Process(bytes, watcher);
    if (watcher.gone() || phase_ == Phase::kDown) return;
    return KeepRest(bytes.substr(used));
  }
  input_.append(bytes);
  OnResume();
}

void FrameLink::OnResume() {
  if (!Reads() || input_.empty()) return;
  const Watcher watcher(this);
  // Apart from the link, which a handler may destroy.
  std::string input = std::exchange(input_, {});
  const size_t used = Process(input, watcher);
  if (watcher.gone() || phase_ == Phase::kDown) return;
  if (used < input.size()) {
    input.erase(0, used);
    input_ = std::move(input);
  } else if (input.capacity() <= kFrameInputKeptBytes) {
    input.clear();
    input_ = std::move(input);
  }
  if (Reads()) stream_->SetReading(true);
}

void FrameLink::KeepRest(std::string_view rest) {
  if (!rest.empty()) input_.assign(rest);
}

size_t FrameLink::Process(std::string_view bytes, const Watcher& watcher) {
  size_t used = 0;
  while (used < bytes.size() && Reads()) {
    if (!up() && IsTls(bytes.substr(used))) {
      Refuse("this side does not speak TLS",
             {LinkEnd::Cause::kInsecure, "the peer speaks TLS, and this side does not"});
      break;
    }
    Frame frame;
    size_t frame_bytes = 0;
    const Cut cut = codec_->Next(bytes.substr(used), &frame, &frame_bytes);
    if (cut == Cut::kIncomplete) break;
    if (cut == Cut::kTooLong || frame_bytes > FrameBytesMax()) {
      Refuse("not a frame of this protocol, or too long",
             {LinkEnd::Cause::kMalformed, "no frame, or one that is too long"});
      break;
    }
    if (cut == Cut::kHeader) break;
    BANDB_ASSERT(frame_bytes > 0);
    BANDB_ASSERT(frame_bytes <= bytes.size() - used);
    used += frame_bytes;
    HandleFrame(frame, watcher);
    if (watcher.gone()) break;
  }
  return used;
}

void FrameLink::HandleFrame(const Frame& frame, const Watcher& watcher) {
  const auto reason = [&frame] { return base::Escape(frame.payload, kReasonBytesMax); };
  if (up() && frame.message_id >= kFirstLinkMessage) return handler_->OnFrame(frame);
  // An acceptor that closes before it saw our accept says refuse.
  const bool parting = frame.message_id == kGoodbye || frame.message_id == kRefuse;
  if (up() && parting) return End({LinkEnd::Cause::kClosedByPeer, reason()});
  if (!up() && frame.message_id == kRefuse) return End({LinkEnd::Cause::kRefusedByPeer, reason()});
  if (phase_ == Phase::kAwaitingHello && frame.message_id == kHello) return HandleHello(frame.payload, watcher);
  if (phase_ == Phase::kAwaitingAccept && frame.message_id == kAccept) return BecomeUp();
  Refuse("an unexpected message",
         {LinkEnd::Cause::kMalformed, fmt::format("message {} was not expected", frame.message_id)});
}

void FrameLink::HandleHello(std::string_view hello, const Watcher& watcher) {
  const absl::Status verdict = handler_->OnHello(hello);
  if (watcher.gone() || phase_ != Phase::kAwaitingHello) return;
  if (!verdict.ok()) {
    const std::string_view reason = base::Message(verdict);
    return Refuse(reason, {LinkEnd::Cause::kRefusedHere, std::string(reason)});
  }
  if (dialed_) {
    Say(kAccept, {});
    return BecomeUp();
  }
  Say(kHello, hello_);
  phase_ = Phase::kAwaitingAccept;
}

void FrameLink::BecomeUp() {
  phase_ = Phase::kUp;
  stream_->SetReadBytes(LinkHost::kReadBytes);
  ArmTimer();
  handler_->OnUp();
}

void FrameLink::Say(uint32_t message_id, std::string_view payload) {
  head_.clear();
  codec_->AppendHead(message_id, payload, &head_);
  stream_->Append(head_);
  stream_->Append(payload);
}

bool FrameLink::Send(uint32_t message_id, std::string_view payload) {
  BANDB_ASSERT(message_id >= kFirstLinkMessage);
  if (!writable()) return false;
  Say(message_id, payload);
  AfterAppend();
  return true;
}

bool FrameLink::SendOwned(uint32_t message_id, OwnedBytes payload) {
  BANDB_ASSERT(message_id >= kFirstLinkMessage);
  if (!writable()) return false;
  head_.clear();
  codec_->AppendHead(message_id, payload.bytes(), &head_);
  stream_->Append(head_);
  stream_->AppendOwned(std::move(payload));
  AfterAppend();
  return true;
}

void FrameLink::AfterAppend() {
  if (stream_->output_bytes() >= options_.output_bytes_high) over_mark_ = true;
}

void FrameLink::OnOutputTaken() {
  if (!over_mark_ || stream_->output_bytes() > options_.output_bytes_low) return;
  over_mark_ = false;
  if (up()) handler_->OnWritable();
}

void FrameLink::SetFrameBytesMax(size_t bytes) {
  BANDB_ASSERT(bytes <= options_.frame_bytes_max);
  frame_bytes_max_ = bytes;
}

void FrameLink::SetReading(bool on) {
  if (reading_ == on) return;
  reading_ = on;
  if (phase_ == Phase::kNew || phase_ == Phase::kDown) return;
  if (!on) return stream_->SetReading(false);
  last_read_nanos_ = host_->loop()->NowNanos();
  // What waits comes first: a handler that takes one frame at a time would gather more with each.
  input_.empty() ? stream_->SetReading(true) : stream_->ResumeLater();
}

void FrameLink::Close(std::string_view reason) {
  if (phase_ == Phase::kNew || phase_ == Phase::kDown) return GoDown();
  TakeLeave(up() ? kGoodbye : kRefuse, reason);
}

void FrameLink::TakeLeave(Control control, std::string_view reason) {
  if (stream_->connected()) Say(control, reason.substr(0, kReasonBytesMax));
  stream_->Forget();
  host_->TakeLeave(std::move(stream_));
  GoDown();
}

void FrameLink::Refuse(std::string_view reason, const LinkEnd& end) {
  TakeLeave(up() ? kGoodbye : kRefuse, reason);
  handler_->OnDown(end);
}

void FrameLink::End(const LinkEnd& end) {
  GoDown();
  handler_->OnDown(end);
}

void FrameLink::GoDown() {
  phase_ = Phase::kDown;
  host_->loop()->Cancel(std::exchange(timer_, base::kNoTimer));
  if (stream_ != nullptr) host_->Retire(std::move(stream_));
  std::string().swap(input_);
}

void FrameLink::OnLost(bool ended, const std::string& why) {
  if (!up() && !why.empty()) return End({LinkEnd::Cause::kInsecure, why});
  if (phase_ == Phase::kConnecting) return End({LinkEnd::Cause::kUnreachable, "nobody accepts there"});
  std::string how = ended ? "the peer ended the connection" : "the connection broke";
  if (!up()) how += " in the handshake";
  if (!why.empty()) how += ": " + why;
  End({LinkEnd::Cause::kLost, how});
}

int64_t FrameLink::Deadline() const {
  switch (phase_) {
    case Phase::kNew:
    case Phase::kDown:
      return kNoTimeout;
    case Phase::kConnecting:
      return Later(phase_began_nanos_, options_.connect_timeout_nanos);
    case Phase::kAwaitingHello:
    case Phase::kAwaitingAccept:
      return Later(phase_began_nanos_, options_.greeting_timeout_nanos);
    case Phase::kUp:
      break;
  }
  int64_t deadline = kNoTimeout;
  if (reading_) deadline = Later(last_read_nanos_, options_.idle_timeout_nanos);
  if (stream_->output_bytes() > 0) {
    deadline = std::min(deadline, Later(stream_->output_since_nanos(), options_.output_timeout_nanos));
  }
  return deadline;
}

void FrameLink::ArmTimer() {
  base::EventLoop* const loop = host_->loop();
  loop->Cancel(std::exchange(timer_, base::kNoTimer));
  int64_t due = Deadline();
  // What begins to wait after this has a deadline no sooner than these.
  if (up()) {
    due = std::min(due, Later(loop->NowNanos(), options_.output_timeout_nanos));
    due = std::min(due, Later(loop->NowNanos(), options_.idle_timeout_nanos));
  }
  if (due == kNoTimeout) return;
  timer_ = loop->After(std::max<int64_t>(1, due - loop->NowNanos()), [this] { OnTimer(); });
}

void FrameLink::OnTimer() {
  timer_ = base::kNoTimer;
  if (host_->loop()->NowNanos() < Deadline()) return ArmTimer();
  End({LinkEnd::Cause::kTimedOut, LateWith()});
}

const char* FrameLink::LateWith() const {
  if (phase_ == Phase::kConnecting) return "no connection in time";
  if (phase_ == Phase::kAwaitingHello) return "no hello in time";
  if (phase_ == Phase::kAwaitingAccept) return "no answer to the hello in time";
  const bool idle = reading_ && host_->loop()->NowNanos() >= Later(last_read_nanos_, options_.idle_timeout_nanos);
  return idle ? "nothing heard for too long" : "the peer takes nothing";
}

}  // namespace bandb::net
