#include "storage/db/golden_files.h"

#include <fmt/format.h>

#include "base/posix_file_system.h"
#include "support/catch.h"

namespace bandb::storage {

std::string GoldenPath(const std::string& name) { return fmt::format("{}/{}", BANDB_GOLDEN_DIR, name); }

std::string ReadGolden(const std::string& name) {
  base::PosixFileSystem files;
  auto content = base::ReadFile(&files, GoldenPath(name), 1 << 20);
  INFO(name);
  REQUIRE_OK(content.status());
  return *std::move(content);
}

void RequireGolden(const std::map<std::string, std::string>& made) {
  base::PosixFileSystem files;
  std::string written;
  for (const auto& [name, content] : made) {
    const auto exists = files.Exists(GoldenPath(name));
    REQUIRE_OK(exists.status());
    if (*exists) continue;
    REQUIRE_OK(files.CreateDirs(base::ParentPath(GoldenPath(name))));
    REQUIRE_OK(base::InstallFile(&files, GoldenPath(name), content));
    written += " " + name;
  }
  INFO("golden files were missing and are written now; look at them and run again:" << written);
  REQUIRE(written.empty());
}

}  // namespace bandb::storage
