#include "resp/reply_writer.h"

#include <functional>
#include <string>

#include "support/catch.h"

namespace bandb::test {

using resp::ReplyWriter;

TEST_CASE("replies are written in the version of the client") {
  const std::string binary("\r\n\0\xff", 4);
  const struct {
    std::function<void(ReplyWriter&)> write;
    std::string version2;
    std::string version3;
  } rows[] = {
      {[](auto& w) { w.Ok(); }, "+OK\r\n", "+OK\r\n"},
      {[](auto& w) { w.Simple("PONG"); }, "+PONG\r\n", "+PONG\r\n"},
      {[](auto& w) { w.Error("ERR no"); }, "-ERR no\r\n", "-ERR no\r\n"},
      {[](auto& w) { w.Integer(0); }, ":0\r\n", ":0\r\n"},
      {[](auto& w) { w.Integer(INT64_MIN); }, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
      {[](auto& w) { w.Bulk(""); }, "$0\r\n\r\n", "$0\r\n\r\n"},
      {[&](auto& w) { w.Bulk(binary); }, "$4\r\n" + binary + "\r\n", "$4\r\n" + binary + "\r\n"},
      {[](auto& w) { w.Null(); }, "$-1\r\n", "_\r\n"},
      {[](auto& w) { w.NullArray(); }, "*-1\r\n", "_\r\n"},
      {[](auto& w) { w.ArrayHead(0); }, "*0\r\n", "*0\r\n"},
      {[](auto& w) { w.ArrayHead(12); }, "*12\r\n", "*12\r\n"},
      {[](auto& w) { w.SetHead(2); }, "*2\r\n", "~2\r\n"},
      {[](auto& w) { w.MapHead(3); }, "*6\r\n", "%3\r\n"},
      {[](auto& w) { w.Verbatim("txt", "hi"); }, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
      {[](auto& w) { w.Raw(":1\r\n"); }, ":1\r\n", ":1\r\n"},
  };
  for (const auto& row : rows) {
    for (const int version : {2, 3}) {
      std::string written = "before";
      ReplyWriter writer(&written, version);
      row.write(writer);
      CHECK(written == "before" + (version == 2 ? row.version2 : row.version3));
      CHECK(writer.bytes() == written.size());
    }
  }
}

TEST_CASE("an error stays one line, whatever is quoted in it") {
  std::string written;
  ReplyWriter(&written, 2).Error("ERR 'a\r\n+OK\r\nb\n' is wrong");
  CHECK(written == "-ERR 'a  +OK  b ' is wrong\r\n");
}

}  // namespace bandb::test
