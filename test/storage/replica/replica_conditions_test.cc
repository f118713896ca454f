// Conditions on versions and ranges in the log of a cluster: what they say depends on the log
// alone.
#include <memory>
#include <string>
#include <vector>

#include "storage/replica/replica_db.h"
#include "storage/replica/replica_model.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

namespace {

using storage::AppliedEntry;
using Change = ModelChange::Kind;
using Condition = ModelCondition::Kind;

std::unique_ptr<ReplicaDb> OpenReplica(TestEnv* env, ReplicaDbLog* log, const Options& options = {}) {
  absl::StatusOr<std::unique_ptr<ReplicaDb>> db = ReplicaDb::Open(env->env(), "/replica", options, log);
  REQUIRE_OK(db.status());
  return *std::move(db);
}

// An entry by its writes.
AppliedEntry Apply(storage::EngineReplica* replica, std::vector<ModelWrite> writes,
                   const storage::ApplyOptions& options = {}) {
  LogEntry entry;
  for (ModelWrite& write : writes) entry.writes.push_back({.write = std::move(write)});
  const uint64_t index = replica->applied().applied.index + 1;
  replica->LogIsDurable(index);
  const EncodedEntry encoded(entry, index);
  absl::StatusOr<AppliedEntry> applied = replica->Apply(encoded.entry(), options);
  REQUIRE_OK(applied.status());
  return *std::move(applied);
}

ModelWrite Put(const std::string& key, const std::string& value) { return {.changes = {{Change::kPut, key, value}}}; }

}  // namespace

TEST_CASE("replicas of one log have the same versions and judge by them alike, wherever they keep values") {
  ReplicaDbLog log;
  TestEnv first_env(1);
  const std::unique_ptr<ReplicaDb> first = OpenReplica(&first_env, &log);
  REQUIRE_OK(first->Put("a", "1"));
  const uint64_t version = first->GetEntry("a")->version;
  REQUIRE(version != 0);
  WriteBatch batch;
  batch.RequireVersion("a", version);
  batch.RequireVersion("b", 0);
  batch.RequireEmptyRange("b", "");
  batch.Put("b", "2");
  batch.Put("a", "2");
  REQUIRE_OK(first->Write(batch));
  CHECK_CODE(first->Write(batch), kAborted);
  // The batch that was not done has taken its sequences, too.
  REQUIRE_OK(first->Put("c", "3"));
  CHECK(first->GetEntry("b")->version == version + 1);
  CHECK(first->GetEntry("a")->version == version + 2);
  CHECK(first->GetEntry("c")->version == version + 5);
  REQUIRE_OK(first->Delete("a"));
  batch.Clear();
  batch.RequireVersion("a", version + 2);
  batch.Put("a", "never");
  CHECK_CODE(first->Write(batch), kAborted);
  REQUIRE_OK(first->Flush());
  REQUIRE_OK(first->CompactRange("", ""));

  // Opening applies the log again, and an entry that ends otherwise than before is an error.
  TestEnv second_env(2);
  Options small;
  small.write_buffer_bytes = 64 << 10;
  small.block_cache_bytes = 0;
  const std::unique_ptr<ReplicaDb> second = OpenReplica(&second_env, &log, small);
  for (const char* key : {"b", "c"}) CHECK(second->GetEntry(key)->version == first->GetEntry(key)->version);
  const std::unique_ptr<Iterator> a = first->NewIterator(), b = second->NewIterator();
  for (a->SeekToFirst(), b->SeekToFirst(); a->Valid() && b->Valid(); a->Next(), b->Next()) {
    CHECK(a->key() == b->key());
    CHECK(a->version() == b->version());
  }
  CHECK(a->Valid() == b->Valid());
}

TEST_CASE("conditions see what the writes before them in the same entry have done to versions and ranges") {
  TestEnv env(1);
  auto opened = storage::EngineReplica::Open(env.env(), "/node", Options(), TestStart());
  REQUIRE_OK(opened.status());
  storage::EngineReplica* const replica = opened->get();
  const uint64_t before = Apply(replica, {Put("a", "1"), Put("b", "1")}).first_sequence;
  const auto if_version = [](const std::string& key, uint64_t version, ModelWrite write) {
    write.conditions.push_back({.kind = Condition::kVersion, .key = key, .version = version});
    return write;
  };
  const auto if_empty = [](const std::string& begin, const std::string& limit, ModelWrite write) {
    write.conditions.push_back({Condition::kEmptyRange, begin, limit});
    return write;
  };
  // Sequences of the entry begin after those two.
  const AppliedEntry applied = Apply(replica, {
                                                  if_version("a", before, Put("a", "2")),
                                                  if_version("a", before, Put("a", "never")),
                                                  if_version("a", before + 2, Put("a", "3")),
                                                  if_empty("b", "c", Put("c", "never")),
                                                  {.changes = {{Change::kDeleteRange, "b", "bb"}}},
                                                  if_empty("b", "c", Put("bx", "4")),
                                                  if_empty("b", "c", Put("c", "never")),
                                              });
  CHECK(OutcomesText(applied.outcomes) == "OK ABORTED OK ABORTED OK OK ABORTED ");
  CHECK_OK(CloseReplica(replica, &env.executor()));
}

TEST_CASE("a range that is asked for waits for a caller who may read the disk, and nothing is done before") {
  TestEnv env(1);
  auto opened = storage::EngineReplica::Open(env.env(), "/node", Options(), TestStart());
  REQUIRE_OK(opened.status());
  storage::EngineReplica* const replica = opened->get();
  ModelWrite write = Put("a", "1");
  write.conditions.push_back({Condition::kEmptyRange, "", ""});
  const AppliedEntry waits = Apply(replica, {Put("z", "1"), write}, {.only_cached = true});
  CHECK(waits.result == AppliedEntry::Result::kNeedsDisk);
  CHECK(replica->applied().applied.index == 0);
  CHECK(OutcomesText(Apply(replica, {write, write}).outcomes) == "OK ABORTED ");
  CHECK_OK(CloseReplica(replica, &env.executor()));
}

}  // namespace bandb::test
