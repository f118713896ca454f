// Replies of Redis' protocol, in version 2 or 3.
#ifndef BANDB_RESP_REPLY_WRITER_H_
#define BANDB_RESP_REPLY_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bandb::resp {

// Appends to a string. Where version 2 has no such type it writes what Redis writes instead.
class ReplyWriter {
 public:
  ReplyWriter(std::string* to, int version) : to_(to), version_(version) {}

  int version() const { return version_; }
  size_t bytes() const { return to_->size(); }

  void Ok() { to_->append("+OK\r\n"); }
  void Simple(std::string_view text);
  // The whole text, with its code: "ERR ...". Line ends in it become blanks.
  void Error(std::string_view text);
  void Integer(int64_t number);
  void Bulk(std::string_view bytes);
  void Null();
  void NullArray();
  void ArrayHead(size_t count);
  void SetHead(size_t count);
  // In version 2 an array of twice as many.
  void MapHead(size_t count);
  // Text for people, in version 3 with its format of three letters.
  void Verbatim(std::string_view format, std::string_view text);
  // A whole reply that was written before.
  void Raw(std::string_view reply) { to_->append(reply); }

 private:
  void Head(char type, int64_t number);

  std::string* const to_;
  const int version_;
};

}  // namespace bandb::resp

#endif  // BANDB_RESP_REPLY_WRITER_H_
