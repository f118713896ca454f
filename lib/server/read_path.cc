#include "server/read_path.h"

#include <array>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "proto/message_id.h"
#include "proto/response.h"
#include "server/durable_replies.h"

namespace bandb::server {

namespace {

// Up to this a value is copied into the output; above, what it lies in is kept until it was
// written.
constexpr size_t kCopyBytesMax = 16 << 10;
constexpr size_t kKeysPerStep = 64;
constexpr size_t kBytesPerStep = 1 << 20;
constexpr std::string_view kTooLargeMessage = "the value exceeds the frame limit";

bool Fits(size_t value_bytes, uint32_t frame_bytes_max) {
  return value_bytes + 1 + sizeof(uint32_t) <= frame_bytes_max;
}

// A value that a reply keeps where it lies. Others may keep it, too, so its memory is counted by
// the quota.
struct PinnedReply {
  PinnedValue value;
  net::Quota* quota = nullptr;
};

net::OwnedBytes Keep(PinnedValue value, net::Quota* quota) {
  auto* const kept = new PinnedReply{std::move(value), quota};
  const std::string_view bytes = kept->value.value();
  quota->Share(bytes.data(), bytes.size());
  return net::OwnedBytes(bytes, 0, kept, [](void* owner) {
    const std::unique_ptr<PinnedReply> released(static_cast<PinnedReply*>(owner));
    released->quota->Unshare(released->value.value().data());
  });
}

}  // namespace

ReadPath::ReadPath(Store* store, base::EventLoop* loop, const AnswerContext& context, bool reads_inline)
    : store_(store), loop_(loop), context_(context), reads_inline_(reads_inline) {}

ReadPath::~ReadPath() { BANDB_ASSERT(step_ == nullptr); }

void ReadPath::Get(net::Call& call, std::string_view key) {
  context_.counters->reads.Add();
  if (reads_inline_ && !call.behind_others() && GetInline(call, key)) return;
  waiting_.push_back({call.Defer(key.size() + sizeof(Item)), std::string(key), {}});
}

bool ReadPath::GetInline(net::Call& call, std::string_view key) {
  PinnedValue value;
  bool saw_undurable = false;
  const absl::Status status = store_->GetPinned(key, &value, {.only_cached = true, .saw_undurable = &saw_undurable});
  if (status.code() == absl::StatusCode::kUnavailable) return false;
  if (saw_undurable && context_.durable != nullptr) {
    Item item;
    MakeReply(status, value, &item);
    item.ticket = call.Defer(key.size());
    context_.durable->Hold(item.ticket, std::move(item.reply), item.ok, item.code);
    return true;
  }
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
  call.Answer({.head = head_bytes, .tail = Keep(std::move(value), context_.quota)});
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
  // The barrier opens on the thread that acknowledges writes; the reading is done elsewhere.
  store_->ReadBarrierAsync(ReadOptions(), [this](absl::Status barrier) {
    context_.readers->Post(base::Priority::kNormal, [this, barrier = std::move(barrier)] {
      ReadStep(barrier);
      loop_->Post([this] { FinishStep(); });
    });
  });
}

// On a reader's thread.
void ReadPath::ReadStep(const absl::Status& barrier) {
  size_t bytes = 0;
  for (Item& item : *step_) {
    if (bytes > kBytesPerStep) return;
    if (barrier.ok()) {
      Read(&item);
    } else {
      item.ok = false;
      item.code = FailureCode(barrier);
      proto::AppendError(&item.reply, item.code, base::Message(barrier));
    }
    bytes += item.reply.size();
    context_.quota->AddMemory(static_cast<int64_t>(item.reply.size()));
  }
}

void ReadPath::Read(Item* item) {
  PinnedValue value;
  const absl::Status status =
      store_->GetPinned(item->key, &value, {.saw_undurable = &item->saw_undurable, .consistency = Consistency::kLocal});
  MakeReply(status, value, item);
}

void ReadPath::MakeReply(const absl::Status& status, const PinnedValue& value, Item* item) const {
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
    const auto produced = static_cast<int64_t>(item.reply.size());
    CompleteWith(context_, item.ticket, std::move(item.reply), item.ok, item.code, item.saw_undurable);
    context_.quota->AddMemory(-produced);
  }
}

}  // namespace bandb::server
