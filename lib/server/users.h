// Users: their tokens, as digests, and what each may do to which keys.
//
//   file  := line*                                    of TOML, a small part of it
//   line  := "" | "#" comment | "[" name "]" | "token = 'sha256:" 64 hex "'" | "allow = [" text, ... "]"
//   text  := "'" allow "'"
//   allow := class ("," class)* [":" prefix]          class: read, write, admin; admin has no prefix
//
// In a prefix \\, \n, \r, \t and \xHH are bytes. What no allow names is denied.
#ifndef BANDB_SERVER_USERS_H_
#define BANDB_SERVER_USERS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"

namespace bandb::server {

enum class Access : uint8_t { kRead, kWrite };

// What a user may do.
class Grants {
 public:
  // Errors: kInvalidArgument it is not an allow.
  absl::Status Add(std::string_view allow);

  bool may_administer() const { return may_administer_; }
  // To any key at all.
  bool Has(Access access) const;
  bool Cover(Access access, std::string_view key) const;
  // All of [begin, limit), by one grant; an empty limit is the end of all keys.
  bool CoverRange(Access access, std::string_view begin, std::string_view limit) const;
  // All keys that begin with this.
  bool CoverPrefix(Access access, std::string_view prefix) const;
  // As they were added.
  const std::vector<std::string>& texts() const { return texts_; }

 private:
  struct Grant {
    bool read = false;
    bool write = false;
    std::string prefix;
    bool Has(Access access) const { return access == Access::kRead ? read : write; }
  };

  std::vector<std::string> texts_;
  std::vector<Grant> grants_;
  bool may_administer_ = false;
};

struct User {
  std::string name;
  std::string digest;  // of the token
  Grants grants;
};

// Letters, digits, _ and -, at most 64.
bool IsUserName(std::string_view name);

// All users of a file.
class UserTable {
 public:
  // Errors: kInvalidArgument "FILE:LINE: what is wrong"; a file that ends within a line is one that
  // is still being written.
  static absl::StatusOr<UserTable> Parse(std::string_view text, std::string_view file);
  std::string ToText() const;

  // Errors: kAlreadyExists · kInvalidArgument the name is none.
  absl::Status Add(User user);
  // False: there is none.
  bool Remove(std::string_view name);
  // Null: there is none.
  std::shared_ptr<const User> Find(std::string_view name) const;
  const std::map<std::string, std::shared_ptr<const User>, std::less<>>& users() const { return users_; }

 private:
  std::map<std::string, std::shared_ptr<const User>, std::less<>> users_;
};

// Which users were added, removed, or have another token or other rights, by name; in texts of
// bounded length, as many as it takes; none: nobody.
std::vector<std::string> DescribeChanges(const UserTable& before, const UserTable& after);

// The users of a running server, all loops'. Thread safety: any thread.
class UserRegistry {
 public:
  explicit UserRegistry(UserTable users) : users_(std::move(users)) {}

  // From now on these. Those before.
  UserTable Replace(UserTable users) ABSL_LOCKS_EXCLUDED(mutex_);
  // Another one after each Replace.
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }
  std::shared_ptr<const User> Find(std::string_view name) const ABSL_LOCKS_EXCLUDED(mutex_);

  // What was refused.
  std::atomic<uint64_t> failed_logins{0};
  std::atomic<uint64_t> denials{0};

 private:
  mutable base::Mutex mutex_;
  UserTable users_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> generation_{1};
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_USERS_H_
