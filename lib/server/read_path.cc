#include "server/read_path.h"

#include <array>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "proto/message_id.h"
#include "proto/response.h"

namespace bandb::server {

namespace {

// Up to this a value is copied into the output; above, what it lies in is kept until it was written.
constexpr size_t kCopyBytesMax = 16 << 10;
constexpr size_t kKeysPerStep = 64;
constexpr size_t kBytesPerStep = 1 << 20;
constexpr std::string_view kTooLargeMessage = "the value exceeds the frame limit";

bool Fits(size_t value_bytes, uint32_t frame_bytes_max) {
  return value_bytes + 1 + sizeof(uint32_t) <= frame_bytes_max;
}

void ReleasePinned(void* owner) { delete static_cast<PinnedValue*>(owner); }

}  // namespace

ReadPath::ReadPath(Store* store, base::EventLoop* loop, const AnswerContext& context, bool reads_inline)
    : store_(store),
      loop_(loop),
      context_(context),
      reads_inline_(reads_inline),
      inline_options_{.only_cached = true},
      local_options_{.consistency = Consistency::kLocal} {}

ReadPath::~ReadPath() { BANDB_ASSERT(step_ == nullptr); }

void ReadPath::Get(net::Call& call, std::string_view key) {
  context_.counters->reads.Add();
  if (reads_inline_ && !call.behind_others() && GetInline(call, key)) return;
  waiting_.push_back({call.Defer(key.size() + sizeof(Item)), std::string(key), {}});
}

bool ReadPath::GetInline(net::Call& call, std::string_view key) {
  PinnedValue value;
  const absl::Status status = store_->GetPinned(key, &value, inline_options_);
  if (status.code() == absl::StatusCode::kUnavailable) return false;
  if (status.ok()) {
    AnswerValue(call, std::move(value));
  } else {
    AnswerStatus(call, status, context_.counters);
  }
  return true;
}

void ReadPath::AnswerValue(net::Call& call, PinnedValue value) {
  const std::string_view bytes = value.value();
  if (!Fits(bytes.size(), context_.frame_bytes_max)) {
    return AnswerError(call, ToCode(proto::ErrorCode::kTooLarge), kTooLargeMessage);
  }
  std::array<char, proto::kValueHeadBytes> head;
  proto::StoreValueHead(head.data(), bytes.size());
  const std::string_view head_bytes(head.data(), head.size());
  if (bytes.size() <= kCopyBytesMax) return call.Answer({.head = head_bytes, .body = bytes});
  auto owner = std::make_unique<PinnedValue>(std::move(value));
  const std::string_view kept = owner->value();
  call.Answer({.head = head_bytes, .tail = net::OwnedBytes(kept, owner.release(), ReleasePinned)});
}

void ReadPath::EndTurn() {
  if (step_ == nullptr && !waiting_.empty()) StartStep();
}

void ReadPath::StartStep() {
  step_ = std::make_unique<std::vector<Item>>();
  while (!waiting_.empty() && step_->size() < kKeysPerStep) {
    step_->push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  store_->ReadBarrierAsync(ReadOptions(), [this](absl::Status barrier) {
    ReadStep(barrier);
    loop_->Post([this] { FinishStep(); });
  });
}

// On the store's thread.
void ReadPath::ReadStep(const absl::Status& barrier) {
  size_t bytes = 0;
  for (Item& item : *step_) {
    if (bytes > kBytesPerStep) return;
    if (barrier.ok()) {
      Read(&item);
    } else {
      item.ok = false;
      item.code = proto::CodeFor(barrier);
      proto::AppendError(&item.reply, item.code, base::Message(barrier));
    }
    bytes += item.reply.size();
  }
}

void ReadPath::Read(Item* item) {
  PinnedValue value;
  const absl::Status status = store_->GetPinned(item->key, &value, local_options_);
  const std::string_view bytes = value.value();
  const bool fits = !status.ok() || Fits(bytes.size(), context_.frame_bytes_max);
  item->ok = status.ok() && fits;
  if (item->ok) {
    item->reply.reserve(proto::kValueHeadBytes + bytes.size());
    item->reply.resize(proto::kValueHeadBytes);
    proto::StoreValueHead(item->reply.data(), bytes.size());
    item->reply.append(bytes);
    return;
  }
  item->code = fits ? proto::CodeFor(status) : ToCode(proto::ErrorCode::kTooLarge);
  proto::AppendError(&item->reply, item->code, fits ? base::Message(status) : kTooLargeMessage);
}

void ReadPath::FinishStep() {
  const std::unique_ptr<std::vector<Item>> step = std::move(step_);
  // What the step did not come to goes first in the next.
  while (!step->empty() && step->back().reply.empty()) {
    waiting_.push_front(std::move(step->back()));
    step->pop_back();
  }
  for (Item& item : *step) {
    if (item.code == ToCode(proto::ErrorCode::kOverloaded)) context_.counters->overloaded.Add();
    context_.completions->Complete(item.ticket, {.head = item.reply, .ok = item.ok, .code = item.code}).IgnoreError();
  }
}

}  // namespace bandb::server
