#include "cluster/segment_writer.h"

#include "cluster/segment_bytes.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

storage::FileHeader Header() {
  storage::FileHeader header{.type = storage::FileType::kSegment, .database_id = RigDatabase(), .file_id = {}};
  header.file_id.bytes.fill('f');
  return header;
}

TEST_CASE("A writer makes the bytes that the format says, and names what was synced", "[segment_writer]") {
  test::CrashFileSystem files;
  const auto writer = SegmentWriter::Create(&files, "a", 3, Header(), 4096);
  REQUIRE(writer.ok());
  SegmentBytes expected;
  std::string payload;
  const SegmentHead head{.number = 3, .hard_state = {}, .configuration = {}};
  const storage::RecordHead record = EncodeSegmentHead(head, &payload);
  REQUIRE((*writer)->Append(record, payload).ok());
  expected.Head(head);
  REQUIRE((*writer)->Sync().ok());
  (*writer)->SetSynced((*writer)->size());
  for (raft::Index i = 1; i <= 3; ++i) {
    const raft::Entry entry = MakeEntry(i, 1, std::string(300 * i, 'x'));
    payload.clear();
    const storage::RecordHead entry_record = EncodeEntry(entry, 0, &payload);
    REQUIRE((*writer)->Append(entry_record, payload).ok());
    expected.Entry(entry, 0, (*writer)->synced());
  }
  CHECK((*writer)->size() == expected.size());
  CHECK(files.Content("a").substr(0, expected.bytes().size()) == expected.bytes());
}

TEST_CASE("A record that finds no room asks for it, and changes nothing if there is none", "[segment_writer]") {
  test::CrashFileSystem files;
  files.SetFreeBytes(6000);
  const auto writer = SegmentWriter::Create(&files, "a", 3, Header(), 4096);
  REQUIRE(writer.ok());
  CHECK((*writer)->HasRoom(3000));
  CHECK_FALSE((*writer)->HasRoom(4090));
  const storage::RecordHead head{.type = storage::RecordType::kEntryData, .term = 1, .index = 1};
  CHECK((*writer)->Append(head, std::string(9000, 'x')).code() == absl::StatusCode::kResourceExhausted);
  CHECK((*writer)->size() == 0);
  CHECK((*writer)->Append(head, std::string(4500, 'x')).ok());
}

TEST_CASE("A segment that finds no room is not created", "[segment_writer]") {
  test::CrashFileSystem files;
  files.SetFreeBytes(100);
  CHECK(SegmentWriter::Create(&files, "a", 3, Header(), 4096).status().code() == absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace bandb::cluster
