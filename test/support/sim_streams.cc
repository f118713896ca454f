#include "support/sim_streams.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "net/timer_queue.h"

namespace bandb::test {

namespace {
constexpr int64_t kNever = INT64_MAX;
}

// One direction of a connection.
struct SimPipe {
  struct Segment {
    int64_t sent_nanos;
    int64_t due_nanos;
    std::string bytes;
  };
  std::deque<Segment> segments;
  size_t held_bytes = 0;
  size_t front_read = 0;  // bytes of the front segment already read
  int64_t last_due_nanos = 0;
  int64_t end_due_nanos = kNever;  // when the reader sees the end
};

struct SimLink {
  SimPipe pipes[2];  // [side] is written by that side
  bool closed[2] = {false, false};
  int64_t broken_due_nanos[2] = {kNever, kNever};  // when that side sees it broken
  int64_t connected_due_nanos = 0;                 // for side 0, which connected
  bool established = false;                        // side 0 has seen it
  bool network_broke_it = false;
  // Of each side; null where nobody listened, or the loop is gone.
  const base::EventLoop* loops[2] = {nullptr, nullptr};
  int hosts[2] = {0, 0};
  bool killed[2] = {false, false};  // the process of that side died
};

class SimStream final : public base::Stream {
 public:
  SimStream(SimNetwork* network, SimLoop* loop, std::shared_ptr<SimLink> link, int side, std::string peer);
  ~SimStream() override;
  void SetHandler(base::StreamHandler* handler) override { handler_ = handler; }
  base::IoResult Read(char* to, size_t bytes_max) override;
  base::IoResult Write(absl::Span<const std::string_view> pieces) override;
  void Watch(bool readable, bool writable) override {
    watch_read_ = readable;
    watch_write_ = writable;
  }
  void CloseWrite() override;
  const std::string& peer() const override { return peer_; }

  bool Broken() const {
    return link_->broken_due_nanos[side_] <= network_->now_nanos_ && (link_->network_broke_it || !Deaf());
  }
  bool BrokenToTell() const { return Broken() && !told_broken_; }
  bool ReadReady() const { return watch_read_ && !Broken() && (HasBytes() || AtEnd()); }
  bool WriteReady() const {
    return watch_write_ && !Broken() && Connected() && link_->pipes[side_].held_bytes < network_->options_.window_bytes;
  }
  bool Ready() const { return BrokenToTell() || ReadReady() || WriteReady(); }
  void Tell(bool writing);

 private:
  const SimPipe& incoming() const { return link_->pipes[1 - side_]; }
  // Nothing arrives from the other side.
  bool Deaf() const { return network_->IsCut(*link_, side_); }
  bool Connected() const {
    if (side_ == 1 || link_->established) return true;
    const bool cut = Deaf() || network_->IsCut(*link_, 1);
    link_->established = link_->connected_due_nanos <= network_->now_nanos_ && !cut;
    return link_->established;
  }
  bool HasBytes() const {
    return !Deaf() && !incoming().segments.empty() && incoming().segments.front().due_nanos <= network_->now_nanos_;
  }
  bool AtEnd() const {
    return !Deaf() && incoming().segments.empty() && incoming().end_due_nanos <= network_->now_nanos_;
  }

  SimNetwork* const network_;
  SimLoop* const loop_;
  const std::shared_ptr<SimLink> link_;  // shared by the two ends
  const int side_;
  const std::string peer_;
  base::StreamHandler* handler_ = nullptr;
  uint64_t id_ = 0;
  bool watch_read_ = false;
  bool watch_write_ = false;
  bool told_broken_ = false;
};

class SimListener final : public base::Listener {
 public:
  SimListener(SimNetwork* network, SimLoop* loop, std::string address, base::AcceptHandler* handler);
  ~SimListener() override;
  absl::StatusOr<std::unique_ptr<base::Stream>> Accept(base::EventLoop* loop) override;
  void Watch(bool acceptable) override { watch_ = acceptable; }
  const std::string& address() const override { return address_; }

  bool Waiting() const {
    return !waiting_.empty() && waiting_.front().first <= network_->now_nanos_ &&
           !network_->IsCut(*waiting_.front().second, 1);
  }
  bool Ready() const { return watch_ && Waiting(); }
  void Tell() { handler_->OnAcceptable(); }
  const base::EventLoop* loop() const;
  int loop_host() const;
  void Queue(int64_t due_nanos, std::shared_ptr<SimLink> link) { waiting_.emplace_back(due_nanos, std::move(link)); }

 private:
  SimNetwork* const network_;
  SimLoop* const loop_;
  const std::string address_;
  base::AcceptHandler* const handler_;
  bool watch_ = true;
  std::deque<std::pair<int64_t, std::shared_ptr<SimLink>>> waiting_;
};

class SimLoop final : public base::EventLoop {
 public:
  SimLoop(SimNetwork* network, int host) : network_(network), host_(host) { network_->loops_.push_back(this); }
  ~SimLoop() override {
    std::erase(network_->loops_, this);
    network_->Forget(this);
  }
  int host() const { return host_; }

  absl::StatusOr<std::unique_ptr<base::Listener>> Listen(const base::ListenOptions& options,
                                                         base::AcceptHandler* handler) override;
  absl::StatusOr<std::unique_ptr<base::Stream>> Connect(const std::string& address,
                                                        base::StreamHandler* handler) override;
  base::TimerId After(int64_t delay_nanos, base::Task task) override {
    const int64_t now = network_->now_nanos_ + network_->TurnNanos(host_);
    const int64_t due = delay_nanos > kNever - now ? kNever : now + delay_nanos;
    network_->times_.insert(due);
    return timers_.Add(due, std::move(task));
  }
  void Cancel(base::TimerId timer) override { timers_.Cancel(timer); }
  void Post(base::Task task) override { posted_.push_back(std::move(task)); }
  int64_t NowNanos() override { return network_->now_nanos_; }
  void AddTurnHandler(base::TurnHandler* handler) override { turn_handlers_.push_back(handler); }
  void RemoveTurnHandler(base::TurnHandler* handler) override { std::erase(turn_handlers_, handler); }

  bool Ready() const;
  void Turn();

  uint64_t Add(SimStream* stream) {
    streams_.emplace(++last_id_, stream);
    return last_id_;
  }
  void Remove(uint64_t id) { streams_.erase(id); }
  void SetListener(SimListener* listener, bool present) {
    if (present) {
      listeners_.push_back(listener);
    } else {
      std::erase(listeners_, listener);
    }
  }

 private:
  SimNetwork* const network_;
  const int host_;
  net::TimerQueue timers_;
  std::vector<base::Task> posted_;
  std::vector<base::TurnHandler*> turn_handlers_;
  std::map<uint64_t, SimStream*> streams_;
  std::vector<SimListener*> listeners_;
  uint64_t last_id_ = 0;
};

SimStream::SimStream(SimNetwork* network, SimLoop* loop, std::shared_ptr<SimLink> link, int side, std::string peer)
    : network_(network), loop_(loop), link_(std::move(link)), side_(side), peer_(std::move(peer)) {
  id_ = loop_->Add(this);
}

SimStream::~SimStream() {
  loop_->Remove(id_);
  link_->closed[side_] = true;
  if (link_->killed[side_]) return;
  SimPipe& out = link_->pipes[side_];
  if (link_->pipes[1 - side_].held_bytes > 0) {
    // As TCP: what was never read makes the peer see a reset.
    link_->broken_due_nanos[1 - side_] = std::min(link_->broken_due_nanos[1 - side_], network_->Schedule(0));
  } else if (out.end_due_nanos == kNever) {
    out.end_due_nanos = network_->Schedule(out.last_due_nanos);
  }
}

void SimStream::Tell(bool writing) {
  if (BrokenToTell()) {
    told_broken_ = true;
    handler_->OnBroken();
  } else if (!writing && ReadReady()) {
    handler_->OnReadable();
  } else if (writing && WriteReady()) {
    handler_->OnWritable();
  }
}

base::IoResult SimStream::Read(char* to, size_t bytes_max) {
  BANDB_ASSERT(bytes_max > 0);
  if (Broken()) return {base::IoResult::State::kFailed, 0};
  if (AtEnd()) return {base::IoResult::State::kEnd, 0};
  if (!HasBytes()) return {base::IoResult::State::kWouldBlock, 0};
  if (network_->options_.split && network_->random_.OneIn(2)) bytes_max = 1 + network_->random_.Uniform(bytes_max);
  SimPipe& in = link_->pipes[1 - side_];
  size_t count = 0;
  while (count < bytes_max && HasBytes()) {
    const std::string& bytes = in.segments.front().bytes;
    const size_t part = std::min(bytes.size() - in.front_read, bytes_max - count);
    std::copy_n(bytes.data() + in.front_read, part, to + count);
    count += part;
    in.front_read += part;
    if (in.front_read < bytes.size()) break;
    in.segments.pop_front();
    in.front_read = 0;
  }
  in.held_bytes -= count;
  return {base::IoResult::State::kDone, count};
}

base::IoResult SimStream::Write(absl::Span<const std::string_view> pieces) {
  if (Broken() || !Connected() || link_->killed[side_]) return {base::IoResult::State::kFailed, 0};
  SimPipe& out = link_->pipes[side_];
  size_t room = network_->options_.window_bytes - std::min(network_->options_.window_bytes, out.held_bytes);
  if (room == 0) return {base::IoResult::State::kWouldBlock, 0};
  if (network_->options_.split && network_->random_.OneIn(2)) room = 1 + network_->random_.Uniform(room);
  std::string bytes;
  for (const std::string_view piece : pieces) bytes.append(piece.substr(0, room - bytes.size()));
  if (link_->closed[1 - side_]) {
    // Nobody reads there any more: the answer is a reset.
    link_->broken_due_nanos[side_] = std::min(link_->broken_due_nanos[side_], network_->Schedule(0));
    return {base::IoResult::State::kDone, bytes.size()};
  }
  out.held_bytes += bytes.size();
  out.last_due_nanos = network_->Schedule(out.last_due_nanos, network_->SlowNanos(*link_, 1 - side_));
  const size_t count = bytes.size();
  out.segments.push_back({network_->now_nanos_, out.last_due_nanos, std::move(bytes)});
  return {base::IoResult::State::kDone, count};
}

void SimStream::CloseWrite() {
  SimPipe& out = link_->pipes[side_];
  if (link_->killed[side_]) return;
  if (out.end_due_nanos == kNever) out.end_due_nanos = network_->Schedule(out.last_due_nanos);
}

SimListener::SimListener(SimNetwork* network, SimLoop* loop, std::string address, base::AcceptHandler* handler)
    : network_(network), loop_(loop), address_(std::move(address)), handler_(handler) {
  network_->listeners_[address_] = this;
  loop_->SetListener(this, true);
}

const base::EventLoop* SimListener::loop() const { return loop_; }

int SimListener::loop_host() const { return loop_->host(); }

SimListener::~SimListener() {
  for (auto& [due, link] : waiting_) link->broken_due_nanos[0] = network_->Schedule(0);
  network_->listeners_.erase(address_);
  loop_->SetListener(this, false);
}

absl::StatusOr<std::unique_ptr<base::Stream>> SimListener::Accept(base::EventLoop* loop) {
  if (!Waiting()) return std::unique_ptr<base::Stream>();
  if (network_->failing_accepts_ > 0) {
    network_->failing_accepts_--;
    return base::Error(absl::StatusCode::kResourceExhausted, "accept: out of descriptors");
  }
  auto link = std::move(waiting_.front().second);
  waiting_.pop_front();
  link->loops[1] = loop;
  link->hosts[1] = static_cast<SimLoop*>(loop)->host();
  std::string peer = "client" + std::to_string(link->hosts[0]) + ":" + std::to_string(network_->next_port_++);
  return std::unique_ptr<base::Stream>(
      std::make_unique<SimStream>(network_, static_cast<SimLoop*>(loop), std::move(link), 1, std::move(peer)));
}

absl::StatusOr<std::unique_ptr<base::Listener>> SimLoop::Listen(const base::ListenOptions& options,
                                                                base::AcceptHandler* handler) {
  std::string address = options.address;
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return base::Error(absl::StatusCode::kInvalidArgument, "not HOST:PORT");
  if (address.substr(colon) == ":0") address = address.substr(0, colon + 1) + std::to_string(network_->next_port_++);
  if (network_->listeners_.count(address) != 0) {
    return base::Error(absl::StatusCode::kFailedPrecondition, "{}: the address is in use", address);
  }
  return std::unique_ptr<base::Listener>(std::make_unique<SimListener>(network_, this, address, handler));
}

absl::StatusOr<std::unique_ptr<base::Stream>> SimLoop::Connect(const std::string& address,
                                                               base::StreamHandler* handler) {
  if (address.rfind(':') == std::string::npos) {
    return base::Error(absl::StatusCode::kInvalidArgument, "not HOST:PORT");
  }
  auto link = std::make_shared<SimLink>();
  std::erase_if(network_->links_, [](const std::weak_ptr<SimLink>& weak) { return weak.expired(); });
  network_->links_.push_back(link);
  link->connected_due_nanos = network_->Schedule(0);
  link->loops[0] = this;
  link->hosts[0] = host_;
  const auto listener = network_->listeners_.find(address);
  if (listener == network_->listeners_.end()) {
    link->broken_due_nanos[0] = link->connected_due_nanos;
  } else {
    link->loops[1] = listener->second->loop();
    link->hosts[1] = listener->second->loop_host();
    listener->second->Queue(link->connected_due_nanos, link);
  }
  auto stream = std::make_unique<SimStream>(network_, this, link, 0, address);
  stream->SetHandler(handler);
  return std::unique_ptr<base::Stream>(std::move(stream));
}

bool SimLoop::Ready() const {
  return !posted_.empty() || timers_.NextDueNanos() <= network_->now_nanos_ ||
         std::any_of(streams_.begin(), streams_.end(), [](const auto& entry) { return entry.second->Ready(); }) ||
         std::any_of(listeners_.begin(), listeners_.end(), [](const SimListener* l) { return l->Ready(); });
}

void SimLoop::Turn() {
  std::vector<std::pair<uint64_t, bool>> ready;
  for (const auto& [id, stream] : streams_) {
    if (stream->BrokenToTell() || stream->ReadReady()) ready.emplace_back(id, false);
    if (stream->WriteReady()) ready.emplace_back(id, true);
  }
  for (size_t i = ready.size(); i > 1; i--) std::swap(ready[i - 1], ready[network_->random_.Uniform(i)]);
  for (const auto& [id, writing] : ready) {
    const auto stream = streams_.find(id);
    if (stream != streams_.end()) stream->second->Tell(writing);
  }
  for (SimListener* listener : std::vector<SimListener*>(listeners_)) {
    if (listener->Ready()) listener->Tell();
  }
  timers_.RunDue(network_->now_nanos_);
  for (base::Task& task : std::exchange(posted_, {})) std::move(task)();
  for (base::TurnHandler* handler : turn_handlers_) handler->OnTurnEnd();
}

SimNetwork::SimNetwork(const SimNetworkOptions& options) : options_(options), random_(options.seed), clock_(this) {}

SimNetwork::~SimNetwork() = default;

std::unique_ptr<base::EventLoop> SimNetwork::MakeLoop(int host) { return std::make_unique<SimLoop>(this, host); }

bool SimNetwork::IsCut(const SimLink& link, int side) const {
  return cuts_.count({link.loops[1 - side], link.loops[side]}) != 0 ||
         host_cuts_.count({link.hosts[1 - side], link.hosts[side]}) != 0;
}

int64_t SimNetwork::SlowNanos(const SimLink& link, int side) const {
  const auto found = slow_.find({link.hosts[1 - side], link.hosts[side]});
  return found == slow_.end() ? 0 : found->second;
}

int64_t SimNetwork::TurnNanos(int host) const {
  const auto found = turn_nanos_.find(host);
  return found == turn_nanos_.end() ? 0 : found->second;
}

int64_t SimNetwork::Schedule(int64_t not_before, int64_t extra_nanos) {
  const int64_t due = now_nanos_ + extra_nanos + random_.Between(options_.delay_nanos_min, options_.delay_nanos_max);
  const int64_t at = std::max(due, not_before);
  times_.insert(at);
  return at;
}

bool SimNetwork::Step() {
  std::vector<SimLoop*> ready;
  for (SimLoop* loop : loops_) {
    if (held_.count(static_cast<const base::EventLoop*>(loop)) == 0 && loop->Ready()) ready.push_back(loop);
  }
  if (!ready.empty()) {
    SimLoop* const next = ready[random_.Uniform(ready.size())];
    last_host_ = next->host();
    next->Turn();
    return true;
  }
  last_host_ = -1;
  const auto next = times_.upper_bound(now_nanos_);
  if (next == times_.end() || *next == kNever) return false;
  now_nanos_ = *next;
  times_.erase(times_.begin(), std::next(next));
  return true;
}

bool SimNetwork::RunUntil(const std::function<bool()>& done, int64_t nanos_max) {
  const int64_t deadline = now_nanos_ + nanos_max;
  while (!done()) {
    if (now_nanos_ >= deadline || !Step()) return done();
  }
  return true;
}

void SimNetwork::RunFor(int64_t nanos) {
  const int64_t deadline = now_nanos_ + nanos;
  times_.insert(deadline);
  while (now_nanos_ < deadline) Step();
}

void SimNetwork::BreakAll() {
  for (const std::weak_ptr<SimLink>& weak : links_) {
    const std::shared_ptr<SimLink> link = weak.lock();
    if (link == nullptr) continue;
    link->network_broke_it = true;
    link->broken_due_nanos[0] = std::min(link->broken_due_nanos[0], now_nanos_);
    link->broken_due_nanos[1] = std::min(link->broken_due_nanos[1], now_nanos_);
  }
}

void SimNetwork::Cut(const base::EventLoop* from, const base::EventLoop* to, bool cut) {
  if (cut) {
    cuts_.insert({from, to});
  } else {
    cuts_.erase({from, to});
  }
  times_.insert(now_nanos_ + 1);
}

void SimNetwork::CutHosts(int from, int to, bool cut) {
  if (cut) {
    host_cuts_.insert({from, to});
  } else {
    host_cuts_.erase({from, to});
  }
  times_.insert(now_nanos_ + 1);
}

void SimNetwork::HealHosts() {
  host_cuts_.clear();
  slow_.clear();
  times_.insert(now_nanos_ + 1);
}

void SimNetwork::Kill(const base::EventLoop* loop) {
  for (const std::weak_ptr<SimLink>& weak : links_) {
    const std::shared_ptr<SimLink> link = weak.lock();
    for (int side = 0; link != nullptr && side < 2; ++side) {
      if (link->loops[side] != loop || link->closed[side]) continue;
      link->killed[side] = true;
      SimPipe& out = link->pipes[side];
      while (!out.segments.empty() && out.segments.back().sent_nanos == now_nanos_) {
        out.held_bytes -= out.segments.back().bytes.size() - (out.segments.size() == 1 ? out.front_read : 0);
        out.segments.pop_back();
        if (out.segments.empty()) out.front_read = 0;
      }
      // A reset overtakes what is on its way, an end does not.
      if (random_.OneIn(2)) {
        link->broken_due_nanos[1 - side] = std::min(link->broken_due_nanos[1 - side], Schedule(0));
      } else if (out.end_due_nanos == kNever) {
        out.end_due_nanos = Schedule(out.last_due_nanos);
      }
    }
  }
}

// Another loop may come to lie where it was, and what concerned this one is none of its own.
void SimNetwork::Forget(const base::EventLoop* loop) {
  held_.erase(loop);
  std::erase_if(cuts_, [loop](const auto& cut) { return cut.first == loop || cut.second == loop; });
  for (const std::weak_ptr<SimLink>& weak : links_) {
    const std::shared_ptr<SimLink> link = weak.lock();
    for (int side = 0; link != nullptr && side < 2; ++side) {
      if (link->loops[side] == loop) link->loops[side] = nullptr;
    }
  }
}

void SimNetwork::Hold(const base::EventLoop* loop, bool held) {
  if (held) {
    held_.insert(loop);
  } else {
    held_.erase(loop);
  }
  times_.insert(now_nanos_ + 1);
}

}  // namespace bandb::test
