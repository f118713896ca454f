#include "resp/reply_writer.h"

#include <array>
#include <charconv>

namespace bandb::resp {

void ReplyWriter::Head(char type, int64_t number) {
  std::array<char, 24> digits;
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  to_->push_back(type);
  to_->append(digits.data(), static_cast<size_t>(end - digits.data()));
  to_->append("\r\n");
}

void ReplyWriter::Simple(std::string_view text) { to_->append("+").append(text).append("\r\n"); }

void ReplyWriter::Error(std::string_view text) {
  to_->push_back('-');
  for (const char c : text) to_->push_back(c == '\r' || c == '\n' ? ' ' : c);
  to_->append("\r\n");
}

void ReplyWriter::Integer(int64_t number) { Head(':', number); }

void ReplyWriter::Bulk(std::string_view bytes) {
  Head('$', static_cast<int64_t>(bytes.size()));
  to_->append(bytes).append("\r\n");
}

void ReplyWriter::Null() { to_->append(version_ >= 3 ? "_\r\n" : "$-1\r\n"); }

void ReplyWriter::NullArray() { to_->append(version_ >= 3 ? "_\r\n" : "*-1\r\n"); }

void ReplyWriter::ArrayHead(size_t count) { Head('*', static_cast<int64_t>(count)); }

void ReplyWriter::SetHead(size_t count) { Head(version_ >= 3 ? '~' : '*', static_cast<int64_t>(count)); }

void ReplyWriter::MapHead(size_t count) {
  version_ >= 3 ? Head('%', static_cast<int64_t>(count)) : Head('*', static_cast<int64_t>(2 * count));
}

void ReplyWriter::Verbatim(std::string_view format, std::string_view text) {
  if (version_ < 3) return Bulk(text);
  Head('=', static_cast<int64_t>(text.size() + format.size() + 1));
  to_->append(format).append(":").append(text).append("\r\n");
}

}  // namespace bandb::resp
