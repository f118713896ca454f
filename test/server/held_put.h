// A hook on puts that holds its loop up.
#ifndef BANDB_TEST_SERVER_HELD_PUT_H_
#define BANDB_TEST_SERVER_HELD_PUT_H_

#include "bandb/server.h"
#include "base/executor.h"
#include "server/wire_client.h"

namespace bandb::test {

// Lifetime: that of the server at least.
struct HeldPut {
  ServerHooks Hooks() {
    ServerHooks hooks;
    hooks.before.push_back({kPutMessage, [this](const ServerRequest&) {
                              entered.Set();
                              go_on.BlockUntilSet(base::kForever);
                              return HookResult::Pass();
                            }});
    return hooks;
  }

  base::Event entered, go_on;
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SERVER_HELD_PUT_H_
