// Logins: a right one is answered at once, a wrong one later, the later the more wrong ones came
// from the same address lately.
//
// A right token always works, so that nobody is locked out by a neighbour; and since a client that
// is not known has one request under way at a time, each of its connections waits for its answer.
#ifndef BANDB_SERVER_LOGIN_ENDPOINT_H_
#define BANDB_SERVER_LOGIN_ENDPOINT_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "bandb/logger.h"
#include "base/event_loop.h"
#include "server/commands.h"
#include "server/request.h"

namespace bandb::server {

// Wrong logins by address, without its port. Bounded: the one that failed longest ago is forgotten.
class FailureLog {
 public:
  static constexpr int64_t kDelayNanosMin = int64_t{50} * 1000000;
  static constexpr int64_t kDelayNanosMax = int64_t{3200} * 1000000;
  // After so long without another one all is forgotten.
  static constexpr int64_t kForgottenNanos = int64_t{60} * 1000000000;
  static constexpr size_t kAddressesMax = 1024;

  // One more; how long its answer is to wait.
  int64_t Add(std::string_view peer, int64_t now_nanos);
  bool Has(std::string_view peer, int64_t now_nanos) const;
  size_t size() const { return failures_.size(); }

 private:
  struct Failures {
    int count = 0;
    int64_t last_nanos = 0;
  };
  std::map<std::string, Failures, std::less<>> failures_;
};

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class LoginEndpoint {
 public:
  LoginEndpoint(base::EventLoop* loop, const RequestContext& context, Logger* logger)
      : loop_(loop), context_(context), logger_(logger) {}
  ~LoginEndpoint();

  void LogIn(Request& request, LoginCommand* command);
  // Answers what waits, and from now on at once.
  void Close();
  bool idle() const { return waiting_.empty(); }

 private:
  struct Waiting {
    Pending pending;
    Outcome outcome;
    base::TimerId timer = base::kNoTimer;
  };

  void Answer(uint64_t number);
  // Of a wrong one.
  void Tell(std::string_view user, std::string_view peer);

  base::EventLoop* const loop_;
  const RequestContext& context_;
  Logger* const logger_;
  FailureLog failures_;
  std::map<uint64_t, Waiting> waiting_;
  uint64_t last_number_ = 0;
  bool closed_ = false;
  int64_t logged_nanos_ = 0;
  uint64_t unlogged_ = 0;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_LOGIN_ENDPOINT_H_
