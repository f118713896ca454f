#include "base/escape.h"

#include <set>
#include <string>

#include "base/random.h"
#include "support/catch.h"
#include "support/random_data.h"

namespace bandb::base {

TEST_CASE("what prints stays, and what does not is escaped") {
  CHECK(Escape("plain text, 1 + 1 = 2") == "plain text, 1 + 1 = 2");
  CHECK(Escape(std::string("a\0b\n\r\t\x1b\x7f", 8)) == "a\\x00b\\n\\r\\t\\x1b\\x7f");
  CHECK(Escape("C:\\n") == "C:\\\\n");
  CHECK(Escape("Gr\xc3\xbc\xc3\x9f"
               "e \xe2\x82\xac \xf0\x9f\x99\x82") ==
        "Gr\xc3\xbc\xc3\x9f"
        "e \xe2\x82\xac \xf0\x9f\x99\x82");
}

TEST_CASE("bytes that are no UTF-8, and characters that spoil a line, are escaped") {
  CHECK(Escape("\xff\xfe") == "\\xff\\xfe");
  CHECK(Escape("\xc3") == "\\xc3");                             // cut off
  CHECK(Escape("\xc0\xaf") == "\\xc0\\xaf");                    // longer than need be
  CHECK(Escape("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // half of a surrogate pair
  CHECK(Escape("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // beyond the last character
  CHECK(Escape("\xc2\x85") == "\\xc2\\x85");                    // next line
  CHECK(Escape("\xe2\x80\xa8") == "\\xe2\\x80\\xa8");           // line separator
  CHECK(Escape("\xe2\x80\xae") == "\\xe2\\x80\\xae");           // right to left from here
  // All marks of direction, and none of their neighbours.
  constexpr uint32_t kMarks[] = {0x061c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c,
                                 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069};
  const auto encoded = [](uint32_t character) {
    std::string bytes;
    if (character < 0x800) {
      bytes = {static_cast<char>(0xc0 | character >> 6), static_cast<char>(0x80 | (character & 0x3f))};
    } else {
      bytes = {static_cast<char>(0xe0 | character >> 12), static_cast<char>(0x80 | (character >> 6 & 0x3f)),
               static_cast<char>(0x80 | (character & 0x3f))};
    }
    return bytes;
  };
  for (const uint32_t mark : kMarks) {
    CAPTURE(mark);
    CHECK(Escape(encoded(mark)).substr(0, 2) == "\\x");
    CHECK(EscapeJson(encoded(mark)).substr(0, 3) == "\\\\x");
  }
  for (const uint32_t neighbour : {0x061bU, 0x061dU, 0x200dU, 0x2010U, 0x2027U, 0x202fU, 0x2065U, 0x206aU}) {
    CAPTURE(neighbour);
    CHECK(Escape(encoded(neighbour)) == encoded(neighbour));
  }
}

TEST_CASE("a long text is cut, and says how long it was") {
  CHECK(Escape("abcdef", 3) == "abc... (6 bytes)");
  CHECK(Escape("abc", 3) == "abc");
  CHECK(Escape("\xc3\xbc", 1) == "\\xc3... (2 bytes)");
}

TEST_CASE("JSON is quoted on top") {
  CHECK(EscapeJson("say \"hi\"\n\\") == "say \\\"hi\\\"\\\\n\\\\\\\\");
  CHECK(EscapeJson("\xff") == "\\\\xff");
}

TEST_CASE("different bytes never look the same, and the text is of one line") {
  Random random(3);
  std::set<std::string> bytes, texts;
  for (int i = 0; i < 5000; ++i) {
    const std::string one = test::RandomBytes(&random, random.Uniform(4));
    const std::string text = Escape(one);
    for (const char c : text) CHECK((static_cast<uint8_t>(c) >= 0x20 && c != 0x7f));
    bytes.insert(one);
    texts.insert(text);
  }
  CHECK(bytes.size() == texts.size());
}

}  // namespace bandb::base
