#include "server/users.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "bandb/iterator.h"
#include "base/status.h"
#include "tls/token.h"

namespace bandb::server {

namespace {

constexpr size_t kUserNameBytesMax = 64;
constexpr size_t kAllowsMax = 256;
constexpr std::string_view kDigestKind = "sha256:";

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

std::optional<int> HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

// False if there are not two digits.
bool TakeHexByte(std::string_view digits, std::string* to) {
  if (digits.size() < 2) return false;
  const std::optional<int> high = HexDigit(digits[0]), low = HexDigit(digits[1]);
  if (!high.has_value() || !low.has_value()) return false;
  to->push_back(static_cast<char>(*high * 16 + *low));
  return true;
}

// False if there is an escape that does not exist.
bool Unescape(std::string_view text, std::string* bytes) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes->push_back(text[i]);
      continue;
    }
    if (++i == text.size()) return false;
    constexpr std::string_view kLetters = "\\nrt", kMeant = "\\\n\r\t";
    if (const size_t at = kLetters.find(text[i]); at != std::string_view::npos) {
      bytes->push_back(kMeant[at]);
    } else if (text[i] != 'x' || !TakeHexByte(text.substr(i + 1), bytes)) {
      return false;
    } else {
      i += 2;
    }
  }
  return true;
}

std::string ToHex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return hex;
}

bool StartsWith(std::string_view key, std::string_view prefix) { return key.substr(0, prefix.size()) == prefix; }

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// A string of TOML without escapes, taken from the front of `text`.
bool TakeString(std::string_view* text, std::string_view* string) {
  *text = Trimmed(*text);
  if (text->empty() || (text->front() != '\'' && text->front() != '"')) return false;
  const size_t end = text->find(text->front(), 1);
  if (end == std::string_view::npos) return false;
  *string = text->substr(1, end - 1);
  // Between double quotes TOML has escapes of its own.
  if (text->front() == '"' && string->find('\\') != std::string_view::npos) return false;
  *text = Trimmed(text->substr(end + 1));
  return true;
}

// Reads a file line by line.
class TableReader {
 public:
  explicit TableReader(UserTable* table) : table_(table) {}

  // Errors: kInvalidArgument, without the name of the file.
  absl::Status ReadLine(std::string_view line) {
    line = Trimmed(line);
    if (line.empty() || line.front() == '#') return absl::OkStatus();
    if (line.front() == '[') {
      BANDB_RETURN_IF_ERROR(EndUser());
      if (line.back() != ']') return Wrong("[NAME] begins a user");
      user_.emplace().name = Trimmed(line.substr(1, line.size() - 2));
      return IsUserName(user_->name) ? absl::OkStatus() : Wrong("a name has letters, digits, _ and -, at most 64");
    }
    const size_t equals = line.find('=');
    const std::string_view key = Trimmed(line.substr(0, equals));
    if (equals == std::string_view::npos || (key != "token" && key != "allow")) {
      return Wrong("a user has token = '...' and allow = ['...']");
    }
    if (!user_.has_value()) return Wrong("[NAME] must come first");
    return key == "token" ? ReadToken(line.substr(equals + 1)) : ReadAllows(line.substr(equals + 1));
  }

  absl::Status EndUser() {
    if (!user_.has_value()) return absl::OkStatus();
    if (user_->digest.empty()) return Wrong("the user before has no token");
    if (!has_allows_) return Wrong("the user before has no allow");
    has_allows_ = false;
    User ended = *std::move(user_);
    user_.reset();
    return table_->Add(std::move(ended));
  }

 private:
  static absl::Status Wrong(std::string_view what) {
    return base::Error(absl::StatusCode::kInvalidArgument, "{}", what);
  }

  absl::Status ReadToken(std::string_view rest) {
    std::string_view text;
    constexpr std::string_view kTakes = "token takes 'sha256:' and 64 hexadecimal digits, in quotes";
    if (!TakeString(&rest, &text) || !rest.empty() || !StartsWith(text, kDigestKind)) return Wrong(kTakes);
    if (!user_->digest.empty()) return Wrong("a second token");
    text.remove_prefix(kDigestKind.size());
    if (text.size() != 2 * tls::kDigestBytes) return Wrong(kTakes);
    for (; !text.empty(); text.remove_prefix(2)) {
      if (!TakeHexByte(text, &user_->digest)) return Wrong(kTakes);
    }
    return absl::OkStatus();
  }

  absl::Status ReadAllows(std::string_view rest) {
    rest = Trimmed(rest);
    constexpr std::string_view kTakes = "allow takes a list on one line, such as ['read,write:orders/', 'admin']";
    if (std::exchange(has_allows_, true)) return Wrong("a second allow");
    if (rest.size() < 2 || rest.front() != '[' || rest.back() != ']') return Wrong(kTakes);
    rest = Trimmed(rest.substr(1, rest.size() - 2));
    while (!rest.empty()) {
      std::string_view allow;
      if (!TakeString(&rest, &allow)) return Wrong(kTakes);
      BANDB_RETURN_IF_ERROR(user_->grants.Add(allow));
      if (rest.empty()) break;
      if (rest.front() != ',') return Wrong(kTakes);
      rest = Trimmed(rest.substr(1));
    }
    return absl::OkStatus();
  }

  UserTable* const table_;
  std::optional<User> user_;
  bool has_allows_ = false;
};

}  // namespace

absl::Status Grants::Add(std::string_view allow) {
  const auto wrong = [allow](std::string_view why) {
    return base::Error(absl::StatusCode::kInvalidArgument, "'{}' is not what a user may be allowed: {}", allow, why);
  };
  const bool printable = std::all_of(allow.begin(), allow.end(), [](unsigned char c) { return c >= ' ' && c != 0x7f; });
  if (!printable || allow.find('\'') != std::string_view::npos) {
    return wrong("write control characters and ' as \\xHH");
  }
  if (texts_.size() >= kAllowsMax) return wrong("there are too many");
  const size_t colon = allow.find(':');
  Grant grant;
  if (colon != std::string_view::npos && !Unescape(allow.substr(colon + 1), &grant.prefix)) {
    return wrong("its prefix has an escape that does not exist");
  }
  // A script whose variable is empty would give away every key.
  if (colon != std::string_view::npos && colon + 1 == allow.size())
    return wrong("its prefix is empty: leave out the colon to mean every key");
  bool administer = false;
  std::string_view classes = allow.substr(0, colon);
  while (true) {
    const std::string_view one = classes.substr(0, classes.find(','));
    if (one == "read") {
      grant.read = true;
    } else if (one == "write") {
      grant.write = true;
    } else if (one == "admin") {
      administer = true;
    } else {
      return wrong("there are read, write and admin, with commas between them, and :PREFIX after them");
    }
    if (one.size() == classes.size()) break;
    classes.remove_prefix(one.size() + 1);
  }
  if (administer && colon != std::string_view::npos) return wrong("admin has no prefix");
  may_administer_ = may_administer_ || administer;
  if (grant.read || grant.write) grants_.push_back(std::move(grant));
  texts_.emplace_back(allow);
  return absl::OkStatus();
}

bool Grants::Has(Access access) const {
  return std::any_of(grants_.begin(), grants_.end(), [access](const Grant& grant) { return grant.Has(access); });
}

bool Grants::Cover(Access access, std::string_view key) const { return CoverPrefix(access, key); }

bool Grants::CoverPrefix(Access access, std::string_view prefix) const {
  return std::any_of(grants_.begin(), grants_.end(),
                     [&](const Grant& grant) { return grant.Has(access) && StartsWith(prefix, grant.prefix); });
}

bool Grants::CoverRange(Access access, std::string_view begin, std::string_view limit) const {
  return std::any_of(grants_.begin(), grants_.end(), [&](const Grant& grant) {
    if (!grant.Has(access) || !StartsWith(begin, grant.prefix)) return false;
    const std::string end = PrefixLimit(grant.prefix);
    return end.empty() || (!limit.empty() && limit <= end);
  });
}

bool IsUserName(std::string_view name) {
  return !name.empty() && name.size() <= kUserNameBytesMax && std::all_of(name.begin(), name.end(), IsNameCharacter);
}

absl::StatusOr<UserTable> UserTable::Parse(std::string_view text, std::string_view file) {
  UserTable table;
  TableReader reader(&table);
  size_t number = 1;
  absl::Status status;
  for (; !text.empty() && status.ok(); ++number) {
    const size_t end = text.find('\n');
    status = end == std::string_view::npos
                 ? base::Error(absl::StatusCode::kInvalidArgument, "the file ends within a line: is it complete?")
                 : reader.ReadLine(text.substr(0, end));
    if (!status.ok()) break;
    text.remove_prefix(end + 1);
  }
  if (status.ok()) status = reader.EndUser();
  if (status.ok()) return table;
  return base::Error(absl::StatusCode::kInvalidArgument, "{}:{}: {}", file, number, base::Message(status));
}

std::string UserTable::ToText() const {
  std::string text =
      "# Users of bandb_server, as \"bandb user\" writes them. Tokens are not kept, only their SHA-256.\n";
  for (const auto& [name, user] : users_) {
    text += fmt::format("\n[{}]\ntoken = '{}{}'\nallow = [", name, kDigestKind, ToHex(user->digest));
    for (size_t i = 0; i < user->grants.texts().size(); ++i) {
      text += fmt::format("{}'{}'", i == 0 ? "" : ", ", user->grants.texts()[i]);
    }
    text += "]\n";
  }
  return text;
}

absl::Status UserTable::Add(User user) {
  if (!IsUserName(user.name)) {
    return base::Error(absl::StatusCode::kInvalidArgument, "a name has letters, digits, _ and -, at most 64");
  }
  std::string name = user.name;
  const auto [at, added] = users_.try_emplace(std::move(name));
  if (!added) return base::Error(absl::StatusCode::kAlreadyExists, "there is a user {} already", user.name);
  at->second = std::make_shared<const User>(std::move(user));
  return absl::OkStatus();
}

bool UserTable::Remove(std::string_view name) {
  const auto found = users_.find(name);
  if (found == users_.end()) return false;
  users_.erase(found);
  return true;
}

std::shared_ptr<const User> UserTable::Find(std::string_view name) const {
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : found->second;
}

std::vector<std::string> DescribeChanges(const UserTable& before, const UserTable& after) {
  constexpr size_t kBytesMax = 1000;
  std::vector<std::string> texts;
  const auto add = [&texts](std::string_view how, const std::string& name) {
    if (texts.empty() || texts.back().size() >= kBytesMax) texts.emplace_back();
    texts.back() += fmt::format("{}{} {}", texts.back().empty() ? "" : ", ", how, name);
  };
  for (const auto& [name, user] : after.users()) {
    const std::shared_ptr<const User> old = before.Find(name);
    if (old == nullptr) {
      add("added", name);
    } else if (old->digest != user->digest || old->grants.texts() != user->grants.texts()) {
      add("changed", name);
    }
  }
  for (const auto& [name, user] : before.users()) {
    if (after.Find(name) == nullptr) add("removed", name);
  }
  return texts;
}

UserTable UserRegistry::Replace(UserTable users) {
  base::MutexLock lock(&mutex_);
  std::swap(users_, users);
  generation_.fetch_add(1, std::memory_order_release);
  return users;
}

std::shared_ptr<const User> UserRegistry::Find(std::string_view name) const {
  base::MutexLock lock(&mutex_);
  return users_.Find(name);
}

}  // namespace bandb::server
