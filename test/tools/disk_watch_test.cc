// A disk that fills up under a server, and is given space again.
#include "disk_watch.h"

#include <memory>
#include <string>
#include <vector>

#include "base/thread_executor.h"
#include "server/wire_client.h"
#include "storage/db.h"
#include "support/catch.h"
#include "support/crash_file_system.h"
#include "support/manual_clock.h"
#include "support/memory_logger.h"

namespace bandb::test {

namespace {

class KeepingLogger final : public Logger {
 public:
  void Log(LogSeverity, std::string_view message) override { messages.emplace_back(message); }
  std::vector<std::string> messages;
};

// The outcome of a put, 0 for OK: asked again as long as a flush is in the way.
uint16_t Put(WireClient* client, std::string_view key, std::string_view value) {
  std::optional<OwnedReply> reply;
  do {
    reply = client->Ask(PutFrame(key, value));
    REQUIRE(reply.has_value());
  } while (reply->code == ToCode(proto::ErrorCode::kOverloaded));
  return reply->code;
}

}  // namespace

TEST_CASE("on a full disk a server refuses writes, serves reads, loses nothing, and goes on once there is space") {
  CrashFileSystem files;
  ManualClock clock;
  MemoryLogger memory_logger;
  base::Random random(1);
  base::ThreadExecutor executor(2);
  const base::Env env{
      .files = &files, .clock = &clock, .executor = &executor, .logger = &memory_logger, .random = &random};
  KeepingLogger logger;
  server_program::DiskWatch watch(&files, &clock, "/data");
  Options options;
  options.write_buffer_bytes = 64 << 10;
  options.listener = &watch;
  auto db = storage::OpenDb(env, "/data", options);
  REQUIRE_OK(db.status());
  const auto look = [&] {
    clock.AdvanceMillis(1000);
    watch.Look([&] { return (*db)->Resume(); }, &logger);
  };
  auto server = Server::Start(**db, {.listen = "127.0.0.1:0"});
  REQUIRE_OK(server.status());
  WireClient client((*server)->Address());

  files.SetFreeBytes(300'000);
  const std::string value(1000, 'v');
  constexpr uint16_t kFull = proto::ToCode(absl::StatusCode::kResourceExhausted);
  int acknowledged = 0;
  uint16_t code = 0;
  while ((code = Put(&client, std::to_string(acknowledged), value)) == 0) acknowledged++;
  CHECK(code == kFull);
  CHECK(acknowledged > 0);
  // It stays so as long as there is no space, however often one looks.
  for (int i = 0; i < 3; i++) {
    look();
    CHECK(Put(&client, "more", value) == kFull);
  }
  for (int i = 0; i < acknowledged; i++) REQUIRE(client.Ask(GetFrame(std::to_string(i))) == ValueReply(value));

  // Nor does it give up if the disk does not even tell what is free; it says so once.
  CHECK(logger.messages.empty());
  files.Inject({.kind = FaultKind::kIoError, .calls = {FileCall::kFreeBytes}, .count = 3});
  for (int i = 0; i < 3; i++) look();
  CHECK(files.failures() >= 3);
  CHECK(logger.messages.size() == 1);
  CHECK(Put(&client, "more", value) == kFull);

  // A flush that met the full disk may tell of it only now, and stop writes once more: the server
  // looks again, too.
  files.SetFreeBytes(1 << 30);
  while ((code = Put(&client, "more", value)) == kFull) look();
  CHECK(code == 0);
  // Also a second time.
  files.SetFreeBytes(0);
  while ((code = Put(&client, "again", value)) == 0) {
  }
  CHECK(code == kFull);
  files.SetFreeBytes(1 << 30);
  while ((code = Put(&client, "again", value)) == kFull) look();
  CHECK(code == 0);
  for (int i = 0; i < acknowledged; i++) REQUIRE(client.Ask(GetFrame(std::to_string(i))) == ValueReply(value));
  (*server)->Stop();
  CHECK_OK((*db)->Close());
}

TEST_CASE("a disk that stays full is tried less and less often, and only lasting writes are called accepted") {
  CrashFileSystem files;
  REQUIRE_OK(files.CreateDirs("/data"));
  files.SetFreeBytes(10 << 20);
  ManualClock clock;
  KeepingLogger logger;
  server_program::DiskWatch watch(&files, &clock, "/data");
  const absl::Status full = absl::ResourceExhaustedError("full");
  int attempts = 0;
  bool suffices = false;
  const auto look = [&] {
    clock.AdvanceMillis(1000);
    // Writes are resumed each time, and stop again at once as long as the space does not suffice.
    const auto resume = [&] {
      ++attempts;
      if (!suffices) watch.OnBackgroundError(full);
      return absl::OkStatus();
    };
    watch.Look(resume, &logger);
  };
  watch.OnBackgroundError(full);
  for (int second = 0; second < 3600; ++second) look();
  CHECK(attempts > 5);
  CHECK(attempts < 25);
  CHECK(logger.messages.empty());

  // More space is noticed within two looks, whatever the pause has come to.
  attempts = 0;
  suffices = true;
  files.SetFreeBytes(20 << 20);
  for (int second = 0; second < 2; ++second) look();
  CHECK(attempts == 1);
  CHECK(logger.messages.empty());
  for (int second = 0; second < 10; ++second) look();
  CHECK(logger.messages == std::vector<std::string>{"there is space again: writes are accepted"});
  CHECK_FALSE(watch.stopped_for_good());
  watch.OnBackgroundError(absl::InternalError("the disk is broken"));
  CHECK(watch.stopped_for_good());
}

}  // namespace bandb::test
