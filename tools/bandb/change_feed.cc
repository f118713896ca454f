#include "change_feed.h"

#include <algorithm>
#include <optional>

#include "absl/time/time.h"
#include "base/status.h"
#include "proto/changes.h"
#include "proto/message_id.h"

namespace bandb::cli {

namespace {

constexpr int64_t kFirstPauseNanos = 50'000'000;
constexpr int64_t kLongestPauseNanos = 1'000'000'000;
// No commit of a store, and no reply, is as large.
constexpr uint64_t kCommitBytesMax = uint64_t{1} << 30;
// Of a store in this process: so much is copied at a time.
constexpr size_t kPieceBytesMax = 1 << 20;
// Of before a time that is owed: so many are looked at at a time.
constexpr uint32_t kOwedCommitsPerReply = 1000;

// A server that is away, or does not know its cursors yet. To read and to acknowledge may be done
// again whatever became of it.
bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsUnknown(status);
}

// Waits, longer each time.
void Pause(base::Executor* executor, int64_t* nanos) {
  *nanos = std::clamp(*nanos * 2, kFirstPauseNanos, kLongestPauseNanos);
  base::Event never;
  executor->Wait(&never, *nanos);
}

transfer::ChangeEntry ToEntry(const proto::BatchOperation& change) {
  switch (change.kind) {
    case proto::BatchKind::kDelete:
      return {.kind = ChangeKind::kDelete, .key = change.key};
    case proto::BatchKind::kRangeDelete:
      return {.kind = ChangeKind::kDeleteRange, .key = change.key, .limit = change.value};
    case proto::BatchKind::kPutUntil:
      return {.kind = ChangeKind::kPut, .key = change.key, .value = change.value, .expires_ms = change.expires_ms};
    default:
      return {.kind = ChangeKind::kPut, .key = change.key, .value = change.value};
  }
}

std::string_view Keep(std::string_view bytes, FeedPiece* piece) {
  if (bytes.empty()) return {};
  return piece->texts.emplace_back(bytes);
}

ChangesFrom ToChangesFrom(const FeedPlaceText& place) {
  switch (place.from) {
    case proto::FeedFrom::kNow:
      return ChangesFrom::Now();
    case proto::FeedFrom::kOldest:
      return ChangesFrom::Oldest();
    case proto::FeedFrom::kToken:
      return ChangesFrom::Token(place.text);
    case proto::FeedFrom::kTime:
      return ChangesFrom::Time(absl::FromUnixMillis(static_cast<int64_t>(place.time_ms)));
    case proto::FeedFrom::kCursor:
      return ChangesFrom::Cursor(place.text);
  }
  return ChangesFrom::Now();
}

absl::StatusOr<std::string> AskWhole(client::Client* client, proto::Changes changes) {
  absl::StatusOr<std::string> body = client->Changes(changes);
  if (body.ok() || client->last_error_code() != proto::ToCode(proto::ErrorCode::kTooLarge)) return body;
  changes.bytes_max = UINT32_MAX;
  return client->Changes(changes);
}

}  // namespace

absl::StatusOr<std::string> AskForChanges(client::Client* client, proto::Changes changes, const OwedTime& owed) {
  if (owed.ms == 0) return AskWhole(client, changes);
  const uint32_t wanted = changes.commits_max;
  // The rest of a commit comes alone.
  changes.commits_max = changes.skip == 0 ? kOwedCommitsPerReply : 1;
  BANDB_ASSIGN_OR_RETURN(std::string body, AskWhole(client, changes));
  proto::ChangesBodyReader reader(body);
  proto::CommitHead head;
  OwedTime left = owed;
  uint32_t commits = 0, before = 0;
  while (reader.NextCommit(&head)) {
    ++commits;
    if (left.PassesOver(head.time_ms)) ++before;
  }
  const uint32_t take = before > 0 ? before : wanted;
  if (before == commits || take >= commits) return body;
  changes.commits_max = take;
  return AskWhole(client, changes);
}

absl::Status ServerFeed::TryRead(uint32_t wait_ms, uint32_t commits_max, FeedPiece* piece) {
  if (client_ == nullptr) {
    BANDB_ASSIGN_OR_RETURN(client_, client::Client::Connect(target_));
  }
  *piece = {};
  FeedPlaceText place = place_;
  uint64_t bytes = 0;
  // A commit that does not fit into a reply comes in several, and is put together.
  for (uint32_t skip = 0;;) {
    const proto::Changes changes{.from = place.place(),
                                 .part = selection_.part,
                                 .parts = selection_.parts,
                                 .wait_ms = wait_ms,
                                 .commits_max = commits_max,
                                 .skip = skip,
                                 .begin = selection_.begin,
                                 .limit = selection_.limit};
    BANDB_ASSIGN_OR_RETURN(std::string body, AskForChanges(client_.get(), changes, owed_));
    proto::ChangesBodyReader reader(piece->texts.emplace_back(std::move(body)));
    proto::CommitHead head;
    bool goes_on = skip > 0;
    while (reader.NextCommit(&head)) {
      if (!goes_on) piece->commits.push_back({head.first_sequence, head.last_sequence, head.time_ms, {}});
      if (piece->commits.back().first_sequence != head.first_sequence) break;
      goes_on = false;
      for (proto::BatchOperation change; reader.NextChange(&change);) {
        piece->commits.back().changes.push_back(ToEntry(change));
      }
    }
    const bool has_token = !reader.token().empty() && reader.token().size() <= proto::kTokenBytesMax;
    bytes += piece->texts.back().size();
    if (!reader.Complete() || goes_on || !has_token || bytes > kCommitBytesMax) {
      return base::Error(absl::StatusCode::kDataLoss, "the reply to a CHANGES does not add up");
    }
    if (!reader.cut()) {
      piece->token = reader.token();
      return absl::OkStatus();
    }
    if (head.changes == 0) {
      return base::Error(absl::StatusCode::kDataLoss, "the reply to a CHANGES has a commit that goes on and no change");
    }
    skip += head.changes;
    // A time is a place of its own: the token of before a commit that goes on may be before others
    // that are of before that time.
    if (place.from != proto::FeedFrom::kTime) {
      place = {.from = proto::FeedFrom::kToken, .text = std::string(reader.token())};
    }
  }
}

absl::Status ServerFeed::Read(uint32_t wait_ms, uint32_t commits_max, FeedPiece* piece) {
  std::optional<int64_t> failed_nanos;
  int64_t pause_nanos = 0;
  while (true) {
    const absl::Status status = TryRead(wait_ms, commits_max, piece);
    if (status.ok()) break;
    // Until then it may have waited long for news, of which there were none.
    const int64_t now_nanos = clock_->MonotonicNanos();
    if (!failed_nanos) failed_nanos = now_nanos;
    if (!MayPass(status) || now_nanos - *failed_nanos >= retry_for_nanos_) return status;
    client_.reset();
    Pause(executor_, &pause_nanos);
  }
  std::vector<transfer::ChangeCommit>& commits = piece->commits;
  const bool at_time = place_.from == proto::FeedFrom::kTime;
  if (at_time && commits.empty()) owed_.ms = place_.time_ms;
  if (!at_time) {
    const auto first = std::find_if(commits.begin(), commits.end(), [this](const transfer::ChangeCommit& commit) {
      return !owed_.PassesOver(commit.time_ms);
    });
    commits.erase(commits.begin(), first);
  }
  piece->moved = place_.from != proto::FeedFrom::kToken || place_.text != piece->token;
  place_ = {.from = proto::FeedFrom::kToken, .text = piece->token};
  if (owed_.ms != 0) piece->token.clear();
  return absl::OkStatus();
}

absl::Status CursorClient::TryAcknowledge(std::string_view token) {
  if (client_ == nullptr) {
    BANDB_ASSIGN_OR_RETURN(client_, client::Client::Connect(target_));
  }
  return client_->Acknowledge(cursor_, token);
}

absl::Status CursorClient::Acknowledge(std::string_view token) {
  const int64_t begin_nanos = clock_->MonotonicNanos();
  int64_t pause_nanos = 0;
  for (int tries = 1;; ++tries) {
    const absl::Status status = TryAcknowledge(token);
    if (status.ok() || !MayPass(status)) return status;
    client_.reset();
    // The first may have been over a connection that broke long ago.
    const bool enough = hurries_ ? tries > 1 : clock_->MonotonicNanos() - begin_nanos > retry_for_nanos_;
    if (enough) return status;
    if (tries > 1) Pause(executor_, &pause_nanos);
  }
}

absl::StatusOr<std::unique_ptr<StoreFeed>> StoreFeed::Open(Store* store, const FeedSelection& selection,
                                                           const FeedPlaceText& place) {
  ChangesOptions options{.from = ToChangesFrom(place),
                         .lower_bound = selection.begin,
                         .upper_bound = selection.limit,
                         .part = selection.part,
                         .parts = selection.parts};
  BANDB_ASSIGN_OR_RETURN(std::unique_ptr<ChangeReader> reader, store->ReadChanges(options));
  const bool owes_time = place.from == proto::FeedFrom::kTime && place.time_ms > 0;
  return std::unique_ptr<StoreFeed>(new StoreFeed(std::move(reader), owes_time));
}

absl::Status StoreFeed::Read(uint32_t wait_ms, uint32_t commits_max, FeedPiece* piece) {
  *piece = {};
  size_t bytes = 0;
  Commit commit;
  while (piece->commits.size() < commits_max && bytes < kPieceBytesMax) {
    const bool first = piece->commits.empty();
    BANDB_RETURN_IF_ERROR(reader_->Next(&commit, first ? absl::Milliseconds(wait_ms) : absl::ZeroDuration()));
    if (commit.empty()) break;
    transfer::ChangeCommit kept{
        commit.first_sequence, commit.last_sequence, static_cast<uint64_t>(absl::ToUnixMillis(commit.time)), {}};
    for (const Change& change : commit.changes) {
      const bool expires = change.expiry != absl::InfiniteFuture();
      kept.changes.push_back({.kind = change.kind,
                              .key = Keep(change.key, piece),
                              .value = Keep(change.value, piece),
                              .limit = Keep(change.limit, piece),
                              .expires_ms = expires ? static_cast<uint64_t>(absl::ToUnixMillis(change.expiry)) : 0});
      bytes += change.key.size() + change.value.size() + change.limit.size();
    }
    piece->commits.push_back(std::move(kept));
  }
  std::string token = reader_->token();
  piece->moved = token_ != token;
  token_ = std::move(token);
  owes_time_ = owes_time_ && piece->commits.empty();
  if (!owes_time_) piece->token = token_;
  return absl::OkStatus();
}

}  // namespace bandb::cli
