#include "server/request_mark.h"

namespace bandb::server {

namespace {

Action ActionOf(OperationKind kind) {
  switch (kind) {
    case OperationKind::kGet:
      return Action::kGet;
    case OperationKind::kPut:
      return Action::kPut;
    case OperationKind::kDelete:
    case OperationKind::kDeleteRange:
      return Action::kDelete;
    case OperationKind::kScan:
      break;
  }
  return Action::kScan;
}

struct ActionOfCommand {
  Action operator()(const SingleCommand& command) const { return ActionOf(command.operation.kind); }
  Action operator()(const BatchCommand&) const { return Action::kBatch; }
  Action operator()(const ScanCommand&) const { return Action::kScan; }
  Action operator()(const TransactionCommand&) const { return Action::kTransaction; }
  Action operator()(const SnapshotCommand&) const { return Action::kSnapshot; }
  Action operator()(const AcknowledgeCommand&) const { return Action::kCursors; }
  Action operator()(const CursorsCommand&) const { return Action::kCursors; }
  // Wrong logins are answered late on purpose.
  Action operator()(const LoginCommand&) const { return Action::kWait; }
  Action operator()(const ChangesCommand&) const { return Action::kWait; }
  Action operator()(const ReadyCommand&) const { return Action::kOther; }
  Action operator()(const HelloCommand&) const { return Action::kOther; }
  Action operator()(const PingCommand&) const { return Action::kOther; }
  Action operator()(const StatsCommand&) const { return Action::kOther; }
  Action operator()(const ClientsCommand&) const { return Action::kOther; }
};

}  // namespace

std::string_view NameOf(ClientProtocol protocol) {
  static constexpr std::string_view kNames[kClientProtocols] = {"bandb", "redis", "grpc"};
  return kNames[static_cast<size_t>(protocol)];
}

std::string_view NameOf(Action action) {
  static constexpr std::string_view kNames[] = {"get",         "put",      "delete",  "batch", "scan",
                                                "transaction", "snapshot", "cursors", "other", "wait"};
  return kNames[static_cast<size_t>(action)];
}

Action ActionOf(const Command& command) { return std::visit(ActionOfCommand(), command); }

}  // namespace bandb::server
