#include "server/scan_endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "proto/message_id.h"
#include "server/snapshot_endpoint.h"

namespace bandb::server {

namespace {

constexpr char kCursorAfter = 1;
constexpr char kCursorAt = 2;
constexpr uint32_t kEntriesDefault = 1000;
constexpr uint32_t kEntriesMax = 65536;
// Deleted and overwritten entries that a step passes before it ends: a few milliseconds of work.
constexpr uint64_t kSkipsMax = 50000;

// The range that is left, once the cursor is taken into account; false if the cursor is none of
// ours.
bool RestOfRange(const ScanCommand& scan, ReadOptions* options) {
  options->lower_bound = scan.range.key;
  options->upper_bound = scan.range.value;
  if (scan.cursor.empty()) return true;
  const char kind = scan.cursor[0];
  if (kind != kCursorAfter && kind != kCursorAt) return false;
  std::string key(scan.cursor.substr(1));
  // Forward the bound is inclusive, backward it is not.
  if ((kind == kCursorAt) == scan.reverse) key.push_back('\0');
  if (scan.reverse) {
    options->upper_bound = options->upper_bound.empty() ? key : std::min(key, options->upper_bound);
  } else {
    options->lower_bound = std::max(options->lower_bound, key);
  }
  return true;
}

}  // namespace

// One request on its way to a reader's thread and back.
struct ScanEndpoint::Step {
  ScanEndpoint* endpoint = nullptr;
  Pending pending;
  ReadOptions options;
  uint64_t snapshot_id = 0;
  std::string owner;
  std::shared_ptr<const Snapshot> snapshot;  // null: the present state
  bool reverse = false;
  bool keys_only = false;
  bool nothing_left = false;  // below the first key nothing comes, and an empty bound would mean everything
  uint32_t entries_max = 0;
  std::unique_ptr<EntryWriter> writer;
  Outcome outcome;
  int64_t produced_bytes = 0;
  bool saw_undurable = false;

  void Run(const absl::Status& barrier);
  absl::Status Collect();
};

ScanEndpoint::~ScanEndpoint() { BANDB_ASSERT(in_flight_ == 0); }

void ScanEndpoint::Scan(Request& request, ScanCommand* command) {
  auto step = std::make_unique<Step>();
  if (!RestOfRange(*command, &step->options)) {
    context_.counters->malformed.Add();
    return request.Answer({.failure = MalformedFailure()});
  }
  if (command->snapshot != 0) {
    step->snapshot_id = command->snapshot;
    step->owner = request.codec().session().name();
    step->snapshot = snapshots_->Use(command->snapshot, step->owner);
    if (step->snapshot == nullptr) return request.Answer({.failure = NoSnapshotFailure(command->snapshot)});
    step->options.snapshot = step->snapshot.get();
  }
  context_.counters->reads.Add();
  step->endpoint = this;
  step->reverse = command->reverse;
  step->keys_only = command->keys_only;
  step->nothing_left = command->reverse && command->cursor.size() == 1 && command->cursor[0] == kCursorAfter;
  step->entries_max = std::min(command->entries_max == 0 ? kEntriesDefault : command->entries_max, kEntriesMax);
  step->writer = std::move(command->writer);
  step->options.fill_cache = false;
  step->options.skips_max = kSkipsMax;
  step->options.saw_undurable = &step->saw_undurable;
  step->options.consistency = Consistency::kLocal;
  // What it will produce is counted when it is there.
  step->pending = request.Defer(command->range.ByteSize() + command->cursor.size() + sizeof(Step));
  ++in_flight_;
  Step* started = step.release();
  // A state of before is known here.
  if (started->snapshot != nullptr) return Start(started, absl::OkStatus());
  // The barrier opens on the thread that acknowledges writes; the scanning is done elsewhere.
  store_->ReadBarrierAsync({.timeout = context_.store_timeout},
                           [started](const absl::Status& barrier) { started->endpoint->Start(started, barrier); });
}

// On any thread.
void ScanEndpoint::Start(Step* step, const absl::Status& barrier) {
  context_.readers->Post(base::Priority::kNormal, [step, barrier] {
    step->Run(barrier);
    step->endpoint->loop_->Post([step] { step->endpoint->Finish(step); });
  });
}

// On a reader's thread.
void ScanEndpoint::Step::Run(const absl::Status& barrier) {
  absl::Status status = barrier;
  if (status.ok() && endpoint->context_.MemoryIsFull()) {
    status = base::Error(absl::StatusCode::kUnavailable, "the server is short of memory");
  }
  if (status.ok()) status = Collect();
  if (outcome.ok() && !status.ok()) outcome = {.failure = ToFailureOfAll(status)};
  produced_bytes = static_cast<int64_t>(outcome.ByteSize());
  endpoint->context_.quota->AddMemory(produced_bytes);
}

absl::Status ScanEndpoint::Step::Collect() {
  uint32_t count = 0;
  std::string cursor;
  std::string last;
  const std::unique_ptr<Iterator> it = endpoint->store_->NewIterator(options);
  if (!nothing_left) {
    reverse ? it->SeekToLast() : it->SeekToFirst();
    for (; it->Valid(); reverse ? it->Prev() : it->Next()) {
      const std::string_view value = keys_only ? std::string_view() : it->value();
      if (count == entries_max || !writer->Add(it->key(), value, it->expiry())) {
        if (count == 0) {
          outcome.failure = {
              ToCode(proto::ErrorCode::kTooLarge),
              fmt::format("an entry of {} bytes exceeds the byte limit; ask for more bytes, or for keys only",
                          it->key().size() + value.size())};
          return absl::OkStatus();
        }
        cursor.append(1, kCursorAfter).append(last);
        break;
      }
      last.assign(it->key());
      ++count;
    }
  }
  if (it->status().code() == absl::StatusCode::kUnavailable) {
    const std::string_view rest = it->resume_key();
    if (writer->HasRoomForCursor(rest.size())) {
      cursor.append(1, kCursorAt).append(rest);
    } else if (count > 0) {
      // For this one room was kept.
      cursor.append(1, kCursorAfter).append(last);
    } else {
      outcome.failure = {
          ToCode(proto::ErrorCode::kTooLarge),
          fmt::format("a cursor of {} bytes exceeds the byte limit; ask for more bytes", rest.size() + 1)};
      return absl::OkStatus();
    }
  } else {
    BANDB_RETURN_IF_ERROR(it->status());
  }
  outcome.answer = EntriesAnswer{writer->Finish(cursor)};
  return absl::OkStatus();
}

void ScanEndpoint::Finish(Step* step) {
  const std::unique_ptr<Step> owned(step);
  --in_flight_;
  // The lease runs from when the piece is there.
  if (step->snapshot != nullptr) (void)snapshots_->Use(step->snapshot_id, step->owner);
  CompleteDurably(context_, std::move(step->pending), std::move(step->outcome), step->saw_undurable);
  context_.quota->AddMemory(-step->produced_bytes);
}

}  // namespace bandb::server
