#include "server/scan_path.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "base/assert.h"
#include "base/coding.h"
#include "base/status.h"
#include "proto/message_id.h"
#include "proto/request.h"
#include "proto/response.h"

namespace bandb::server {

namespace {

constexpr char kCursorAfter = 1;
constexpr char kCursorAt = 2;
constexpr uint32_t kEntriesDefault = 1000;
constexpr uint32_t kEntriesMax = 65536;
constexpr uint32_t kBytesDefault = 1 << 20;
// Deleted and overwritten entries that a step passes before it ends: some milliseconds' worth.
constexpr uint64_t kSkipsMax = 50000;

// The range that is left, once the cursor is taken into account; false if the cursor is none of
// ours.
bool RestOfRange(const proto::Scan& scan, ReadOptions* options) {
  options->lower_bound = scan.begin;
  options->upper_bound = scan.limit;
  if (scan.cursor.empty()) return true;
  const char kind = scan.cursor[0];
  if (kind != kCursorAfter && kind != kCursorAt) return false;
  std::string key(scan.cursor.substr(1));
  // Forward the bound is inclusive, backward it is not.
  if ((kind == kCursorAt) == scan.reverse) key.push_back('\0');
  if (scan.reverse) {
    options->upper_bound = scan.limit.empty() ? key : std::min(key, options->upper_bound);
  } else {
    options->lower_bound = std::max(options->lower_bound, key);
  }
  return true;
}

}  // namespace

// One request on its way to a reader's thread and back.
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
  int64_t produced_bytes = 0;
  bool saw_undurable = false;
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
  step->nothing_left = scan.reverse && scan.cursor.size() == 1 && scan.cursor[0] == kCursorAfter;
  step->entries_max = std::min(scan.entries_max == 0 ? kEntriesDefault : scan.entries_max, kEntriesMax);
  // Of the payload: the status byte comes before the body.
  const uint32_t bytes_max = std::min(scan.bytes_max == 0 ? kBytesDefault : scan.bytes_max, context_.frame_bytes_max);
  step->body_bytes_max = bytes_max - 1;
  step->options.fill_cache = false;
  step->options.skips_max = kSkipsMax;
  step->options.saw_undurable = &step->saw_undurable;
  step->options.consistency = Consistency::kLocal;
  // What it will produce is counted when it is there.
  step->ticket = call.Defer(payload.size() + sizeof(Step));
  in_flight_++;
  Step* started = step.release();
  // The barrier opens on the thread that acknowledges writes; the scanning is done elsewhere.
  store_->ReadBarrierAsync(ReadOptions(), [started](absl::Status barrier) {
    ScanPath* const path = started->path;
    path->context_.readers->Post(base::Priority::kNormal, [started, barrier = std::move(barrier)] {
      started->Run(barrier);
      started->path->loop_->Post([started] { started->path->Finish(started); });
    });
  });
}

void ScanPath::Step::Fail(uint16_t with, std::string_view message) {
  ok = false;
  code = with;
  reply.clear();
  proto::AppendError(&reply, code, message);
}

// On a reader's thread.
void ScanPath::Step::Run(const absl::Status& barrier) {
  absl::Status status = barrier;
  if (status.ok() && path->context_.MemoryIsFull()) {
    status = base::Error(absl::StatusCode::kUnavailable, "the server is short of memory");
  }
  if (status.ok()) status = Collect();
  if (ok && !status.ok()) Fail(FailureCode(status), base::Message(status));
  if (ok) proto::StoreOkHead(reply.data(), reply.size() - proto::kOkFrameBytes);
  produced_bytes = static_cast<int64_t>(reply.capacity());
  path->context_.quota->AddMemory(produced_bytes);
}

absl::Status ScanPath::Step::Collect() {
  reply.assign(proto::kOkFrameBytes + sizeof(uint32_t), '\0');
  uint32_t count = 0;
  std::string cursor;
  std::string last;
  const std::unique_ptr<Iterator> it = path->store_->NewIterator(options);
  if (!nothing_left) {
    reverse ? it->SeekToLast() : it->SeekToFirst();
    for (; it->Valid(); reverse ? it->Prev() : it->Next()) {
      const std::string_view value = keys_only ? std::string_view() : it->value();
      // After the entry comes the cursor, which holds its key once more.
      const size_t with_entry = reply.size() - proto::kOkFrameBytes + proto::kScanEntryHeadBytes + it->key().size() +
                                value.size() + sizeof(uint32_t) + 1 + it->key().size();
      const bool full = count == entries_max || with_entry > body_bytes_max;
      if (full && count == 0) {
        Fail(ToCode(proto::ErrorCode::kTooLarge),
             fmt::format("an entry of {} bytes exceeds the byte limit; ask for more bytes, or for keys only",
                         it->key().size() + value.size()));
        return absl::OkStatus();
      }
      if (full) {
        cursor.append(1, kCursorAfter).append(last);
        break;
      }
      proto::AppendScanEntry(&reply, it->key(), value);
      last.assign(it->key());
      count++;
    }
  }
  if (it->status().code() == absl::StatusCode::kUnavailable) {
    cursor.append(1, kCursorAt).append(it->resume_key());
  } else {
    BANDB_RETURN_IF_ERROR(it->status());
  }
  base::StoreFixed<uint32_t>(reply.data() + proto::kOkFrameBytes, count);
  base::PutFixed32(&reply, static_cast<uint32_t>(cursor.size()));
  reply.append(cursor);
  return absl::OkStatus();
}

void ScanPath::Finish(Step* step) {
  const std::unique_ptr<Step> owned(step);
  in_flight_--;
  CompleteWith(context_, step->ticket, std::move(step->reply), step->ok, step->code, step->saw_undurable);
  context_.quota->AddMemory(-step->produced_bytes);
}

}  // namespace bandb::server
