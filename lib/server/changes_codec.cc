#include "server/changes_codec.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/coding.h"
#include "proto/changes.h"
#include "proto/response.h"

namespace bandb::server {

namespace {

constexpr uint32_t kBytesDefault = 1 << 20;

absl::Time FromMs(uint64_t ms) { return absl::FromUnixMillis(static_cast<int64_t>(std::min<uint64_t>(ms, INT64_MAX))); }

uint64_t ToMs(absl::Time time) { return static_cast<uint64_t>(std::max<int64_t>(absl::ToUnixMillis(time), 0)); }

ChangesFrom ToFrom(const proto::FeedPlace& place) {
  switch (place.from) {
    case proto::FeedFrom::kOldest:
      return ChangesFrom::Oldest();
    case proto::FeedFrom::kToken:
      return ChangesFrom::Token(std::string(place.place));
    case proto::FeedFrom::kTime:
      return ChangesFrom::Time(FromMs(place.time_ms));
    case proto::FeedFrom::kCursor:
      return ChangesFrom::Cursor(std::string(place.place));
    case proto::FeedFrom::kNow:
      break;
  }
  return ChangesFrom::Now();
}

proto::BatchOperation ToOperation(const Change& change) {
  switch (change.kind) {
    case ChangeKind::kDelete:
      return {.kind = proto::BatchKind::kDelete, .key = change.key};
    case ChangeKind::kDeleteRange:
      return {.kind = proto::BatchKind::kRangeDelete, .key = change.key, .value = change.limit};
    case ChangeKind::kPut:
      break;
  }
  if (change.expiry == absl::InfiniteFuture()) {
    return {.kind = proto::BatchKind::kPut, .key = change.key, .value = change.value};
  }
  return {
      .kind = proto::BatchKind::kPutUntil, .key = change.key, .value = change.value, .expires_ms = ToMs(change.expiry)};
}

// The reply to CHANGES. The head depends on how it ends, so that the commits are collected by
// themselves.
class FrameCommitWriter final : public CommitWriter {
 public:
  explicit FrameCommitWriter(size_t payload_bytes_max)
      : commits_bytes_max_(payload_bytes_max - std::min(payload_bytes_max, kHeadBytes)) {}

  bool Add(const Commit& commit) override {
    size_t bytes = proto::kCommitHeadBytes;
    for (const Change& change : commit.changes) bytes += proto::OperationBytes(ToOperation(change));
    if (commits_.size() + bytes > commits_bytes_max_) return false;
    AddChanges(commit, 0, commit.changes.size());
    return true;
  }

  size_t AddSome(const Commit& commit, size_t skip) override {
    size_t bytes = commits_.size() + proto::kCommitHeadBytes;
    size_t end = skip;
    while (end < commit.changes.size()) {
      bytes += proto::OperationBytes(ToOperation(commit.changes[end]));
      if (bytes > commits_bytes_max_) break;
      ++end;
    }
    if (end > skip) AddChanges(commit, skip, end);
    return end - skip;
  }

  std::string Finish(std::string_view token, bool cut) override {
    std::string reply(proto::kOkFrameBytes, '\0');
    reply.reserve(reply.size() + proto::kChangesHeadBytes + token.size() + commits_.size());
    proto::AppendChangesHead(&reply, cut, token, count_);
    reply.append(commits_);
    proto::StoreOkHead(reply.data(), reply.size() - proto::kOkFrameBytes);
    return reply;
  }

 private:
  // The status, and what precedes the commits.
  static constexpr size_t kHeadBytes = 1 + proto::kChangesHeadBytes + proto::kTokenBytesMax;

  void AddChanges(const Commit& commit, size_t begin, size_t end) {
    proto::AppendCommitHead(&commits_, {commit.first_sequence, commit.last_sequence, ToMs(commit.time),
                                        static_cast<uint32_t>(end - begin)});
    for (size_t i = begin; i < end; ++i) proto::AppendOperation(&commits_, ToOperation(commit.changes[i]));
    ++count_;
  }

  const size_t commits_bytes_max_;
  std::string commits_;
  uint32_t count_ = 0;
};

}  // namespace

Failure DecodeChanges(std::string_view payload, uint32_t frame_bytes_max, Command* command) {
  proto::Changes changes;
  if (!proto::DecodeChanges(payload, &changes)) return MalformedFailure();
  const uint32_t bytes = changes.bytes_max == 0 ? kBytesDefault : changes.bytes_max;
  *command = ChangesCommand{.range = {.kind = OperationKind::kScan, .key = changes.begin, .value = changes.limit},
                            .from = ToFrom(changes.from),
                            .undurable = changes.undurable,
                            .part = changes.part,
                            .parts = changes.parts,
                            .wait = absl::Milliseconds(changes.wait_ms),
                            .commits_max = changes.commits_max,
                            .skip = changes.skip,
                            .writer = std::make_unique<FrameCommitWriter>(std::min(bytes, frame_bytes_max))};
  return {};
}

Failure DecodeAcknowledge(std::string_view payload, Command* command) {
  AcknowledgeCommand acknowledge;
  if (!proto::DecodeAcknowledge(payload, &acknowledge.cursor, &acknowledge.token)) return MalformedFailure();
  *command = acknowledge;
  return {};
}

Failure DecodeCursors(std::string_view payload, Command* command) {
  proto::Cursors cursors;
  if (!proto::DecodeCursors(payload, &cursors)) return MalformedFailure();
  CursorsCommand decoded{.name = std::string(cursors.name), .from = ToFrom(cursors.from)};
  switch (cursors.action) {
    case proto::CursorAction::kList:
      decoded.action = CursorsCommand::Action::kList;
      break;
    case proto::CursorAction::kCreate:
      decoded.action = CursorsCommand::Action::kCreate;
      break;
    case proto::CursorAction::kDrop:
      decoded.action = CursorsCommand::Action::kDrop;
      break;
    case proto::CursorAction::kReset:
      decoded.action = CursorsCommand::Action::kReset;
      break;
  }
  *command = std::move(decoded);
  return {};
}

std::string CursorsBody(const CursorsAnswer& cursors) {
  std::string body;
  base::PutFixed32(&body, static_cast<uint32_t>(cursors.cursors.size()));
  for (const CursorInfo& cursor : cursors.cursors) {
    proto::AppendCursorEntry(&body, {.lost = cursor.lost,
                                     .created_ms = ToMs(cursor.created),
                                     .acknowledged_ms = ToMs(cursor.acknowledged),
                                     .lag_commits = cursor.lag_commits,
                                     .lag_bytes = cursor.lag_bytes,
                                     .lag_ms = static_cast<uint64_t>(absl::ToInt64Milliseconds(cursor.lag_time)),
                                     .name = cursor.name,
                                     .token = cursor.token});
  }
  return body;
}

}  // namespace bandb::server
