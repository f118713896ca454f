#include "inspect/check.h"

#include <string>

#include "bandb/db.h"
#include "inspect/found_database.h"
#include "inspect/inspected.h"
#include "storage/db.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

bool IsSound(TestEnv* env, inspect::Report* report) {
  const uint64_t mutations = env->files().mutations();
  const absl::StatusOr<bool> sound = inspect::CheckDatabase(env->env(), kInspectedDir, report);
  REQUIRE_OK(sound.status());
  REQUIRE(env->files().mutations() == mutations);
  REQUIRE(*sound == (report->RowCount("problems") == 0));
  return *sound;
}

// From where on the bytes of a file mean nothing, or may be a torn tail: room that was reserved
// after the seal of a log, and the last edit, which Close wrote.
uint64_t HarmlessFrom(const Inspected& inspected, const std::string& path, uint64_t size) {
  if (path.ends_with("/LOCK")) return 0;
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  const auto found = inspect::FindDatabase(env->env(), kInspectedDir);
  REQUIRE_OK(found.status());
  if (path.find("/MANIFEST-") != std::string::npos) return found->edits.back().offset;
  if (path.ends_with(".log")) return found->state.log_ends.rbegin()->second;
  return size;
}

}  // namespace

TEST_CASE("a database that was closed, and one whose process died, are sound") {
  for (const bool closed : {true, false}) {
    const Inspected inspected(closed);
    const std::unique_ptr<TestEnv> env = inspected.Copy();
    inspect::Report report;
    const bool sound = IsSound(env.get(), &report);
    INFO(report.ToText());
    CHECK(sound);
    CHECK(report.RowCount("notes") == 0);
  }
}

TEST_CASE("whichever byte of a database is flipped, a check finds it") {
  const Inspected inspected(true);
  uint64_t found = 0;
  for (const auto& [path, size] : inspected.image->Files()) {
    const uint64_t harmless_from = HarmlessFrom(inspected, path, size);
    for (uint64_t offset = 0; offset < size; ++offset) {
      const std::unique_ptr<TestEnv> env = inspected.Copy();
      env->files().FlipByte(path, offset, static_cast<uint8_t>(1 << offset % 8));
      inspect::Report report;
      const bool sound = IsSound(env.get(), &report);
      found += sound ? 0 : 1;
      if (sound && offset < harmless_from) FAIL_CHECK(path << " byte " << offset << " of " << size << ": not found");
    }
  }
  CHECK(found > 4000);
}

TEST_CASE("at whichever length a file is cut, and whichever is missing, a check finds it") {
  const Inspected inspected(true);
  for (const auto& [path, size] : inspected.image->Files()) {
    const uint64_t harmless_from = HarmlessFrom(inspected, path, size);
    for (uint64_t length = 0; length < std::min(harmless_from, size); length += 3) {
      const std::unique_ptr<TestEnv> env = inspected.Copy();
      env->files().Truncate(path, length);
      inspect::Report report;
      if (IsSound(env.get(), &report)) FAIL_CHECK(path << " cut to " << length << " of " << size << ": not found");
    }
    if (path.ends_with("/LOCK")) continue;
    const std::unique_ptr<TestEnv> env = inspected.Copy();
    REQUIRE_OK(env->files().Remove(path));
    inspect::Report report;
    if (IsSound(env.get(), &report)) FAIL_CHECK(path << " missing: not found");
  }
}

TEST_CASE("a check tells all that is wrong, and not only the first of it") {
  const Inspected inspected(true);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  uint64_t tables = 0;
  for (const auto& [path, size] : inspected.image->Files()) {
    if (!path.ends_with(".tbl")) continue;
    env->files().FlipByte(path, 100, 1);
    ++tables;
  }
  env->files().FlipByte(inspected.PathOf("/IDENTITY"), 20, 1);
  inspect::Report report;
  CHECK_FALSE(IsSound(env.get(), &report));
  CHECK(tables > 1);
  CHECK(report.RowCount("problems") == tables + 1);
}

TEST_CASE("a torn tail is no damage, and a file that nothing needs is none") {
  const Inspected inspected(false);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  const std::string log = inspected.PathOf(".log");
  std::string content = env->files().Content(log);
  content.resize(content.find_last_not_of('\0') + 1);
  env->files().SetContent(log, content + "torn");
  const auto orphan =
      env->files().Create(base::JoinPath(kInspectedDir, "groups/0/db/000900.tbl"), base::AppendMode::kBuffered);
  REQUIRE_OK(orphan.status());
  REQUIRE_OK((*orphan)->Append("of a merge that was cut short"));
  inspect::Report report;
  const bool sound = IsSound(env.get(), &report);
  INFO(report.ToText());
  CHECK(sound);
  CHECK(report.RowCount("notes") == 2);
}

TEST_CASE("a directory that is none, and one that somebody has open, are not checked") {
  TestEnv env(1);
  inspect::Report report;
  CHECK_CODE(inspect::CheckDatabase(env.env(), "/nothing", &report).status(), kNotFound);
  const auto db = storage::OpenDb(env.env(), kInspectedDir, Options());
  REQUIRE_OK(db.status());
  CHECK_CODE(inspect::CheckDatabase(env.env(), kInspectedDir, &report).status(), kFailedPrecondition);
}

}  // namespace bandb::test
