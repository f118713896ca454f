#include "server/commands.h"

#include "base/status.h"
#include "kv/limits.h"
#include "proto/message_id.h"

namespace bandb::server {

namespace {

std::string WithoutFolders(std::string_view text) {
  constexpr std::string_view kEndsOfPaths = " '\":,;()";
  std::string kept;
  for (size_t at = 0; at < text.size();) {
    const bool begins_word = at == 0 || kEndsOfPaths.find(text[at - 1]) != std::string_view::npos;
    if (begins_word && text[at] == '/') {
      const std::string_view path = text.substr(at, text.find_first_of(kEndsOfPaths, at) - at);
      at += path.rfind('/') + 1;
      if (path.size() > 1) continue;
      --at;
    }
    kept.push_back(text[at++]);
  }
  return kept;
}

}  // namespace

size_t Outcome::ByteSize() const {
  if (const auto* value = std::get_if<PinnedValue>(&answer)) return value->value().size();
  if (const auto* entries = std::get_if<EntriesAnswer>(&answer)) return entries->reply.capacity();
  return failure.message.size();
}

Failure ToFailure(const absl::Status& status) {
  return {proto::CodeFor(status), WithoutFolders(base::Message(status))};
}

Failure ToFailureOfAll(const absl::Status& status) {
  Failure failure = ToFailure(status);
  if (status.code() == absl::StatusCode::kNotFound) failure.code = proto::ToCode(absl::StatusCode::kInternal);
  return failure;
}

Failure MalformedFailure() { return {ToCode(proto::ErrorCode::kMalformed), "the payload does not add up"}; }

absl::Status CheckOperation(const Operation& operation) {
  BANDB_RETURN_IF_ERROR(kv::CheckKey(kv::WriteLimits(), operation.key.size()));
  if (!operation.IsRange()) return kv::CheckValue(kv::WriteLimits(), operation.value.size());
  if (operation.kind == OperationKind::kDeleteRange && operation.value.empty()) {
    return base::Error(absl::StatusCode::kInvalidArgument, "a range delete needs a limit");
  }
  return kv::CheckKey(kv::WriteLimits(), operation.value.size());
}

absl::Status CheckCondition(const Condition& condition) {
  return kv::CheckKey(kv::WriteLimits(), condition.key.size());
}

void AddTo(const Operation& operation, WriteBatch* batch) {
  switch (operation.kind) {
    case OperationKind::kPut:
      if (operation.expiry != absl::InfiniteFuture()) {
        return batch->PutUntil(operation.key, operation.value, operation.expiry);
      }
      if (operation.time_to_live == absl::InfiniteDuration()) return batch->Put(operation.key, operation.value);
      return batch->PutWithTtl(operation.key, operation.value, operation.time_to_live);
    case OperationKind::kDelete:
      return batch->Delete(operation.key);
    case OperationKind::kDeleteRange:
      return batch->DeleteRange(operation.key, operation.value);
    case OperationKind::kGet:
    case OperationKind::kScan:
      break;
  }
}

void AddTo(const Condition& condition, WriteBatch* batch) {
  switch (condition.check) {
    case Condition::Check::kHasValue:
      return batch->RequireValue(condition.key, condition.value);
    case Condition::Check::kPresent:
      return batch->RequirePresent(condition.key);
    case Condition::Check::kAbsent:
      return batch->RequireAbsent(condition.key);
  }
}

}  // namespace bandb::server
