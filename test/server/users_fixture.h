// A server with users, and clients that log in.
#ifndef BANDB_TEST_SERVER_USERS_FIXTURE_H_
#define BANDB_TEST_SERVER_USERS_FIXTURE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/posix_file_system.h"
#include "base/secret_file.h"
#include "server/users.h"
#include "server/wire_client.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "tls/token.h"

namespace bandb::test {

inline constexpr uint16_t kDenied = 7;
inline constexpr uint16_t kNobody = 16;
inline constexpr uint32_t kRoute = kFirstUserMessage;

// Their tokens are "token-of-NAME".
inline const std::map<std::string, std::vector<std::string>>& Users() {
  static const auto& users = *new std::map<std::string, std::vector<std::string>>{
      {"all", {"read,write"}}, {"reader", {"read"}},         {"writer", {"write"}},
      {"ops", {"admin"}},      {"other", {"read,write:o/"}}, {"mixed", {"read:k/", "write:o/"}},
  };
  return users;
}

inline std::string TokenOf(const std::string& name) { return "token-of-" + name; }

// As it is written to a file, but for one of them.
inline void WriteUsersTo(const std::string& path, const std::string& without) {
  server::UserTable table;
  for (const auto& [name, allows] : Users()) {
    if (name == without) continue;
    server::User user{name, tls::DigestOf(TokenOf(name)), {}};
    for (const std::string& allow : allows) REQUIRE_OK(user.grants.Add(allow));
    REQUIRE_OK(table.Add(std::move(user)));
  }
  base::PosixFileSystem files;
  REQUIRE_OK(base::ReplaceSecretFile(&files, path, table.ToText()));
}

class UsersFixture {
 public:
  explicit UsersFixture(int loops = 1, absl::Duration login_timeout = absl::Seconds(5), int connections_max = 10000,
                        Logger* logger = nullptr, Audit audit = nullptr) {
    WriteUsers("");
    ServerOptions options;
    options.users_file = path();
    options.redis_listen = "127.0.0.1:0";
    options.loops = loops;
    options.login_timeout = login_timeout;
    options.connections_max = connections_max;
    options.logger = logger;
    options.audit = std::move(audit);
    ServerHooks hooks;
    hooks.administer = [](const AdministrationRequest& request) { return "done for " + request.user; };
    hooks.routes.push_back(
        {kRoute, [](const ServerRequest& request, Responder responder) { responder.Ok(request.user); }, {}});
    fixture = std::make_unique<ServerFixture>(options, std::move(hooks));
  }
  std::string path() const { return dir_.path() + "/users.toml"; }
  void WriteUsers(const std::string& without) { WriteUsersTo(path(), without); }
  std::string redis() const { return fixture->server->RedisAddress(); }

 private:
  TempDir dir_;

 public:
  std::unique_ptr<ServerFixture> fixture;
};

inline std::string HelloFrame(const std::string& user, const std::string& token) {
  proto::Hello hello;
  hello.features = proto::kFeatureUsers;
  hello.user = user;
  hello.token = token;
  std::string frame;
  proto::AppendHello(&frame, hello);
  return frame;
}

// The code of the reply, 0 if it is none of an error.
inline uint16_t CodeOf(WireClient* client, const std::string& frame) {
  const std::optional<OwnedReply> reply = client->Ask(frame);
  REQUIRE(reply.has_value());
  return reply->ok ? 0 : reply->code;
}

inline std::unique_ptr<WireClient> ClientAt(const std::string& address, const std::string& name) {
  auto client = std::make_unique<WireClient>(address);
  if (!name.empty()) REQUIRE(CodeOf(client.get(), HelloFrame(name, TokenOf(name))) == 0);
  return client;
}

inline std::unique_ptr<WireClient> ClientOf(const UsersFixture& users, const std::string& name) {
  return ClientAt(users.fixture->address(), name);
}

}  // namespace bandb::test

#endif  // BANDB_TEST_SERVER_USERS_FIXTURE_H_
