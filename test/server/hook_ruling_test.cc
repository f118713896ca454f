#include "server/hook_ruling.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proto/message_id.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

using server::ModifiedBytes;
using server::Operation;
using server::Ruling;

constexpr size_t kPayloadBytesMax = 100;
constexpr size_t kEmittedMax = 3;

Operation OperationOf(OperationKind kind) {
  return {.kind = kind, .key = "key", .value = kind == OperationKind::kGet ? "" : "value"};
}

std::vector<EmittedOperation> Emitted(size_t count, OperationKind kind = OperationKind::kPut) {
  return std::vector<EmittedOperation>(count, {.kind = kind, .key = "e", .value = "v"});
}

constexpr OperationKind kAllKinds[] = {OperationKind::kGet, OperationKind::kPut, OperationKind::kDelete,
                                       OperationKind::kDeleteRange, OperationKind::kScan};

struct Followed {
  Ruling ruling = Ruling::kGoOn;
  server::Failure failure;
  Operation operation;
  std::vector<Operation> emitted;
  ModifiedBytes bytes;  // what these are views of
};

Followed FollowOne(HookResult result, OperationKind kind) {
  Followed followed;
  followed.operation = OperationOf(kind);
  server::JudgedOperation judged{&followed.operation, {}, &followed.emitted, kEmittedMax};
  followed.ruling = Follow(std::move(result), kPayloadBytesMax, &judged, &followed.bytes, &followed.failure);
  return followed;
}

bool IsRange(OperationKind kind) { return kind == OperationKind::kDeleteRange || kind == OperationKind::kScan; }
bool IsRead(OperationKind kind) { return kind == OperationKind::kGet || kind == OperationKind::kScan; }

}  // namespace

TEST_CASE("every verdict, on every kind of operation, is followed whole or makes no sense and changes nothing") {
  for (const OperationKind kind : kAllKinds) {
    INFO("operation of kind " << static_cast<int>(kind));
    const bool has_value = kind != OperationKind::kGet && kind != OperationKind::kDelete;
    struct Row {
      const char* what;
      HookResult result;
      Ruling ruling;
      const char* key = "key";
      size_t emitted = 0;
      uint16_t code = 0;
    };
    const uint16_t failed = ToCode(proto::ErrorCode::kHookFailed);
    const uint16_t malformed = ToCode(proto::ErrorCode::kMalformed);
    const uint16_t too_large = ToCode(proto::ErrorCode::kTooLarge);
    const HookResult modify = has_value ? HookResult::Modify("m", "value") : HookResult::ModifyKey("m");
    const Row rows[] = {
        {"pass", HookResult::Pass(), Ruling::kGoOn},
        {"modify", modify, Ruling::kGoOn, "m"},
        {"modify to nonsense", HookResult::Modify("nonsense"), Ruling::kNonsense, "key", 0, malformed},
        {"modify to too much", HookResult::Modify(std::string(101, 'x')), Ruling::kOverLimit, "key", 0, too_large},
        {"drop", HookResult::Drop(), Ruling::kDropped},
        {"reject", HookResult::Reject(40000, "no"), Ruling::kRejected, "key", 0, 40000},
        {"route", HookResult::Route("r"), IsRange(kind) ? Ruling::kNonsense : Ruling::kGoOn,
         IsRange(kind) ? "key" : "r", 0, IsRange(kind) ? failed : uint16_t{0}},
        {"route to a long key", HookResult::Route(std::string(101, 'r')),
         IsRange(kind) ? Ruling::kNonsense : Ruling::kOverLimit, "key", 0, IsRange(kind) ? failed : too_large},
        {"emit", HookResult::Emit(Emitted(3)), IsRead(kind) ? Ruling::kNonsense : Ruling::kGoOn, "key",
         IsRead(kind) ? 0u : 3u, IsRead(kind) ? failed : uint16_t{0}},
        {"emit nothing", HookResult::Emit({}), Ruling::kGoOn},
        {"emit too many", HookResult::Emit(Emitted(4)), IsRead(kind) ? Ruling::kNonsense : Ruling::kOverLimit, "key", 0,
         IsRead(kind) ? failed : too_large},
        {"emit a get", HookResult::Emit(Emitted(1, OperationKind::kGet)), Ruling::kNonsense, "key", 0, failed},
        {"emit a scan", HookResult::Emit(Emitted(1, OperationKind::kScan)), Ruling::kNonsense, "key", 0, failed},
        {"emit what is nothing", HookResult::Emit(Emitted(1, static_cast<OperationKind>(77))), Ruling::kNonsense, "key",
         0, failed},
        {"emit too much", HookResult::Emit({{.key = "e"}, {.key = "e", .value = std::string(92, 'v')}}),
         IsRead(kind) ? Ruling::kNonsense : Ruling::kOverLimit, "key", 0, IsRead(kind) ? failed : too_large},
        {"emit as much as there may be", HookResult::Emit({{.key = "e", .value = std::string(91, 'v')}}),
         IsRead(kind) ? Ruling::kNonsense : Ruling::kGoOn, "key", IsRead(kind) ? 0u : 1u,
         IsRead(kind) ? failed : uint16_t{0}},
        {"drop with more", HookResult::Drop().With(Emitted(4)), Ruling::kDropped},
        {"reject with more", HookResult::Reject(40000, "no").With(Emitted(4)), Ruling::kRejected, "key", 0, 40000},
    };
    for (const Row& row : rows) {
      INFO(row.what);
      const Followed followed = FollowOne(row.result, kind);
      CHECK(followed.ruling == row.ruling);
      CHECK(followed.operation.key == row.key);
      CHECK(followed.operation.value == OperationOf(kind).value);
      CHECK(followed.operation.kind == kind);
      CHECK(followed.emitted.size() == row.emitted);
      CHECK(followed.failure.code == row.code);
    }
  }
}

TEST_CASE("one verdict may give another key and add operations; if one part makes no sense neither is done") {
  const Followed both = FollowOne(HookResult::Route("r").With(Emitted(2)), OperationKind::kPut);
  CHECK(both.ruling == Ruling::kGoOn);
  CHECK(both.operation.key == "r");
  CHECK(both.operation.value == "value");
  CHECK(both.emitted.size() == 2);
  const Followed neither = FollowOne(HookResult::Route("r").With(Emitted(2, OperationKind::kGet)), OperationKind::kPut);
  CHECK(neither.ruling == Ruling::kNonsense);
  CHECK(neither.operation.key == "key");
  const Followed malformed = FollowOne(HookResult::Modify("nonsense").With(Emitted(2)), OperationKind::kPut);
  CHECK(malformed.ruling == Ruling::kNonsense);
  CHECK(malformed.emitted.empty());
  std::vector<EmittedOperation> large{{.key = "e", .value = std::string(100, 'v')}};
  const Followed much = FollowOne(HookResult::Route("r").With(std::move(large)), OperationKind::kPut);
  CHECK(much.ruling == Ruling::kOverLimit);
  CHECK(much.operation.key == "key");
  const Followed many = FollowOne(HookResult::Route("r").With(Emitted(2)).With(Emitted(2)), OperationKind::kPut);
  CHECK(many.ruling == Ruling::kOverLimit);
  CHECK(many.operation.key == "key");
  CHECK(many.emitted.empty());
}

TEST_CASE("what is emitted keeps its parts, but for those that its kind has not") {
  std::vector<EmittedOperation> operations{
      {.key = "p", .value = "1", .time_to_live = absl::Seconds(5)},
      {.kind = OperationKind::kDelete, .key = "d", .value = "x", .time_to_live = absl::Seconds(5)},
      {.kind = OperationKind::kDeleteRange, .key = "b", .value = "c", .time_to_live = absl::Seconds(5)}};
  const Followed followed = FollowOne(HookResult::Emit(std::move(operations)), OperationKind::kDelete);
  REQUIRE(followed.emitted.size() == 3);
  const auto is = [&](size_t i, OperationKind kind, const char* key, const char* value, absl::Duration time_to_live) {
    const Operation& operation = followed.emitted[i];
    return operation.kind == kind && operation.key == key && operation.value == value &&
           operation.time_to_live == time_to_live && operation.emitted;
  };
  CHECK(is(0, OperationKind::kPut, "p", "1", absl::Seconds(5)));
  CHECK(is(1, OperationKind::kDelete, "d", "", absl::InfiniteDuration()));
  CHECK(is(2, OperationKind::kDeleteRange, "b", "c", absl::InfiniteDuration()));
  CHECK_FALSE(followed.operation.emitted);
}

TEST_CASE("a message that is not one operation has no key to be given another, and no batch to be added to") {
  const struct {
    const char* what;
    HookResult result;
    Ruling ruling;
    const char* payload = "as it was";
  } rows[] = {
      {"pass", HookResult::Pass(), Ruling::kGoOn},
      {"modify", HookResult::Modify("other"), Ruling::kGoOn, "other"},
      {"modify to too much", HookResult::Modify(std::string(101, 'x')), Ruling::kOverLimit},
      {"drop", HookResult::Drop(), Ruling::kDropped},
      {"reject", HookResult::Reject(40000, "no"), Ruling::kRejected},
      {"route", HookResult::Route("r"), Ruling::kNonsense},
      {"emit", HookResult::Emit(Emitted(1)), Ruling::kNonsense},
      {"emit nothing", HookResult::Emit({}), Ruling::kGoOn},
      {"modify with more", HookResult::Modify("other").With(Emitted(1)), Ruling::kNonsense},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    std::string_view payload = "as it was";
    ModifiedBytes bytes;
    server::Failure failure;
    CHECK(Follow(row.result, kPayloadBytesMax, &payload, &bytes, &failure) == row.ruling);
    CHECK(payload == row.payload);
    CHECK((failure.code == 0) == (row.ruling == Ruling::kGoOn || row.ruling == Ruling::kDropped));
  }
}

}  // namespace bandb::test
