#include "cluster/log_fetch.h"

#include "cluster/segment_bytes.h"
#include "support/catch.h"

namespace bandb::cluster {
namespace {

TEST_CASE("Entries are read from where they are, across gaps and segments", "[log_fetch]") {
  test::CrashFileSystem files;
  REQUIRE(files.CreateDirs("log").ok());
  const LogDirectory directory{.files = &files, .path = "log", .database_id = RigDatabase()};
  std::vector<EntryPlace> places;
  raft::Entries expected;
  raft::Index index = 0;
  for (uint64_t number = 1; number <= 2; ++number) {
    SegmentBytes segment(static_cast<char>('0' + number));
    segment.Head({.number = number, .hard_state = {}, .configuration = {}});
    for (int i = 0; i < 4; ++i) {
      // What was written in between and is void.
      if (i == 2) segment.Entry(MakeEntry(index + 1, 1, std::string(9000, 'v')));
      const uint64_t offset = segment.size();
      ++index;
      expected.push_back(MakeEntry(index, 2, std::string(100 * index, 'x')));
      segment.Entry(expected.back());
      places.push_back({.segment = number,
                        .offset = offset,
                        .record_bytes = static_cast<uint32_t>(segment.size() - offset),
                        .payload_bytes = static_cast<uint32_t>(100 * index),
                        .term = 2});
    }
    PutFile(&files, directory.PathOf(number), segment.bytes());
  }
  const auto entries = FetchEntries(directory, 1, places);
  REQUIRE(entries.ok());
  CHECK(*entries == expected);

  // One was moved, and the other one is being moved: it is where nobody has looked for it first.
  REQUIRE(files.Rename(directory.PathOf(1), "log/one").ok());
  REQUIRE(files.Rename(directory.PathOf(2), "log/two").ok());
  int looks = 0;
  const auto moving = [&](uint64_t segment, bool second) {
    ++looks;
    const std::string moved = segment == 1 ? "log/one" : "log/two";
    return (segment == 1) != second ? moved : directory.PathOf(segment);
  };
  const auto found = FetchEntriesFrom(&files, moving, 1, places);
  REQUIRE(found.ok());
  CHECK(*found == expected);
  REQUIRE(files.Rename("log/one", directory.PathOf(1)).ok());
  REQUIRE(files.Rename("log/two", "log/elsewhere").ok());
  looks = 0;
  CHECK(FetchEntriesFrom(&files, moving, 1, places).status().code() == absl::StatusCode::kNotFound);
  CHECK(looks < 20);
  REQUIRE(files.Rename("log/elsewhere", directory.PathOf(2)).ok());
  const auto still = [&](uint64_t segment, bool) { return directory.PathOf(segment); };

  // The disk refuses what is read at once, and then the second entry of it.
  files.Inject({.kind = test::FaultKind::kIoError, .calls = {test::FileCall::kRead}, .skip = 1});
  files.Inject({.kind = test::FaultKind::kIoError, .calls = {test::FileCall::kRead}, .skip = 3});
  const auto some = FetchEntries(directory, 1, places);
  REQUIRE(some.ok());
  CHECK(*some == raft::Entries(expected.begin(), expected.begin() + 1));
  files.ClearFaults();

  files.FlipByte(directory.PathOf(2), FileOffset(places[6].offset) + 60, 1);
  CHECK(FetchEntriesFrom(&files, still, 1, places).status().code() == absl::StatusCode::kDataLoss);
  const auto before = FetchEntries(directory, 1, places);
  REQUIRE(before.ok());
  CHECK(*before == raft::Entries(expected.begin(), expected.begin() + 6));
  const std::vector<EntryPlace> rest(places.begin() + 6, places.end());
  CHECK(FetchEntries(directory, 7, rest).status().code() == absl::StatusCode::kDataLoss);
  REQUIRE(files.Remove(directory.PathOf(1)).ok());
  CHECK(FetchEntries(directory, 1, places).status().code() == absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace bandb::cluster
