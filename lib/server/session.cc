#include "server/session.h"

#include <fmt/format.h>

#include <string>
#include <utility>
#include <variant>

#include "base/escape.h"
#include "proto/message_id.h"
#include "tls/token.h"

namespace bandb::server {

namespace {

Failure CheckOperation(const User& user, const Operation& operation) {
  const bool reads = operation.kind == OperationKind::kGet || operation.kind == OperationKind::kScan;
  const Access access = reads ? Access::kRead : Access::kWrite;
  const bool covered = operation.IsRange() ? user.grants.CoverRange(access, operation.key, operation.value)
                                           : user.grants.Cover(access, operation.key);
  if (covered) return {};
  return DeniedFailure(user, operation.IsRange() ? "this range" : (reads ? "reading this key" : "writing this key"));
}

bool HasRight(const Grants& grants, Permission permission) {
  switch (permission) {
    case Permission::kNone:
    case Permission::kUser:
      return true;
    case Permission::kRead:
      return grants.Has(Access::kRead);
    case Permission::kWrite:
      return grants.Has(Access::kWrite);
    case Permission::kReadWrite:
      return grants.Has(Access::kRead) || grants.Has(Access::kWrite);
    case Permission::kAdmin:
      return grants.may_administer();
  }
  return false;
}

// Each kind of command has its own, so that a new one does not pass unseen.
class KeyCheck {
 public:
  explicit KeyCheck(const User& user) : user_(user) {}
  Failure operator()(const SingleCommand& command) const { return CheckOperation(user_, command.operation); }
  Failure operator()(const BatchCommand& command) const { return CheckKeys(&user_, command); }
  // A cursor only makes the range smaller.
  Failure operator()(const ScanCommand& command) const { return CheckOperation(user_, command.range); }
  // It says nothing of any key: what is read of it is a scan.
  Failure operator()(const SnapshotCommand&) const { return {}; }
  // Looked at once more when it is answered, since it may wait.
  Failure operator()(const ChangesCommand& command) const { return CheckOperation(user_, command.range); }
  // A cursor is of all keys, and holds back logs for them.
  Failure operator()(const AcknowledgeCommand&) const { return CheckAll(); }
  Failure operator()(const CursorsCommand&) const { return CheckAll(); }
  // Its reads are checked as it runs, and what it writes once that is known.
  Failure operator()(const TransactionCommand&) const { return {}; }
  Failure operator()(const ReadyCommand&) const { return {}; }
  Failure operator()(const LoginCommand&) const { return {}; }
  Failure operator()(const HelloCommand&) const { return {}; }
  Failure operator()(const PingCommand&) const { return {}; }
  Failure operator()(const StatsCommand&) const { return {}; }
  Failure operator()(const ClientsCommand&) const { return {}; }

 private:
  Failure CheckAll() const { return CheckOperation(user_, {.kind = OperationKind::kScan}); }

  const User& user_;
};

}  // namespace

Failure NobodyFailure() {
  return {proto::ToCode(absl::StatusCode::kUnauthenticated), "no user: log in with a name and a token first"};
}

Failure DeniedFailure(const User& user, std::string_view what) {
  return {proto::ToCode(absl::StatusCode::kPermissionDenied),
          fmt::format("the user {} is not allowed {}", user.name, what)};
}

Failure CheckKeys(const User* user, const Command& command) {
  if (user == nullptr) return {};
  return std::visit(KeyCheck(*user), command);
}

Failure CheckKeys(const User* user, const Operation& operation) {
  return user == nullptr ? Failure() : CheckOperation(*user, operation);
}

Failure CheckKeys(const User* user, const BatchCommand& batch) {
  if (user == nullptr) return {};
  for (const Condition& condition : batch.conditions) {
    if (!user->grants.Cover(Access::kRead, condition.key)) return DeniedFailure(*user, "a condition on this key");
  }
  for (const Operation& operation : batch.operations) {
    if (Failure failure = CheckOperation(*user, operation); failure.code != 0) return failure;
  }
  return {};
}

bool Session::LogIn(std::string_view name, std::string_view token) {
  if (users_ == nullptr) return true;
  const uint64_t generation = users_->generation();
  std::shared_ptr<const User> user = users_->Find(name);
  // As much work for a name that does not exist.
  const std::string nobody(tls::kDigestBytes, '\0');
  const bool right = tls::AreSameDigest(tls::DigestOf(token), user == nullptr ? nobody : user->digest);
  if (user == nullptr || !right) return false;
  user_ = std::move(user);
  generation_ = generation;
  return true;
}

bool Session::Knows() {
  if (users_ == nullptr) return true;
  if (user_ == nullptr) return false;
  const uint64_t generation = users_->generation();
  if (generation == generation_) return true;
  generation_ = generation;
  std::shared_ptr<const User> user = users_->Find(user_->name);
  // With another token it is somebody else.
  user_ = user != nullptr && tls::AreSameDigest(user->digest, user_->digest) ? std::move(user) : nullptr;
  return user_ != nullptr;
}

Failure Session::Admit(Permission permission) {
  if (users_ == nullptr || permission == Permission::kNone) return {};
  if (Knows() && HasRight(user_->grants, permission)) return {};
  CountDenial();
  return user_ == nullptr ? NobodyFailure() : DeniedFailure(*user_, "this kind of request");
}

std::shared_ptr<const User> Session::user() const {
  if (!is_nobody()) return user_;
  static const std::shared_ptr<const User>& nobody = *new std::shared_ptr<const User>(std::make_shared<const User>());
  return nobody;
}

}  // namespace bandb::server
