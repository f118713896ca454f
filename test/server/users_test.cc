// Users: the file that tells them, and what their grants cover.
#include "server/users.h"

#include <string>

#include "server/session.h"
#include "support/catch.h"
#include "tls/token.h"

namespace bandb::test {
namespace {

using server::Access;
using server::Grants;
using server::UserTable;

Grants GrantsOf(const std::vector<std::string>& allows) {
  Grants grants;
  for (const std::string& allow : allows) REQUIRE_OK(grants.Add(allow));
  return grants;
}

server::User UserWith(const std::string& name, const std::string& token, const std::vector<std::string>& allows) {
  return {name, tls::DigestOf(token), GrantsOf(allows)};
}

std::string ComplaintAbout(const std::string& text) {
  const absl::StatusOr<UserTable> table = UserTable::Parse(text, "users");
  REQUIRE_CODE(table.status(), kInvalidArgument);
  return std::string(table.status().message());
}

const std::string kToken = "token = 'sha256:" + std::string(64, 'a') + "'\n";

}  // namespace

TEST_CASE("a token is long, never the same twice, and known by its SHA-256") {
  const absl::StatusOr<std::string> one = tls::NewToken();
  const absl::StatusOr<std::string> other = tls::NewToken();
  REQUIRE_OK(one.status());
  REQUIRE_OK(other.status());
  CHECK(one->size() == 6 + 43);
  CHECK(*one != *other);
  for (const std::string& text : {*one, "app:" + *one, "\"" + *one + "\"\n"}) CHECK(tls::HoldsToken(text));
  for (const char* other_text : {"", "bandb_app", "a-name-that-is-as-long-as-a-token-would-be-of-this-kind"}) {
    CHECK_FALSE(tls::HoldsToken(other_text));
  }
  // FIPS 180-4, of "abc".
  CHECK(tls::DigestOf("abc").substr(0, 4) == "\xba\x78\x16\xbf");
  CHECK(tls::AreSameDigest(tls::DigestOf(*one), tls::DigestOf(*one)));
  CHECK_FALSE(tls::AreSameDigest(tls::DigestOf(*one), tls::DigestOf(*other)));
}

TEST_CASE("nothing is allowed that no grant names") {
  const Grants none;
  CHECK_FALSE(none.Has(Access::kRead));
  CHECK_FALSE(none.Cover(Access::kRead, ""));
  CHECK_FALSE(none.CoverRange(Access::kRead, "a", "a"));
  CHECK_FALSE(none.may_administer());
  const Grants some = GrantsOf({"read:a/", "write:b/", "read,write:c/"});
  CHECK(some.Cover(Access::kRead, "a/"));
  CHECK(some.Cover(Access::kRead, "a/x"));
  CHECK_FALSE(some.Cover(Access::kRead, "a"));
  CHECK_FALSE(some.Cover(Access::kRead, "a0"));
  CHECK_FALSE(some.Cover(Access::kWrite, "a/x"));
  CHECK_FALSE(some.Cover(Access::kRead, "b/x"));
  CHECK(some.Cover(Access::kWrite, "b/x"));
  CHECK(some.Cover(Access::kRead, "c/x"));
  CHECK(some.Cover(Access::kWrite, "c/x"));
  CHECK_FALSE(some.may_administer());
  const Grants operator_alone = GrantsOf({"admin"});
  CHECK(operator_alone.may_administer());
  CHECK_FALSE(operator_alone.Has(Access::kRead));
  CHECK_FALSE(operator_alone.Has(Access::kWrite));
}

TEST_CASE("a range must lie within one grant, whatever its ends look like") {
  const Grants grants = GrantsOf({"read:a/", "read:a0", "read:\\xff\\xff"});
  const struct {
    const char* begin;
    const char* limit;
    bool covered;
  } rows[] = {
      {"a/", "a0", true},
      {"a/b", "a/c", true},
      {"a/", "a/", true},
      {"a/", "a00", false},
      {"a/", "", false},
      {"", "a0", false},
      {"", "", false},
      {"a", "a0", false},
      {"a/z", "a0\x01", false},
      {"a/z", "a/b", true},  // inverted: empty
      {"z", "a/", false},
      {"\xff\xff", "", true},
      {"\xff\xff\x01", "\xff\xff\x02", true},
      {"\xff", "", false},
      {"\xfe", "\xff\xff\x01", false},
  };
  for (const auto& row : rows) {
    INFO(row.begin << " to " << row.limit);
    CHECK(grants.CoverRange(Access::kRead, row.begin, row.limit) == row.covered);
    CHECK_FALSE(grants.CoverRange(Access::kWrite, row.begin, row.limit));
  }
  const Grants all = GrantsOf({"read"});
  for (const auto& row : rows) CHECK(all.CoverRange(Access::kRead, row.begin, row.limit));
  CHECK(grants.CoverPrefix(Access::kRead, "a/b"));
  CHECK_FALSE(grants.CoverPrefix(Access::kRead, "a"));
}

TEST_CASE("what a user may be allowed has one form") {
  for (const char* wrong : {"", "reed", "read,", ",read", "read write", "admin:a", "read,admin:a", "read:\\",
                            "read:\\x1", "read:\\q", "read:a'b", "read:a\nb", "READ", "read:", "read,write:"}) {
    INFO(wrong);
    Grants grants;
    CHECK_CODE(grants.Add(wrong), kInvalidArgument);
    CHECK(grants.texts().empty());
  }
  CHECK(GrantsOf({"read:\\x00\\\\\\n:"}).Cover(Access::kRead, std::string("\0\\\n:z", 5)));
}

TEST_CASE("a file of users is read as it was written, and holds no token") {
  UserTable table;
  REQUIRE_OK(table.Add(UserWith("alice", "secret", {"read,write:a/\\x27", "admin"})));
  REQUIRE_OK(table.Add(UserWith("bob", "other", {})));
  CHECK_CODE(table.Add(UserWith("bob", "third", {})), kAlreadyExists);
  CHECK_CODE(table.Add(UserWith("no blanks", "x", {})), kInvalidArgument);
  const std::string text = table.ToText();
  CHECK(text.find("secret") == std::string::npos);
  const absl::StatusOr<UserTable> read = UserTable::Parse(text, "users");
  REQUIRE_OK(read.status());
  CHECK(read->ToText() == text);
  REQUIRE(read->Find("alice") != nullptr);
  CHECK(read->Find("alice")->digest == tls::DigestOf("secret"));
  CHECK(read->Find("alice")->grants.Cover(Access::kWrite, "a/'"));
  CHECK(read->Find("carol") == nullptr);
  CHECK(table.Remove("bob"));
  CHECK_FALSE(table.Remove("bob"));
}

TEST_CASE("a file of users that is wrong anywhere is refused with the line") {
  CHECK(ComplaintAbout("[a b]\n").substr(0, 8) == "users:1:");
  CHECK(ComplaintAbout("\n# x\n" + kToken) == "users:3: [NAME] must come first");
  CHECK(ComplaintAbout("[a]\ntoken = 'sha256:12'\n").substr(0, 8) == "users:2:");
  CHECK(ComplaintAbout("[a]\n" + kToken + kToken) == "users:3: a second token");
  CHECK(ComplaintAbout("[a]\n" + kToken) == "users:3: the user before has no allow");
  CHECK(ComplaintAbout("[a]\nallow = []\n[b]\n") == "users:3: the user before has no token");
  CHECK(ComplaintAbout("[a]\n" + kToken + "allow = ['reed']\n").substr(0, 8) == "users:3:");
  CHECK(ComplaintAbout("[a]\n" + kToken + "allow = ['read' 'write']\n").substr(0, 8) == "users:3:");
  CHECK(ComplaintAbout("[a]\n" + kToken + "password = 'x'\n").substr(0, 8) == "users:3:");
  const std::string two = "[a]\n" + kToken + "allow = ['read']\n[a]\n" + kToken + "allow = ['read']\n";
  CHECK(ComplaintAbout(two) == "users:7: there is a user a already");
  REQUIRE_OK(UserTable::Parse("[a]\nallow = [\"read:x\", 'write']\r\n" + kToken, "users").status());
}

TEST_CASE("a file that was cut anywhere within a user is refused") {
  const std::string text = "[alice]\n" + kToken + "allow = ['read', 'admin']\n";
  for (size_t size = 1; size < text.size(); size++) {
    INFO(size);
    CHECK_CODE(UserTable::Parse(text.substr(0, size), "users").status(), kInvalidArgument);
  }
}

TEST_CASE("a session is nobody until it logs in, and again once its user is gone") {
  UserTable table;
  REQUIRE_OK(table.Add(UserWith("alice", "a", {"read"})));
  REQUIRE_OK(table.Add(UserWith("bob", "b", {"write"})));
  server::UserRegistry users(table);
  server::Session session(&users);
  CHECK(session.is_nobody());
  CHECK(session.Admit(server::Permission::kNone).code == 0);
  CHECK(session.Admit(server::Permission::kUser).code == 16);
  CHECK_FALSE(session.user()->grants.Has(Access::kRead));
  CHECK_FALSE(session.LogIn("alice", "b"));
  CHECK_FALSE(session.LogIn("carol", ""));
  CHECK_FALSE(session.LogIn("", ""));
  CHECK(session.LogIn("alice", "a"));
  CHECK(session.Admit(server::Permission::kRead).code == 0);
  CHECK(session.Admit(server::Permission::kWrite).code == 7);
  CHECK(session.Admit(server::Permission::kAdmin).code == 7);
  // A wrong login changes nothing.
  CHECK_FALSE(session.LogIn("bob", "a"));
  CHECK(session.name() == "alice");

  SECTION("whose grants changed has those from the next request on") {
    table.Remove("alice");
    REQUIRE_OK(table.Add(UserWith("alice", "a", {"write"})));
    users.Replace(table);
    CHECK(session.Admit(server::Permission::kWrite).code == 0);
    CHECK(session.Admit(server::Permission::kRead).code == 7);
  }
  SECTION("whose token changed is nobody") {
    table.Remove("alice");
    REQUIRE_OK(table.Add(UserWith("alice", "z", {"read"})));
    users.Replace(table);
    CHECK(session.Admit(server::Permission::kRead).code == 16);
    CHECK(session.is_nobody());
  }
  SECTION("who was revoked is nobody, and is so still when the name comes back") {
    table.Remove("alice");
    users.Replace(table);
    CHECK(session.Admit(server::Permission::kRead).code == 16);
    REQUIRE_OK(table.Add(UserWith("alice", "a", {"read"})));
    users.Replace(table);
    CHECK(session.Admit(server::Permission::kRead).code == 16);
  }
}

TEST_CASE("without users everything is allowed") {
  server::Session session;
  CHECK_FALSE(session.is_nobody());
  CHECK(session.Admit(server::Permission::kAdmin).code == 0);
  CHECK(session.user() == nullptr);
}

}  // namespace bandb::test
