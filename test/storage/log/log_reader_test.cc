// The log reader against every cut, every flipped byte, and tails of all sorts.
#include "storage/log/log_reader.h"

#include <string>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/status.h"
#include "storage/log/log_fixture.h"
#include "support/catch.h"
#include "support/crash_file_system.h"

namespace bandb::storage {

namespace {

absl::StatusOr<LogContent> Read(std::string_view bytes, uint64_t bytes_max = UINT64_MAX) {
  test::CrashFileSystem files;
  REQUIRE_OK((*files.Create("log", base::AppendMode::kWriteThrough))->Close());
  files.SetContent("log", bytes);
  return ReadLog(&files, "log", FileType::kLog, bytes_max);
}

// The first sequences of the records.
std::string Sequences(const LogContent& content) {
  std::string text;
  LogReader cursor(content);
  ParsedRecord record;
  while (cursor.Next(&record)) text += std::to_string(record.head.first_sequence) + " ";
  return text;
}

// Three records, the second of which was synced before the third was written.
LogBytes ThreeRecords() {
  LogBytes log(1);
  log.Put("a", "1").Put("b", "2");
  log.Put("c", std::string(300, 'c'), log.size());
  return log;
}

}  // namespace

TEST_CASE("a log is read as it was written") {
  LogBytes log = ThreeRecords();
  auto open = Read(log.bytes());
  REQUIRE_OK(open.status());
  CHECK(open->end == LogEnd::kOpen);
  CHECK(open->records == 3);
  CHECK(open->valid_bytes == log.size());
  CHECK(open->synced_offset == log.offsets()[2]);
  CHECK(Sequences(*open) == "1 2 3 ");
  CHECK(Read(LogBytes(1).Put("a", "1").End().bytes())->end == LogEnd::kEnded);
  CHECK(Read(LogBytes(1).Put("a", "1").Seal().bytes())->end == LogEnd::kSealed);
}

TEST_CASE("a log that is cut anywhere keeps its whole records") {
  const LogBytes log = ThreeRecords();
  for (size_t cut = 0; cut <= log.size(); ++cut) {
    CAPTURE(cut);
    auto content = Read(std::string_view(log.bytes()).substr(0, cut));
    REQUIRE_OK(content.status());
    uint64_t whole = 0;
    while (whole < 3 && cut >= (whole == 2 ? log.size() : log.offsets()[whole + 1])) ++whole;
    CHECK(content->records == whole);
    CHECK(content->has_header == (cut >= kFileHeaderBytes));
    const bool on_a_border = cut == 0 || (cut >= kFileHeaderBytes && cut == content->valid_bytes);
    CHECK((content->end == LogEnd::kOpen) == on_a_border);
  }
}

TEST_CASE("a flipped byte in what had been synced is corruption, and behind it a torn tail") {
  const LogBytes log = ThreeRecords();
  for (size_t at = 0; at < log.size(); ++at) {
    CAPTURE(at);
    std::string bytes = log.bytes();
    bytes[at] = static_cast<char>(bytes[at] ^ 0x20);
    const auto content = Read(bytes);
    if (at < log.offsets()[2]) {
      CHECK_CODE(content.status(), kDataLoss);
      CHECK(content.status().message().find("offset") != absl::string_view::npos);
    } else {
      REQUIRE_OK(content.status());
      CHECK(content->end == LogEnd::kDamaged);
      CHECK(Sequences(*content) == "1 2 ");
      CHECK(content->dropped_bytes > 0);
    }
  }
}

TEST_CASE("a flipped byte anywhere before a seal is corruption") {
  LogBytes log(1);
  log.Put("a", "1").Put("b", "2").Seal();
  for (size_t at = 0; at < log.offsets()[2]; ++at) {
    CAPTURE(at);
    std::string bytes = log.bytes();
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    CHECK_CODE(Read(bytes).status(), kDataLoss);
  }
}

TEST_CASE("zeros behind the last record are reserved room") {
  const LogBytes log = ThreeRecords();
  const auto content = Read(log.bytes() + std::string(5000, '\0'));
  REQUIRE_OK(content.status());
  CHECK(content->end == LogEnd::kOpen);
  CHECK(content->dropped_bytes == 0);
  CHECK(content->records == 3);
}

TEST_CASE("stale bytes of another log, or of another place, are no records") {
  const LogBytes log = ThreeRecords();
  const LogBytes other = LogBytes(2).Put("x", "1").Put("y", "2", 80);
  const auto stale = Read(log.bytes() + other.bytes().substr(kFileHeaderBytes));
  REQUIRE_OK(stale.status());
  CHECK(Sequences(*stale) == "1 2 3 ");
  CHECK(stale->dropped_bytes > 0);
  // A record of the same file, written to another place.
  const std::string moved = log.bytes().substr(log.offsets()[1], log.offsets()[2] - log.offsets()[1]);
  const auto misplaced = Read(log.bytes() + moved);
  REQUIRE_OK(misplaced.status());
  CHECK(Sequences(*misplaced) == "1 2 3 ");
}

TEST_CASE("a record behind a hole does not count, unless it shows that the hole had been synced") {
  const bool synced = GENERATE(false, true);
  LogBytes log(1);
  log.Put("a", "1").Put("b", std::string(2000, 'b'));
  log.Put("c", "3", synced ? log.size() : 0);
  std::string bytes = log.bytes();
  for (uint64_t at = log.offsets()[1] + 100; at < log.offsets()[1] + 1124; ++at) bytes[at] = '\0';
  const auto content = Read(bytes);
  if (synced) {
    CHECK_CODE(content.status(), kDataLoss);
  } else {
    REQUIRE_OK(content.status());
    CHECK(Sequences(*content) == "1 ");
  }
}

TEST_CASE("what is appended to a log while it is read is not looked at") {
  LogBytes log(1);
  log.Put("a", "1");
  const uint64_t before = log.size();
  log.Put("b", "2");
  log.Put("c", "3", log.size());
  std::string seen = log.bytes();
  // The middle record was read before it was written, the last one after.
  for (uint64_t at = before; at < log.offsets()[2]; ++at) seen[at] = '\0';
  CHECK_CODE(Read(seen).status(), kDataLoss);
  CHECK_OK(Read(seen, before).status());
}

TEST_CASE("a log of a newer format is refused, and named") {
  std::string bytes = LogBytes(1).Put("a", "1").bytes();
  bytes[8] = 2;
  base::StoreFixed<uint64_t>(bytes.data() + kFileHeaderBytes - 8,
                             base::Hash64(std::string_view(bytes).substr(0, kFileHeaderBytes - 8)));
  const auto content = Read(bytes);
  CHECK_CODE(content.status(), kFailedPrecondition);
  CHECK(content.status().message().find("version 2") != absl::string_view::npos);
}

}  // namespace bandb::storage
