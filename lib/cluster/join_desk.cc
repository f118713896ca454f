#include "cluster/join_desk.h"

#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "cluster/peer_protocol.h"

namespace bandb::cluster {

class JoinDesk::Guest final : public net::LinkHandler {
 public:
  Guest(JoinDesk* desk, uint64_t number, std::unique_ptr<net::FrameLink> link)
      : desk_(desk), number_(number), link_(std::move(link)) {
    link_->SetHandler(this);
    timer_ = desk_->loop_->After(desk_->limits_.nanos_max, [this] {
      timer_ = base::kNoTimer;
      Leave("no answer in time");
    });
  }
  ~Guest() { desk_->loop_->Cancel(timer_); }

  absl::Status OnHello(std::string_view) override { return absl::OkStatus(); }
  void OnUp() override {}
  void OnFrame(const net::Frame& frame) override { desk_->HandleRequest(this, frame); }
  void OnWritable() override {}
  void OnDown(const net::LinkEnd&) override { desk_->Remove(number_); }

  uint64_t number() const { return number_; }
  void SayAlive() { link_->Send(static_cast<uint32_t>(PeerFrame::kPing), {}); }
  // It has asked, and asks no more.
  bool TakeTurn() { return !std::exchange(asked_, true); }
  void Answer(std::string_view answer) {
    if (answer.size() > kJoinBytesMax) return Leave("the answer is too long");
    link_->Send(static_cast<uint32_t>(PeerFrame::kJoinAnswer), answer);
    Leave("answered");
  }
  // And is destroyed.
  void Leave(std::string_view reason) {
    link_->Close(reason);
    desk_->Remove(number_);
  }

 private:
  JoinDesk* const desk_;
  const uint64_t number_;
  const std::unique_ptr<net::FrameLink> link_;
  base::TimerId timer_ = base::kNoTimer;
  bool asked_ = false;
};

JoinDesk::JoinDesk(base::EventLoop* loop, const Limits& limits, Ask ask)
    : loop_(loop), limits_(limits), ask_(std::move(ask)), guests_(std::make_shared<Guests>()) {}

JoinDesk::~JoinDesk() { guests_->clear(); }

absl::Status JoinDesk::CheckRoom() const {
  if (guests_->size() < limits_.links_max) return absl::OkStatus();
  return base::Error(absl::StatusCode::kUnavailable, "{} nodes are asking to be let in: try again later",
                     guests_->size());
}

void JoinDesk::Take(std::unique_ptr<net::FrameLink> link) {
  const absl::Status room = CheckRoom();
  if (!room.ok()) return link->Close(base::Message(room));
  link->SetFrameBytesMax(proto::kFrameHeaderBytes + kJoinBytesMax);
  const uint64_t number = next_number_++;
  guests_->emplace(number, std::make_unique<Guest>(this, number, std::move(link)));
}

void JoinDesk::SayAlive() {
  for (const auto& [number, guest] : *guests_) guest->SayAlive();
}

void JoinDesk::Close(std::string_view reason) {
  while (!guests_->empty()) guests_->begin()->second->Leave(reason);
}

void JoinDesk::Remove(uint64_t number) { guests_->erase(number); }

void JoinDesk::HandleRequest(Guest* guest, const net::Frame& frame) {
  if (frame.message_id == static_cast<uint32_t>(PeerFrame::kPing)) return;
  if (frame.message_id != static_cast<uint32_t>(PeerFrame::kJoinRequest) || !guest->TakeTurn()) {
    return guest->Leave("not a request to be let in");
  }
  ask_(frame.payload, [guests = std::weak_ptr<Guests>(guests_), number = guest->number()](const std::string& answer) {
    const std::shared_ptr<Guests> present = guests.lock();
    if (present == nullptr) return;
    const auto found = present->find(number);
    if (found != present->end()) found->second->Answer(answer);
  });
}

}  // namespace bandb::cluster
