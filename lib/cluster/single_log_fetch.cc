// The log reads entries back from its files, on the executor, and tries again where the system
// refuses.
#include <memory>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/status.h"
#include "cluster/log_fetch.h"
#include "cluster/single_log.h"

namespace bandb::cluster {

namespace {

using absl::StatusCode;

// How often a fetch is tried that the system refuses, and how many times if it is not for lack of
// descriptors; fewer of a disk that takes its time for each refusal. Who needs the entries then has
// to do without.
constexpr int64_t kFetchRetryNanos = 100'000'000;
constexpr int kFetchTriesMax = 100;
constexpr int64_t kFetchRefusedNanosMax = kFetchTriesMax * kFetchRetryNanos;
constexpr int kFetchTriesMin = 3;

// Else a descriptor or a moment's patience may help: the entries may well be there.
bool IsLost(const absl::Status& status) {
  return status.code() == StatusCode::kDataLoss || status.code() == StatusCode::kNotFound;
}

}  // namespace

// Entries that are read back, however many tries it takes.
struct SingleLog::FetchRound {
  uint64_t fetch = 0;
  raft::Index first = 0;
  std::vector<EntryPlace> places;
  int tries = 0;
  std::optional<int64_t> refused_nanos;  // since when, and not for lack of descriptors
  bool said = false;                     // that it is tried again
  absl::StatusOr<raft::Entries> entries{raft::Entries()};

  bool RefusedLong(int64_t now) const {
    if (tries >= kFetchTriesMax) return true;
    return tries >= kFetchTriesMin && refused_nanos.has_value() && now - *refused_nanos >= kFetchRefusedNanosMax;
  }
};

void SingleLog::Fetch(const raft::Fetch& fetch) {
  auto round = std::make_shared<FetchRound>();
  round->fetch = fetch.fetch;
  round->first = fetch.first;
  uint64_t bytes = 0;
  for (raft::Index index = fetch.first; index <= fetch.last; ++index) {
    const EntryPlace* const place = index_.Find(index);
    if (place == nullptr) break;
    bytes += place->payload_bytes + raft::kEntryOverheadBytes;
    if (!round->places.empty() && bytes > fetch.bytes_max) break;
    round->places.push_back(*place);
  }
  StartFetch(std::move(round));
}

void SingleLog::StartFetch(std::shared_ptr<FetchRound> round) {
  base::Task done = Later([this, round] { FinishFetch(round); });
  options_.executor->Post(base::Priority::kNormal, [round = std::move(round), directory = options_.directory,
                                                    post = options_.post, done = std::move(done)]() mutable {
    round->entries = FetchEntries(directory, round->first, round->places);
    post(std::move(done));
  });
}

void SingleLog::FinishFetch(const std::shared_ptr<FetchRound>& round) {
  absl::StatusOr<raft::Entries>& entries = round->entries;
  if (entries.ok()) {
    const bool some = !entries->empty();
    return listener_->OnFetched(round->fetch, some, *std::move(entries));
  }
  if (entries.status().code() == StatusCode::kUnavailable) {
    // While no descriptor is free nothing is known of the disk.
    round->refused_nanos.reset();
  } else {
    ++round->tries;
    if (!round->refused_nanos.has_value()) round->refused_nanos = options_.clock->MonotonicNanos();
  }
  if (!IsLost(entries.status()) && !round->RefusedLong(options_.clock->MonotonicNanos())) {
    if (!std::exchange(round->said, true)) {
      options_.logger->Log(base::LogLevel::kWarning, "{}; it is tried again", base::Message(entries.status()));
    }
    base::Task again = Later([this, round] { StartFetch(round); });
    options_.executor->PostAfter(
        kFetchRetryNanos, [post = options_.post, again = std::move(again)]() mutable { post(std::move(again)); });
    return;
  }
  // The peer that needs them asks for them again.
  const std::string_view message = base::Message(entries.status());
  if (fetch_error_ != message) options_.logger->Log(base::LogLevel::kError, "{}", message);
  fetch_error_ = message;
  listener_->OnFetchLost(round->fetch);
}

}  // namespace bandb::cluster
