// Calls of gRPC are held to users and their rights as those of every other protocol.
#include <memory>
#include <string>
#include <vector>

#include "base/posix_file_system.h"
#include "base/secret_file.h"
#include "grpc/kv_client.h"
#include "grpc/raw_client.h"
#include "server/users.h"
#include "support/catch.h"
#include "support/temp_dir.h"
#include "tls/token.h"

namespace bandb::test {
namespace {

class Users {
 public:
  Users() {
    server::UserTable table;
    REQUIRE_OK(table.Add(Make("all", {"read,write"})));
    REQUIRE_OK(table.Add(Make("reader", {"read"})));
    REQUIRE_OK(table.Add(Make("other", {"read,write:o/"})));
    base::PosixFileSystem files;
    REQUIRE_OK(base::ReplaceSecretFile(&files, path(), table.ToText()));
  }
  std::string path() const { return dir_.File("users.toml"); }
  ServerOptions Options() const {
    ServerOptions options;
    options.users_file = path();
    return options;
  }

 private:
  static server::User Make(const std::string& name, const std::vector<std::string>& allows) {
    server::User user{name, tls::DigestOf("token-of-" + name), {}};
    for (const std::string& allow : allows) REQUIRE_OK(user.grants.Add(allow));
    return user;
  }

  TempDir dir_;
};

}  // namespace

TEST_CASE("connections without a login make room, the oldest first, and keep nobody out") {
  const Users users;
  ServerOptions options = users.Options();
  options.connections_max = 8;
  options.login_timeout = options.frame_timeout = absl::Seconds(600);
  GrpcFixture fixture(options);
  KvClient known(fixture.address());
  known.Authorize("Bearer all:token-of-all");
  REQUIRE(known.Put("k", "v").success);
  std::vector<std::unique_ptr<RawClient>> strangers;
  for (int i = 0; i < 3; i++) {
    strangers.push_back(std::make_unique<RawClient>(fixture.address()));
    REQUIRE(
        GrpcFixture::Eventually([&] { return fixture.server->Stats().connections_open == 2u + strangers.size() - 1; }));
  }
  for (size_t i = 0; i < 3; i++) {
    KvClient next(fixture.address());
    next.Authorize("Bearer reader:token-of-reader");
    CHECK(next.Get("k").value == "v");
    CHECK(strangers[i]->SeesEnd());
    CHECK(known.Put("k", "v").success);
    strangers.push_back(std::make_unique<RawClient>(fixture.address()));
  }
}

TEST_CASE("where every place is taken by clients that are known, one more connection is refused") {
  const Users users;
  ServerOptions options = users.Options();
  options.connections_max = 2;
  GrpcFixture fixture(options);
  KvClient known(fixture.address());
  known.Authorize("Bearer all:token-of-all");
  REQUIRE(known.Put("k", "v").success);
  CHECK(RawClient(fixture.address()).SeesEnd());
  CHECK(known.Put("k", "v").success);
}

TEST_CASE("a call without a user, or with a wrong token, is unauthenticated, and nothing of it is done") {
  const Users users;
  GrpcFixture fixture(users.Options());
  KvClient client(fixture.address());
  CHECK(client.Put("k", "v").status == ::grpc::StatusCode::UNAUTHENTICATED);
  for (const char* value :
       {"Bearer all:wrong", "Bearer all", "Bearer", "Basic all:token-of-all", "Bearer nobody:token-of-all"}) {
    KvClient wrong(fixture.address());
    wrong.Authorize(value);
    CHECK(wrong.Get("k").status == ::grpc::StatusCode::UNAUTHENTICATED);
  }
  // Each once.
  CHECK(fixture.server->Stats().failed_logins == 6);
  client.Authorize("Bearer all:token-of-all");
  const GrpcReply reply = client.Get("k");
  CHECK(reply.status == ::grpc::StatusCode::OK);
  CHECK_FALSE(reply.success);
  CHECK(reply.code == "5");
  CHECK(client.Put("k", "v").success);
  CHECK(fixture.store.size() == 1);
}

TEST_CASE("a call may do what the grants of its user cover") {
  const Users users;
  GrpcFixture fixture(users.Options());
  const struct {
    const char* user;
    bool puts_k, gets_k, puts_o, deletes_o;
  } rows[] = {
      {"all", true, true, true, true}, {"reader", false, true, false, false}, {"other", false, false, true, true}};
  for (const auto& row : rows) {
    INFO(row.user);
    KvClient client(fixture.address());
    client.Authorize(std::string("Bearer ") + row.user + ":token-of-" + row.user);
    const auto check = [](const GrpcReply& reply, bool allowed) {
      CHECK(reply.status == ::grpc::StatusCode::OK);
      CHECK(reply.success == allowed);
      CHECK(reply.code == (allowed ? "" : "7"));
    };
    check(client.Put("k", "v"), row.puts_k);
    check(client.Get("k"), row.gets_k);
    check(client.Put("o/1", "v"), row.puts_o);
    check(client.Delete("o/1"), row.deletes_o);
  }
  CHECK(fixture.server->Stats().denials > 0);
}

TEST_CASE("whose token was revoked is unauthenticated with the next call") {
  const Users users;
  GrpcFixture fixture(users.Options());
  KvClient client(fixture.address());
  client.Authorize("Bearer all:token-of-all");
  CHECK(client.Put("k", "v").success);
  base::PosixFileSystem files;
  REQUIRE_OK(base::ReplaceSecretFile(&files, users.path(), "# nobody\n"));
  REQUIRE_OK(fixture.server->Reload());
  CHECK(client.Get("k").status == ::grpc::StatusCode::UNAUTHENTICATED);
}

TEST_CASE("others cannot reach a listener without users") {
  GrpcFixture fixture;
  CHECK_CODE(grpc::Listener::Start(fixture.server.get(), {.listen = "0.0.0.0:0"}).status(), kInvalidArgument);
}

}  // namespace bandb::test
