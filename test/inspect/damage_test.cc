// What a check and a repair say of whatever damage: neither may call sound what has lost something.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "bandb/db.h"
#include "bandb/ingest.h"
#include "inspect/check.h"
#include "inspect/found_database.h"
#include "inspect/inspected.h"
#include "inspect/repair.h"
#include "storage/db.h"
#include "storage/file/file_names.h"
#include "storage/log/log_reader.h"
#include "storage/version/version_edit.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

std::vector<std::string> FilesLike(TestEnv* env, std::string_view pattern) {
  std::vector<std::string> found;
  for (const auto& [path, size] : env->files().Files()) {
    if (Matches(pattern, path)) found.push_back(path);
  }
  return found;
}

// One of them.
std::string Draw(TestEnv* env, base::Random* random, std::string_view pattern) {
  const std::vector<std::string> paths = FilesLike(env, pattern);
  return paths.empty() ? std::string() : paths[random->Uniform(paths.size())];
}

// Where the records of a log or manifest begin, and where the last of them ends.
std::vector<uint64_t> RecordPlaces(TestEnv* env, const std::string& path) {
  const auto type = path.ends_with(".log") ? storage::FileType::kLog : storage::FileType::kManifest;
  std::vector<uint64_t> places = {storage::kFileHeaderBytes};
  const auto content = storage::ReadLog(&env->files(), path, type);
  if (!content.ok() || !content->has_header) return places;
  storage::LogReader reader(*content);
  for (storage::ParsedRecord record; reader.Next(&record);) places.push_back(reader.offset() + record.record_bytes);
  return places;
}

// Also in room that is only reserved.
void FlipSome(TestEnv* env, base::Random* random, const std::string& path) {
  std::string content = env->files().Content(path);
  if (content.empty()) return;
  char& byte = content[random->Uniform(content.size())];
  byte = static_cast<char>(byte ^ (1 << random->Uniform(8)));
  env->files().SetContent(path, content);
}

void CutSome(TestEnv* env, base::Random* random, const std::string& path, bool at_record) {
  const std::vector<uint64_t> places = RecordPlaces(env, path);
  const uint64_t length = at_record ? places[random->Uniform(places.size())] : random->Uniform(places.back() + 1);
  if (length < env->files().Files().at(path)) env->files().Truncate(path, length);
}

// Of three edits that the manifest begins with, as many as that.
void BeginAnew(TestEnv* env, uint64_t edits) {
  storage::VersionEdit fields = ReadState(env).Everything();
  std::vector<storage::VersionEdit> beginning(3);
  const std::vector<storage::VersionEdit::AddedTable> tables = std::exchange(fields.added, {});
  for (size_t i = 0; i < tables.size(); ++i) beginning[1 + i % 2].added.push_back(tables[i]);
  fields.beginning_edits = beginning.size();
  beginning[0] = std::move(fields);
  beginning.resize(edits);
  WriteManifest(env, beginning);
}

constexpr uint64_t kDamages = 13;

// What was done, for the reader of a test that fails.
std::string DamageSomehow(TestEnv* env, base::Random* random, uint64_t kind) {
  static constexpr const char* kPatterns[kDamages] = {"*.log",     "*.log", "*.log",    "*.log",        "*/MANIFEST-*",
                                                      "*/CURRENT", "*.tbl", "*.tbl",    "*/MANIFEST-*", "*/MANIFEST-*",
                                                      "*.log",     "*.tbl", "*/CURRENT"};
  const std::string path = Draw(env, random, kPatterns[kind]);
  const std::string what = fmt::format("damage {} of {}", kind, path);
  if (path.empty()) return what;
  switch (kind) {
    case 0:
    case 5:
    case 6:
      REQUIRE_OK(env->files().Remove(path));
      break;
    case 1:
    case 8:
      CutSome(env, random, path, false);
      break;
    case 2:
    case 9:
      CutSome(env, random, path, true);
      break;
    case 3:
    case 4:
    case 7:
      FlipSome(env, random, path);
      break;
    case 10:
    case 11:
      // Another one is in its place.
      env->files().SetContent(path, env->files().Content(Draw(env, random, kPatterns[kind])));
      break;
    default:
      BeginAnew(env, random->Uniform(3));
      break;
  }
  return what;
}

// Whether of a log with records only the header is left, without the room after it. One that was
// begun and not written to looks the same, and whether anything was in it is only noted.
bool IsCutToHeader(const Inspected& inspected, TestEnv* env) {
  const std::map<std::string, uint64_t> before = inspected.image->Files();
  for (const std::string& log : FilesLike(env, "*.log")) {
    if (env->files().Files().at(log) == storage::kFileHeaderBytes && before.at(log) > storage::kFileHeaderBytes) {
      return true;
    }
  }
  return false;
}

struct Judged {
  bool check_is_sound = false;
  size_t check_notes = 0;
  bool opens = false;
  bool lost_nothing = false;
  Entries repaired{};
  Entries opened{};  // empty: it does not open
  std::string told;
};

Judged Judge(TestEnv* env) {
  Judged judged;
  inspect::Report check, repair;
  const auto checked = inspect::CheckDatabase(env->env(), kInspectedDir, &check);
  REQUIRE_OK(checked.status());
  judged.check_is_sound = *checked;
  judged.check_notes = check.RowCount("notes");
  const auto repaired = inspect::RepairDatabase(env->env(), kInspectedDir, kRepairedDir, &repair);
  judged.told = check.ToText() + repair.ToText();
  INFO(judged.told);
  REQUIRE_OK(repaired.status());
  judged.lost_nothing = *repaired;
  REQUIRE(judged.lost_nothing == (repair.RowCount("lost") == 0));
  const auto entries = ReadEntries(env, kRepairedDir);
  REQUIRE_OK(entries.status());
  judged.repaired = *entries;
  const auto opened = ReadEntries(env, kInspectedDir);
  judged.opens = opened.ok();
  if (opened.ok()) judged.opened = *opened;
  return judged;
}

}  // namespace

TEST_CASE("whatever is damaged, a repair yields all that was acknowledged or says what it lost") {
  uint64_t whole = 0, lost = 0;
  for (const bool closed : {true, false}) {
    for (const bool keeps_logs : {true, false}) {
      const Inspected inspected = MakeLogged(closed, keeps_logs);
      for (uint64_t seed = 0; seed < 20 * kDamages; ++seed) {
        base::Random random(seed);
        const std::unique_ptr<TestEnv> env = inspected.Copy();
        std::string what = DamageSomehow(env.get(), &random, seed % kDamages);
        // Now and then two at once.
        if (seed % 4 == 3 && seed % kDamages != kDamages - 1) {
          what += ", " + DamageSomehow(env.get(), &random, random.Uniform(kDamages - 1));
        }
        const bool is_cut_to_header = IsCutToHeader(inspected, env.get());
        const Judged judged = Judge(env.get());
        INFO("closed " << closed << " keeps " << keeps_logs << " seed " << seed << ": " << what << "\n" << judged.told);
        for (const auto& [key, value] : judged.repaired) {
          const auto known = inspected.history.find(key);
          CHECK((known != inspected.history.end() && known->second.contains(value)));
        }
        if (judged.lost_nothing && !is_cut_to_header) CHECK(judged.repaired == inspected.state);
        if (judged.check_is_sound) CHECK(judged.opens);
        ++(judged.lost_nothing ? whole : lost);
      }
    }
  }
  // Some damages do no harm, and of most something is told.
  CHECK(whole > 20);
  CHECK(lost > 500);
}

TEST_CASE("of logs that the manifest does not promise a check tells what may be lost, and a repair what is") {
  const Inspected inspected = MakeRotated();
  const std::vector<std::string> logs = FilesLike(inspected.Copy().get(), "*.log");
  REQUIRE(logs.size() == 3);
  {
    const Judged judged = Judge(inspected.Copy().get());
    INFO(judged.told);
    CHECK(judged.check_is_sound);
    CHECK(judged.lost_nothing);
    CHECK(judged.repaired == inspected.state);
    CHECK(judged.opened == inspected.state);
  }
  uint64_t noted = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    base::Random random(seed);
    const std::unique_ptr<TestEnv> env = inspected.Copy();
    static constexpr uint64_t kOfLogs[] = {0, 1, 2, 3, 10};
    const std::string what = DamageSomehow(env.get(), &random, kOfLogs[seed % 5]);
    const bool is_cut_to_header = IsCutToHeader(inspected, env.get());
    const Judged judged = Judge(env.get());
    INFO("seed " << seed << ": " << what << "\n" << judged.told);
    if (judged.lost_nothing && !is_cut_to_header) CHECK(judged.repaired == inspected.state);
    if (!judged.check_is_sound) continue;
    CHECK(judged.opens);
    if (judged.opened == inspected.state) continue;
    CHECK(judged.check_notes > 0);
    ++noted;
  }
  CHECK(noted > 20);
}

TEST_CASE(
    "a log that is gone between one that was ended and one that holds nothing is told, and one begun is no loss") {
  const Inspected inspected = MakeRotated();
  const std::vector<std::string> logs = FilesLike(inspected.Copy().get(), "*.log");
  const std::string header = inspected.image->Content(logs[2]).substr(0, storage::kFileHeaderBytes);
  for (const bool has_room : {true, false}) {
    for (const bool is_gone : {true, false}) {
      const std::unique_ptr<TestEnv> env = inspected.Copy();
      env->files().SetContent(logs[2], header + std::string(has_room ? 4096 : 0, '\0'));
      if (is_gone) REQUIRE_OK(env->files().Remove(logs[1]));
      const Judged judged = Judge(env.get());
      INFO(judged.told);
      CHECK(judged.check_is_sound);
      CHECK(judged.lost_nothing == !is_gone);
      CHECK((judged.check_notes > 0) == (is_gone || !has_room));
      CHECK((judged.told.find("follows, which holds nothing") != std::string::npos) == is_gone);
    }
  }
  // And the last one.
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  REQUIRE_OK(env->files().Remove(logs[2]));
  const Judged judged = Judge(env.get());
  INFO(judged.told);
  CHECK(judged.check_is_sound);
  CHECK(judged.told.find("which is not there") != std::string::npos);
  CHECK_FALSE(judged.lost_nothing);
}

TEST_CASE("a database with logs that was not damaged is sound, and repaired it holds the same") {
  for (const bool closed : {true, false}) {
    for (const bool keeps_logs : {true, false}) {
      const Inspected inspected = MakeLogged(closed, keeps_logs);
      const std::unique_ptr<TestEnv> env = inspected.Copy();
      CHECK(FilesLike(env.get(), "*.log").size() >= 3);
      for (const bool begun_anew : {false, true}) {
        if (begun_anew) BeginAnew(env.get(), 3);
        const std::unique_ptr<TestEnv> copy = std::make_unique<TestEnv>(1, env->files().ProcessDeathImage(0));
        copy->clock().Advance(inspected.nanos);
        const Judged judged = Judge(copy.get());
        INFO(judged.told);
        CHECK(judged.check_is_sound);
        CHECK(judged.lost_nothing);
        CHECK(judged.repaired == inspected.state);
      }
    }
  }
}

TEST_CASE("a log that the manifest names and that is gone is lost, the oldest one included") {
  // Of these only the oldest log has a number that the manifest must name.
  for (const bool closed : {true, false}) {
    const Inspected inspected(closed);
    const std::unique_ptr<TestEnv> env = inspected.Copy();
    const std::string log = inspected.PathOf(".log");
    REQUIRE_OK(env->files().Remove(log));
    const Judged judged = Judge(env.get());
    INFO(judged.told);
    CHECK_FALSE(judged.lost_nothing);
    CHECK(judged.told.find(log + ": offset 0: the log is missing") != std::string::npos);
  }
}

TEST_CASE("a log that is shorter than the manifest says was cut, though it ends with a whole record") {
  const Inspected inspected(true);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  const std::string log = inspected.PathOf(".log");
  const std::vector<uint64_t> places = RecordPlaces(env.get(), log);
  env->files().Truncate(log, places[4]);
  const Judged judged = Judge(env.get());
  INFO(judged.told);
  CHECK_FALSE(judged.lost_nothing);
  CHECK(judged.told.find(fmt::format("{}: offset {}: the log counts up to offset {}", log, places[4], places.back())) !=
        std::string::npos);
}

TEST_CASE("half of what a manifest begins with is not taken for all of it") {
  const Inspected inspected = MakeLogged(true, false);
  for (uint64_t edits = 0; edits < 3; ++edits) {
    const std::unique_ptr<TestEnv> env = inspected.Copy();
    BeginAnew(env.get(), edits);
    const Judged judged = Judge(env.get());
    INFO(judged.told);
    CHECK_FALSE(judged.check_is_sound);
    CHECK_FALSE(judged.lost_nothing);
    CHECK(judged.repaired == inspected.state);
    CHECK(judged.told.find(fmt::format("{} of {} are whole", edits, edits == 0 ? 1 : 3)) != std::string::npos);
  }
}

TEST_CASE("of a torn last edit is told, and the table that it named is read") {
  const Inspected inspected = MakeLogged(true, false);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  // As if the last edit were the one that names the table, and its log had been removed.
  storage::VersionEdit everything = ReadState(env.get()).Everything();
  storage::VersionEdit last;
  REQUIRE(everything.added.size() >= 2);
  last.added = {everything.added.front()};
  everything.added.erase(everything.added.begin());
  const std::string table = base::JoinPath(std::string(kInspectedDir) + "/groups/0/db",
                                           fmt::format("{:06}.tbl", last.added.front().info.number));
  WriteManifest(env.get(), {everything, last});
  const std::string manifest = FilesLike(env.get(), "*/MANIFEST-*").front();
  for (const uint64_t cut : {1, 30}) {
    const std::unique_ptr<TestEnv> torn = std::make_unique<TestEnv>(1, env->files().ProcessDeathImage(0));
    torn->clock().Advance(inspected.nanos);
    torn->files().Truncate(manifest, RecordPlaces(torn.get(), manifest).back() - cut);
    const Judged judged = Judge(torn.get());
    INFO(judged.told);
    CHECK_FALSE(judged.lost_nothing);
    CHECK(judged.told.find("bytes at its end that are no edit") != std::string::npos);
    CHECK(judged.told.find(table + " was read, which no edit names") != std::string::npos);
    CHECK(judged.repaired == inspected.state);
  }
}

TEST_CASE("an edit that is gone without a trace shows by the operations that only a table has") {
  const Inspected inspected(true);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  // A state without its newest table, whose log is gone as well, and the log after it, empty.
  storage::ManifestState state = ReadState(env.get());
  storage::VersionEdit everything = state.Everything();
  const auto newest =
      std::max_element(everything.added.begin(), everything.added.end(),
                       [](const auto& a, const auto& b) { return a.info.largest_sequence < b.info.largest_sequence; });
  everything.last_sequence = newest->info.smallest_sequence - 1;
  everything.user_sequence.reset();
  everything.added.erase(newest);
  everything.log_ends = {{everything.log_ends.front().number, storage::kFileHeaderBytes}};
  WriteManifest(env.get(), {everything});
  const Judged judged = Judge(env.get());
  INFO(judged.told);
  CHECK_FALSE(judged.lost_nothing);
  CHECK(judged.told.find("an edit is missing") != std::string::npos);
}

TEST_CASE("an ingest whose edit is gone without a trace is told, table by table, and no part of it is there") {
  for (const bool has_more : {false, true}) {
    TestEnv env(5);
    const auto db = storage::OpenDb(env.env(), kInspectedDir, Options());
    REQUIRE_OK(db.status());
    if (has_more) REQUIRE_OK((*db)->Put("put", "put", {.sync = true}));
    bool given = false;
    const auto next = [&](IngestEntry* entry) -> absl::StatusOr<bool> {
      entry->key = "ingested";
      return !std::exchange(given, true);
    };
    REQUIRE_OK((*db)->Ingest(next).status());
    TestEnv after(1, env.files().ProcessDeathImage(0));
    after.clock().Advance(env.clock().MonotonicNanos());
    const auto found = inspect::FindDatabase(after.env(), kInspectedDir);
    REQUIRE_OK(found.status());
    const inspect::FoundEdit& last = found->edits.back();
    REQUIRE(last.edit.added.size() == 1);
    const std::string table = storage::TableName(last.edit.added.front().info.number);
    after.files().Truncate(base::JoinPath(found->engine_dir, found->manifest), last.offset);
    const Judged judged = Judge(&after);
    INFO(judged.told);
    CHECK_FALSE(judged.lost_nothing);
    CHECK(judged.told.find(table + ": offset 0: not read: it is of an ingest that was not acknowledged, or whose edit "
                                   "is lost") != std::string::npos);
    CHECK(judged.repaired == (has_more ? Entries{{"put", "put"}} : Entries{}));
  }
}

TEST_CASE("what the file system refuses to read of a log is lost, and the rest is repaired") {
  const Inspected inspected = MakeLogged(true, false);
  for (const std::string& log : FilesLike(inspected.Copy().get(), "*.log")) {
    for (const FileCall call : {FileCall::kRead, FileCall::kOpen}) {
      const std::unique_ptr<TestEnv> env = inspected.Copy();
      env->files().Inject({.calls = {call}, .pattern = log, .count = Fault::kSticky});
      inspect::Report report;
      const auto repaired = inspect::RepairDatabase(env->env(), kInspectedDir, kRepairedDir, &report);
      INFO(report.ToText());
      REQUIRE_OK(repaired.status());
      CHECK_FALSE(*repaired);
      CHECK(report.ToText().find(log) != std::string::npos);
      CHECK(report.ToText().find("Input/output error") != std::string::npos);
      env->files().ClearFaults();
      const auto entries = ReadEntries(env.get(), kRepairedDir);
      REQUIRE_OK(entries.status());
      CHECK(entries->size() * 2 > inspected.state.size());
    }
  }
}

TEST_CASE("a check refuses numbers and epochs of a manifest that opening refuses") {
  const Inspected inspected(true);
  for (const int wrong : {0, 1, 2}) {
    const std::unique_ptr<TestEnv> env = inspected.Copy();
    storage::VersionEdit everything = ReadState(env.get()).Everything();
    REQUIRE_FALSE(everything.epochs.empty());
    if (wrong == 0) everything.epochs.back().number = *everything.epoch + 1;
    if (wrong == 1) everything.epochs.back().begin = 1000;
    if (wrong == 2) everything.next_file_number = storage::kFoundNumberMax + 1;
    WriteManifest(env.get(), {everything});
    inspect::Report report;
    const auto sound = inspect::CheckDatabase(env->env(), kInspectedDir, &report);
    REQUIRE_OK(sound.status());
    INFO(report.ToText());
    CHECK_FALSE(*sound);
    CHECK(report.RowCount("problems") == 1);
    CHECK_CODE(ReadEntries(env.get(), kInspectedDir).status(), kDataLoss);
  }
}

TEST_CASE("where it cannot be found out whether a database is open, it is not taken for closed") {
  const Inspected inspected(true);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  env->files().Inject(
      {.kind = FaultKind::kNoAccess, .calls = {FileCall::kExists}, .pattern = "*/LOCK", .count = Fault::kSticky});
  inspect::Report report;
  CHECK_CODE(inspect::CheckDatabase(env->env(), kInspectedDir, &report).status(), kPermissionDenied);
  CHECK_CODE(inspect::RepairDatabase(env->env(), kInspectedDir, kRepairedDir, &report).status(), kPermissionDenied);
  CHECK_FALSE(env->files().Exists(kRepairedDir).value());
}

}  // namespace bandb::test
