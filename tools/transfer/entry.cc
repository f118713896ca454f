#include "transfer/entry.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "base/status.h"

namespace bandb::transfer {

namespace {

constexpr std::array<std::pair<Format, std::string_view>, 5> kFormats{{{Format::kJsonLines, "jsonl"},
                                                                       {Format::kCsv, "csv"},
                                                                       {Format::kTsv, "tsv"},
                                                                       {Format::kRaw, "raw"},
                                                                       {Format::kParquet, "parquet"}}};
constexpr std::array<std::pair<Encoding, std::string_view>, 3> kEncodings{
    {{Encoding::kUtf8, "utf8"}, {Encoding::kHex, "hex"}, {Encoding::kBase64, "base64"}}};

constexpr std::string_view kHexDigits = "0123456789abcdef";

int HexValue(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

// Of a character of at most three bytes.
unsigned CodePoint(std::string_view character) {
  const auto lead = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return lead;
  unsigned code = character.size() == 2 ? lead & 0x1f : lead & 0x0f;
  for (const char c : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3f);
  return code;
}

// Characters that do something to a terminal, or to the text that follows them, and show nothing:
// controls, and what turns the direction of text.
bool HasEffect(std::string_view character) {
  if (character.size() == 1) return static_cast<unsigned char>(character[0]) < ' ' || character[0] == '\x7f';
  if (character.size() > 3) return false;
  const unsigned code = CodePoint(character);
  return code < 0xa0 || code == 0x61c || code == 0x200e || code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069);
}

bool DecodeHex(std::string_view text, std::string* bytes) {
  bytes->clear();
  if (text.size() % 2 != 0) return false;
  bytes->reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = HexValue(text[i]);
    const int low = HexValue(text[i + 1]);
    if (high < 0 || low < 0) return false;
    bytes->push_back(static_cast<char>(high * 16 + low));
  }
  return true;
}

}  // namespace

bool ParseFormat(std::string_view name, Format* format) {
  for (const auto& [known, known_name] : kFormats) {
    if (name != known_name) continue;
    *format = known;
    return true;
  }
  return false;
}

std::string_view FormatName(Format format) { return kFormats[static_cast<size_t>(format)].second; }

bool ParseEncoding(std::string_view name, Encoding* encoding) {
  for (const auto& [known, known_name] : kEncodings) {
    if (name != known_name) continue;
    *encoding = known;
    return true;
  }
  return false;
}

std::string_view EncodingName(Encoding encoding) { return kEncodings[static_cast<size_t>(encoding)].second; }

size_t CharacterLength(std::string_view bytes) {
  if (bytes.empty()) return 0;
  const auto lead = static_cast<unsigned char>(bytes[0]);
  const size_t length = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (length == 1) return 1;
  if (lead < 0xc2 || lead > 0xf4 || bytes.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(bytes[i]) & 0xc0) != 0x80) return 0;
  }
  const auto second = static_cast<unsigned char>(bytes[1]);
  // What a shorter form could hold, halves of surrogates, and what is beyond the last character.
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second >= 0xa0)) return 0;
  if ((lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second >= 0x90)) return 0;
  return length;
}

bool IsUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t length = CharacterLength(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

void AppendEncoded(Encoding encoding, std::string_view bytes, std::string* to) {
  if (encoding == Encoding::kBase64) {
    const std::string text = absl::Base64Escape(base::ToAbsl(bytes));
    to->append(text);
    return;
  }
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    to->push_back(kHexDigits[value >> 4]);
    to->push_back(kHexDigits[value & 15]);
  }
}

bool Decode(Encoding encoding, std::string_view text, std::string* bytes) {
  switch (encoding) {
    case Encoding::kUtf8:
      bytes->assign(text);
      return true;
    case Encoding::kHex:
      return DecodeHex(text, bytes);
    case Encoding::kBase64:
      return absl::Base64Unescape(base::ToAbsl(text), bytes);
  }
  return false;
}

bool AppendJsonString(std::string_view bytes, std::string* to) {
  const size_t before = to->size();
  to->push_back('"');
  size_t plain = 0;  // bytes from here on go as they are
  size_t at = 0;
  while (at < bytes.size()) {
    const auto c = static_cast<unsigned char>(bytes[at]);
    if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
      ++at;
      continue;
    }
    const size_t length = CharacterLength(bytes.substr(at));
    if (length == 0) {
      to->resize(before);
      return false;
    }
    if (c != '"' && c != '\\' && !HasEffect(bytes.substr(at, length))) {
      at += length;
      continue;
    }
    to->append(bytes.substr(plain, at - plain));
    if (c == '"' || c == '\\') {
      to->push_back('\\');
      to->push_back(static_cast<char>(c));
    } else {
      to->append(fmt::format("\\u{:04x}", CodePoint(bytes.substr(at, length))));
    }
    at += length;
    plain = at;
  }
  to->append(bytes.substr(plain));
  to->push_back('"');
  return true;
}

void AppendJsonBytes(Encoding encoding, std::string_view bytes, std::string* to) {
  if (encoding == Encoding::kUtf8 && AppendJsonString(bytes, to)) return;
  const Encoding used = encoding == Encoding::kHex ? Encoding::kHex : Encoding::kBase64;
  to->append(used == Encoding::kHex ? "{\"hex\": \"" : "{\"base64\": \"");
  AppendEncoded(used, bytes, to);
  to->append("\"}");
}

}  // namespace bandb::transfer
