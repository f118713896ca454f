// What went wrong on threads of a test.
#ifndef BANDB_TEST_SUPPORT_COMPLAINTS_H_
#define BANDB_TEST_SUPPORT_COMPLAINTS_H_

#include <atomic>

#include "absl/status/status.h"

namespace bandb::test {

// Catch2's checks are not for several threads. Thread safety: any thread.
class Complaints {
 public:
  void Expect(bool holds) {
    if (!holds) count_.fetch_add(1);
  }
  void Expect(const absl::Status& status) { Expect(status.ok()); }
  int count() const { return count_.load(); }

 private:
  std::atomic<int> count_{0};
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SUPPORT_COMPLAINTS_H_
