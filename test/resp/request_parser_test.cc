#include "resp/request_parser.h"

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

using resp::Parsed;
using resp::ParserLimits;
using resp::RequestParser;

// What a stream asks for: each request as its words with "|" between them, and the error that ends
// it, if there is one.
using Requests = std::vector<std::string>;

std::string Joined(const std::vector<std::string_view>& words) {
  std::string joined;
  for (const std::string_view word : words) joined.append(joined.empty() ? "" : "|").append(word);
  return joined;
}

// Gives the stream to a parser as a connection would, `piece` bytes more each time. What was given
// lies in memory of just that size, so that a look beyond it is seen by the address sanitizer.
Requests ParseInPieces(std::string_view stream, size_t piece, const ParserLimits& limits = {}) {
  RequestParser parser(limits);
  Requests requests;
  size_t taken = 0, given = 0;
  while (given < stream.size()) {
    given = std::min(stream.size(), given + piece);
    while (true) {
      const std::vector<char> bytes(stream.begin() + static_cast<std::ptrdiff_t>(taken),
                                    stream.begin() + static_cast<std::ptrdiff_t>(given));
      size_t used = 0;
      const Parsed parsed = parser.Parse({bytes.data(), bytes.size()}, &used);
      if (parsed == Parsed::kIncomplete) break;
      if (parsed == Parsed::kError) {
        requests.push_back("error " + parser.error());
        return requests;
      }
      REQUIRE(used > 0);
      REQUIRE(used <= bytes.size());
      if (parsed == Parsed::kRequest) {
        REQUIRE_FALSE(parser.arguments().empty());
        requests.push_back(Joined(parser.arguments()));
      }
      taken += used;
    }
  }
  return requests;
}

Requests Parse(std::string_view stream, const ParserLimits& limits = {}) {
  Requests whole = ParseInPieces(stream, stream.size(), limits);
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}}) {
    CHECK(ParseInPieces(stream, piece, limits) == whole);
  }
  return whole;
}

Requests Error(const std::string& text) { return {"error Protocol error: " + text}; }

}  // namespace

TEST_CASE("requests are the same in whatever pieces they come") {
  CHECK(Parse("*1\r\n$4\r\nPING\r\n") == Requests{"PING"});
  CHECK(Parse("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\n\r\n*1\r\n*1\r\n$4\r\nPING\r\n") ==
        Requests{"SET|a|\r\n*1", "PING"});
  CHECK(Parse("*2\r\n$3\r\nGET\r\n$0\r\n\r\n") == Requests{"GET|"});
  // An array of nothing, and one of less, ask for nothing.
  CHECK(Parse("*0\r\n*-1\r\n*-100\r\n\r\n\n  \r\nPING\r\n") == Requests{"PING"});
  // Only the length counts: what is where a line should end is not looked at.
  CHECK(Parse("*1\r\n$4\r\nPINGxy*1\rz$1\rzaxy") == Requests{"PING", "a"});
}

TEST_CASE("an unfinished request is none") {
  CHECK(Parse("*").empty());
  CHECK(Parse("*2\r\n$3\r\nGET\r\n").empty());
  CHECK(Parse("*1\r\n$4\r\nPING\r").empty());
  CHECK(Parse("PING\r").empty());
}

TEST_CASE("lines of words are taken apart as people write them") {
  CHECK(Parse("PING\r\nPING\n") == Requests{"PING", "PING"});
  CHECK(Parse("  set\ta  \x0b'b c' \"d \\\"e\\\" \\x41\\n\\q\"\r\n") == Requests{"set|a|b c|d \"e\" A\nq"});
  CHECK(Parse("a 'it\\'s \\n'\r\n") == Requests{"a|it's \\n"});
  CHECK(Parse("a \"\" ''\r\n") == Requests{"a||"});
  CHECK(Parse("a \"\\x4g\" b\"c d\"\r\n") == Requests{"a|x4g|bc d"});
  CHECK(Parse(std::string_view("a b\0c d\r\n", 9)) == Requests{"a|b"});
  for (const char* line : {"a \"open\r\n", "a 'open\r\n", "a 'b'c\r\n", "a \"b\"c\r\n", "a \"b\\\"\r\n"}) {
    CHECK(Parse(line) == Error("unbalanced quotes in request"));
  }
}

TEST_CASE("what cannot be a request is told in Redis' words") {
  CHECK(Parse("*x\r\n") == Error("invalid multibulk length"));
  CHECK(Parse("*\r\n") == Error("invalid multibulk length"));
  CHECK(Parse("*01\r\n") == Error("invalid multibulk length"));
  CHECK(Parse("*1\r\n+PING\r\n") == Error("expected '$', got '+'"));
  CHECK(Parse("*2\r\n$1\r\na\r\n*1\r\n") == Error("expected '$', got '*'"));
  CHECK(Parse("*1\r\n$x\r\n") == Error("invalid bulk length"));
  CHECK(Parse("*1\r\n$-1\r\n") == Error("invalid bulk length"));
  CHECK(Parse("*1\r\n$ 1\r\n") == Error("invalid bulk length"));
}

TEST_CASE("lengths and counts of any size are refused at their line, with nothing kept for them") {
  const ParserLimits limits{.bulk_bytes_max = 100, .arguments_max = 10, .request_bytes_max = 200};
  for (const char* count :
       {"11", "1000000000", "2147483647", "9223372036854775807", "9223372036854775808", "99999999999999999999999999"}) {
    CHECK(Parse("*" + std::string(count) + "\r\n", limits) == Error("invalid multibulk length"));
  }
  for (const char* length : {"101", "1073741824", "4294967296", "9223372036854775807", "18446744073709551615"}) {
    CHECK(Parse("*2\r\n$1\r\na\r\n$" + std::string(length) + "\r\n", limits) == Error("invalid bulk length"));
  }
  // The most that is allowed.
  CHECK(Parse("*1\r\n$100\r\n" + std::string(100, 'x') + "\r\n", limits) == Requests{std::string(100, 'x')});
  std::string ten = "*10\r\n";
  for (int i = 0; i < 10; i++) ten += "$1\r\na\r\n";
  CHECK(Parse(ten, limits) == Requests{"a|a|a|a|a|a|a|a|a|a"});
  // Each argument fits, but not all of them together.
  const std::string part = "$90\r\n" + std::string(90, 'x') + "\r\n";
  CHECK(Parse("*3\r\n" + part + part + part, limits) == Error("invalid bulk length"));
}

TEST_CASE("other limits hold from the next bytes on, and name themselves") {
  RequestParser parser({.bulk_bytes_max = 10, .arguments_max = 2, .line_bytes_max = 20, .wrong = "unauthenticated"});
  size_t used = 0;
  CHECK(parser.Parse("*3\r\n", &used) == Parsed::kError);
  CHECK(parser.error() == "Protocol error: unauthenticated multibulk length");
  CHECK(parser.Parse("*1\r\n$11\r\n", &used) == Parsed::kError);
  CHECK(parser.error() == "Protocol error: unauthenticated bulk length");
  CHECK(parser.Parse("*1\r\n$x\r\n", &used) == Parsed::kError);
  CHECK(parser.error() == "Protocol error: invalid bulk length");
  CHECK(parser.Parse(std::string(21, 'x'), &used) == Parsed::kError);
  CHECK(parser.error() == "Protocol error: too big inline request");
  parser.SetLimits({});
  CHECK(parser.Parse("*3\r\n", &used) == Parsed::kIncomplete);
}

TEST_CASE("a line without an end is given up after 64 KiB") {
  const std::string endless(70000, '1');
  CHECK(ParseInPieces(endless, 1000) == Error("too big inline request"));
  CHECK(ParseInPieces("*" + endless, 1000) == Error("too big mbulk count string"));
  CHECK(ParseInPieces("*1\r\n$" + endless, 1000) == Error("too big bulk count string"));
  CHECK(ParseInPieces("*1\r\n" + endless, 1000) == Error("too big bulk count string"));
}

TEST_CASE("a count that is allowed costs nothing before its arguments are there") {
  RequestParser parser({});
  std::string bytes = "*1000000\r\n";
  size_t used = 0;
  CHECK(parser.Parse(bytes, &used) == Parsed::kIncomplete);
  CHECK(parser.held_bytes() == 0);
  for (int i = 0; i < 1000; i++) bytes += "$0\r\n\r\n";
  CHECK(parser.Parse(bytes, &used) == Parsed::kIncomplete);
  CHECK(parser.held_bytes() > 1000);
  CHECK(parser.held_bytes() < 100000);
}

TEST_CASE("what many arguments took is given back with the next request") {
  RequestParser parser({});
  std::string bytes = "*10000\r\n";
  for (int i = 0; i < 10000; i++) bytes += "$0\r\n\r\n";
  size_t used = 0;
  REQUIRE(parser.Parse(bytes, &used) == Parsed::kRequest);
  CHECK(parser.arguments().size() == 10000);
  CHECK(parser.held_bytes() > 10000);
  REQUIRE(parser.Parse("*1\r\n$4\r\nPING\r\n", &used) == Parsed::kRequest);
  CHECK(parser.held_bytes() == 0);
}

TEST_CASE("the length of a request is announced by the header of its last argument") {
  RequestParser parser({});
  const std::string head = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\n";
  size_t used = 0;
  for (size_t given = 1; given <= head.size() + 1001; given++) {
    const std::string bytes = head + std::string(1002, 'x');
    REQUIRE(parser.Parse(std::string_view(bytes).substr(0, given), &used) == Parsed::kIncomplete);
    CHECK(parser.announced_bytes() == (given < head.size() ? 0 : head.size() + 1002));
  }
  // Given up, it leaves nothing: the next bytes are those after it.
  parser.Restart();
  CHECK(parser.announced_bytes() == 0);
  CHECK(parser.Parse("PING\r\n", &used) == Parsed::kRequest);
  CHECK(used == 6);
}

TEST_CASE("noise of any kind is a request, an error, or unfinished, in whatever pieces") {
  base::Random random(1);
  const std::string_view parts[] = {"*1\r\n",   "*2\r\n", "$3\r\n", "abc\r\n", "$0\r\n",  "\r\n",
                                    "'",        "\"",     "\\x4",   " ",       "*-1\r\n", "$5\r\nhello\r\n",
                                    "PING\r\n", "\r",     "\n",     "*",       "$",       "9"};
  for (int round = 0; round < 2000; round++) {
    std::string stream;
    for (uint64_t i = random.Uniform(12); i > 0; i--) stream += parts[random.Uniform(std::size(parts))];
    if (random.OneIn(3)) stream += static_cast<char>(random.Next());
    if (!stream.empty()) Parse(stream, {.bulk_bytes_max = 50, .arguments_max = 5, .request_bytes_max = 80});
  }
}

TEST_CASE("numbers are taken as Redis takes them") {
  const struct {
    const char* text;
    bool taken;
    int64_t number;
  } rows[] = {{"0", true, 0},
              {"-1", true, -1},
              {"9223372036854775807", true, INT64_MAX},
              {"-9223372036854775808", true, INT64_MIN},
              {"9223372036854775808", false, 0},
              {"", false, 0},
              {"-", false, 0},
              {"-0", false, 0},
              {"01", false, 0},
              {"+1", false, 0},
              {" 1", false, 0},
              {"1 ", false, 0},
              {"1.0", false, 0},
              {"0x1", false, 0}};
  for (const auto& row : rows) {
    int64_t number = 0;
    INFO(row.text);
    REQUIRE(resp::ParseNumber(row.text, &number) == row.taken);
    if (row.taken) CHECK(number == row.number);
  }
}

}  // namespace bandb::test
