// Where the keys of a prefix end.
#include <string>

#include "bandb/iterator.h"
#include "support/catch.h"

namespace bandb {

TEST_CASE("the limit of a prefix is the first key after all that begin with it") {
  CHECK(PrefixLimit("a") == "b");
  CHECK(PrefixLimit("user:") == "user;");
  CHECK(PrefixLimit(std::string("a\0", 2)) == "a\x01");
  CHECK(PrefixLimit("a\x7f") == "a\x80");
  CHECK(PrefixLimit("a\xff\xff") == "b");
  CHECK(PrefixLimit("a\xfe\xff") == "a\xff");
  // Where nothing comes after them.
  CHECK(PrefixLimit("").empty());
  CHECK(PrefixLimit("\xff\xff").empty());
}

TEST_CASE("keys lie within a prefix and its limit exactly if they begin with it") {
  static constexpr char kBytes[] = {'\0', 'a', '\x7f', '\xfe', '\xff'};
  std::string keys[1 + 5 + 25 + 125];
  size_t count = 1;
  for (size_t from = 0; count < std::size(keys); ++from) {
    for (const char byte : kBytes) keys[count++] = keys[from] + byte;
  }
  for (const std::string& prefix : keys) {
    const std::string limit = PrefixLimit(prefix);
    for (const std::string& key : keys) {
      const bool within = key >= prefix && (limit.empty() || key < limit);
      REQUIRE(within == key.starts_with(prefix));
    }
  }
}

}  // namespace bandb
