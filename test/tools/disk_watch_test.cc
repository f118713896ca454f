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
  server_program::DiskWatch watch;
  Options options;
  options.write_buffer_bytes = 64 << 10;
  options.listener = &watch;
  auto db = storage::OpenDb(env, "/data", options);
  REQUIRE_OK(db.status());
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
    watch.Look(db->get(), &logger);
    CHECK(Put(&client, "more", value) == kFull);
  }
  for (int i = 0; i < acknowledged; i++) REQUIRE(client.Ask(GetFrame(std::to_string(i))) == ValueReply(value));

  // Nor does it give up if the disk does not even tell what is free; it says so once.
  CHECK(logger.messages.empty());
  files.Inject({.kind = FaultKind::kIoError, .calls = {FileCall::kFreeBytes}, .count = 3});
  for (int i = 0; i < 3; i++) watch.Look(db->get(), &logger);
  CHECK(files.failures() >= 3);
  CHECK(logger.messages.size() == 1);
  CHECK(Put(&client, "more", value) == kFull);

  // A flush that met the full disk may tell of it only now, and stop writes once more: the server looks again, too.
  files.SetFreeBytes(1 << 30);
  while ((code = Put(&client, "more", value)) == kFull) watch.Look(db->get(), &logger);
  CHECK(code == 0);
  // Also a second time.
  files.SetFreeBytes(0);
  while ((code = Put(&client, "again", value)) == 0) {
  }
  CHECK(code == kFull);
  files.SetFreeBytes(1 << 30);
  while ((code = Put(&client, "again", value)) == kFull) watch.Look(db->get(), &logger);
  CHECK(code == 0);
  for (int i = 0; i < acknowledged; i++) REQUIRE(client.Ask(GetFrame(std::to_string(i))) == ValueReply(value));
  (*server)->Stop();
  CHECK_OK((*db)->Close());
}

}  // namespace bandb::test
