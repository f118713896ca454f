// A key and its value on their way out of a store or into one, and how they are written down.
#ifndef BANDB_TOOLS_TRANSFER_ENTRY_H_
#define BANDB_TOOLS_TRANSFER_ENTRY_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace bandb::transfer {

// Lifetime: borrows its bytes.
struct Entry {
  std::string_view key;
  std::string_view value;
  // When it expires, in milliseconds since 1970; 0: never.
  uint64_t expires_ms = 0;
};

// kParquet is only written.
enum class Format : uint8_t { kJsonLines, kCsv, kTsv, kRaw, kParquet };

// How bytes are written in a format that is text.
enum class Encoding : uint8_t { kUtf8, kHex, kBase64 };

// How entries are written.
struct Layout {
  Format format = Format::kJsonLines;
  Encoding keys = Encoding::kUtf8;
  Encoding values = Encoding::kUtf8;

  friend bool operator==(const Layout&, const Layout&) = default;
};

// "jsonl" and its like; false if there is no such format.
bool ParseFormat(std::string_view name, Format* format);
std::string_view FormatName(Format format);
// "utf8" and its like; false if there is no such encoding.
bool ParseEncoding(std::string_view name, Encoding* encoding);
std::string_view EncodingName(Encoding encoding);

// The length of the valid UTF-8 character at the front of `bytes`; 0 if there is none.
size_t CharacterLength(std::string_view bytes);
bool IsUtf8(std::string_view bytes);

// Appends the bytes in hex or base64.
void AppendEncoded(Encoding encoding, std::string_view bytes, std::string* to);
// The reverse; kUtf8 takes all bytes as they are. False if the text is no such encoding.
bool Decode(Encoding encoding, std::string_view text, std::string* bytes);

// Appends a string of JSON, quotes included; false, with `to` as it was, if the bytes are not
// UTF-8.
bool AppendJsonString(std::string_view bytes, std::string* to);
// Appends a string of JSON; or an object that has it as "base64", or as "hex", if that is what
// `encoding` asks for or the bytes are not UTF-8.
void AppendJsonBytes(Encoding encoding, std::string_view bytes, std::string* to);

}  // namespace bandb::transfer

#endif  // BANDB_TOOLS_TRANSFER_ENTRY_H_
