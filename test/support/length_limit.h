// A disk that is full, as far as this process sees: no file may be longer than so much.
#ifndef BANDB_TEST_SUPPORT_LENGTH_LIMIT_H_
#define BANDB_TEST_SUPPORT_LENGTH_LIMIT_H_

#include <sys/resource.h>

#include <csignal>
#include <cstdint>

#include "support/catch.h"

namespace bandb::test {

// No file of this process may be longer, as long as it lives.
class LengthLimit {
 public:
  explicit LengthLimit(uint64_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  ~LengthLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  LengthLimit(const LengthLimit&) = delete;
  LengthLimit& operator=(const LengthLimit&) = delete;

 private:
  void (*handler_)(int);
  rlimit before_{};
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_LENGTH_LIMIT_H_
