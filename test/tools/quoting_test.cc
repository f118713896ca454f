#include "quoting.h"

#include <string>
#include <string_view>

#include "support/catch.h"

namespace bandb::cli {
namespace {

TEST_CASE("whatever is quoted is unquoted to the same bytes") {
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte += static_cast<char>(i);
  for (const std::string& bytes : {every_byte, std::string(), std::string("caf\xc3\xa9"), std::string("\xe2\x82")}) {
    const std::string quoted = Quote(bytes) + " rest";
    std::string_view text = quoted;
    std::string back;
    REQUIRE(Unquote(&text, &back));
    CHECK(back == bytes);
    CHECK(text == " rest");
  }
}

TEST_CASE("printable UTF-8 stays readable and what is invisible or broken is escaped") {
  CHECK(Quote("caf\xc3\xa9 \xe6\x97\xa5") == "\"caf\xc3\xa9 \xe6\x97\xa5\"");
  CHECK(Quote("\xe2\x80\xae") == R"("\xe2\x80\xae")");          // turns the direction of text
  CHECK(Quote("\xc2\x9b") == R"("\xc2\x9b")");                  // a control character of eight bits
  CHECK(Quote("\xc0\x80") == R"("\xc0\x80")");                  // overlong
  CHECK(Quote("\xed\xa0\x80") == R"("\xed\xa0\x80")");          // a surrogate
  CHECK(Quote("\xf4\x90\x80\x80") == R"("\xf4\x90\x80\x80")");  // beyond Unicode
  CHECK(Quote(std::string_view("\0\x7f\n\t\"\\", 6)) == R"("\x00\x7f\n\t\"\\")");
}

TEST_CASE("a string that is not closed, or whose escape does not exist, is not unquoted") {
  for (const std::string_view bad : {"", "plain", "\"open", "\"\\q\"", "\"\\x1\"", "\"\\x1g\"", "\"\\"}) {
    std::string_view text = bad;
    std::string bytes = "untouched";
    CHECK_FALSE(Unquote(&text, &bytes));
    CHECK(text == bad);
    CHECK(bytes == "untouched");
  }
}

TEST_CASE("text with escapes is unescaped, and text with a wrong one is refused") {
  std::string bytes;
  REQUIRE(Unescape(R"(a\t\x00\\b")", &bytes));
  CHECK(bytes == std::string("a\t\0\\b\"", 6));
  REQUIRE(Unescape("", &bytes));
  CHECK(bytes.empty());
  for (const std::string_view bad : {"\\", "\\q", "\\x1"}) CHECK_FALSE(Unescape(bad, &bytes));
}

}  // namespace
}  // namespace bandb::cli
