#include "server/cursor_path.h"

#include <memory>
#include <utility>

#include "base/assert.h"

namespace bandb::server {

CursorPath::~CursorPath() { BANDB_ASSERT(in_flight_ == 0); }

void CursorPath::Acknowledge(Request& request, const AcknowledgeCommand& command) {
  const absl::Status status = store_->Acknowledge(command.cursor, command.token);
  request.Answer(status.ok() ? Outcome() : Outcome{.failure = ToFailure(status)});
}

void CursorPath::Change(Request& request, CursorsCommand* command) {
  in_flight_++;
  Pending pending = request.Defer(command->name.size() + command->from.text().size() + sizeof(CursorsCommand));
  context_.readers->Post(base::Priority::kNormal,
                         [this, pending = std::move(pending), command = std::move(*command)]() mutable {
                           Outcome outcome = Do(command);
                           loop_->Post([this, pending = std::move(pending), outcome = std::move(outcome)]() mutable {
                             in_flight_--;
                             Complete(context_, pending, &outcome);
                           });
                         });
}

// On a reader's thread.
Outcome CursorPath::Do(const CursorsCommand& command) {
  absl::Status status;
  switch (command.action) {
    case CursorsCommand::Action::kList: {
      absl::StatusOr<std::vector<CursorInfo>> cursors = store_->ListCursors();
      if (cursors.ok()) return {.answer = CursorsAnswer{*std::move(cursors)}};
      status = cursors.status();
      break;
    }
    case CursorsCommand::Action::kCreate:
      status = store_->CreateCursor(command.name, command.from);
      break;
    case CursorsCommand::Action::kReset:
      status = store_->ResetCursor(command.name, command.from);
      break;
    case CursorsCommand::Action::kDrop:
      status = store_->DropCursor(command.name);
      break;
  }
  return status.ok() ? Outcome() : Outcome{.failure = ToFailure(status)};
}

}  // namespace bandb::server
