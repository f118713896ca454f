#include "server/cursor_endpoint.h"

#include <memory>
#include <utility>

#include "base/assert.h"
#include "base/escape.h"
#include "base/status.h"

namespace bandb::server {

namespace {

constexpr size_t kCursorNameBytesShown = 64;

// What is to be accounted for; empty: nothing. A reader by a cursor loses its place by these.
std::string_view EventOf(CursorsCommand::Action action) {
  if (action == CursorsCommand::Action::kDrop) return "cursor dropped";
  return action == CursorsCommand::Action::kReset ? "cursor reset" : "";
}

}  // namespace

// The client that has asked for something that is to be accounted for.
struct CursorEndpoint::Asked {
  std::string_view event;
  std::string user;
  std::string address;
  std::string name;
};

CursorEndpoint::~CursorEndpoint() { BANDB_ASSERT(in_flight_ == 0); }

void CursorEndpoint::Acknowledge(Request& request, const AcknowledgeCommand& command) {
  const absl::Status status = store_->Acknowledge(command.cursor, command.token);
  request.Answer(status.ok() ? Outcome() : Outcome{.failure = ToFailure(status)});
}

void CursorEndpoint::Change(Request& request, CursorsCommand* command) {
  ++in_flight_;
  const Origin origin = request.origin();
  Asked asked{.event = EventOf(command->action), .user = {}, .address = {}, .name = {}};
  if (!asked.event.empty()) {
    asked = {asked.event, std::string(origin.user), std::string(origin.peer),
             base::Escape(command->name, kCursorNameBytesShown)};
  }
  Pending pending = request.Defer(command->name.size() + command->from.text().size() + sizeof(CursorsCommand));
  context_.readers->Post(base::Priority::kNormal, [this, pending = std::move(pending), asked = std::move(asked),
                                                   command = std::move(*command)]() mutable {
    Outcome outcome;
    absl::Status status = Do(command, &outcome);
    loop_->Post([this, pending = std::move(pending), asked = std::move(asked), status = std::move(status),
                 outcome = std::move(outcome)]() mutable {
      --in_flight_;
      if (!status.ok()) outcome = {.failure = ToFailure(status)};
      Record(asked, status);
      Complete(context_, pending, &outcome);
    });
  });
}

void CursorEndpoint::Record(const Asked& asked, const absl::Status& status) const {
  const bool may_be_done = status.ok() || status.code() == absl::StatusCode::kUnknown;
  if (asked.event.empty() || !may_be_done) return;
  context_.Record({.what = std::string(asked.event),
                   .user = asked.user,
                   .address = asked.address,
                   .detail = status.ok() ? asked.name : asked.name + ": outcome unknown"});
}

// On a reader's thread.
absl::Status CursorEndpoint::Do(const CursorsCommand& command, Outcome* outcome) {
  switch (command.action) {
    case CursorsCommand::Action::kList: {
      BANDB_ASSIGN_OR_RETURN(std::vector<CursorInfo> cursors, store_->ListCursors());
      *outcome = {.answer = CursorsAnswer{std::move(cursors)}};
      return absl::OkStatus();
    }
    case CursorsCommand::Action::kCreate:
      return store_->CreateCursor(command.name, command.from);
    case CursorsCommand::Action::kReset:
      return store_->ResetCursor(command.name, command.from);
    case CursorsCommand::Action::kDrop:
      return store_->DropCursor(command.name);
  }
  BANDB_UNREACHABLE();
}

}  // namespace bandb::server
