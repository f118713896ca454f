#include "command.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "bandb/iterator.h"
#include "command_texts.h"
#include "quoting.h"
#include "transfer/entry.h"
#include "units/units.h"

namespace bandb::cli {

namespace {

constexpr std::string_view kSpaces = " \t\r";
constexpr std::string_view kBadQuotes =
    "a word that begins with \" must end with it, and may hold \\\" \\\\ \\n \\r \\t \\xHH: ";

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

struct Word {
  std::string text{};
  bool quoted = false;  // then it is never an option
};

enum class Took : uint8_t { kWord, kNothing, kMistake };

// The words of a command, wherever they come from.
class Words {
 public:
  virtual ~Words() = default;
  virtual Took Next(Word* word, std::string* complaint) = 0;
  // The value of a put: `first`, which Next has just given, and everything after it.
  virtual bool TakeValue(Word first, bool options_ended, Command* command, std::string* complaint) = 0;
};

class LineWords final : public Words {
 public:
  explicit LineWords(std::string_view line) : rest_(Trim(line)) {}

  Took Next(Word* word, std::string* complaint) override {
    if (rest_.empty()) return Took::kNothing;
    before_ = rest_;
    word->quoted = rest_.front() == '"';
    if (word->quoted) {
      const bool good = Unquote(&rest_, &word->text);
      if (!good || !(rest_.empty() || kSpaces.find(rest_.front()) != std::string_view::npos)) {
        *complaint = fmt::format("{}{}", kBadQuotes, before_);
        return Took::kMistake;
      }
    } else {
      const size_t end = std::min(rest_.find_first_of(kSpaces), rest_.size());
      word->text = rest_.substr(0, end);
      rest_.remove_prefix(end);
    }
    rest_ = Trim(rest_);
    return Took::kWord;
  }

  bool TakeValue(Word first, bool /*options_ended*/, Command* command, std::string* complaint) override {
    if (first.quoted && !rest_.empty()) {
      *complaint = fmt::format("more follows the value in quotes: {}", rest_);
      return false;
    }
    command->value = first.quoted ? std::move(first.text) : std::string(before_);
    rest_ = {};
    return true;
  }

 private:
  std::string_view rest_;
  std::string_view before_;  // rest_ as it was before the last word was taken
};

// Options of the program and of put, which a value that holds them was hardly meant to hold.
bool IsStrayOption(const std::string& word) {
  static constexpr std::array<std::string_view, 6> kOptions{"--addr", "--raw",  "--history",
                                                            "--ttl",  "--help", "--version"};
  const std::string_view name = std::string_view(word).substr(0, word.find('='));
  return std::find(kOptions.begin(), kOptions.end(), name) != kOptions.end();
}

std::string TellStray(const std::string& word, std::string_view verb) {
  return fmt::format(
      "{0} comes before the command or its key; as part of a key or value it comes after --: {1} -- KEY ...", word,
      verb);
}

class ArgumentWords final : public Words {
 public:
  explicit ArgumentWords(const std::vector<std::string>& arguments) : arguments_(arguments) {}

  Took Next(Word* word, std::string* /*complaint*/) override {
    if (next_ == arguments_.size()) return Took::kNothing;
    *word = {arguments_[next_++], false};
    return Took::kWord;
  }

  bool TakeValue(Word /*first*/, bool options_ended, Command* command, std::string* complaint) override {
    const size_t begin = next_ - 1;
    command->value_from_input = !options_ended && begin + 1 == arguments_.size() && arguments_[begin] == "-";
    for (size_t i = begin; i < arguments_.size(); ++i) {
      if (!options_ended && IsStrayOption(arguments_[i])) {
        *complaint = TellStray(arguments_[i], "put");
        return false;
      }
      if (i > begin) command->value += ' ';
      command->value += arguments_[i];
    }
    next_ = arguments_.size();
    return true;
  }

 private:
  const std::vector<std::string>& arguments_;
  size_t next_ = 0;
};

class Parser {
 public:
  Parser(Words* words, Command* command, std::string* complaint)
      : words_(words), command_(command), complaint_(complaint) {}

  bool Parse() {
    Word word;
    if (const Took took = words_->Next(&word, complaint_); took != Took::kWord) {
      return took == Took::kNothing ? Complain("no command; help lists what there is") : false;
    }
    if (!ParseVerb(word.text, &command_->verb)) {
      return Complain(fmt::format("unknown command {}; help lists what there is", Quote(word.text)));
    }
    while (true) {
      const Took took = words_->Next(&word, complaint_);
      if (took == Took::kMistake) return false;
      if (took == Took::kNothing) return Finish();
      if (!options_ended_ && !word.quoted && word.text == "--") {
        options_ended_ = true;
      } else if (command_->verb == Verb::kPut && operands_.size() == 1) {
        has_value_ = true;
        if (!words_->TakeValue(std::move(word), options_ended_, command_, complaint_)) return false;
      } else if (!options_ended_ && !word.quoted && word.text.size() > 2 && word.text.starts_with("--")) {
        if (!TakeOption(word.text)) return false;
      } else {
        operands_.push_back(std::move(word.text));
      }
    }
  }

 private:
  bool Complain(std::string complaint) {
    *complaint_ = std::move(complaint);
    return false;
  }

  bool ShowUsage() { return Complain(fmt::format("usage: {}", TextOf(command_->verb).usage)); }

  // The words of member and transfer; what there is the server knows, how many of them we do.
  bool FinishWords() {
    const std::string action = operands_.empty() ? "" : operands_[0];
    const size_t wanted = action == "list"                        ? 1
                          : action == "add" || action == "remove" ? 2
                          : action == "replace"                   ? 3
                                                                  : 0;
    const bool is_transfer = command_->verb == Verb::kTransfer;
    const bool fits = is_transfer ? operands_.size() <= 1 : wanted != 0 && operands_.size() == wanted;
    if (!fits || (command_->json && action != "list")) return ShowUsage();
    command_->words = std::move(operands_);
    return true;
  }

  // Puts what was found where the verb wants it.
  bool Finish() {
    if (command_->verb == Verb::kMember || command_->verb == Verb::kTransfer) return FinishWords();
    std::vector<std::string*> places;
    switch (command_->verb) {
      case Verb::kPut:
        if (!has_value_) return ShowUsage();
        [[fallthrough]];
      case Verb::kGet:
      case Verb::kTtl:
        places = {&command_->key};
        break;
      case Verb::kDelete:
        // More often a variable of a script that was never set than a wish.
        if (command_->deletes_prefix && command_->begin.empty() && !command_->sure) {
          return Complain("every key begins with an empty prefix: say --yes if all are to be removed");
        }
        if (!command_->deletes_prefix) places = {&command_->key};
        break;
      case Verb::kCas:
        places = {&command_->key, &command_->expected, &command_->value};
        if (command_->expects_absent) places = {&command_->key, &command_->value};
        break;
      case Verb::kBatch:
        places = {&command_->file};
        break;
      case Verb::kScan:
      case Verb::kCount:
      case Verb::kPing:
      case Verb::kStats:
      case Verb::kFlush:
      case Verb::kCompact:
      case Verb::kStatus:
      case Verb::kMember:
      case Verb::kTransfer:
        break;
    }
    if (operands_.size() != places.size()) return ShowUsage();
    for (size_t i = 0; i < places.size(); ++i) *places[i] = std::move(operands_[i]);
    return true;
  }

  bool TakeOption(const std::string& word) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const Verb verb = command_->verb;
    const bool sets = verb == Verb::kPut || verb == Verb::kCas;
    const bool walks = verb == Verb::kScan || verb == Verb::kCount || verb == Verb::kCompact;
    const bool shows = verb == Verb::kStatus || verb == Verb::kMember;
    bool* const flag = verb == Verb::kGet && name == "--raw"          ? &command_->raw
                       : verb == Verb::kCas && name == "--absent"     ? &command_->expects_absent
                       : verb == Verb::kScan && name == "--keys-only" ? &command_->keys_only
                       : verb == Verb::kScan && name == "--reverse"   ? &command_->reverse
                       : verb == Verb::kDelete && name == "--yes"     ? &command_->sure
                       : shows && name == "--json"                    ? &command_->json
                                                                      : nullptr;
    if (flag != nullptr && equals == std::string::npos) return *flag = true;
    const bool known = (sets && name == "--ttl") ||
                       (walks && (name == "--begin" || name == "--limit" || name == "--prefix")) ||
                       (verb == Verb::kDelete && name == "--prefix") ||
                       (verb == Verb::kScan && (name == "--count" || name == "--format"));
    if (!known || flag != nullptr) {
      if (IsStrayOption(word)) return Complain(TellStray(word, TextOf(verb).name));
      return Complain(
          fmt::format("{} takes no {}; a key that begins with two dashes comes after --", TextOf(verb).name, word));
    }
    Word value;
    if (equals != std::string::npos) {
      value.text = word.substr(equals + 1);
    } else if (const Took took = words_->Next(&value, complaint_); took != Took::kWord) {
      return took == Took::kNothing ? Complain(fmt::format("{} takes a value", name)) : false;
    }
    return SetOption(name, std::move(value.text));
  }

  bool SetOption(const std::string& name, std::string value) {
    if (name == "--begin") {
      command_->begin = std::move(value);
    } else if (name == "--limit") {
      command_->limit = std::move(value);
    } else if (name == "--prefix") {
      command_->limit = PrefixLimit(value);
      command_->begin = std::move(value);
      command_->deletes_prefix = command_->verb == Verb::kDelete;
    } else if (name == "--ttl") {
      const std::optional<absl::Duration> ttl = units::ParseDuration(value);
      if (!ttl.has_value() || *ttl < absl::Milliseconds(1)) {
        return Complain(fmt::format("--ttl takes {}, not {}", units::kDurationHelp, value));
      }
      command_->ttl = *ttl;
    } else if (name == "--count") {
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), command_->entries_max);
      if (error != std::errc() || end != value.data() + value.size()) {
        return Complain(fmt::format("--count takes a whole number, not {}", value));
      }
    } else if (value == "text" || value == "jsonl" || value == "raw") {
      command_->format = value == "text"    ? ScanFormat::kText
                         : value == "jsonl" ? ScanFormat::kJsonLines
                                            : ScanFormat::kRaw;
    } else {
      return Complain(fmt::format("--format takes text, jsonl or raw, not {}", value));
    }
    return true;
  }

  Words* const words_;
  Command* const command_;
  std::string* const complaint_;
  std::vector<std::string> operands_;
  bool options_ended_ = false;
  bool has_value_ = false;
};

}  // namespace

bool ParseCommand(std::string_view line, Command* command, std::string* complaint) {
  *command = Command();
  LineWords words(line);
  return Parser(&words, command, complaint).Parse();
}

bool ParseArguments(const std::vector<std::string>& arguments, Command* command, std::string* complaint) {
  *command = Command();
  ArgumentWords words(arguments);
  return Parser(&words, command, complaint).Parse();
}

}  // namespace bandb::cli
