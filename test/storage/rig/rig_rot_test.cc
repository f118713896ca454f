// A database whose bytes rot: no answer is ever wrong or missing, and nothing crashes.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "storage/db.h"
#include "storage/log/log_reader.h"
#include "storage/rig/prefix_oracle.h"
#include "storage/rig/rig_actor.h"
#include "storage/version/version_edit.h"
#include "support/catch.h"
#include "support/random_data.h"

namespace bandb::test {

namespace {

// A small database with tables in two levels, a range deletion and a log, closed cleanly: every
// byte of it is synced.
struct SmallDatabase {
  SmallDatabase() {
    PrefixOracle oracle;
    RigActor actor(5, &oracle, [](CrashFileSystem*) {});
    actor.Open();
    base::Random& random = actor.random();
    for (int round = 0; round < 3; ++round) {
      for (int i = 0; i < 14; ++i) {
        actor.Write({.changes = {{ModelChange::Kind::kPut, NumberedKey(random.Uniform(40), 2),
                                  RandomText(&random, 30 + random.Uniform(250))}}});
      }
      actor.Write({.changes = {{ModelChange::Kind::kDeleteRange, "key10", "key13"},
                               {ModelChange::Kind::kDelete, "key20"},
                               {ModelChange::Kind::kPutWithTtl, "key21", "lives for an hour", kRigHourMs}}});
      if (round < 2) actor.Flush();
      if (round == 0) actor.Compact("", "");
    }
    actor.Close();
    REQUIRE_OK(oracle.surprise());
    const ModelEntries visible = Visible(oracle.state(), kRigLookMs);
    state.insert(visible.begin(), visible.end());
    nanos = actor.env().clock().MonotonicNanos();
    image = actor.env().files().CrashImage(Damage::kLost, 0);
  }

  std::map<std::string, std::string> state;
  int64_t nanos;
  std::unique_ptr<CrashFileSystem> image;
};

// What a look at a damaged database came to.
enum class Look { kIntact, kRefused, kError, kWrong };

// True if a read answered with an error that names the damaged file, or the table that is gone.
bool NamesDamage(const absl::Status& status) {
  const std::string_view message = base::Message(status);
  const bool gone =
      absl::IsInternal(status) && message.find(".tbl: offset 0: cannot be read") != std::string_view::npos;
  return (absl::IsDataLoss(status) || gone) && message.find(kRigDir) != std::string_view::npos;
}

// Reads everything in every way. `wrong` says what was wrong.
Look ReadDamaged(Db* db, const std::map<std::string, std::string>& state, std::string* wrong) {
  Look look = Look::kIntact;
  for (int i = 0; i < 41; ++i) {
    const std::string key = NumberedKey(i, 2);
    const absl::StatusOr<std::string> got = db->Get(key);
    const auto expected = state.find(key);
    if (NamesDamage(got.status())) {
      look = Look::kError;
    } else if (expected == state.end() ? !absl::IsNotFound(got.status()) : !got.ok() || *got != expected->second) {
      *wrong = "Get(" + key + "): " + (got.ok() ? "a wrong value" : got.status().ToString());
      return Look::kWrong;
    }
  }
  for (const bool forward : {true, false}) {
    const std::unique_ptr<Iterator> it = db->NewIterator();
    std::vector<std::string> keys;
    for (forward ? it->SeekToFirst() : it->SeekToLast(); it->Valid(); forward ? it->Next() : it->Prev()) {
      const auto expected = state.find(std::string(it->key()));
      if (expected == state.end() || expected->second != it->value()) {
        *wrong = "the iterator finds " + std::string(it->key()) + ", which is not there or other";
        return Look::kWrong;
      }
      keys.emplace_back(it->key());
    }
    if (NamesDamage(it->status())) {
      look = Look::kError;
    } else if (!it->status().ok() || keys.size() != state.size()) {
      *wrong = fmt::format("the iterator finds {} of {} keys: {}", keys.size(), state.size(), it->status().ToString());
      return Look::kWrong;
    }
  }
  return look;
}

Look LookOfRefusal(const absl::Status& refused, std::string* wrong) {
  // A directory whose identity is damaged, or whose format bits were changed, may be refused by
  // other names.
  const bool named = NamesDamage(refused) || absl::IsFailedPrecondition(refused);
  if (!named) *wrong = "Open: " + refused.ToString();
  return named ? Look::kRefused : Look::kWrong;
}

// Of the same, opened for reading only; nothing of it may be changed.
Look LookReadOnly(const SmallDatabase& small, TestEnv* env, std::string* wrong) {
  const uint64_t mutations = env->files().mutations();
  Look look = Look::kIntact;
  {
    const auto db = storage::OpenDbReadOnly(env->env(), kRigDir, RigOptions());
    look = db.ok() ? ReadDamaged(db->get(), small.state, wrong) : LookOfRefusal(db.status(), wrong);
  }
  if (env->files().mutations() == mutations) return look;
  *wrong = "who only reads has called " + env->files().LastCall();
  return Look::kWrong;
}

Look LookAt(const SmallDatabase& small, std::unique_ptr<CrashFileSystem> files, std::string* wrong) {
  TestEnv env(1, std::move(files));
  env.clock().Advance(small.nanos);
  const Look seen = LookReadOnly(small, &env, wrong);
  if (seen == Look::kWrong) return seen;
  auto db = OpenRig(&env, kRigDir, RigOptions());
  const Look look = db.ok() ? ReadDamaged(db->get(), small.state, wrong) : LookOfRefusal(db.status(), wrong);
  if (look == Look::kWrong || look == seen) return look;
  *wrong = fmt::format("for reading only it looks as {}, not as {}", static_cast<int>(seen), static_cast<int>(look));
  return Look::kWrong;
}

// What those who work on files make of a damaged database.
struct Worked {
  bool opened = false;
  bool verified = false;  // whole
  bool compacted = false;
  std::string wrong{};
};

// Verifies, copies and compacts it: what is damaged is named, and nothing comes out wrong.
Worked WorkOn(const SmallDatabase& small, std::unique_ptr<CrashFileSystem> files) {
  constexpr char kCopyDir[] = "/copy";
  TestEnv env(1, std::move(files));
  env.clock().Advance(small.nanos);
  const auto db = OpenRig(&env, kRigDir, RigOptions());
  if (!db.ok()) return {};
  Worked worked{.opened = true};
  const absl::Status verified = (*db)->VerifyChecksums();
  const absl::Status copied = (*db)->CreateCheckpoint(kCopyDir);
  const absl::Status compacted = (*db)->CompactRange({}, {});
  worked.verified = verified.ok();
  worked.compacted = compacted.ok();
  // A compaction goes around what is damaged, and says so.
  const bool set_aside =
      absl::IsDataLoss(compacted) && base::Message(compacted).find("set aside") != std::string_view::npos;
  for (const absl::Status& status : {verified, copied, set_aside ? absl::OkStatus() : compacted}) {
    if (!status.ok() && !NamesDamage(status)) worked.wrong = status.ToString();
  }
  if (!worked.wrong.empty()) return worked;
  Look look = ReadDamaged(db->get(), small.state, &worked.wrong);
  if (look != Look::kIntact && look != Look::kWrong && verified.ok()) worked.wrong = "a verification passed over it";
  if (!copied.ok() || !worked.wrong.empty()) return worked;
  const auto copy = OpenRig(&env, kCopyDir, RigOptions());
  if (copy.ok()) look = ReadDamaged(copy->get(), small.state, &worked.wrong);
  if (verified.ok() && (!copy.ok() || look != Look::kIntact)) worked.wrong = "a copy of what is whole is not";
  return worked;
}

// Where the bytes of a file begin that mean nothing; its size if there are none. There are some
// only
//   - after the seal of the log: room that had been reserved;
//   - in the manifest, from its last edit on, which Close writes and which says how long the sealed log is: without it
//   the
//     log is read up to its seal, and a damaged last edit, of which no later one says that it was synced, counts as
//     torn;
//   - nowhere else: every other byte is under a checksum, and what it covers is needed.
uint64_t HarmlessFrom(CrashFileSystem* files, const std::string& path, uint64_t size) {
  const bool manifest = path.find("/MANIFEST-") != std::string::npos;
  if (!manifest && !path.ends_with(".log")) return size;
  const auto type = manifest ? storage::FileType::kManifest : storage::FileType::kLog;
  const auto content = storage::ReadLog(files, path, type);
  REQUIRE_OK(content.status());
  if (!manifest) {
    REQUIRE(content->end == storage::LogEnd::kSealed);
    return content->valid_bytes;
  }
  storage::LogReader cursor(*content);
  storage::ParsedRecord record;
  while (cursor.Next(&record)) {
  }
  const auto edit = storage::DecodeEdit(record.payload);
  REQUIRE_OK(edit.status());
  REQUIRE(edit->log_ends.size() == 1);
  REQUIRE(edit->added.empty());
  REQUIRE(edit->deleted.empty());
  return cursor.offset();
}

struct Tally {
  int counts[4] = {};
  void Add(Look look, const std::string& what, const std::string& wrong) {
    ++counts[static_cast<int>(look)];
    if (look == Look::kWrong) FAIL_CHECK(what << ": " << wrong);
  }
  int found() const { return counts[1] + counts[2]; }
};

}  // namespace

TEST_CASE("whichever byte of a database is flipped, no answer is wrong or missing") {
  const SmallDatabase small;
  base::Random random(1);
  Tally tally;
  uint64_t harmless = 0;
  for (const auto& [path, size] : small.image->Files()) {
    const uint64_t harmless_from = HarmlessFrom(small.image.get(), path, size);
    harmless += size - harmless_from;
    for (uint64_t offset = 0; offset < size; ++offset) {
      auto files = small.image->CrashImage(Damage::kLost, 0);
      files->FlipByte(path, offset, static_cast<uint8_t>(random.OneIn(2) ? 1 << random.Uniform(8) : 0xff));
      std::string wrong;
      const Look look = LookAt(small, std::move(files), &wrong);
      const std::string what = fmt::format("{} byte {} of {}", path, offset, size);
      tally.Add(look, what, wrong);
      if ((look == Look::kIntact) != (offset >= harmless_from)) FAIL_CHECK(what << ": found or not, unlike expected");
    }
  }
  CHECK(tally.found() > 4000);
  CHECK(harmless < 200);
}

TEST_CASE("whichever byte of a database is flipped, it is verified as damaged, and compacted and copied right or not") {
  const SmallDatabase small;
  base::Random random(2);
  int opened = 0, found = 0, refused = 0;
  for (const auto& [path, size] : small.image->Files()) {
    const uint64_t harmless_from = HarmlessFrom(small.image.get(), path, size);
    for (uint64_t offset = 0; offset < harmless_from; ++offset) {
      auto files = small.image->CrashImage(Damage::kLost, 0);
      files->FlipByte(path, offset, static_cast<uint8_t>(random.OneIn(2) ? 1 << random.Uniform(8) : 0xff));
      const Worked worked = WorkOn(small, std::move(files));
      CAPTURE(path, offset, size);
      if (!worked.wrong.empty()) FAIL_CHECK(worked.wrong);
      if (worked.opened && worked.verified) FAIL_CHECK("a verification passes over it");
      opened += worked.opened ? 1 : 0;
      found += worked.verified ? 0 : 1;
      refused += worked.compacted ? 0 : 1;
    }
  }
  CHECK(opened > 2000);
  CHECK(found > 4000);
  CHECK(refused > 2000);
}

TEST_CASE("at whichever length a file of a database is cut, no answer is wrong or missing") {
  const SmallDatabase small;
  Tally tally;
  for (const auto& [path, size] : small.image->Files()) {
    const uint64_t harmless_from = HarmlessFrom(small.image.get(), path, size);
    for (uint64_t length = 0; length < size; ++length) {
      auto files = small.image->CrashImage(Damage::kLost, 0);
      files->Truncate(path, length);
      std::string wrong;
      const Look look = LookAt(small, std::move(files), &wrong);
      const std::string what = fmt::format("{} cut to {} of {}", path, length, size);
      tally.Add(look, what, wrong);
      if ((look == Look::kIntact) != (length >= harmless_from)) FAIL_CHECK(what << ": found or not, unlike expected");
    }
  }
  CHECK(tally.found() > 4000);
}

TEST_CASE("blocks and files in the wrong place, and files that are missing, are found") {
  const SmallDatabase small;
  Tally tally;
  const std::map<std::string, uint64_t> files = small.image->Files();
  for (const auto& [path_a, size_a] : files) {
    for (const auto& [path_b, size_b] : files) {
      std::string wrong;
      if (path_a < path_b) {
        auto swapped = small.image->CrashImage(Damage::kLost, 0);
        swapped->SwapFiles(path_a, path_b);
        tally.Add(LookAt(small, std::move(swapped), &wrong), path_a + " and " + path_b + " swapped", wrong);
      }
      for (uint64_t a = 0; a + 512 <= size_a; a += 512) {
        for (uint64_t b = 0; b + 512 <= size_b; b += 512) {
          if (path_a > path_b || (path_a == path_b && a >= b)) continue;
          auto swapped = small.image->CrashImage(Damage::kLost, 0);
          swapped->SwapRanges(path_a, a, path_b, b, 512);
          tally.Add(LookAt(small, std::move(swapped), &wrong),
                    fmt::format("{} at {} and {} at {} swapped", path_a, a, path_b, b), wrong);
        }
      }
    }
    if (path_a == std::string(kRigDir) + "/LOCK") continue;
    auto missing = small.image->CrashImage(Damage::kLost, 0);
    REQUIRE_OK(missing->Remove(path_a));
    std::string wrong;
    const Look look = LookAt(small, std::move(missing), &wrong);
    tally.Add(look, path_a + " missing", wrong);
    CHECK(look != Look::kIntact);
  }
  CHECK(tally.found() > 50);
}

}  // namespace bandb::test
