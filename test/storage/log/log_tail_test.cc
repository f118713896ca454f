#include "storage/log/log_tail.h"

#include <fmt/format.h>

#include <memory>

#include "kv/batch_format.h"
#include "storage/log/log_writer.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::storage {

namespace {

constexpr char kPath[] = "/log";

struct Scene {
  Scene() {
    header.type = FileType::kLog;
    header.database_id = RandomUuid(&env.random());
    header.file_id = RandomUuid(&env.random());
    writer = *LogWriter::Create(&env.files(), kPath, header);
    file = *env.files().Open(kPath);
    tail = std::make_unique<LogTail>(1, kPath, header.database_id);
  }
  void Append(size_t payload_bytes) {
    REQUIRE_OK(writer->Append({.first_sequence = ++sequence}, std::string(payload_bytes, 'p')));
  }
  // Takes records as long as there are some in what was written so far.
  uint64_t TakeAll() {
    uint64_t taken = 0;
    ParsedRecord record;
    while (true) {
      const LogTail::Peeked peeked = tail->Peek(&record);
      REQUIRE(peeked != LogTail::Peeked::kDamaged);
      if (peeked == LogTail::Peeked::kRecord) {
        ++taken;
        CHECK(record.head.first_sequence == ++seen);
        tail->Skip(record);
      } else if (tail->offset() == writer->Size()) {
        return taken;
      } else {
        REQUIRE_OK(tail->Fill(*file, writer->Size()));
      }
    }
  }

  test::TestEnv env{1};
  FileHeader header;
  std::unique_ptr<LogWriter> writer;
  std::unique_ptr<base::RandomAccessFile> file;
  std::unique_ptr<LogTail> tail;
  uint64_t sequence = 0;
  uint64_t seen = 0;
};

}  // namespace

TEST_CASE("records are found as they are appended, however long they are") {
  Scene scene;
  for (const size_t bytes : {1, 10, 100, 1000, 70'000, 3, 200'000, 65'000, 5}) {
    scene.Append(bytes);
    CHECK(scene.TakeAll() == 1);
  }
  for (int i = 0; i < 3000; ++i) scene.Append(static_cast<size_t>(1 + i % 300));
  CHECK(scene.TakeAll() == 3000);
  // What a long record took is given back.
  CHECK(scene.tail->held_bytes() <= 200'000);
  scene.tail->Release();
  CHECK(scene.tail->held_bytes() < 100);
  scene.Append(10);
  CHECK(scene.TakeAll() == 1);
}

TEST_CASE("of what was written any damage is told, with its place") {
  Scene scene;
  scene.Append(100);
  const uint64_t second = scene.writer->Size();
  scene.Append(100);
  scene.env.files().FlipByte(kPath, second + 60, 1);
  REQUIRE_OK(scene.tail->Fill(*scene.file, scene.writer->Size()));
  ParsedRecord record;
  REQUIRE(scene.tail->Peek(&record) == LogTail::Peeked::kRecord);
  scene.tail->Skip(record);
  // Its head is whole, so that it may be cut: then there is no more of it.
  const LogTail::Peeked peeked = scene.tail->Peek(&record);
  const absl::Status damage =
      peeked == LogTail::Peeked::kMore ? scene.tail->Fill(*scene.file, scene.writer->Size()) : scene.tail->Damage();
  CHECK_CODE(damage, kDataLoss);
  CHECK(damage.ToString().find(fmt::format("offset {}", second)) != std::string::npos);
}

TEST_CASE("a file that is cut off, or begins with another header, is told") {
  Scene scene;
  scene.Append(100);
  const uint64_t bytes = scene.writer->Size();
  LogTail other(1, kPath, RandomUuid(&scene.env.random()));
  CHECK_CODE(other.Fill(*scene.file, bytes), kFailedPrecondition);
  scene.env.files().Truncate(kPath, bytes - 1);
  CHECK_CODE(scene.tail->Fill(*scene.file, bytes), kDataLoss);
  scene.env.files().FlipByte(kPath, 20, 1);
  LogTail damaged(1, kPath, scene.header.database_id);
  CHECK_CODE(damaged.Fill(*scene.file, bytes), kDataLoss);
}

}  // namespace bandb::storage
