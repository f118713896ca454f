// Which peers are trusted, and which files say so.
#include <sys/stat.h>

#include <string>
#include <vector>

#include "tls/context.h"
#include "tls/engine_rig.h"

namespace bandb::test {

TEST_CASE("a client believes those alone that its authority signed for the host") {
  World world;
  const struct {
    const char* ca;
    const char* host;
    const char* why;
  } rows[] = {
      {"authority", "localhost", ""},
      {"authority", "127.0.0.1", ""},
      {"authority", "elsewhere", "hostname mismatch"},
      {"authority", "127.0.0.2", "IP address mismatch"},
      {"foreign", "localhost", "unable to get local issuer certificate"},
  };
  for (const auto& row : rows) {
    INFO(row.ca << " " << row.host);
    const std::string ca = std::string(row.ca) == "foreign" ? world.foreign.file() : world.authority.file();
    Side client(world.Client(ca), row.host);
    Side server(world.Server());
    State of_client, of_server;
    Shake(&client, &server, &of_client, &of_server);
    CHECK(of_client == (*row.why == '\0' ? State::kDone : State::kFailed));
    CHECK(client.engine->failure().find(row.why) != std::string::npos);
  }
}

TEST_CASE("a server that asks for certificates serves nobody without one of its authority's") {
  World world;
  const CertificateFiles good = world.authority.Issue("client");
  const CertificateFiles other = world.foreign.Issue("other");
  const struct {
    CertificateFiles files;
    bool served;
  } rows[] = {{good, true}, {other, false}, {{}, false}};
  for (const auto& row : rows) {
    Side client(world.Client(world.authority.file(), row.files), "localhost");
    Side server(world.Server(world.authority.file()));
    State of_client, of_server;
    Shake(&client, &server, &of_client, &of_server);
    CHECK(of_server == (row.served ? State::kDone : State::kFailed));
    // In TLS 1.3 the client learns it with what it reads next.
    server.SendTo(&client);
    client.ReadAll();
    CHECK((client.last == State::kFailed) == !row.served);
  }
}

TEST_CASE("an authority is believed by itself, also where another one has signed it") {
  World world;
  Authority department(world.dir.path(), "department", &world.authority);
  const CertificateFiles own = department.Issue("own");
  absl::StatusOr<std::shared_ptr<tls::Context>> showing =
      tls::Context::ForServer({own.certificate, own.key, department.file()});
  REQUIRE_OK(showing.status());
  State of_client, of_server;
  {
    Side client(world.Client(department.file(), own), "localhost");
    Side server(*showing);
    Shake(&client, &server, &of_client, &of_server);
    CHECK(of_client == State::kDone);
    CHECK(of_server == State::kDone);
  }
  // What its signer has signed besides is not.
  Side client(world.Client(department.file(), world.authority.Issue("other")), "localhost");
  Side server(*showing);
  Shake(&client, &server, &of_client, &of_server);
  CHECK(of_server == State::kFailed);
}

TEST_CASE("a certificate that has expired is believed by neither side") {
  World world;
  const CertificateFiles old = world.authority.Issue("old", {.expired = true});
  // Our own contexts refuse such a file.
  const auto show = [&old](const std::shared_ptr<tls::Context>& context) { ShowCertificate(context->get(), old); };
  State of_client, of_server;
  {
    const std::shared_ptr<tls::Context> context = world.Server();
    show(context);
    Side client(world.Client(world.authority.file()), "localhost");
    Side server(context);
    Shake(&client, &server, &of_client, &of_server);
    CHECK(of_client == State::kFailed);
    CHECK(client.engine->failure().find("certificate has expired") != std::string::npos);
  }
  const std::shared_ptr<tls::Context> context = world.Client(world.authority.file());
  show(context);
  Side client(context, "localhost");
  Side server(world.Server(world.authority.file()));
  Shake(&client, &server, &of_client, &of_server);
  CHECK(of_server == State::kFailed);
  CHECK(server.engine->failure().find("certificate has expired") != std::string::npos);
}

namespace {

// Two equals over one authority, each of which asks for this of the other. Whether both are served.
bool Believe(World* world, const CertificateFiles& dialer, const tls::ContextFiles& asked, std::string* why) {
  const CertificateFiles own = world->authority.Issue("server");
  tls::ContextFiles files{own.certificate, own.key, world->authority.file(), asked.crl, asked.names};
  absl::StatusOr<std::shared_ptr<tls::Context>> accepting = tls::Context::ForServer(files);
  REQUIRE_OK(accepting.status());
  Side client(world->Client(world->authority.file(), dialer), "localhost");
  Side server(*accepting);
  State of_client, of_server;
  Shake(&client, &server, &of_client, &of_server);
  *why = server.engine->failure();
  return of_server == State::kDone;
}

}  // namespace

TEST_CASE("where names are asked for, an authority's word alone is not enough") {
  World world;
  const CertificateFiles node = world.authority.Issue("node", {.hosts = "DNS:n1.db.example,IP:10.0.0.1"});
  const CertificateFiles user = world.authority.Issue("user", {.hosts = ""});
  const CertificateFiles part = world.authority.Issue("part", {.hosts = "DNS:n*.db.example"});
  const struct {
    const CertificateFiles* dialer;
    std::vector<std::string> names;
    bool served;
  } rows[] = {
      {&node, {"n1.db.example"}, true},
      {&node, {"n2.db.example", "n1.db.example"}, true},
      {&node, {".db.example"}, true},
      {&node, {"10.0.0.1"}, true},
      {&node, {"db.example"}, false},
      {&node, {".other.example", "10.0.0.2"}, false},
      // A common name counts for nothing, also where there is no other.
      {&node, {"node"}, false},
      {&user, {".db.example"}, false},
      {&user, {"user"}, false},
      {&user, {}, true},
      {&part, {"n1.db.example"}, false},
  };
  for (const auto& row : rows) {
    INFO((row.names.empty() ? "nobody" : row.names[0]));
    std::string why;
    CHECK(Believe(&world, *row.dialer, {.names = row.names}, &why) == row.served);
    if (!row.served) CHECK(why.find("hostname mismatch") != std::string::npos);
  }
  // Likewise the server that a client asks.
  const CertificateFiles own = world.authority.Issue("client");
  for (const bool served : {true, false}) {
    absl::StatusOr<std::shared_ptr<tls::Context>> dialing = tls::Context::ForClient(
        {own.certificate, own.key, world.authority.file(), "", {served ? "server" : "another"}});
    REQUIRE_OK(dialing.status());
    Side client(*dialing, "localhost");
    Side server(world.Server());
    State of_client, of_server;
    Shake(&client, &server, &of_client, &of_server);
    CHECK(of_client == (served ? State::kDone : State::kFailed));
  }
}

TEST_CASE("a certificate that was taken back is not believed") {
  World world;
  const CertificateFiles kept = world.authority.Issue("kept");
  const CertificateFiles lost = world.authority.Issue("lost");
  const std::string list = world.authority.Revoke({lost});
  std::string why;
  CHECK(Believe(&world, kept, {.crl = list}, &why));
  CHECK(Believe(&world, lost, {}, &why));
  CHECK_FALSE(Believe(&world, lost, {.crl = list}, &why));
  CHECK(why.find("certificate revoked") != std::string::npos);
  // With names it is as well.
  CHECK_FALSE(Believe(&world, lost, {.crl = list, .names = {"localhost"}}, &why));
  CHECK(Believe(&world, kept, {.crl = list, .names = {"localhost"}}, &why));
  // A list of another authority says nothing about this one's.
  CHECK_FALSE(Believe(&world, kept, {.crl = world.foreign.Revoke({})}, &why));
  CHECK(why.find("unable to get certificate CRL") != std::string::npos);
  const auto load = [&](const std::string& crl) {
    return tls::Context::ForServer({kept.certificate, kept.key, world.authority.file(), crl}).status();
  };
  CHECK_CODE(load(world.authority.Revoke({}, true)), kInvalidArgument);
  CHECK_CODE(load(kept.certificate), kInvalidArgument);
  CHECK_CODE(load(world.dir.File("none")), kNotFound);
}

TEST_CASE("files that make no good server are refused, with the reason") {
  World world;
  const CertificateFiles one = world.authority.Issue("one");
  const CertificateFiles two = world.authority.Issue("two");
  const CertificateFiles old = world.authority.Issue("old", {.expired = true});
  const struct {
    tls::ContextFiles files;
    absl::StatusCode code;
    const char* why;
  } rows[] = {
      {{one.certificate, two.key, {}}, absl::StatusCode::kInvalidArgument, "not the key of"},
      {{old.certificate, old.key, {}}, absl::StatusCode::kInvalidArgument, "has expired"},
      {{one.key, one.key, {}}, absl::StatusCode::kInvalidArgument, "no certificate"},
      {{one.certificate, one.certificate, {}}, absl::StatusCode::kInvalidArgument, "no key"},
      {{one.certificate, one.key, one.key}, absl::StatusCode::kInvalidArgument, "no certificate"},
      {{one.certificate, world.dir.File("none"), {}}, absl::StatusCode::kNotFound, "none"},
  };
  for (const auto& row : rows) {
    INFO(row.why);
    const absl::Status status = tls::Context::ForServer(row.files).status();
    CHECK(status.code() == row.code);
    CHECK(std::string(status.message()).find(row.why) != std::string::npos);
  }
  REQUIRE(::chmod(one.key.c_str(), 0644) == 0);
  CHECK_CODE(tls::Context::ForServer({one.certificate, one.key, {}}).status(), kPermissionDenied);
}

}  // namespace bandb::test
