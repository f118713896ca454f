#include "net/link_host.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "net/link_stream.h"

namespace bandb::net {

LinkHost::LinkHost(base::EventLoop* loop, const Limits& limits)
    : loop_(loop), limits_(limits), read_buffer_(std::make_unique<char[]>(kReadBytes)) {
  loop_->AddTurnHandler(this);
}

LinkHost::~LinkHost() { loop_->RemoveTurnHandler(this); }

void LinkHost::Touch(LinkStream* stream) {
  // Two turns may begin at the same moment, so this wakes the loop once too often at worst.
  if (touched_.empty() && loop_->NowNanos() == turn_ended_nanos_) loop_->Post([] {});
  if (!std::exchange(stream->touched, true)) touched_.push_back(stream);
}

void LinkHost::TakeLeave(std::unique_ptr<LinkStream> stream) {
  if (!stream->connected() || stream->output_bytes() > limits_.leaving_bytes_max) return Retire(std::move(stream));
  LinkStream* const leaving = stream.get();
  leaving_.push_back(std::move(stream));
  leaving->TakeLeave(limits_.linger_nanos);
  if (leaving_.size() > limits_.leaving_max) {
    Retire(std::move(leaving_.front()));
    leaving_.erase(leaving_.begin());
  }
}

void LinkHost::Retire(std::unique_ptr<LinkStream> stream) {
  stream->Drop();
  // Not destroyed here: this may be called from inside it.
  Touch(stream.get());
  retired_.push_back(std::move(stream));
}

void LinkHost::Left(LinkStream* stream) {
  const auto found =
      std::find_if(leaving_.begin(), leaving_.end(), [stream](const auto& other) { return other.get() == stream; });
  BANDB_ASSERT(found != leaving_.end());
  std::unique_ptr<LinkStream> left = std::move(*found);
  leaving_.erase(found);
  Retire(std::move(left));
}

void LinkHost::OnTurnEnd() {
  turn_ended_nanos_ = loop_->NowNanos();
  // What is touched from here on waits for the next turn, or a peer that reads fast could hold this
  // one forever.
  flushing_.swap(touched_);
  for (LinkStream* stream : flushing_) {
    stream->touched = false;
    stream->Flush();
  }
  flushing_.clear();
  std::erase_if(retired_, [](const auto& stream) { return !stream->touched; });
}

}  // namespace bandb::net
