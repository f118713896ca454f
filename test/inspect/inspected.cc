#include "inspect/inspected.h"

#include <algorithm>

#include "bandb/db.h"
#include "base/status.h"
#include "inspect/found_database.h"
#include "storage/db.h"
#include "storage/file/file_names.h"
#include "storage/log/log_writer.h"
#include "support/catch.h"
#include "support/random_data.h"

namespace bandb::test {

namespace {

Options SmallOptions() {
  Options options;
  options.write_buffer_bytes = 64 << 10;
  options.block_bytes = 512;
  options.table_bytes = 64 << 10;
  return options;
}

}  // namespace

Inspected::Inspected(bool closed) {
  TestEnv env(7);
  auto opened = storage::OpenDb(env.env(), kInspectedDir, SmallOptions());
  REQUIRE_OK(opened.status());
  std::unique_ptr<Db> db = *std::move(opened);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 14; ++i) {
      const std::string key = NumberedKey(env.random().Uniform(40), 2);
      const std::string value = RandomText(&env.random(), 30 + env.random().Uniform(120));
      REQUIRE_OK(db->Put(key, value, {.sync = i % 5 == 0}));
      state[key] = value;
      history[key].insert(value);
    }
    WriteBatch batch;
    batch.DeleteRange("key10", "key13");
    batch.Delete("key20");
    batch.PutWithTtl("key21", "lives for an hour", absl::Hours(1));
    REQUIRE_OK(db->Write(batch, {.sync = true}));
    state.erase(state.lower_bound("key10"), state.lower_bound("key13"));
    state.erase("key20");
    state["key21"] = "lives for an hour";
    history["key21"].insert("lives for an hour");
    if (round < 2) REQUIRE_OK(db->Flush());
    if (round == 0) REQUIRE_OK(db->CompactRange("", ""));
  }
  if (closed) REQUIRE_OK(db->Close());
  nanos = env.clock().MonotonicNanos();
  image = closed ? env.files().CrashImage(Damage::kLost, 0) : env.files().ProcessDeathImage(0);
  env.files().Stop();
}

std::unique_ptr<TestEnv> Inspected::Copy() const {
  auto env = std::make_unique<TestEnv>(1, image->ProcessDeathImage(0));
  env->clock().Advance(nanos);
  return env;
}

std::string Inspected::PathOf(const std::string& ending) const {
  std::string found;
  for (const auto& [path, size] : image->Files()) {
    if (!path.ends_with(ending)) continue;
    REQUIRE(found.empty());
    found = path;
  }
  REQUIRE_FALSE(found.empty());
  return found;
}

namespace {

// Puts, synced as one and acknowledged.
void PutSome(Db* db, TestEnv* env, int round, Inspected* inspected) {
  for (int i = 0; i < 8; ++i) {
    const std::string key = NumberedKey(env->random().Uniform(40), 2);
    const std::string value = fmt::format("{}-{} {}", round, i, RandomText(&env->random(), 20));
    REQUIRE_OK(db->Put(key, value, {.sync = true}));
    inspected->state[key] = value;
    inspected->history[key].insert(value);
  }
  const std::string gone = NumberedKey(env->random().Uniform(40), 2);
  REQUIRE_OK(db->Delete(gone, {.sync = true}));
  inspected->state.erase(gone);
}

}  // namespace

Inspected MakeLogged(bool closed, bool keeps_logs) {
  Options options = SmallOptions();
  options.changes_keep_bytes = keeps_logs ? 1 << 20 : 0;
  Inspected made;
  auto files = std::make_unique<CrashFileSystem>();
  constexpr int kLives = 3;
  for (int life = 0; life < kLives; ++life) {
    TestEnv env(7 + static_cast<uint64_t>(life), std::move(files));
    env.clock().Advance(made.nanos);
    auto opened = storage::OpenDb(env.env(), kInspectedDir, options);
    REQUIRE_OK(opened.status());
    std::unique_ptr<Db> db = *std::move(opened);
    for (int round = 0; round < 3 && life == 0; ++round) {
      PutSome(db.get(), &env, round, &made);
      REQUIRE_OK(db->Flush());
      if (round == 0) REQUIRE_OK(db->CompactRange("", ""));
    }
    PutSome(db.get(), &env, 10 + life, &made);
    const bool closes = closed && life + 1 == kLives;
    if (closes) REQUIRE_OK(db->Close());
    made.nanos = env.clock().MonotonicNanos();
    files = closes ? env.files().CrashImage(Damage::kLost, 0) : env.files().ProcessDeathImage(0);
    env.files().Stop();
  }
  made.image = std::move(files);
  return made;
}

Inspected MakeRotated() {
  Options options = SmallOptions();
  options.write_buffer_bytes = 128 << 10;
  Inspected made;
  TestEnv env(7);
  auto opened = storage::OpenDb(env.env(), kInspectedDir, options);
  REQUIRE_OK(opened.status());
  const std::unique_ptr<Db> db = *std::move(opened);
  const auto put = [&](const std::string& key, const std::string& value) {
    REQUIRE_OK(db->Put(key, value));
    made.state[key] = value;
    made.history[key].insert(value);
  };
  const auto put_some = [&](int log) {
    for (int i = 0; i < 6; ++i) put(NumberedKey(static_cast<uint64_t>(4 * log + i), 2), fmt::format("{}-{}", log, i));
  };
  const auto count_logs = [&] {
    const auto files = env.files().Files();
    return std::count_if(files.begin(), files.end(), [](const auto& file) { return file.first.ends_with(".log"); });
  };
  WriteBatch hollow;
  hollow.DeleteRange(std::string(4000, 'y'), "x");
  put_some(0);
  for (int log = 1; log <= 2; ++log) {
    // These fill a log and hold no key; and nothing waits, so that no flush gets its turn.
    for (int i = 0; i < 100 && count_logs() == log; ++i) {
      REQUIRE_OK(db->Write(hollow));
    }
    REQUIRE(count_logs() == log + 1);
    put_some(log);
  }
  made.nanos = env.clock().MonotonicNanos();
  made.image = env.files().ProcessDeathImage(0);
  env.files().Stop();
  return made;
}

storage::ManifestState ReadState(TestEnv* env) {
  const auto found = inspect::FindDatabase(env->env(), kInspectedDir);
  REQUIRE_OK(found.status());
  REQUIRE(found->state_is_whole);
  return found->state;
}

void WriteManifest(TestEnv* env, const std::vector<storage::VersionEdit>& edits) {
  const auto found = inspect::FindDatabase(env->env(), kInspectedDir);
  REQUIRE_OK(found.status());
  const std::string name = storage::ManifestName(found->manifests.rbegin()->first + 1000);
  const auto writer = storage::LogWriter::Create(&env->files(), base::JoinPath(found->engine_dir, name),
                                                 {.type = storage::FileType::kManifest,
                                                  .database_id = found->identity->database_id,
                                                  .file_id = storage::RandomUuid(&env->random())});
  REQUIRE_OK(writer.status());
  for (const storage::VersionEdit& edit : edits) {
    REQUIRE_OK((*writer)->Append({.type = storage::RecordType::kEdit}, storage::EncodeEdit(edit)));
  }
  REQUIRE_OK((*writer)->Sync());
  REQUIRE_OK((*writer)->Close());
  REQUIRE_OK(base::InstallFile(&env->files(), storage::CurrentPath(found->engine_dir), storage::EncodeCurrent(name)));
  REQUIRE_OK(env->files().Remove(base::JoinPath(found->engine_dir, found->manifest)));
}

absl::StatusOr<Entries> ReadEntries(TestEnv* env, const std::string& dir) {
  Options options;
  options.create_if_missing = false;
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<Db> db, storage::OpenDb(env->env(), dir, options));
  Entries found;
  const std::unique_ptr<Iterator> it = db->NewIterator();
  for (it->SeekToFirst(); it->Valid(); it->Next()) found.emplace(it->key(), it->value());
  BANDB_RETURN_IF_ERROR(it->status());
  BANDB_RETURN_IF_ERROR(db->Close());
  return found;
}

}  // namespace bandb::test
