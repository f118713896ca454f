#include "resp/request_parser.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace bandb::resp {

namespace {

// Of a line, and of a header.
constexpr size_t kLineBytesMax = 64 << 10;
// Room for more arguments than these is given back after their request.
constexpr size_t kArgumentsKept = 64;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r'; }

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char Unescaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// The rest of a word in quotes, from after the opening one; false if it does not end well.
bool TakeQuoted(std::string_view line, size_t* at, char quote, std::string* word) {
  for (size_t i = *at; i < line.size(); ++i) {
    const char c = line[i];
    if (c == quote) {
      *at = i + 1;
      // The closing quote must end the word.
      return *at == line.size() || IsBlank(line[*at]);
    }
    if (c != '\\' || i + 1 == line.size()) {
      word->push_back(c);
      continue;
    }
    if (quote == '\'') {
      if (line[i + 1] == '\'') i++;
      word->push_back(line[i]);
      continue;
    }
    if (line[i + 1] == 'x' && i + 3 < line.size() && HexDigit(line[i + 2]) >= 0 && HexDigit(line[i + 3]) >= 0) {
      word->push_back(static_cast<char>(HexDigit(line[i + 2]) * 16 + HexDigit(line[i + 3])));
      i += 3;
      continue;
    }
    word->push_back(Unescaped(line[++i]));
  }
  return false;
}

}  // namespace

bool ParseNumber(std::string_view text, int64_t* number) {
  const std::string_view digits = !text.empty() && text[0] == '-' ? text.substr(1) : text;
  if (digits.empty() || (digits[0] == '0' && text.size() > 1)) return false;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), *number);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

bool SplitWords(std::string_view line, std::deque<std::string>* words) {
  words->clear();
  size_t at = 0;
  while (true) {
    while (at < line.size() && IsBlank(line[at])) at++;
    // A NUL ends the line, as it ends a string in C.
    if (at == line.size() || line[at] == '\0') return true;
    std::string& word = words->emplace_back();
    while (at < line.size() && line[at] != '\0' && !IsBlank(line[at])) {
      const char c = line[at++];
      if (c != '"' && c != '\'') {
        word.push_back(c);
      } else if (!TakeQuoted(line, &at, c, &word)) {
        return false;
      }
    }
  }
}

void RequestParser::Restart() {
  at_ = 0;
  counted_ = false;
  left_ = 0;
  bulk_bytes_ = -1;
  pieces_.clear();
  if (pieces_.capacity() > kArgumentsKept) std::vector<Piece>().swap(pieces_);
}

size_t RequestParser::announced_bytes() const {
  return left_ == 1 && bulk_bytes_ >= 0 ? at_ + static_cast<size_t>(bulk_bytes_) + 2 : 0;
}

size_t RequestParser::held_bytes() const {
  const size_t arguments = std::max(arguments_.capacity(), kArgumentsKept) - kArgumentsKept;
  const size_t pieces = std::max(pieces_.capacity(), kArgumentsKept) - kArgumentsKept;
  return arguments * sizeof(std::string_view) + pieces * sizeof(Piece);
}

Parsed RequestParser::Fail(std::string error) {
  Restart();
  error_ = "Protocol error: " + std::move(error);
  return Parsed::kError;
}

Parsed RequestParser::Parse(std::string_view bytes, size_t* used) {
  if (bytes.empty()) return Parsed::kIncomplete;
  arguments_.clear();
  if (arguments_.capacity() > kArgumentsKept) std::vector<std::string_view>().swap(arguments_);
  const Parsed parsed = bytes[0] == '*' ? ParseArray(bytes, used) : ParseInline(bytes, used);
  if (parsed != Parsed::kIncomplete) Restart();
  return parsed;
}

Parsed RequestParser::ParseInline(std::string_view bytes, size_t* used) {
  const size_t end = bytes.find('\n', at_);
  if (end == std::string_view::npos) {
    at_ = bytes.size();
    return bytes.size() > limits_.line_bytes_max ? Fail("too big inline request") : Parsed::kIncomplete;
  }
  *used = end + 1;
  std::string_view line = bytes.substr(0, end);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (!SplitWords(line, &words_)) return Fail("unbalanced quotes in request");
  arguments_.assign(words_.begin(), words_.end());
  return words_.empty() ? Parsed::kNothing : Parsed::kRequest;
}

Parsed RequestParser::ParseHeader(std::string_view bytes, std::string_view too_long, std::string_view wrong,
                                  int64_t* number) {
  const size_t end = bytes.find('\r', at_);
  if (end == std::string_view::npos || end + 1 >= bytes.size()) {
    if (end == std::string_view::npos && bytes.size() - at_ > kLineBytesMax) return Fail(std::string(too_long));
    return Parsed::kIncomplete;
  }
  if (!ParseNumber(bytes.substr(at_ + 1, end - at_ - 1), number)) return Fail(std::string(wrong));
  at_ = end + 2;
  return Parsed::kRequest;
}

Parsed RequestParser::ParseArray(std::string_view bytes, size_t* used) {
  if (!counted_) {
    const Parsed parsed = ParseHeader(bytes, "too big mbulk count string", "invalid multibulk length", &left_);
    if (parsed != Parsed::kRequest) return parsed;
    if (left_ > static_cast<int64_t>(limits_.arguments_max)) {
      return Fail(std::string(limits_.wrong) + " multibulk length");
    }
    counted_ = true;
  }
  *used = at_;
  if (left_ <= 0 && pieces_.empty()) return Parsed::kNothing;
  while (left_ > 0) {
    const Parsed parsed = ParseBulk(bytes);
    if (parsed != Parsed::kRequest) return parsed;
  }
  *used = at_;
  arguments_.reserve(pieces_.size());
  for (const Piece& piece : pieces_) arguments_.push_back(bytes.substr(piece.at, piece.bytes));
  return Parsed::kRequest;
}

Parsed RequestParser::ParseBulk(std::string_view bytes) {
  if (at_ > limits_.request_bytes_max) return Fail(std::string(limits_.wrong) + " bulk length");
  if (bulk_bytes_ < 0) {
    if (at_ >= bytes.size()) return Parsed::kIncomplete;
    const size_t end = bytes.find('\r', at_);
    const bool whole = end != std::string_view::npos && end + 1 < bytes.size();
    if (whole && bytes[at_] != '$') {
      std::string error = "expected '$', got '";
      error += bytes[at_];
      error += '\'';
      return Fail(std::move(error));
    }
    const Parsed parsed = ParseHeader(bytes, "too big bulk count string", "invalid bulk length", &bulk_bytes_);
    if (parsed != Parsed::kRequest) {
      bulk_bytes_ = -1;
      return parsed;
    }
    const auto room =
        std::min(limits_.bulk_bytes_max, limits_.request_bytes_max - std::min(limits_.request_bytes_max, at_));
    if (bulk_bytes_ < 0) return Fail("invalid bulk length");
    if (static_cast<uint64_t>(bulk_bytes_) > room) return Fail(std::string(limits_.wrong) + " bulk length");
  }
  const auto count = static_cast<size_t>(bulk_bytes_);
  if (bytes.size() - at_ < count + 2) return Parsed::kIncomplete;
  pieces_.push_back({at_, count});
  at_ += count + 2;
  bulk_bytes_ = -1;
  --left_;
  return Parsed::kRequest;
}

}  // namespace bandb::resp
