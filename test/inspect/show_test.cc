#include "inspect/show.h"

#include <string>

#include "inspect/inspected.h"
#include "inspect/picture.h"
#include "support/catch.h"

namespace bandb::test {

namespace {

uint64_t Count(const std::string& text, const std::string& what) {
  uint64_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

uint64_t TablesOf(const Inspected& inspected) {
  uint64_t tables = 0;
  for (const auto& [path, size] : inspected.image->Files()) tables += path.ends_with(".tbl") ? 1 : 0;
  return tables;
}

}  // namespace

TEST_CASE("a manifest is shown as what it makes, edit by edit if that is asked for") {
  const Inspected inspected(true);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  inspect::Report report;
  const auto sound = inspect::ShowManifest(env->env(), kInspectedDir, true, &report);
  REQUIRE_OK(sound.status());
  INFO(report.ToText());
  CHECK(*sound);
  CHECK(report.RowCount("tables") == TablesOf(inspected));
  CHECK(report.RowCount("logs") == 1);
  CHECK(report.RowCount("edits") >= 4);
  CHECK(Count(report.ToText(), "counts up to") == 1);
}

TEST_CASE("of a damaged manifest the edits before the damage are shown") {
  const Inspected inspected(true);
  const std::string path = inspected.PathOf("MANIFEST-000002");
  inspect::Report whole;
  REQUIRE_OK(inspect::ShowManifest(inspected.Copy()->env(), kInspectedDir, true, &whole).status());
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  // In the second edit.
  env->files().FlipByte(path, 300, 1);
  inspect::Report report;
  const auto sound = inspect::ShowManifest(env->env(), kInspectedDir, true, &report);
  REQUIRE_OK(sound.status());
  INFO(report.ToText());
  CHECK_FALSE(*sound);
  CHECK(report.RowCount("edits") > 0);
  CHECK(report.RowCount("edits") < whole.RowCount("edits"));
  CHECK(report.RowCount("problems") == 1);
}

TEST_CASE("a log is shown record by record, with what they do if that is asked for") {
  const Inspected inspected(true);
  const std::string path = inspected.PathOf(".log");
  inspect::Report report;
  const auto sound = inspect::ShowLog(inspected.Copy()->env(), path, true, &report);
  REQUIRE_OK(sound.status());
  INFO(report.ToText());
  CHECK(*sound);
  // Fifteen writes and the seal.
  CHECK(report.RowCount("records") == 16);
  CHECK(report.RowCount("operations") == 17);
  CHECK(Count(report.ToText(), "sealed") == 1);
  const std::unique_ptr<TestEnv> damaged = inspected.Copy();
  damaged->files().FlipByte(path, 400, 1);
  inspect::Report less;
  CHECK_FALSE(inspect::ShowLog(damaged->env(), path, false, &less).value());
  CHECK(less.RowCount("records") > 0);
  CHECK(less.RowCount("records") < 16);
  CHECK_CODE(inspect::ShowLog(damaged->env(), "/nothing/000001.log", false, &less).status(), kNotFound);
  CHECK_CODE(inspect::ShowLog(damaged->env(), "/nothing", false, &less).status(), kInvalidArgument);
}

TEST_CASE("a table is shown with its blocks and entries, those of a damaged one as far as they are sound") {
  const Inspected inspected(true);
  for (const auto& [path, size] : inspected.image->Files()) {
    if (!path.ends_with(".tbl")) continue;
    inspect::Report report;
    const auto sound = inspect::ShowTable(inspected.Copy()->env(), path, true, true, &report);
    REQUIRE_OK(sound.status());
    INFO(report.ToText());
    CHECK(*sound);
    CHECK(report.RowCount("blocks") > 1);
    CHECK(report.RowCount("contents") > 5);
    const std::unique_ptr<TestEnv> damaged = inspected.Copy();
    damaged->files().FlipByte(path, 100, 1);
    inspect::Report less;
    CHECK_FALSE(inspect::ShowTable(damaged->env(), path, true, true, &less).value());
    CHECK(less.RowCount("blocks") + 1 == report.RowCount("blocks"));
    CHECK(less.RowCount("problems") == 1);
    damaged->files().Truncate(path, size - 1);
    inspect::Report nothing;
    CHECK_FALSE(inspect::ShowTable(damaged->env(), path, true, true, &nothing).value());
  }
}

TEST_CASE("statistics count by level, and a picture has a box for each table") {
  const Inspected inspected(true);
  const std::unique_ptr<TestEnv> env = inspected.Copy();
  inspect::Report report;
  REQUIRE(inspect::ShowStats(env->env(), kInspectedDir, &report).value());
  CHECK(report.RowCount("levels") == 7);
  const auto picture = inspect::DrawLevels(env->env(), kInspectedDir);
  REQUIRE_OK(picture.status());
  CHECK(picture->starts_with("<svg "));
  CHECK(picture->ends_with("</svg>\n"));
  CHECK(Count(*picture, "<title>table ") == TablesOf(inspected));
  REQUIRE_OK(env->files().Remove(inspected.PathOf("/CURRENT")));
  CHECK_CODE(inspect::DrawLevels(env->env(), kInspectedDir).status(), kDataLoss);
}

}  // namespace bandb::test
