// Backups of a database whose files have rotted: none is made of what is damaged.
#include "backup/backup_rig.h"

namespace bandb::test {

TEST_CASE("whichever byte of a table is flipped, a backup that would read it is refused by its name") {
  BackupRig rig(3);
  rig.BackUp(0);
  WriteRound(rig.db.get(), 1);
  std::string newest;
  uint64_t size = 0;
  for (const auto& [path, bytes] : rig.env.files().Files()) {
    if (!path.starts_with(kDatabaseDir) || !path.ends_with(".tbl") || path < newest) continue;
    newest = path;
    size = bytes;
  }
  REQUIRE(size > 500);
  for (uint64_t offset = 0; offset < size; ++offset) {
    CAPTURE(offset);
    const auto mask = static_cast<uint8_t>(1 << offset % 8);
    rig.env.files().FlipByte(newest, offset, mask);
    const absl::Status status = rig.repository.Create(rig.db.get(), {}).status();
    REQUIRE_CODE(status, kDataLoss);
    REQUIRE(status.message().find(newest.substr(newest.rfind('/'))) != std::string::npos);
    rig.env.files().FlipByte(newest, offset, mask);
  }
  CHECK(rig.repository.List().value().size() == 1);
  REQUIRE_OK(rig.repository.Create(rig.db.get(), {}).status());
  REQUIRE_OK(rig.repository.Verify(0));
  CHECK(RestoredContents(&rig.env, &rig.repository, 2, "/restored") == ContentsOf(rig.db.get()));
}

}  // namespace bandb::test
