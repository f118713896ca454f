// The log reader against every cut, every flipped byte, and tails of all sorts.
#include "storage/log/log_reader.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/checksum.h"
#include "base/coding.h"
#include "base/forwarding_file_system.h"
#include "base/posix_file_system.h"
#include "base/status.h"
#include "storage/log/log_fixture.h"
#include "support/catch.h"
#include "support/crash_file_system.h"
#include "support/temp_dir.h"

namespace bandb::storage {

namespace {

// The first sequences of the records.
std::string Sequences(const LogContent& content) {
  std::string text;
  LogReader cursor(content);
  ParsedRecord record;
  while (cursor.Next(&record)) text += std::to_string(record.head.first_sequence) + " ";
  return text;
}

// What is read of a log without its bytes in memory is the same, to the last record.
void CheckStreamed(base::FileSystem* files, const absl::StatusOr<LogContent>& whole, uint64_t bytes_max) {
  const absl::StatusOr<LogContent> checked = CheckLog(files, "log", FileType::kLog, bytes_max);
  REQUIRE(checked.status() == whole.status());
  if (!whole.ok()) return;
  CHECK(checked->bytes.empty());
  REQUIRE(checked->records == whole->records);
  REQUIRE(checked->end == whole->end);
  REQUIRE(checked->valid_bytes == whole->valid_bytes);
  REQUIRE(checked->dropped_bytes == whole->dropped_bytes);
  REQUIRE(checked->synced_offset == whole->synced_offset);
  REQUIRE(checked->first_sequence == whole->first_sequence);
  if (!whole->has_header) return;
  const auto walk = LogWalk::Begin(files, "log", FileType::kLog, checked->valid_bytes);
  REQUIRE_OK(walk.status());
  LogReader cursor(*whole);
  ParsedRecord record, streamed;
  while (cursor.Next(&record)) {
    REQUIRE((*walk)->Next(&streamed).value());
    REQUIRE((*walk)->offset() == cursor.offset());
    REQUIRE(streamed.payload == record.payload);
    REQUIRE(streamed.head.first_sequence == record.head.first_sequence);
  }
  REQUIRE_FALSE((*walk)->Next(&streamed).value());
}

absl::StatusOr<LogContent> Read(std::string_view bytes, uint64_t bytes_max = UINT64_MAX) {
  test::CrashFileSystem files;
  REQUIRE_OK((*files.Create("log", base::AppendMode::kWriteThrough))->Close());
  files.SetContent("log", bytes);
  absl::StatusOr<LogContent> content = ReadLog(&files, "log", FileType::kLog, bytes_max);
  CheckStreamed(&files, content, bytes_max);
  return content;
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

TEST_CASE("what is behind the recorded end of a log is not read, and holes are no work, however long they are") {
  test::TempDir dir;
  base::PosixFileSystem files;
  const std::string path = dir.File("log");
  const LogBytes log = ThreeRecords();
  {
    auto file = files.Create(path, base::AppendMode::kBuffered);
    REQUIRE_OK(file.status());
    REQUIRE_OK((*file)->Append(log.bytes()));
    REQUIRE_OK((*file)->Close());
  }
  // Nothing but a hole.
  if (::truncate(path.c_str(), off_t{1} << 40) != 0) return;
  auto content = ReadLog(&files, path, FileType::kLog, log.size());
  REQUIRE_OK(content.status());
  CHECK(content->records == 3);
  CHECK(content->bytes.size() == log.size());
  CHECK_OK(VerifyLog(&files, path, FileType::kLog, log.size()));
  for (const off_t bytes : {off_t{1} << 40, off_t{4} << 30, off_t{64} << 20}) {
    REQUIRE(::truncate(path.c_str(), bytes) == 0);
    content = ReadLog(&files, path, FileType::kLog);
    REQUIRE_OK(content.status());
    CHECK(content->records == 3);
    CHECK(content->end == LogEnd::kOpen);
    CHECK(content->dropped_bytes == 0);
    CHECK(content->bytes.size() == log.size());
  }
}

namespace {

// A file of any size in which there are a few bytes.
class SparseFile final : public base::RandomAccessFile {
 public:
  SparseFile(std::map<uint64_t, std::string> pieces, uint64_t size) : pieces_(std::move(pieces)), size_(size) {}
  absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> to) const override {
    std::fill(to.begin(), to.end(), '\0');
    const size_t count = static_cast<size_t>(std::min<uint64_t>(to.size(), size_ - std::min(offset, size_)));
    for (const auto& [at, bytes] : pieces_) {
      for (size_t i = 0; i < bytes.size(); ++i) {
        if (at + i >= offset && at + i < offset + count) to[at + i - offset] = bytes[i];
      }
    }
    read_bytes_ += count;
    return count;
  }
  void Prefetch(uint64_t, uint64_t) const override {}
  uint64_t SkipHole(uint64_t offset) const override {
    for (const auto& [at, bytes] : pieces_) {
      if (offset < at + bytes.size()) return std::max(offset, at / 4096 * 4096);
    }
    return size_;
  }
  uint64_t Size() const override { return size_; }
  uint64_t read_bytes() const { return read_bytes_; }

 private:
  const std::map<uint64_t, std::string> pieces_;
  const uint64_t size_;
  mutable uint64_t read_bytes_ = 0;
};

class OneFile final : public base::ForwardingFileSystem {
 public:
  explicit OneFile(const SparseFile* file) : ForwardingFileSystem(nullptr), file_(file) {}
  absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> Open(const std::string&) override {
    return std::make_unique<SparseFile>(*file_);
  }

 private:
  const SparseFile* const file_;
};

absl::StatusOr<LogContent> ReadSparse(const std::map<uint64_t, std::string>& pieces, uint64_t size) {
  const SparseFile file(pieces, size);
  OneFile files(&file);
  return ReadLog(&files, "log", FileType::kLog);
}

}  // namespace

TEST_CASE("bytes far behind the end of a log take no memory, and are damage if they show that there was more") {
  const LogBytes log = ThreeRecords();
  const uint64_t far = (uint64_t{3} << 30) + 5;
  auto content = ReadSparse({{0, log.bytes()}, {far, "stray"}}, uint64_t{4} << 30);
  REQUIRE_OK(content.status());
  CHECK(content->records == 3);
  CHECK(content->end == LogEnd::kDamaged);
  CHECK(content->dropped_bytes == far + 5 - log.size());
  CHECK(content->bytes.capacity() < 1 << 20);
  // In a part that no log has.
  CHECK_CODE(ReadSparse({{0, log.bytes()}, {uint64_t{5} << 30, "stray"}}, uint64_t{8} << 40).status(), kDataLoss);
  // In a file that has no header.
  CHECK_CODE(ReadSparse({{far, "stray"}}, uint64_t{4} << 30).status(), kDataLoss);
  content = ReadSparse({{4, "torn"}}, uint64_t{8} << 40);
  REQUIRE_OK(content.status());
  CHECK_FALSE(content->has_header);
  CHECK(content->dropped_bytes == 8);
  // A whole record there: in bytes that were synced, or not.
  for (const uint64_t synced : {far, log.size()}) {
    RecordHead head{.type = RecordType::kWrite, .term = 1, .first_sequence = 4, .synced_offset = synced};
    std::string record;
    const size_t begin = BeginRecord(&record, head);
    record += "payload";
    FinishRecord(&record, begin, record.size() - 7, head, log.header().checksum_seed(), far);
    content = ReadSparse({{0, log.bytes()}, {far, record}}, uint64_t{8} << 40);
    if (synced == far) {
      CHECK_CODE(content.status(), kDataLoss);
    } else {
      REQUIRE_OK(content.status());
      CHECK(content->end == LogEnd::kDamaged);
      CHECK(content->dropped_bytes == far + record.find_last_not_of('\0') + 1 - log.size());
    }
  }
}

TEST_CASE("a head that claims more than follows it is damage, and takes no memory") {
  LogBytes log = ThreeRecords();
  const LogBytes next = LogBytes(1).Add({.term = 1, .first_sequence = 4}, "payload");
  std::string head = next.bytes().substr(next.offsets()[0], kRecordFixedBytes);
  base::StoreFixed<uint32_t>(head.data() + 12, kRecordPayloadBytesMax);
  const auto content = Read(log.bytes() + head + std::string(100, 'x'));
  REQUIRE_OK(content.status());
  CHECK(content->records == 3);
  CHECK(content->end == LogEnd::kDamaged);
  CHECK(content->bytes.capacity() < 1 << 20);
}

TEST_CASE("a log is verified to its last byte, in pieces, whatever the sizes of its records") {
  test::CrashFileSystem files;
  REQUIRE_OK((*files.Create("log", base::AppendMode::kWriteThrough))->Close());
  LogBytes log(1);
  for (const size_t bytes : {size_t{1}, size_t{4} << 20, size_t{100}, size_t{13} << 20, size_t{7}}) {
    log.Put("k", std::string(bytes, 'v'));
  }
  files.SetContent("log", log.bytes() + std::string(1 << 20, '\0'));
  REQUIRE_OK(VerifyLog(&files, "log", FileType::kLog, log.size()));
  CHECK_OK(VerifyLog(&files, "log", FileType::kLog, log.offsets()[2]));
  CHECK_CODE(VerifyLog(&files, "log", FileType::kLog, log.size() - 1), kDataLoss);
  CHECK_CODE(VerifyLog(&files, "log", FileType::kLog, log.size() + 1), kDataLoss);
  for (const uint64_t offset : log.offsets()) {
    files.FlipByte("log", offset + 20, 1);
    const absl::Status damaged = VerifyLog(&files, "log", FileType::kLog, log.size());
    CHECK_CODE(damaged, kDataLoss);
    CHECK(base::Message(damaged).find("offset " + std::to_string(offset) + ":") != std::string_view::npos);
    files.FlipByte("log", offset + 20, 1);
  }
  files.Truncate("log", log.size() - 3);
  CHECK_CODE(VerifyLog(&files, "log", FileType::kLog, log.size()), kDataLoss);
}

TEST_CASE("a record that ends in zeros is whole where a piece of the file ends, and so are zeros within one") {
  for (const size_t before : {(4u << 20) - 200, (4u << 20) - 150, (8u << 20) - 170}) {
    for (size_t shift = 0; shift < 40; shift += 3) {
      LogBytes log(1);
      log.Put("a", std::string(before + shift, '\0')).Put("b", std::string(9 << 20, '\0'));
      auto content = Read(log.bytes() + std::string(5 << 20, '\0'));
      REQUIRE_OK(content.status());
      REQUIRE(content->records == 2);
      REQUIRE(content->valid_bytes == log.size());
      if (shift % 4 != 0) continue;
      REQUIRE(Read(log.bytes())->records == 2);
    }
  }
}

TEST_CASE("bytes that were made to look like heads of records are not searched for ever") {
  const LogBytes log = LogBytes(1).Put("a", "1");
  const LogBytes shortest = LogBytes(1).Add({.term = 1, .first_sequence = 1}, {});
  const std::string head = shortest.bytes().substr(shortest.offsets()[0], kRecordFixedBytes + kRecordVarints);
  // Damage, then heads, each of which claims all that follows and ends in what would be its
  // identity.
  std::string bytes = log.bytes() + "damage";
  constexpr size_t kHeads = 20'000;
  const size_t heads_at = bytes.size();
  for (size_t i = 0; i < kHeads; ++i) bytes += head;
  const size_t ends_at = bytes.size();
  bytes.resize(bytes.size() + kHeads * kRecordIdentityBytes);
  for (size_t i = 0; i < kHeads; ++i) {
    const size_t end = ends_at + i * kRecordIdentityBytes;
    const auto payload_bytes = static_cast<uint32_t>(end - (heads_at + (i + 1) * head.size()));
    base::StoreFixed<uint32_t>(bytes.data() + heads_at + i * head.size() + 12, payload_bytes);
    base::StoreFixed<uint32_t>(bytes.data() + end, payload_bytes);
    base::StoreFixed<uint32_t>(bytes.data() + end + 4, 1);
    base::StoreFixed<uint64_t>(bytes.data() + end + 8, 1);
  }
  uint64_t left = 2 * bytes.size();
  ParsedRecord record;
  CHECK(FindNextRecord(bytes, heads_at, log.header().checksum_seed(), &left, &record) == bytes.size());
  CHECK(left == 0);
  const absl::Status read = Read(bytes).status();
  CHECK_CODE(read, kDataLoss);
  CHECK(base::Message(read).find("not the tail of a log") != std::string_view::npos);
}

}  // namespace bandb::storage
