// What hooks of a test have seen, noted down on the threads of the server.
#ifndef BANDB_TEST_SERVER_HOOK_NOTES_H_
#define BANDB_TEST_SERVER_HOOK_NOTES_H_

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "bandb/server_hooks.h"
#include "base/mutex.h"

namespace bandb::test {

inline const char* NameOf(OperationKind kind) {
  static constexpr const char* kNames[] = {"get", "put", "delete", "delete range", "scan"};
  return kNames[static_cast<int>(kind)];
}

// As "put k v for 60000 ms".
inline std::string Describe(const ServerOperation& operation) {
  std::string text = fmt::format("{} {} {}{}", NameOf(operation.kind), operation.key, operation.value, operation.limit);
  if (operation.time_to_live != absl::InfiniteDuration()) {
    text += fmt::format(" for {} ms", absl::ToInt64Milliseconds(operation.time_to_live));
  }
  return text;
}

// Thread safety: any thread.
class HookNotes {
 public:
  void Add(std::string note) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    notes_.push_back(std::move(note));
  }
  // Those since the last call, in their order.
  std::vector<std::string> Take() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    return std::exchange(notes_, {});
  }
  // The same as one text, in which each ends with a semicolon.
  std::string TakeText() ABSL_LOCKS_EXCLUDED(mutex_) {
    std::string text;
    for (const std::string& note : Take()) text += note + ";";
    return text;
  }
  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    return notes_.size();
  }

 private:
  mutable base::Mutex mutex_;
  std::vector<std::string> notes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace bandb::test

#endif  // BANDB_TEST_SERVER_HOOK_NOTES_H_
