#include "server/scan_path.h"

#include <algorithm>
#include <memory>
#include <string>

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "proto/response.h"

namespace bandb::server {

namespace {

constexpr char kCursorVersion = 1;
constexpr uint32_t kEntriesDefault = 1000;
constexpr uint32_t kEntriesMax = 65536;
constexpr uint32_t kBytesDefault = 1 << 20;

// The range that is left, once the cursor is taken into account; false if the cursor is none of ours.
bool RestOfRange(const proto::Scan& scan, ReadOptions* options) {
  options->lower_bound = scan.begin;
  options->upper_bound = scan.limit;
  if (scan.cursor.empty()) return true;
  if (scan.cursor[0] != kCursorVersion) return false;
  const std::string last(scan.cursor.substr(1));
  if (scan.reverse) {
    options->upper_bound = scan.limit.empty() ? last : std::min(last, options->upper_bound);
  } else {
    options->lower_bound = std::max(options->lower_bound, last + '\0');
  }
  return true;
}

}  // namespace

// One request on its way to the store's thread and back.
struct ScanPath::Step {
  ScanPath* path = nullptr;
  net::Ticket ticket;
  ReadOptions options;
  bool reverse = false;
  bool keys_only = false;
  bool nothing_left = false;  // below the first key nothing comes, and an empty bound would mean everything
  uint32_t entries_max = 0;
  size_t body_bytes_max = 0;
  std::string reply;
  bool ok = true;
  uint16_t code = 0;

  void Run(const absl::Status& barrier);
  absl::Status Collect();
  void Fail(uint16_t with, std::string_view message);
};

ScanPath::~ScanPath() { BANDB_ASSERT(in_flight_ == 0); }

void ScanPath::Scan(net::Call& call, std::string_view payload) {
  proto::Scan scan;
  auto step = std::make_unique<Step>();
  if (!proto::DecodeScan(payload, &scan) || !RestOfRange(scan, &step->options)) {
    return AnswerMalformed(call, context_.counters);
  }
  context_.counters->reads.Add();
  step->path = this;
  step->reverse = scan.reverse;
  step->keys_only = scan.keys_only;
  step->nothing_left = scan.reverse && scan.cursor.size() == 1;
  step->entries_max = std::min(scan.entries_max == 0 ? kEntriesDefault : scan.entries_max, kEntriesMax);
  // Of the payload: the status byte stands in front of the body.
  const uint32_t bytes_max = std::min(scan.bytes_max == 0 ? kBytesDefault : scan.bytes_max, context_.frame_bytes_max);
  step->body_bytes_max = bytes_max - 1;
  step->options.fill_cache = false;
  step->options.consistency = Consistency::kLocal;
  step->ticket = call.Defer(bytes_max);
  in_flight_++;
  Step* started = step.release();
  store_->ReadBarrierAsync(ReadOptions(), [started](absl::Status barrier) {
    started->Run(barrier);
    started->path->loop_->Post([started] { started->path->Finish(started); });
  });
}

void ScanPath::Step::Fail(uint16_t with, std::string_view message) {
  ok = false;
  code = with;
  reply.clear();
  proto::AppendError(&reply, code, message);
}

// On the store's thread.
void ScanPath::Step::Run(const absl::Status& barrier) {
  const absl::Status status = barrier.ok() ? Collect() : barrier;
  if (!ok) return;
  if (!status.ok()) return Fail(proto::CodeFor(status), base::Message(status));
  proto::StoreOkHead(reply.data(), reply.size() - proto::kOkFrameBytes);
}

absl::Status ScanPath::Step::Collect() {
  reply.assign(proto::kOkFrameBytes + sizeof(uint32_t), '\0');
  uint32_t count = 0;
  bool more = false;
  std::string last;
  const std::unique_ptr<Iterator> it = path->store_->NewIterator(options);
  if (!nothing_left) {
    reverse ? it->SeekToLast() : it->SeekToFirst();
    for (; it->Valid(); reverse ? it->Prev() : it->Next()) {
      const std::string_view value = keys_only ? std::string_view() : it->value();
      // Behind the entry stands the cursor, which holds its key once more.
      const size_t with_entry = reply.size() - proto::kOkFrameBytes + proto::kScanEntryHeadBytes + it->key().size() +
                                value.size() + sizeof(uint32_t) + 1 + it->key().size();
      more = count == entries_max || with_entry > body_bytes_max;
      if (more && count == 0) {
        Fail(ToCode(proto::ErrorCode::kTooLarge),
             fmt::format("an entry of {} bytes exceeds the byte limit; ask for more bytes, or for keys only",
                         it->key().size() + value.size()));
        return absl::OkStatus();
      }
      if (more) break;
      proto::AppendScanEntry(&reply, it->key(), value);
      last.assign(it->key());
      count++;
    }
  }
  BANDB_RETURN_IF_ERROR(it->status());
  base::StoreFixed<uint32_t>(reply.data() + proto::kOkFrameBytes, count);
  base::PutFixed32(&reply, more ? static_cast<uint32_t>(1 + last.size()) : 0);
  if (more) reply.append(1, kCursorVersion).append(last);
  return absl::OkStatus();
}

void ScanPath::Finish(Step* step) {
  const std::unique_ptr<Step> owned(step);
  in_flight_--;
  if (step->code == ToCode(proto::ErrorCode::kOverloaded)) context_.counters->overloaded.Add();
  context_.completions->Complete(step->ticket, {.head = step->reply, .ok = step->ok, .code = step->code}).IgnoreError();
}

}  // namespace bandb::server
