// The manifest on a disk that crashes: an edit counts whole or not at all, and so does a new
// manifest.
#include "storage/version/manifest.h"

#include "kv/limits.h"
#include "storage/engine/engine_fixture.h"
#include "storage/file/file_names.h"
#include "storage/log/log_reader.h"

namespace bandb::storage {

namespace {

constexpr char kDir[] = "/db";

Uuid FixedUuid(uint64_t seed) {
  base::Random random(seed);
  return RandomUuid(&random);
}

Uuid DatabaseId() { return FixedUuid(1000); }

FileHeader HeaderOf(uint64_t number) {
  return {.type = FileType::kManifest, .database_id = DatabaseId(), .file_id = FixedUuid(number)};
}

ManifestState StateWith(Sequence last_sequence, uint64_t next_file_number) {
  ManifestState state;
  state.last_sequence = last_sequence;
  state.next_file_number = next_file_number;
  state.log_number = 1;
  return state;
}

VersionEdit EditTo(Sequence last_sequence, uint64_t table) {
  VersionEdit edit;
  edit.last_sequence = last_sequence;
  edit.added.push_back({0, Describe(table, "a", "z", last_sequence, last_sequence)});
  return edit;
}

absl::StatusOr<RecoveredManifest> Recover(base::FileSystem* files) {
  return RecoverManifest(files, kDir, DatabaseId(), nullptr);
}

struct Fixture {
  Fixture() {
    REQUIRE_OK(files.CreateDirs(kDir));
    REQUIRE_OK(files.SyncDir("/"));
  }
  std::unique_ptr<Manifest> Begin(uint64_t number, const ManifestState& state) {
    auto manifest = Manifest::CreateCurrent(&files, kDir, number, HeaderOf(number), state);
    REQUIRE_OK(manifest.status());
    return *std::move(manifest);
  }
  test::CrashFileSystem files;
};

}  // namespace

TEST_CASE("a manifest that is read again holds the state that it began with, and all edits") {
  Fixture f;
  ManifestState state = StateWith(10, 20);
  state.epoch = 4;
  state.commit_time_ms = 1234;
  state.begun_log = 7;
  state.clock_sequence = 6;
  state.log_ends = {{1, 100}, {3, 300}};
  const auto manifest = f.Begin(5, state);
  CHECK(manifest->number() == 5);
  REQUIRE_OK(manifest->Append(EditTo(11, 8)));
  VersionEdit third = EditTo(12, 9);
  third.deleted.push_back({0, 8});
  third.log_number = 3;
  REQUIRE_OK(manifest->Append(third));
  const auto image = f.files.CrashImage(test::Damage::kLost, 1);
  const auto recovered = Recover(image.get());
  REQUIRE_OK(recovered.status());
  CHECK(recovered->name == ManifestName(5));
  CHECK(recovered->dropped_bytes == 0);
  CHECK(recovered->state.last_sequence == 12);
  CHECK(recovered->state.epoch == 4);
  CHECK(recovered->state.commit_time_ms == 1234);
  CHECK(recovered->state.begun_log == 7);
  CHECK(recovered->state.clock_sequence == 6);
  CHECK(recovered->state.next_file_number == 20);
  CHECK(recovered->state.log_ends == std::map<uint64_t, uint64_t>{{3, 300}});
  CHECK(Numbers(recovered->state.version->level(0)) == std::vector<uint64_t>{9});
  // And Everything makes the same state of nothing.
  ManifestState again;
  const VersionEdit everything = recovered->state.Everything();
  REQUIRE_OK(again.Apply(everything, {std::make_shared<LiveTable>(everything.added[0].info, nullptr)}));
  CHECK(EncodeEdit(again.Everything()) == EncodeEdit(everything));
}

TEST_CASE("a manifest begins with as many edits as its tables need, and counts only with all of them") {
  Fixture f;
  ManifestState state = StateWith(1, 2000);
  VersionEdit tables;
  std::vector<TablePtr> added;
  const std::string tail(kv::kKeyBytesMax - 10, 'x');
  for (uint64_t number = 100; number < 300; ++number) {
    tables.added.push_back(
        {6, Describe(number, fmt::format("{}a{}", number, tail), fmt::format("{}b{}", number, tail))});
    added.push_back(std::make_shared<LiveTable>(tables.added.back().info, nullptr));
  }
  REQUIRE_OK(state.Apply(tables, added));
  const std::vector<VersionEdit> beginning = state.Beginning();
  REQUIRE(beginning.size() == 4);
  for (const VersionEdit& edit : beginning) CHECK(EncodeEdit(edit).size() <= Manifest::kEditBytesMax);
  const auto manifest = f.Begin(5, state);
  std::vector<uint64_t> ends = {kFileHeaderBytes};
  const std::string path = base::JoinPath(kDir, ManifestName(5));
  {
    const auto content = ReadLog(&f.files, path, FileType::kManifest);
    REQUIRE_OK(content.status());
    LogReader reader(*content);
    for (ParsedRecord record; reader.Next(&record);) ends.push_back(reader.offset() + record.record_bytes);
  }
  REQUIRE(ends.size() == 5);
  REQUIRE_OK(manifest->Append(EditTo(2, 1000)));
  const auto recovered = Recover(f.files.CrashImage(test::Damage::kLost, 1).get());
  REQUIRE_OK(recovered.status());
  CHECK(recovered->state.version->level(6).size() == 200);
  CHECK(recovered->state.version->level(0).size() == 1);
  CHECK(recovered->state.last_sequence == 2);
  // Cut, or damaged, anywhere in its beginning: the rest of it is never taken for all.
  for (size_t i = 0; i + 1 < ends.size(); ++i) {
    for (const uint64_t length : {ends[i], ends[i] + 1, ends[i + 1] - 1}) {
      CAPTURE(length);
      const auto image = f.files.CrashImage(test::Damage::kLost, 1);
      image->Truncate(path, length);
      CHECK_CODE(Recover(image.get()).status(), kDataLoss);
    }
  }
  const auto image = f.files.CrashImage(test::Damage::kLost, 1);
  image->Truncate(path, ends.back());
  REQUIRE_OK(Recover(image.get()).status());
  image->FlipByte(path, ends.back() - 1, 1);
  CHECK_CODE(Recover(image.get()).status(), kDataLoss);
}

TEST_CASE("an edit that no record may hold is refused, and nothing has changed") {
  Fixture f;
  const auto manifest = f.Begin(5, StateWith(10, 20));
  VersionEdit large;
  large.membership = std::string(kRecordPayloadBytesMax, 'm');
  const uint64_t bytes = manifest->Size();
  CHECK_CODE(manifest->Append(large), kResourceExhausted);
  CHECK(manifest->Size() == bytes);
  REQUIRE_OK(manifest->Append(EditTo(11, 11)));
  CHECK(Recover(&f.files)->state.last_sequence == 11);
}

TEST_CASE("a manifest that is cut within an edit holds all edits before it, and none of it") {
  Fixture f;
  const auto manifest = f.Begin(5, StateWith(10, 20));
  std::vector<uint64_t> ends = {manifest->Size()};
  for (Sequence sequence = 11; sequence <= 13; ++sequence) {
    REQUIRE_OK(manifest->Append(EditTo(sequence, sequence)));
    ends.push_back(manifest->Size());
  }
  const std::string path = base::JoinPath(kDir, ManifestName(5));
  for (uint64_t length = 0; length <= ends.back(); ++length) {
    CAPTURE(length);
    const auto image = f.files.CrashImage(test::Damage::kKept, 1);
    image->Truncate(path, length);
    const auto recovered = Recover(image.get());
    if (length < ends[0]) {
      // CURRENT was pointed at it only once its first edit was durable.
      REQUIRE_CODE(recovered.status(), kDataLoss);
      continue;
    }
    REQUIRE_OK(recovered.status());
    Sequence expected = 10;
    for (size_t i = 1; i < ends.size(); ++i) expected += length >= ends[i] ? 1 : 0;
    REQUIRE(recovered->state.last_sequence == expected);
    REQUIRE(recovered->state.version->TableCount() == expected - 10);
  }
}

TEST_CASE("damage before an edit that was synced is data loss, in the last edit it is a torn tail") {
  Fixture f;
  const auto manifest = f.Begin(5, StateWith(10, 20));
  REQUIRE_OK(manifest->Append(EditTo(11, 11)));
  const uint64_t last_edit = manifest->Size();
  REQUIRE_OK(manifest->Append(EditTo(12, 12)));
  for (uint64_t offset = 0; offset < manifest->Size(); ++offset) {
    CAPTURE(offset);
    const auto image = f.files.CrashImage(test::Damage::kKept, 1);
    image->FlipByte(base::JoinPath(kDir, ManifestName(5)), offset, 0x10);
    const auto recovered = Recover(image.get());
    if (offset < last_edit) {
      REQUIRE_CODE(recovered.status(), kDataLoss);
    } else {
      REQUIRE_OK(recovered.status());
      REQUIRE(recovered->state.last_sequence == 11);
      REQUIRE(recovered->dropped_bytes > 0);
    }
  }
}

TEST_CASE("a crash at any call while a new manifest is begun leaves the old one or the new one") {
  for (const test::Damage damage : test::kAllDamages) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      Fixture f;
      const auto old_manifest = f.Begin(5, StateWith(10, 20));
      REQUIRE_OK(old_manifest->Append(EditTo(11, 11)));
      uint64_t images = 0, news = 0;
      bool done = false;
      const auto look = [&] {
        const auto recovered = Recover(f.files.CrashImage(damage, seed).get());
        REQUIRE_OK(recovered.status());
        const bool is_new = recovered->name == ManifestName(6);
        REQUIRE(recovered->state.last_sequence == (is_new ? 99 : 11));
        if (done) REQUIRE(is_new);
        news += is_new ? 1 : 0;
        ++images;
      };
      f.files.SetHook([&](uint64_t) { look(); });
      const auto new_manifest = f.Begin(6, StateWith(99, 30));
      done = true;
      REQUIRE_OK(f.files.Remove(base::JoinPath(kDir, ManifestName(5))));
      f.files.SetHook(nullptr);
      look();
      CHECK(images >= 10);
      CHECK(news >= 2);
    }
  }
}

TEST_CASE("an edit that could not be written is refused if the disk is full, and otherwise unknown") {
  Fixture f;
  const auto manifest = f.Begin(5, StateWith(10, 20));
  f.files.Inject({.kind = test::FaultKind::kNoSpace, .calls = {test::FileCall::kReserve}});
  CHECK_CODE(manifest->Append(EditTo(11, 11)), kResourceExhausted);
  REQUIRE_OK(manifest->Append(EditTo(12, 12)));
  f.files.Inject({.calls = {test::FileCall::kSync}});
  CHECK_CODE(manifest->Append(EditTo(13, 13)), kInternal);
  const auto recovered = Recover(f.files.CrashImage(test::Damage::kLost, 1).get());
  REQUIRE_OK(recovered.status());
  CHECK(recovered->state.last_sequence == 12);
}

TEST_CASE("a manifest that is missing, of another database, or makes no sense is refused by name") {
  Fixture f;
  CHECK_CODE(Recover(&f.files).status(), kNotFound);
  const auto manifest = f.Begin(5, StateWith(10, 20));
  CHECK_CODE(RecoverManifest(&f.files, kDir, FixedUuid(9), nullptr).status(), kFailedPrecondition);
  const auto changed = [](const VersionEdit& edit) {
    Fixture other;
    const auto bad = other.Begin(5, StateWith(10, 20));
    REQUIRE_OK(bad->Append(edit));
    return Recover(&other.files).status();
  };
  VersionEdit back;
  back.last_sequence = 9;
  CHECK_CODE(changed(back), kDataLoss);
  back = VersionEdit();
  back.log_number = 0;
  CHECK_CODE(changed(back), kDataLoss);
  back = VersionEdit();
  back.deleted.push_back({3, 77});
  CHECK_CODE(changed(back), kDataLoss);
  for (const std::string& current : {std::string("MANIFEST-000005\n"), EncodeCurrent("000005.log"), std::string()}) {
    const auto image = f.files.CrashImage(test::Damage::kLost, 1);
    image->SetContent(CurrentPath(kDir), current);
    CHECK_CODE(Recover(image.get()).status(), kDataLoss);
  }
  REQUIRE_OK(f.files.Remove(base::JoinPath(kDir, ManifestName(5))));
  CHECK_CODE(Recover(&f.files).status(), kDataLoss);
}

}  // namespace bandb::storage
