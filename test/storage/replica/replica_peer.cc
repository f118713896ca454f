#include "storage/replica/replica_peer.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "storage/replica/replica_crash.h"
#include "support/catch.h"

namespace bandb::test {

ReplicaPeer::ReplicaPeer(uint64_t seed, const LogCourse* course) : course_(course), random_(seed), env_(seed) {
  storage::ReplicaStart start = TestStart();
  start.identity.node_id = 8;
  auto opened = storage::EngineReplica::Open(env_.env(), kReplicaDir, SmallReplicaOptions(), start);
  REQUIRE_OK(opened.status());
  replica_ = *std::move(opened);
}

ReplicaPeer::~ReplicaPeer() { CHECK_OK(CloseReplica(replica_.get(), &env_.executor())); }

absl::Status ReplicaPeer::ApplyTo(uint64_t index) {
  replica_->LogIsDurable(index);
  while (replica_->applied().applied.index < index) {
    BANDB_RETURN_IF_ERROR(course_->Apply(replica_.get(), &env_.executor(), replica_->applied().applied.index + 1));
    if (random_.OneIn(12)) BANDB_RETURN_IF_ERROR(FlushReplica(replica_.get(), &env_.executor()));
    if (random_.OneIn(30)) BANDB_RETURN_IF_ERROR(CompactReplica(replica_.get(), &env_.executor()));
  }
  return FlushReplica(replica_.get(), &env_.executor());
}

absl::StatusOr<uint64_t> SendState(const storage::PinnedState& from, storage::IncomingState* to, size_t piece_bytes) {
  uint64_t sent = 0;
  std::string piece(piece_bytes, '\0');
  for (size_t i = 0; i < to->table_count(); ++i) {
    if (!to->Wants(i)) continue;
    ++sent;
    BANDB_ASSIGN_OR_RETURN(const auto file, from.OpenTable(i));
    while (to->Wants(i)) {
      BANDB_ASSIGN_OR_RETURN(const size_t got, file->Read(to->ReceivedBytes(i), absl::MakeSpan(piece)));
      if (got == 0) return base::Error(absl::StatusCode::kInternal, "the table ends before it is complete");
      BANDB_RETURN_IF_ERROR(to->Append(i, std::string_view(piece).substr(0, got)));
    }
  }
  return sent;
}

absl::Status InstallState(storage::EngineReplica* replica, base::Executor* executor,
                          std::unique_ptr<storage::IncomingState> state) {
  base::Event event;
  absl::Status outcome;
  replica->Install(std::move(state), [&](absl::Status status) {
    outcome = std::move(status);
    event.Set();
  });
  executor->Wait(&event, base::kForever);
  return outcome;
}

}  // namespace bandb::test
