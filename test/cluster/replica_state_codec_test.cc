#include "cluster/replica_state_codec.h"

#include "support/catch.h"

namespace bandb::cluster {

namespace {

storage::ReplicaState SomeState() {
  storage::ReplicaState state;
  state.database_id.bytes.fill('d');
  state.position = {.applied = {.index = 12, .term = 3},
                    .last_sequence = 99,
                    .user_sequence = 95,
                    .commit_time_ms = 1000,
                    .membership = "m"};
  for (int i = 0; i < 3; ++i) {
    storage::StateTable& table = state.tables.emplace_back();
    table.level = i;
    table.file_id.bytes.fill(static_cast<char>('a' + i));
    table.checksum = 77 + static_cast<uint64_t>(i);
    table.info.number = 500;
    table.info.file_bytes = 4096;
    table.info.entries = 10;
    table.info.smallest_sequence = 1;
    table.info.largest_sequence = 9;
    table.info.smallest = std::string("a") + std::string(8, '\x01');
    table.info.largest = std::string("z") + std::string(8, '\x01');
  }
  return state;
}

}  // namespace

TEST_CASE("a state comes back as it was, but for the numbers of files") {
  const storage::ReplicaState state = SomeState();
  const std::string bytes = EncodeReplicaState(state);
  const absl::StatusOr<storage::ReplicaState> decoded = DecodeReplicaState(bytes);
  REQUIRE_OK(decoded.status());
  CHECK(decoded->database_id == state.database_id);
  CHECK(decoded->position.applied.index == 12);
  CHECK(decoded->position.applied.term == 3);
  CHECK(decoded->position.last_sequence == 99);
  CHECK(decoded->position.user_sequence == 95);
  CHECK(decoded->position.commit_time_ms == 1000);
  CHECK(decoded->position.membership == "m");
  REQUIRE(decoded->tables.size() == 3);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(decoded->tables[i].level == state.tables[i].level);
    CHECK(decoded->tables[i].file_id == state.tables[i].file_id);
    CHECK(decoded->tables[i].checksum == state.tables[i].checksum);
    CHECK(decoded->tables[i].info.file_bytes == 4096);
    CHECK(decoded->tables[i].info.largest == state.tables[i].info.largest);
  }
  CHECK(EncodeReplicaState(*decoded) == bytes);
}

TEST_CASE("what is cut short or longer, or of another layout, is no state") {
  std::string bytes = EncodeReplicaState(SomeState());
  for (size_t size = 0; size < bytes.size(); ++size) {
    CHECK(DecodeReplicaState(std::string_view(bytes).substr(0, size)).status().code() == absl::StatusCode::kDataLoss);
  }
  CHECK(DecodeReplicaState(bytes + "x").status().code() == absl::StatusCode::kDataLoss);
  bytes[0] = 2;
  CHECK(DecodeReplicaState(bytes).status().code() == absl::StatusCode::kDataLoss);
}

}  // namespace bandb::cluster
