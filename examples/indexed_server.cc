// A server with hooks: keys with an old prefix lie under a new one, and every event is in an index
// by time, which is written with it.
//
//   indexed_server DIRECTORY [HOST:PORT]
//
// It says where it listens, and serves until its standard input ends.
//
// Events are event:DEVICE:TIME. Devices that have not been told call them sample:DEVICE:TIME. For
// each there is time:TIME:DEVICE, so that a scan of "time:" gives events of all devices in order.
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "bandb/db.h"
#include "bandb/server.h"

namespace {

using bandb::HookResult;
using bandb::OperationKind;

constexpr std::string_view kOld = "sample:", kEvent = "event:", kIndex = "time:";

bool BeginsWith(std::string_view key, std::string_view prefix) { return key.substr(0, prefix.size()) == prefix; }

// Where in the index the event with this key is; empty: nowhere.
std::string IndexKey(std::string_view key) {
  if (!BeginsWith(key, kEvent)) return {};
  key.remove_prefix(kEvent.size());
  const size_t colon = key.rfind(':');
  if (colon == std::string_view::npos) return {};
  return std::string(kIndex) + std::string(key.substr(colon + 1)) + ":" + std::string(key.substr(0, colon));
}

bool IsOfOneKey(OperationKind kind) { return kind != OperationKind::kScan && kind != OperationKind::kDeleteRange; }

// Old names, of whatever is asked: a put, a delete, a get, or a condition, which is a get.
HookResult RenameOld(const bandb::ServerOperation& operation) {
  if (!IsOfOneKey(operation.kind) || !BeginsWith(operation.key, kOld)) return HookResult::Pass();
  return HookResult::Route(std::string(kEvent) + std::string(operation.key.substr(kOld.size())));
}

// Sees the names that RenameOld gave. It is not shown what it emits, so that clients alone are kept
// from the index, and from deleting events without it.
HookResult Index(const bandb::ServerOperation& operation) {
  const bool is_read = operation.kind == OperationKind::kGet || operation.kind == OperationKind::kScan;
  if (is_read) return HookResult::Pass();
  if (operation.kind == OperationKind::kDeleteRange) {
    return HookResult::Reject(40002, "events are deleted one by one");
  }
  if (BeginsWith(operation.key, kIndex)) return HookResult::Reject(40001, "the index is written by the server");
  const std::string index = IndexKey(operation.key);
  if (index.empty()) return HookResult::Pass();
  if (operation.kind == OperationKind::kDelete) {
    return HookResult::Emit({{.kind = OperationKind::kDelete, .key = index}});
  }
  // Gone when the event is.
  return HookResult::Emit(
      {{.key = index, .value = std::string(operation.key), .time_to_live = operation.time_to_live}});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::cerr << "usage: indexed_server DIRECTORY [HOST:PORT]\n";
    return 2;
  }
  const absl::StatusOr<std::unique_ptr<bandb::Db>> db = bandb::Db::Open(argv[1]);
  if (!db.ok()) {
    std::cerr << db.status() << "\n";
    return 1;
  }
  bandb::ServerHooks hooks;
  hooks.before_operations.emplace_back(RenameOld);
  hooks.before_operations.emplace_back(Index);
  bandb::ServerOptions options;
  options.listen = argc == 3 ? argv[2] : "127.0.0.1:0";
  const absl::StatusOr<std::unique_ptr<bandb::Server>> server = bandb::Server::Start(**db, options, std::move(hooks));
  if (!server.ok()) {
    std::cerr << server.status() << "\n";
    return 1;
  }
  std::cout << "listening on " << (*server)->Address() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
  }
  const absl::Status drained = (*server)->Drain();
  if (!drained.ok()) std::cerr << drained << "\n";
  return drained.ok() ? 0 : 1;
}
