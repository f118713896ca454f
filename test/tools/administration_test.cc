// What an operator asks of a server, and what the end of the server does to it.
#include "administration.h"

#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "bandb/db.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace bandb::server_program {
namespace {

// One whose Create does what a test says.
class ScriptedBackup final : public Backup {
 public:
  explicit ScriptedBackup(const std::function<void()>* while_it_is_made) : while_it_is_made_(while_it_is_made) {}
  absl::StatusOr<BackupInfo> Create(Db&, const BackupOptions&) override {
    const std::function<void()> run = *while_it_is_made_;
    run();
    if (cancelled_) return absl::CancelledError("ended");
    return BackupInfo{.number = 1};
  }
  absl::StatusOr<BackupInfo> Create(Cluster&, const BackupOptions&) override {
    return absl::UnimplementedError("a script of databases");
  }
  void Cancel() override { cancelled_ = true; }
  absl::StatusOr<std::vector<BackupInfo>> List() override { return std::vector<BackupInfo>(); }
  absl::Status Verify(uint64_t) override { return absl::OkStatus(); }
  absl::StatusOr<uint64_t> HandOverFiles(const HandOver&) override { return 0; }
  absl::Status Prune(uint64_t) override { return absl::OkStatus(); }
  absl::StatusOr<RestoreInfo> Restore(const RestoreOptions&, const std::filesystem::path&) override {
    return RestoreInfo();
  }

 private:
  const std::function<void()>* const while_it_is_made_;
  bool cancelled_ = false;
};

// A database of its own, of which nothing else is asked.
class PlainStore final : public DataStore {
 public:
  explicit PlainStore(Db* db) : db_(db) {}
  Store& store() override { return *db_; }
  Db* db() override { return db_; }
  Stats GetStats() const override { return {}; }
  absl::Status Flush() override { return absl::OkStatus(); }
  absl::Status CompactRange(std::string_view, std::string_view) override {
    const std::function<void()> run = std::exchange(while_it_compacts, [] {});
    run();
    return absl::OkStatus();
  }
  absl::Status Ready() const override { return absl::OkStatus(); }
  absl::Status Look() override { return absl::OkStatus(); }
  bool stopped_for_good() const override { return false; }
  absl::Status Close() override { return absl::OkStatus(); }

  std::function<void()> while_it_compacts = [] {};

 private:
  Db* const db_;
};

}  // namespace

TEST_CASE("the end of a server ends the backup that is under way, whatever was asked for meanwhile") {
  test::TempDir dir;
  const absl::StatusOr<std::unique_ptr<Db>> db = Db::Open(dir.File("db"), {});
  REQUIRE_OK(db.status());
  PlainStore data(db->get());
  std::function<void()> meanwhile = [] {};
  BackupMaker maker(dir.path(), false, [&meanwhile](const std::string&) -> absl::StatusOr<std::unique_ptr<Backup>> {
    return std::make_unique<ScriptedBackup>(&meanwhile);
  });
  CHECK_OK(maker.Make(&data).status());
  // One at a time; and when one is done there may be another.
  meanwhile = [&] {
    meanwhile = [] {};
    CHECK_CODE(maker.Make(&data).status(), kFailedPrecondition);
  };
  CHECK_OK(maker.Make(&data).status());
  CHECK_OK(maker.Make(&data).status());
  meanwhile = [&] {
    meanwhile = [] {};
    CHECK_CODE(maker.Make(&data).status(), kFailedPrecondition);
    maker.End();
  };
  CHECK_CODE(maker.Make(&data).status(), kCancelled);
  CHECK_CODE(maker.Make(&data).status(), kCancelled);
}

TEST_CASE("one compact is done at a time, and another is refused at once, as a backup is") {
  PlainStore data(nullptr);
  std::atomic<bool> is_compacting = false;
  Administered administered;
  administered.data = &data;
  administered.is_compacting = &is_compacting;
  const auto ask = [&administered](std::vector<std::string> words) {
    AdministrationRequest request;
    request.words = std::move(words);
    return Administer(administered, request).status();
  };
  int refused = 0;
  data.while_it_compacts = [&] {
    CHECK_CODE(ask({"compact", "c", "d"}), kFailedPrecondition);
    // Others are not.
    CHECK_OK(ask({"flush"}));
    ++refused;
  };
  CHECK_OK(ask({"compact", "a", "b"}));
  CHECK(refused == 1);
  CHECK_OK(ask({"compact", "a", "b"}));
}

TEST_CASE("a compact or a backup that throws keeps no other from being made") {
  test::TempDir dir;
  const absl::StatusOr<std::unique_ptr<Db>> db = Db::Open(dir.File("db"), {});
  REQUIRE_OK(db.status());
  PlainStore data(db->get());
  std::function<void()> meanwhile = [] { throw std::bad_alloc(); };
  BackupMaker maker(dir.path(), false, [&meanwhile](const std::string&) -> absl::StatusOr<std::unique_ptr<Backup>> {
    return std::make_unique<ScriptedBackup>(&meanwhile);
  });
  std::atomic<bool> is_compacting = false;
  Administered administered;
  administered.data = &data;
  administered.backups = &maker;
  administered.is_compacting = &is_compacting;
  const auto ask = [&administered](std::vector<std::string> words) {
    AdministrationRequest request;
    request.words = std::move(words);
    return Administer(administered, request).status();
  };
  CHECK_THROWS_AS(ask({"backup"}), std::bad_alloc);
  meanwhile = [] {};
  CHECK_OK(ask({"backup"}));
  data.while_it_compacts = [] { throw std::bad_alloc(); };
  CHECK_THROWS_AS(ask({"compact", "a", "b"}), std::bad_alloc);
  CHECK_OK(ask({"compact", "a", "b"}));
}

}  // namespace bandb::server_program
