#include "inspect/report.h"

#include "support/catch.h"

namespace bandb::test {

TEST_CASE("a report is lines and columns for people, and one object as JSON") {
  inspect::Report report;
  report.Field("manifest", "file", "MANIFEST-000002");
  report.Field("manifest", "edits", 12);
  report.Table("tables");
  report.AddRow("tables", {{"table", 7}, {"smallest", "a\n\"b\""}});
  report.AddRow("tables", {{"table", 1234}, {"smallest", "\xff"}});
  report.Table("problems");
  CHECK(report.ToText() ==
        "manifest:\n"
        "  file: MANIFEST-000002\n"
        "  edits: 12\n"
        "\n"
        "tables:\n"
        "  table  smallest\n"
        "      7  a\\n\"b\"\n"
        "   1234  \\xff\n"
        "\n"
        "problems: none\n");
  CHECK(report.ToJson() ==
        "{\n"
        " \"manifest\": {\"file\": \"MANIFEST-000002\", \"edits\": 12},\n"
        " \"tables\": [\n"
        "  {\"table\": 7, \"smallest\": \"a\\\\n\\\"b\\\"\"},\n"
        "  {\"table\": 1234, \"smallest\": \"\\\\xff\"}],\n"
        " \"problems\": []\n"
        "}\n");
  CHECK(report.RowCount("tables") == 2);
  CHECK(report.RowCount("nothing") == 0);
}

}  // namespace bandb::test
