// The contract of AppendableFile, on every file system there is.
#include <string>
#include <thread>

#include "base/coding.h"
#include "base/file_system_rigs.h"
#include "base/random.h"
#include "base/status.h"
#include "support/catch.h"

namespace bandb::base {

namespace {

std::string Content(FileSystem& files, const std::string& path) {
  auto content = ReadFile(&files, path, 64 << 20);
  REQUIRE(content.status() == absl::OkStatus());
  return *std::move(content);
}

AppendMode BothModes() { return GENERATE(AppendMode::kWriteThrough, AppendMode::kBuffered); }

}  // namespace

TEMPLATE_TEST_CASE("what is appended in pieces of all sizes is read back whole", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  const AppendMode mode = BothModes();
  const std::string path = JoinPath(rig.dir(), "file");
  auto file = rig.files().Create(path, mode);
  REQUIRE_OK(file.status());
  Random random(7);
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    std::string piece(random.Uniform(random.OneIn(20) ? 20'000 : 300), '\0');
    for (char& byte : piece) byte = static_cast<char>(random.Next());
    REQUIRE_OK((*file)->Append(piece));
    expected += piece;
    CHECK((*file)->Size() == expected.size());
    if (random.OneIn(10)) REQUIRE_OK((*file)->Sync());
    if (random.OneIn(10)) REQUIRE_OK((*file)->Reserve(random.Uniform(50'000)));
  }
  REQUIRE_OK((*file)->Close());
  CHECK(Content(rig.files(), path) == expected);
  CHECK(rig.files().FileSize(path).value() == expected.size());
}

TEMPLATE_TEST_CASE("an empty file is empty", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  const std::string path = JoinPath(rig.dir(), "file");
  auto file = rig.files().Create(path, BothModes());
  REQUIRE_OK(file.status());
  REQUIRE_OK((*file)->Append(""));
  REQUIRE_OK((*file)->Sync());
  REQUIRE_OK((*file)->Close());
  CHECK(Content(rig.files(), path).empty());
}

TEMPLATE_TEST_CASE("a write-through append is seen by others before sync and close, with zeros behind it at most", "",
                   BANDB_FILE_SYSTEMS) {
  TestType rig;
  const std::string path = JoinPath(rig.dir(), "log");
  auto file = rig.files().Create(path, AppendMode::kWriteThrough);
  REQUIRE_OK(file.status());
  REQUIRE_OK((*file)->Reserve(10'000));
  std::string expected;
  for (int i = 0; i < 2000; ++i) {
    REQUIRE_OK((*file)->Append("record "));
    expected += "record ";
  }
  const std::string seen = Content(rig.files(), path);
  REQUIRE(seen.size() >= expected.size());
  CHECK(seen.substr(0, expected.size()) == expected);
  CHECK(seen.find_first_not_of('\0', expected.size()) == std::string::npos);
}

TEMPLATE_TEST_CASE("what was reserved and not used is given back at close", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  const std::string path = JoinPath(rig.dir(), "file");
  auto file = rig.files().Create(path, BothModes());
  REQUIRE_OK(file.status());
  REQUIRE_OK((*file)->Reserve(5 << 20));
  CHECK((*file)->Size() == 0);
  REQUIRE_OK((*file)->Append("abc"));
  REQUIRE_OK((*file)->Reserve(5 << 20));
  REQUIRE_OK((*file)->Close());
  CHECK(Content(rig.files(), path) == "abc");
}

TEMPLATE_TEST_CASE("a reservation that no disk can hold fails and changes nothing", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  const std::string path = JoinPath(rig.dir(), "file");
  auto file = rig.files().Create(path, BothModes());
  REQUIRE_OK(file.status());
  REQUIRE_OK((*file)->Append("abc"));
  for (uint64_t bytes : {uint64_t{1} << 60, UINT64_MAX}) {
    const absl::Status status = (*file)->Reserve(bytes);
    CHECK_CODE(status, kResourceExhausted);
    CHECK(Message(status).find(path) != std::string_view::npos);
  }
  REQUIRE_OK((*file)->Append("def"));
  REQUIRE_OK((*file)->Sync());
  REQUIRE_OK((*file)->Close());
  CHECK(Content(rig.files(), path) == "abcdef");
}

TEMPLATE_TEST_CASE("after close every call fails, and the destructor closes what nobody closed", "",
                   BANDB_FILE_SYSTEMS) {
  TestType rig;
  const AppendMode mode = BothModes();
  const std::string path = JoinPath(rig.dir(), "file");
  {
    auto file = rig.files().Create(path, mode);
    REQUIRE_OK(file.status());
    REQUIRE_OK((*file)->Append("abc"));
    REQUIRE_OK((*file)->Close());
    CHECK_CODE((*file)->Append("d"), kFailedPrecondition);
    CHECK_CODE((*file)->Reserve(1), kFailedPrecondition);
    CHECK_CODE((*file)->Sync(), kFailedPrecondition);
    CHECK_CODE((*file)->Close(), kFailedPrecondition);
  }
  const std::string left = JoinPath(rig.dir(), "left");
  {
    auto file = rig.files().Create(left, mode);
    REQUIRE_OK(file.status());
    REQUIRE_OK((*file)->Append("abc"));
  }
  CHECK(Content(rig.files(), left) == "abc");
}

TEMPLATE_TEST_CASE("sync may overlap append and reserve", "", BANDB_FILE_SYSTEMS) {
  TestType rig;
  const std::string path = JoinPath(rig.dir(), "file");
  auto file = rig.files().Create(path, BothModes());
  REQUIRE_OK(file.status());
  AppendableFile& appendable = **file;
  absl::Status synced;
  std::thread syncer([&] {
    for (int i = 0; i < 30 && synced.ok(); ++i) synced = appendable.Sync();
  });
  std::string expected;
  for (uint32_t i = 0; i < 20'000; ++i) {
    std::string piece;
    PutFixed32(&piece, i);
    REQUIRE_OK(appendable.Append(piece));
    if (i % 1000 == 0) REQUIRE_OK(appendable.Reserve(5000));
    expected += piece;
  }
  syncer.join();
  REQUIRE_OK(synced);
  REQUIRE_OK(appendable.Close());
  CHECK(Content(rig.files(), path) == expected);
}

}  // namespace bandb::base
