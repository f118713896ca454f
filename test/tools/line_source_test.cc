#include "line_source.h"

#include <string>
#include <vector>

#include "base/posix_file_system.h"
#include "base/status.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace bandb::cli {
namespace {

constexpr size_t kLineBytesMax = 3'000'000;

class Files {
 public:
  std::string Write(const std::string& name, std::string_view content) {
    const std::string path = base::JoinPath(dir_.path(), name);
    REQUIRE_OK(base::InstallFile(&files_, path, content));
    return path;
  }
  std::vector<std::string> LinesOf(const std::vector<std::string>& paths) {
    LineSource source(paths, false, kLineBytesMax);
    std::vector<std::string> lines;
    while (true) {
      std::string_view line;
      const absl::StatusOr<LineSource::Found> found = source.Next(&line);
      REQUIRE_OK(found.status());
      if (*found == LineSource::Found::kEnd) break;
      lines.emplace_back(*found == LineSource::Found::kLine ? line : "(too long)");
      CHECK(source.Ready());
    }
    return lines;
  }

 private:
  base::PosixFileSystem files_;
  test::TempDir dir_;
};

TEST_CASE("lines come in order, of one file after the other, with or without a last line end") {
  Files files;
  const std::string one = files.Write("one", "a\n\nb c\r\n");
  const std::string two = files.Write("two", "");
  const std::string three = files.Write("three", "d");
  const std::vector<std::string> expected{"a", "", "b c\r", "d"};
  CHECK(files.LinesOf({one, two, three}) == expected);
}

TEST_CASE("a line may be longer than a piece that is read at once") {
  Files files;
  const std::string long_line(1'000'000, 'x');
  const std::string path = files.Write("long", long_line + "\nshort\n" + long_line);
  const std::vector<std::string> expected{long_line, "short", long_line};
  CHECK(files.LinesOf({path}) == expected);
}

TEST_CASE("a line above the limit is skipped, and those around it are read") {
  Files files;
  const std::string limit(kLineBytesMax, 'x');
  const std::string above = limit + "x";
  const std::string path = files.Write("long", "a\n" + above + "\nb\n" + limit + "\n" + limit + limit + limit + "\n");
  const std::string unended = files.Write("unended", "c\n" + above);
  const std::vector<std::string> expected{"a", "(too long)", "b", limit, "(too long)", "c", "(too long)"};
  CHECK(files.LinesOf({path, unended}) == expected);
}

TEST_CASE("the size of all files is known, and a missing file is an error") {
  Files files;
  const std::string one = files.Write("one", "12345");
  const std::string two = files.Write("two", "678");
  CHECK(LineSource({one, two}).TotalBytes().value() == 8);
  CHECK(LineSource({one, "-"}).TotalBytes().value() == 0);
  CHECK_CODE(LineSource({one, two + ".absent"}).TotalBytes().status(), kNotFound);
}

}  // namespace
}  // namespace bandb::cli
