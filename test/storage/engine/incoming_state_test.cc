// What a replica takes for the state of another one, and what it does not.
#include "storage/engine/incoming_state.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "storage/engine/engine_replica.h"
#include "storage/replica/replica_pair.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

using storage::IncomingState;
using storage::ReplicaState;

}  // namespace

TEST_CASE("a table that the replica has is not received again, even if a compaction replaces it meanwhile") {
  ReplicaPair pair;
  pair.InstallAt(100);
  const ReplicaState state = pair.StateAt(104);
  std::unique_ptr<IncomingState> incoming = pair.Receive(state);
  size_t wanted = 0;
  for (size_t i = 0; i < incoming->table_count(); ++i) wanted += incoming->Wants(i) ? 1 : 0;
  REQUIRE(wanted < state.tables.size());
  REQUIRE_OK(CompactReplica(&pair.replica(), &pair.env().executor()));
  CHECK(pair.Send(incoming.get()) == wanted);
  REQUIRE_OK(pair.Install(std::move(incoming)));
  pair.CheckAt(104);
  pair.PowerLoss();
  pair.CheckAt(104);
}

TEST_CASE("a table of which the replica's own file is damaged is received again") {
  ReplicaPair pair;
  pair.InstallAt(100);
  const std::vector<std::string> own = ReplicaPair::Tables(&pair.env().files());
  REQUIRE(own.size() > 1);
  pair.env().files().FlipByte(own.front(), 200, 4);
  std::unique_ptr<IncomingState> incoming = pair.Receive(pair.StateAt(100));
  CHECK(pair.Send(incoming.get()) == 1);
  REQUIRE_OK(pair.Install(std::move(incoming)));
  pair.CheckAt(100);
}

TEST_CASE("a table whose bytes are not those of the state is dropped, and may be sent again") {
  ReplicaPair pair;
  pair.ApplyTo(20);
  ReplicaState state = pair.StateAt(100);
  std::unique_ptr<IncomingState> incoming = pair.Receive(state);
  const auto file = pair.pinned().OpenTable(0);
  REQUIRE_OK(file.status());
  std::string bytes = ReadAll(**file);
  SECTION("a byte is another") {
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    CHECK_CODE(incoming->Append(0, bytes), kDataLoss);
  }
  SECTION("there are too many") { CHECK_CODE(incoming->Append(0, bytes + "x"), kDataLoss); }
  SECTION("there are too many, after others") {
    REQUIRE_OK(incoming->Append(0, bytes.substr(0, 50)));
    CHECK_CODE(incoming->Append(0, bytes), kDataLoss);
  }
  SECTION("it is another table") {
    const auto other = pair.pinned().OpenTable(1);
    REQUIRE_OK(other.status());
    std::string wrong = ReadAll(**other);
    wrong.resize(bytes.size());
    CHECK_CODE(incoming->Append(0, wrong), kDataLoss);
  }
  CHECK(incoming->Wants(0));
  CHECK(incoming->ReceivedBytes(0) == 0);
  CHECK(ReplicaPair::Tables(&pair.env().files()).empty());
  pair.Send(incoming.get());
  REQUIRE_OK(pair.Install(std::move(incoming)));
  pair.CheckAt(100);
}

TEST_CASE("a state of which a part is missing is not installed") {
  ReplicaPair pair;
  pair.ApplyTo(20);
  pair.Flush();
  std::unique_ptr<IncomingState> incoming = pair.Receive(pair.StateAt(100));
  const auto file = pair.pinned().OpenTable(0);
  REQUIRE_OK(file.status());
  // Cut off.
  REQUIRE_OK(incoming->Append(0, ReadAll(**file).substr(0, 300)));
  CHECK_FALSE(incoming->IsComplete());
  CHECK_CODE(pair.Install(std::move(incoming)), kInvalidArgument);
  pair.CheckAt(20);
}

TEST_CASE("tables that are not what the state says are found out before it is installed") {
  ReplicaPair pair;
  pair.ApplyTo(20);
  pair.Flush();
  ReplicaState state = pair.StateAt(100);
  const auto file = pair.pinned().OpenTable(0);
  REQUIRE_OK(file.status());
  std::string bytes = ReadAll(**file);
  storage::StateTable& table = state.tables[0];
  SECTION("a block is damaged, and the checksum of the file fits") {
    bytes[100] = static_cast<char>(bytes[100] ^ 1);
    table.checksum = base::Hash64(bytes);
  }
  SECTION("it is cut off, and the checksum of the file fits") {
    bytes.resize(bytes.size() - 10);
    table.info.file_bytes = bytes.size();
    table.checksum = base::Hash64(bytes);
  }
  SECTION("it is no table at all") {
    bytes = "x";
    table.info.file_bytes = bytes.size();
    table.checksum = base::Hash64(bytes);
  }
  SECTION("the file has another id") { table.file_id.bytes[3] ^= 1; }
  SECTION("it holds other figures") { ++table.info.entries; }
  SECTION("it begins elsewhere") { table.info.smallest = table.info.largest; }
  std::unique_ptr<IncomingState> incoming = pair.Receive(state);
  REQUIRE_OK(incoming->Append(0, bytes));
  pair.Send(incoming.get());
  CHECK_CODE(pair.Install(std::move(incoming)), kDataLoss);
  pair.CheckAt(20);
  // Nothing is the worse for it.
  pair.InstallAt(100);
  pair.CheckAt(100);
}

TEST_CASE("a file of the replica's own with the same id and other bytes is not taken for the table") {
  ReplicaPair pair;
  pair.InstallAt(100);
  ReplicaState state = pair.StateAt(100);
  // Another past of the peer, which it had under the same id.
  state.tables[0].checksum ^= 1;
  std::unique_ptr<IncomingState> incoming = pair.Receive(state);
  CHECK(incoming->Wants(0));
  const auto file = pair.pinned().OpenTable(0);
  REQUIRE_OK(file.status());
  CHECK_CODE(incoming->Append(0, ReadAll(**file)), kDataLoss);
  CHECK_CODE(pair.Install(std::move(incoming)), kInvalidArgument);
  pair.CheckAt(100);
}

TEST_CASE("a state that does not fit together, or not to the replica, is refused before anything is received") {
  ReplicaPair pair;
  const ReplicaState sound = pair.StateAt(100);
  ReplicaState state = sound;
  absl::StatusCode code = absl::StatusCode::kDataLoss;
  SECTION("a level that is none") { state.tables[0].level = storage::kLevels; }
  SECTION("a level below none") { state.tables[0].level = -1; }
  SECTION("a file twice") { state.tables.push_back(state.tables[0]); }
  SECTION("tables that overlap") {
    for (storage::StateTable& table : state.tables) table.level = 1;
  }
  SECTION("tables beyond the position") { state.position.last_sequence = state.tables[0].info.largest_sequence - 1; }
  SECTION("keys that are none") { state.tables[0].info.smallest = "x"; }
  SECTION("keys in the wrong order") { std::swap(state.tables[0].info.smallest, state.tables[0].info.largest); }
  SECTION("sequences that nothing has") { state.position.last_sequence = UINT64_MAX; }
  SECTION("another database") {
    state.database_id.bytes[0] ^= 1;
    code = absl::StatusCode::kInvalidArgument;
  }
  SECTION("behind the present one") {
    pair.ApplyTo(120);
    pair.Flush();
    code = absl::StatusCode::kInvalidArgument;
  }
  SECTION("at the same entry, of another past") {
    pair.ApplyTo(100);
    pair.Flush();
    ++state.position.last_sequence;
  }
  SECTION("ahead, in a term that is behind") {
    pair.ApplyTo(90);
    pair.Flush();
    state.position.applied.term = 0;
  }
  SECTION("ahead, with sequences that are behind") {
    pair.ApplyTo(90);
    pair.Flush();
    state.position.last_sequence = 1;
    state.tables.clear();
  }
  SECTION("ahead, at a time that is behind") {
    pair.ApplyTo(90);
    pair.Flush();
    state.position.commit_time_ms = 1;
  }
  const uint64_t index = pair.replica().applied().applied.index;
  const absl::Status refused = pair.replica().Receive(state).status();
  CAPTURE(refused.ToString());
  CHECK(refused.code() == code);
  pair.CheckAt(index);
}

TEST_CASE("what was received and not installed goes with the state, or at the next open") {
  ReplicaPair pair;
  pair.ApplyTo(40);
  pair.Flush();
  const size_t own = ReplicaPair::Tables(&pair.env().files()).size();
  std::unique_ptr<IncomingState> incoming = pair.Receive(pair.StateAt(120));
  pair.Send(incoming.get());
  CHECK(ReplicaPair::Tables(&pair.env().files()).size() > own);
  SECTION("let go of") {
    incoming.reset();
    CHECK(ReplicaPair::Tables(&pair.env().files()).size() == own);
  }
  SECTION("the process dies") {
    pair.PowerLoss();
    incoming.reset();
  }
  SECTION("closed before") {
    pair.Close();
    incoming.reset();
    pair.Open();
  }
  pair.CheckAt(40);
}

}  // namespace bandb::test
