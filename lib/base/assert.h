// BANDB_ASSERT: a check of our own reasoning, compiled into every build.
//
// A failed assertion is a mistake of ours, and the only thing in BanDB that ends the process. Bytes
// from a disk, a network or a user must never reach one unchecked: what the outside can cause is an
// absl::Status.
#ifndef BANDB_BASE_ASSERT_H_
#define BANDB_BASE_ASSERT_H_

namespace bandb::base {

// Prints the failed condition with its place to stderr and aborts.
[[noreturn]] void AssertFailed(const char* condition, const char* file, int line);

}  // namespace bandb::base

// Split conjunctions into two assertions, so that the message says which half failed.
#define BANDB_ASSERT(condition)                               \
  (__builtin_expect(static_cast<bool>(condition), 1) ? void() \
                                                     : ::bandb::base::AssertFailed(#condition, __FILE__, __LINE__))

// For the branch that cannot be reached unless we made a mistake.
#define BANDB_UNREACHABLE() ::bandb::base::AssertFailed("unreachable", __FILE__, __LINE__)

#endif  // BANDB_BASE_ASSERT_H_
