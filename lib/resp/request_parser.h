// Requests of Redis' protocol: arrays of bulk strings, and lines of words for people.
//
//   request := "*" count CRLF ("$" length CRLF bytes CRLF)*
//            | word (blank word)* [CR] LF                     words may be in quotes
#ifndef BANDB_RESP_REQUEST_PARSER_H_
#define BANDB_RESP_REQUEST_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace bandb::resp {

// Redis' own, but for the arguments: what is kept of each is counted, too.
struct ParserLimits {
  size_t bulk_bytes_max = 512 << 20;
  size_t arguments_max = 1 << 20;
  size_t request_bytes_max = SIZE_MAX;
  size_t line_bytes_max = 64 << 10;    // of a request of words
  std::string_view wrong = "invalid";  // what a length beyond them is called
};

enum class Parsed : uint8_t {
  kRequest,
  kNothing,     // bytes that ask for nothing, as an empty line
  kIncomplete,  // more bytes are needed
  kError,       // what follows cannot be understood
};

// Goes on where it was when more bytes of the same request come, so that a request in many pieces
// is looked at once.
class RequestParser {
 public:
  explicit RequestParser(const ParserLimits& limits) : limits_(limits) {}
  // From the next bytes on.
  void SetLimits(const ParserLimits& limits) { limits_ = limits; }

  // Looks at the front of `bytes`; `used` is how many were taken, for kRequest and kNothing. After
  // kIncomplete the next bytes begin with the same ones; after all else they may be others.
  Parsed Parse(std::string_view bytes, size_t* used);
  // After kIncomplete: how long the whole request will be, once nothing but the last argument's
  // bytes are missing; otherwise 0.
  size_t announced_bytes() const;
  // The request under way is given up: what comes next are the bytes after it.
  void Restart();
  // Memory that grew with what was asked.
  size_t held_bytes() const;
  // After kRequest: at least one. Lifetime: views of the bytes, or of this until the next Parse.
  const std::vector<std::string_view>& arguments() const { return arguments_; }
  // After kError: what Redis says, without "-ERR ".
  const std::string& error() const { return error_; }

 private:
  struct Piece {
    size_t at = 0;
    size_t bytes = 0;
  };

  Parsed ParseInline(std::string_view bytes, size_t* used);
  Parsed ParseArray(std::string_view bytes, size_t* used);
  Parsed ParseBulk(std::string_view bytes);
  // The number between a type byte at `at_` and the end of its line; kIncomplete without that.
  Parsed ParseHeader(std::string_view bytes, std::string_view too_long, std::string_view wrong, int64_t* number);
  Parsed Fail(std::string error);

  ParserLimits limits_;
  std::vector<std::string_view> arguments_;
  std::deque<std::string> words_;  // of an inline request
  std::string error_;

  // An array that is not complete.
  size_t at_ = 0;
  bool counted_ = false;
  int64_t left_ = 0;         // arguments
  int64_t bulk_bytes_ = -1;  // of the argument at `at_`, if its header was read
  std::vector<Piece> pieces_;
};

// The words of a line as Redis takes them apart; false if its quotes are unbalanced.
bool SplitWords(std::string_view line, std::deque<std::string>* words);

// A whole number as Redis takes them: no blanks, no plus, no zeros in front.
bool ParseNumber(std::string_view text, int64_t* number);

}  // namespace bandb::resp

#endif  // BANDB_RESP_REQUEST_PARSER_H_
