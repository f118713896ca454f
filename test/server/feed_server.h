// A server over a database on disk, with its change feed, on a free port.
#ifndef BANDB_TEST_SERVER_FEED_SERVER_H_
#define BANDB_TEST_SERVER_FEED_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "bandb/db.h"
#include "bandb/server.h"
#include "base/executor.h"
#include "proto/changes.h"
#include "server/wire_client.h"
#include "support/catch.h"
#include "support/temp_dir.h"

namespace bandb::test {

// Longer than a test may take.
inline constexpr uint32_t kLong = 60'000;

class FeedServer {
 public:
  explicit FeedServer(int loops = 1, uint64_t keep_bytes = 64 << 20, ServerHooks hooks = {},
                      ServerOptions options = {}) {
    Options storage;
    storage.changes_keep_bytes = keep_bytes;
    auto opened = Db::Open(dir_.File("db"), storage);
    REQUIRE_OK(opened.status());
    db = *std::move(opened);
    options.listen = "127.0.0.1:0";
    options.loops = loops;
    auto started = Server::Start(*db, options, std::move(hooks));
    REQUIRE_OK(started.status());
    server = *std::move(started);
  }
  ~FeedServer() { server.reset(); }

  std::string address() const { return server->Address(); }
  // Waits until so many requests are unanswered.
  bool AwaitInFlight(uint64_t count) {
    base::Event never;
    for (int i = 0; i < 60'000 && server->Stats().in_flight != count; i++) never.BlockUntilSet(1'000'000);
    return server->Stats().in_flight == count;
  }

 private:
  TempDir dir_;

 public:
  std::unique_ptr<Db> db;
  std::unique_ptr<Server> server;
};

inline std::string ChangesFrame(const proto::Changes& changes) {
  std::string frame;
  proto::AppendChanges(&frame, changes);
  return frame;
}

}  // namespace bandb::test

#endif  // BANDB_TEST_SERVER_FEED_SERVER_H_
