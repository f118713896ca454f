// Nodes that speak TLS with each other, on real sockets: who is let in, who is not, and what people
// are told about it.
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "bandb/logger.h"
#include "bandb/peer_tls.h"
#include "base/mutex.h"
#include "cluster/cluster_rig.h"
#include "support/catch.h"
#include "tls/certificates.h"
#include "tls/peer_contexts.h"

namespace bandb::test {

namespace {

constexpr const char* kNames[] = {"a", "b", "c"};

class Lines final : public Logger {
 public:
  void Log(LogSeverity, std::string_view line) override {
    base::MutexLock lock(&mutex_);
    lines_.emplace_back(line);
  }
  bool Has(std::string_view begin, std::string_view rest) const {
    base::MutexLock lock(&mutex_);
    for (const std::string& line : lines_) {
      if (line.starts_with(begin) && line.find(rest) != std::string::npos) return true;
    }
    return false;
  }

 private:
  mutable base::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

std::shared_ptr<PeerTls> MustLoad(const std::string& ca, const CertificateFiles& own) {
  auto loaded = PeerTls::Load({.ca = ca, .cert = own.certificate, .key = own.key});
  REQUIRE_OK(loaded.status());
  return *std::move(loaded);
}

// An authority, and what nodes have of it: each a certificate of its own.
class Certificates {
 public:
  Nodes::Adjust Adjust() {
    return [this](const std::string& name, ClusterOptions* options) {
      auto& own = tls[name];
      if (own == nullptr) own = MustLoad(authority.file(), authority.Issue(name));
      options->tls = own;
      options->storage.logger = &lines[name];
    };
  }

 private:
  const TempDir dir_;

 public:
  Authority authority{dir_.path(), "authority"};
  Authority foreign{dir_.path(), "foreign"};
  std::map<std::string, Lines> lines;
  std::map<std::string, std::shared_ptr<PeerTls>> tls;
};

// Starts it until it is told that it is not let in for this reason.
void AwaitRefusal(const ClusterOptions& options, std::string_view why) {
  INFO(why);
  std::string told;
  do {
    const absl::Status status = Cluster::Start(options, absl::Milliseconds(200)).status();
    REQUIRE_CODE(status, kDeadlineExceeded);
    told = std::string(status.message());
  } while (told.find(why) == std::string::npos);
}

void AwaitLine(const Lines& lines, std::string_view begin, std::string_view rest) {
  INFO(rest);
  base::Event pause;
  while (!lines.Has(begin, rest)) pause.BlockUntilSet(10'000'000);
}

void AppendFile(const std::string& from, const std::string& to) {
  std::ifstream in(from, std::ios::binary);
  std::ofstream(to, std::ios::binary | std::ios::app) << in.rdbuf();
}

// The name of the first file of its log.
std::string FirstSegment(const Nodes& nodes, const std::string& name) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(nodes.dir().File(name + "/groups/0/log"))) {
    if (entry.path().extension() == ".seg") names.insert(entry.path().filename().string());
  }
  return *names.begin();
}

}  // namespace

TEST_CASE("three nodes over TLS agree, lose their leader and go on, and give the database to one that was away") {
  Certificates certificates;
  const Nodes::Adjust with_tls = certificates.Adjust();
  Nodes nodes(3, [&](const std::string& name, ClusterOptions* options) {
    with_tls(name, options);
    // What is large takes a sanitizer on a busy machine longer than other tests' timeout.
    options->election_timeout = absl::Seconds(3);
  });
  for (const char* writer : kNames) {
    REQUIRE_OK(nodes[writer].Put("key", writer));
    for (const char* reader : kNames) CHECK(*nodes[reader].Get("key") == writer);
  }
  // More than a link has room for at once.
  WriteBatch large;
  for (int i = 0; i < 12; ++i) large.Put("large" + std::to_string(i), std::string(1 << 20, static_cast<char>('a' + i)));
  REQUIRE_OK(nodes["c"].Write(large));
  for (const char* reader : kNames) CHECK(nodes[reader].Get("large11")->back() == 'l');
  const std::string leader = nodes.AwaitLeader();
  const std::string left = leader == "b" ? "c" : "b";
  nodes.Kill(leader);
  REQUIRE_OK(nodes[left].Put("key", "without"));
  CHECK(*nodes[left].Get("key") == "without");
  const std::string missed = FirstSegment(nodes, left);
  for (int i = 0; FirstSegment(nodes, left) <= missed || i < 20; ++i) {
    REQUIRE(i < 200);
    REQUIRE_OK(nodes[left].Put("large" + std::to_string(i % 5), std::string(1 << 20, 'z')));
  }
  nodes.Start(leader);
  CHECK(*nodes[leader].Get("key") == "without");
  CHECK(nodes[leader].Get("large3")->back() == 'z');
  REQUIRE_OK(nodes[leader].Put("key", "back"));
  CHECK(*nodes[left].Get("key") == "back");
}

namespace {

// What a node has that others do not let in.
std::shared_ptr<PeerTls> WrongTls(const std::string& what, Certificates* certificates) {
  Authority& authority = certificates->authority;
  Authority& foreign = certificates->foreign;
  const CertificateFiles own = authority.Issue("own");
  if (what == "foreign") return MustLoad(authority.file(), foreign.Issue("own"));
  if (what == "unbelieving") return MustLoad(foreign.file(), own);
  if (what == "plain") return nullptr;
  const tls::ContextFiles files{.certificate = own.certificate, .key = own.key, .ca = authority.file()};
  const tls::ContextFiles shown = what == "nothing" ? tls::ContextFiles{.ca = authority.file()} : files;
  auto made = std::make_shared<tls::PeerContexts>(*tls::Context::ForServer(files), *tls::Context::ForClient(shown));
  // It would not be loaded.
  if (what == "expired") {
    ShowCertificate(made->connecting().Get()->get(), authority.Issue("old", {.expired = true}));
  }
  return made;
}

}  // namespace

TEST_CASE("a node that cannot show who it is, or does not believe the others, is not let in, and all are told why") {
  const struct {
    std::string what;
    std::string told;    // to the one that wants to be let in
    std::string logged;  // by the node that was asked
  } rows[] = {
      {"foreign", "TLS failed: the peer refuses: ", "TLS failed: certificate verify failed: "},
      {"nothing", "TLS failed: the peer refuses: ", "TLS failed: peer did not return a certificate"},
      {"expired", "TLS failed: the peer refuses: ", "certificate has expired"},
      {"unbelieving", "TLS failed: certificate verify failed: ", "TLS failed: the peer refuses: "},
      {"plain", "TLS failed: the peer speaks TLS, and this side does not", "TLS failed: the peer does not speak TLS"},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    Certificates certificates;
    Nodes nodes(1, certificates.Adjust());
    ClusterOptions options = nodes.OptionsOf("x");
    options.tls = WrongTls(row.what, &certificates);
    AwaitRefusal(options, row.told);
    AwaitLine(certificates.lines["a"], "peers on ", row.logged);
    CHECK(certificates.lines["x"].Has("not let in yet: ", row.told));
    REQUIRE_OK(nodes["a"].Put("key", "value"));
    CHECK(nodes["a"].GetStatus().members.size() == 1);
  }
}

TEST_CASE("files that are no certificate to show are not loaded, with the reason") {
  Certificates certificates;
  const CertificateFiles own = certificates.authority.Issue("own");
  const CertificateFiles old = certificates.authority.Issue("old", {.expired = true});
  const std::string& ca = certificates.authority.file();
  CHECK_CODE(PeerTls::Load({.ca = ca, .cert = own.certificate, .key = {}}).status(), kInvalidArgument);
  CHECK_CODE(PeerTls::Load({.ca = {}, .cert = own.certificate, .key = own.key}).status(), kInvalidArgument);
  CHECK_CODE(PeerTls::Load({.ca = ca, .cert = own.certificate, .key = old.key}).status(), kInvalidArgument);
  const absl::Status refused = PeerTls::Load({.ca = ca, .cert = old.certificate, .key = old.key}).status();
  CHECK_CODE(refused, kInvalidArgument);
  CHECK(std::string(refused.message()).find("has expired") != std::string::npos);
}

TEST_CASE("a node with TLS is not let in by one without, and both are told why") {
  Certificates certificates;
  Lines lines;
  Nodes nodes(1, [&](const std::string&, ClusterOptions* options) { options->storage.logger = &lines; });
  ClusterOptions options = nodes.OptionsOf("b");
  options.tls = MustLoad(certificates.authority.file(), certificates.authority.Issue("b"));
  AwaitRefusal(options, "TLS failed: the peer does not speak TLS");
  AwaitLine(lines, "peers on ", "TLS failed: the peer speaks TLS, and this side does not");
  REQUIRE_OK(nodes["a"].Put("key", "value"));
}

TEST_CASE(
    "a member that comes back without TLS has no connection, its status says why, and with TLS it has one again") {
  Certificates certificates;
  Nodes nodes(3, certificates.Adjust());
  // Where the others look for it.
  const std::string address = nodes.AddressOf("b");
  nodes.Kill("b");
  ClusterOptions plain = nodes.OptionsOf("b");
  plain.listen = address;
  plain.tls = nullptr;
  const auto await_trouble = [&](const std::string& at, const std::string& of, std::string_view why) {
    INFO(at << " of " << of);
    nodes.Await(at, [&](const ClusterStatus& status) {
      for (const MemberStatus& member : status.members) {
        if (member.name == of && member.trouble.find(why) != std::string::npos) return true;
      }
      return false;
    });
  };
  await_trouble("a", "b", "no connection: cannot connect: nobody accepts there");
  nodes.StartWith("b", plain);
  for (const char* with : {"a", "c"}) {
    await_trouble(with, "b", "no connection: TLS failed: the peer does not speak TLS");
    await_trouble("b", with, "no connection: TLS failed: the peer speaks TLS, and this side does not");
  }
  REQUIRE_OK(nodes["c"].Put("key", "two"));
  CHECK(*nodes["a"].Get("key") == "two");
  nodes.Kill("b");
  nodes.Start("b");
  CHECK(*nodes["b"].Get("key") == "two");
}

TEST_CASE("certificates and authority are replaced while the nodes run") {
  Certificates certificates;
  Nodes nodes(3, certificates.Adjust());
  Authority& next = certificates.foreign;
  // First all believe both authorities, then each shows what the next one has signed.
  const std::string both = nodes.dir().File("both.crt");
  AppendFile(certificates.authority.file(), both);
  AppendFile(next.file(), both);
  for (const char* name : kNames) {
    certificates.tls[name]->Replace(*MustLoad(both, certificates.authority.Issue(name)));
  }
  for (const char* name : kNames) certificates.tls[name]->Replace(*MustLoad(both, next.Issue(name)));
  REQUIRE_OK(nodes["b"].Put("key", "both"));
  // One that comes back knows nothing of the old one, and they nothing else of each other.
  certificates.tls["c"] = nullptr;
  nodes.Kill("c");
  ClusterOptions fresh = nodes.OptionsOf("c");
  fresh.tls = MustLoad(next.file(), next.Issue("c"));
  nodes.StartWith("c", fresh);
  CHECK(*nodes["c"].Get("key") == "both");
  nodes.Kill("a");
  REQUIRE_OK(nodes["c"].Put("key", "next"));
  CHECK(*nodes["b"].Get("key") == "next");
}

TEST_CASE("who is dialed by a name needs a certificate for the name") {
  Certificates certificates;
  Authority& authority = certificates.authority;
  certificates.tls["a"] = MustLoad(authority.file(), authority.Issue("a", {.hosts = "DNS:localhost"}));
  Nodes nodes(1, certificates.Adjust());
  ClusterOptions options = nodes.OptionsOf("b");
  AwaitRefusal(options, "TLS failed: certificate verify failed: IP address mismatch");
  const std::string address = nodes.AddressOf("a");
  options.join = {"localhost" + address.substr(address.rfind(':'))};
  nodes.StartWith("b", options);
  nodes.AwaitVoters("a", 2);
  REQUIRE_OK(nodes["b"].Put("key", "value"));
  CHECK(*nodes["a"].Get("key") == "value");
}

}  // namespace bandb::test
