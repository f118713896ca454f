// Who the client of a connection is, and what it may ask for. Without users, everybody may do
// everything.
#ifndef BANDB_SERVER_SESSION_H_
#define BANDB_SERVER_SESSION_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "server/commands.h"
#include "server/users.h"

namespace bandb::server {

// What a message does, as far as it is known before its payload.
enum class Permission : uint8_t {
  kNone,       // what everybody may know, before anything is known of them
  kUser,       // nothing to any key
  kRead,       // reads
  kWrite,      // writes
  kReadWrite,  // one of them, or both
  kAdmin,      // what an operator does
};

// Of what `user` may not do; null: everybody may do everything. Keys are looked at as they are
// after hooks. A transaction is looked at as it runs.
Failure CheckKeys(const User* user, const Command& command);
Failure CheckKeys(const User* user, const BatchCommand& batch);
Failure CheckKeys(const User* user, const Operation& operation);
// Nobody has told who they are.
Failure NobodyFailure();
Failure DeniedFailure(const User& user, std::string_view what);

// Thread safety: one thread at a time. Lifetime: borrows the users.
class Session {
 public:
  // No users: `users` is null.
  explicit Session(UserRegistry* users = nullptr) : users_(users) {}

  // Takes over who it is, if the token is right; if not, nothing changes.
  bool LogIn(std::string_view name, std::string_view token);
  void LogOut() { user_.reset(); }
  // Looks for changes among the users first: whose token was revoked is nobody from here on.
  bool Knows();
  // As far as it was last looked at.
  bool is_nobody() const { return users_ != nullptr && user_ == nullptr; }
  bool has_users() const { return users_ != nullptr; }
  // Whether a message of this kind may be asked for at all.
  Failure Admit(Permission permission);
  // For CheckKeys: null, everything is allowed; never null for somebody unknown.
  std::shared_ptr<const User> user() const;
  std::string_view name() const { return user_ == nullptr ? std::string_view() : std::string_view(user_->name); }
  void CountDenial() {
    if (users_ != nullptr) users_->denials.fetch_add(1, std::memory_order_relaxed);
  }
  void CountFailedLogin() {
    if (users_ != nullptr) users_->failed_logins.fetch_add(1, std::memory_order_relaxed);
  }

 private:
  UserRegistry* users_;
  std::shared_ptr<const User> user_;
  uint64_t generation_ = 0;  // of the users, when it was last looked at
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_SESSION_H_
