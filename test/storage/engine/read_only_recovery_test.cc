// A database that is opened for reading only while others write it, or the operating system
// refuses.
#include "storage/engine/read_only_recovery.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/db/open_db.h"
#include "storage/engine/read_only_fixture.h"
#include "support/catch.h"
#include "support/test_env.h"

namespace bandb::test {

TEST_CASE("whoever begins, ends or goes on to write while a reader opens, it finds one of the states that there were") {
  int interrupted = 0, undisturbed = 0;
  for (int at = 1; at < 40; ++at) {
    for (int kind = 0; kind < 8; ++kind) {
      const bool open_before = (kind & 1) != 0;
      const bool open_after = (kind & 2) != 0;
      // With a large write buffer the manifest only grows; else a new one is begun now and then.
      Options writing = Small();
      if ((kind & 4) != 0) writing.write_buffer_bytes = 16 << 20;
      CAPTURE(at, kind);
      TestEnv env(6);
      std::unique_ptr<Db> writer = MustOpen(env.env(), kDir, writing);
      Fill(writer.get());
      std::vector<Entries> states{EntriesOf(writer.get())};
      Entries flushed = states[0];
      flushed["key1006"] = Filled(1000, 'a');
      flushed.erase("last");
      states.push_back(flushed);
      if (!open_before) writer.reset();
      int opens = 0;
      bool busy = false;
      env.files().SetOpenHook([&]() {
        if (busy || ++opens != at) return;
        busy = true;
        if (writer == nullptr) writer = MustOpen(env.env(), kDir, writing);
        // Tables, logs and the manifest are others now.
        for (int i = 0; i < 150; i += 2) REQUIRE_OK(writer->Put("key" + std::to_string(1000 + i), Filled(900, 'b')));
        states.push_back(EntriesOf(writer.get()));
        REQUIRE_OK(writer->CompactRange({}, {}));
        REQUIRE_OK(writer->Put("very last", "in a new log"));
        states.push_back(EntriesOf(writer.get()));
        if (!open_after) writer.reset();
        busy = false;
      });
      const auto reader = storage::OpenDbReadOnly(env.env(), kDir, Small());
      env.files().SetOpenHook(nullptr);
      REQUIRE_OK(reader.status());
      const Entries seen = EntriesOf(reader->get());
      CHECK(std::find(states.begin(), states.end(), seen) != states.end());
      // One that is closed by the end may have been so only just then.
      if (writer != nullptr) CHECK((*reader)->GetStats().as_of_last_flush);
      CHECK_OK((*reader)->VerifyChecksums());
      (opens >= at ? interrupted : undisturbed) += 1;
    }
  }
  // Up to the last file that is opened.
  CHECK(interrupted > 80);
  CHECK(undisturbed > 40);
}

TEST_CASE("a directory that never comes to rest is refused for the moment") {
  TestEnv env(7);
  Fill(MustOpen(env.env(), kDir, Small()).get());
  bool busy = false;
  env.files().SetOpenHook([&]() {
    if (busy) return;
    busy = true;
    MustOpen(env.env(), kDir, Small());
    busy = false;
  });
  CHECK_CODE(storage::OpenDbReadOnly(env.env(), kDir, Small()).status(), kUnavailable);
  env.files().SetOpenHook(nullptr);
  CHECK_OK(storage::OpenDbReadOnly(env.env(), kDir, Small()).status());
}

TEST_CASE("whichever call is refused while a reader opens, it says so or shows what is there") {
  int refused = 0, shown = 0;
  for (const bool open : {false, true}) {
    TestEnv env(8);
    std::unique_ptr<Db> writer = MustOpen(env.env(), kDir, Small());
    Fill(writer.get());
    const Entries all = EntriesOf(writer.get());
    Entries flushed = all;
    flushed["key1006"] = Filled(1000, 'a');
    flushed.erase("last");
    if (!open) writer.reset();
    for (const FaultKind kind : {FaultKind::kIoError, FaultKind::kNoAccess, FaultKind::kNoDescriptor}) {
      for (uint64_t skip = 0;; ++skip) {
        CAPTURE(open, static_cast<int>(kind), skip);
        const uint64_t failures = env.files().failures();
        env.files().Inject({.kind = kind, .skip = skip});
        const auto reader = storage::OpenDbReadOnly(env.env(), kDir, Small());
        const bool fired = env.files().failures() != failures;
        env.files().ClearFaults();
        refused += reader.ok() ? 0 : 1;
        shown += reader.ok() ? 1 : 0;
        if (reader.ok()) {
          REQUIRE(EntriesOf(reader->get()) == (open ? flushed : all));
          REQUIRE((*reader)->GetStats().as_of_last_flush == open);
        } else {
          // Never that there is none, or that it is damaged.
          const absl::StatusCode code = reader.status().code();
          const bool told = code == absl::StatusCode::kInternal || code == absl::StatusCode::kPermissionDenied ||
                            code == absl::StatusCode::kUnavailable;
          INFO(reader.status().ToString());
          REQUIRE(told);
        }
        if (!fired) break;
      }
    }
  }
  CHECK(refused > 50);
  CHECK(shown > 6);
}

}  // namespace bandb::test
