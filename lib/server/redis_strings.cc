// Commands on strings.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cfloat>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>

#include "resp/request_parser.h"
#include "server/redis_command.h"

namespace bandb::server {

namespace {

enum class ExpiryForm : uint8_t { kNone, kSeconds, kMillis, kAtSeconds, kAtMillis };

bool IsAbsolute(ExpiryForm form) { return form == ExpiryForm::kAtSeconds || form == ExpiryForm::kAtMillis; }

// What SET and GETEX may be told besides.
struct SetOptions {
  bool if_absent = false;
  bool if_present = false;
  bool get = false;
  bool keep = false;
  bool persist = false;
  ExpiryForm form = ExpiryForm::kNone;
  std::string_view expiry{};
};

ExpiryForm ExpiryOption(std::string_view text) {
  if (EqualsIgnoringCase(text, "ex")) return ExpiryForm::kSeconds;
  if (EqualsIgnoringCase(text, "px")) return ExpiryForm::kMillis;
  if (EqualsIgnoringCase(text, "exat")) return ExpiryForm::kAtSeconds;
  if (EqualsIgnoringCase(text, "pxat")) return ExpiryForm::kAtMillis;
  return ExpiryForm::kNone;
}

// False: a syntax error.
template <typename Arguments>
bool ParseOptions(const Arguments& arguments, size_t from, bool of_set, SetOptions* options) {
  for (size_t at = from; at < arguments.size(); ++at) {
    const std::string_view option = arguments[at];
    const bool timed = options->form != ExpiryForm::kNone;
    if (of_set && EqualsIgnoringCase(option, "nx") && !options->if_present) {
      options->if_absent = true;
    } else if (of_set && EqualsIgnoringCase(option, "xx") && !options->if_absent) {
      options->if_present = true;
    } else if (of_set && EqualsIgnoringCase(option, "get")) {
      options->get = true;
    } else if (of_set && EqualsIgnoringCase(option, "keepttl") && !timed) {
      options->keep = true;
    } else if (!of_set && EqualsIgnoringCase(option, "persist") && !timed) {
      options->persist = true;
    } else {
      const ExpiryForm form = ExpiryOption(option);
      const bool fits = form != ExpiryForm::kNone && (!timed || form == options->form) && !options->keep &&
                        !options->persist && at + 1 < arguments.size();
      if (!fits) return false;
      options->form = form;
      options->expiry = arguments[++at];
    }
  }
  return true;
}

// As Redis reckons it: false if it is no time at all.
bool ToExpiry(int64_t number, ExpiryForm form, int64_t now_ms, int64_t* expiry_ms) {
  const bool seconds = form == ExpiryForm::kSeconds || form == ExpiryForm::kAtSeconds;
  if (number <= 0 || (seconds && number > INT64_MAX / 1000)) return false;
  if (seconds) number *= 1000;
  if (!IsAbsolute(form)) {
    if (number > INT64_MAX - now_ms) return false;
    number += now_ms;
  }
  *expiry_ms = std::min(number, kNeverExpires - 1);
  return true;
}

bool TakeExpiry(RedisCall& call, std::string_view text, ExpiryForm form, int64_t* expiry_ms) {
  int64_t number = 0;
  if (!TakeInteger(call, text, &number)) return false;
  if (ToExpiry(number, form, call.now_ms, expiry_ms)) return true;
  call.reply->Error(fmt::format("ERR invalid expire time in '{}' command", call.name));
  return false;
}

void ReplyEntry(RedisCall& call, const StoredEntry* entry) {
  entry == nullptr ? call.reply->Null() : call.reply->Bulk(entry->value);
}

void PutUntil(RedisCall& call, ExpiryForm form) {
  int64_t expiry_ms = kNeverExpires;
  if (!TakeExpiry(call, call.Argument(2), form, &expiry_ms)) return;
  call.data->Put(call.Argument(1), call.arguments[3], expiry_ms);
  call.reply->Ok();
}

void AddToNumber(RedisCall& call, int64_t change) {
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  int64_t number = 0;
  if (entry != nullptr && !TakeInteger(call, entry->value, &number)) return;
  int64_t sum = 0;
  if (__builtin_add_overflow(number, change, &sum)) {
    return call.reply->Error("ERR increment or decrement would overflow");
  }
  const int64_t expiry_ms = entry == nullptr ? kNeverExpires : entry->expiry_ms;
  call.data->Put(call.Argument(1), std::to_string(sum), expiry_ms);
  call.reply->Integer(sum);
}

bool IsBlank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool ParseFloat(const std::string& text, long double* number) {
  constexpr size_t kBytesMax = 5 * 1024;
  if (text.empty() || text.size() >= kBytesMax || IsBlank(text[0])) return false;
  errno = 0;
  char* end = nullptr;
  *number = std::strtold(text.c_str(), &end);
  if (end != text.c_str() + text.size() || std::isnan(*number)) return false;
  return errno != ERANGE || (*number != HUGE_VALL && *number != -HUGE_VALL && *number != 0);
}

// What it takes to read or to write it: its decimal digits, times as many.
uint64_t WorkOf(long double number) {
  if (number == 0 || !std::isfinite(number)) return 0;
  const auto bits = static_cast<uint64_t>(std::abs(std::ilogb(number)));
  return bits * bits / 64;
}

// As people write it: no exponent, no zeros at the end.
std::string FloatText(long double number) {
  // Room for the longest that there is.
  constexpr int kDecimals = 17;
  std::string text(LDBL_MAX_10_EXP + kDecimals + 4, '\0');
  // Not by fmt, which writes some long doubles wrong.
  const auto written =
      std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed, kDecimals);
  text.resize(static_cast<size_t>(written.ptr - text.data()));
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text == "-0" ? "0" : text;
}

}  // namespace

bool IsPlainSet(absl::Span<const std::string_view> arguments, absl::Duration* time_to_live) {
  SetOptions options;
  *time_to_live = absl::InfiniteDuration();
  if (arguments.size() == 3) return true;
  if (arguments.size() != 5 || !ParseOptions(arguments, 3, true, &options)) return false;
  if (options.form == ExpiryForm::kNone || IsAbsolute(options.form)) return false;
  int64_t number = 0, expiry_ms = 0;
  // Where a time in milliseconds has no room, the ordinary way tells so.
  if (!resp::ParseNumber(options.expiry, &number) || !ToExpiry(number, options.form, int64_t{1} << 50, &expiry_ms)) {
    return false;
  }
  *time_to_live = options.form == ExpiryForm::kSeconds ? absl::Seconds(number) : absl::Milliseconds(number);
  return true;
}

namespace redis {

void Get(RedisCall& call) { ReplyEntry(call, call.data->Get(call.Argument(1))); }

void Set(RedisCall& call) {
  SetOptions options;
  if (!ParseOptions(call.arguments, 3, true, &options)) return call.reply->Error(kSyntaxError);
  int64_t expiry_ms = kNeverExpires;
  if (options.form != ExpiryForm::kNone && !TakeExpiry(call, options.expiry, options.form, &expiry_ms)) return;
  const bool looks = options.get || options.if_absent || options.if_present || options.keep;
  const StoredEntry* entry = looks ? call.data->Get(call.Argument(1)) : nullptr;
  if (options.get) ReplyEntry(call, entry);
  if ((options.if_absent && entry != nullptr) || (options.if_present && entry == nullptr)) {
    if (!options.get) call.reply->Null();
    return;
  }
  if (options.keep && entry != nullptr) expiry_ms = entry->expiry_ms;
  call.data->Put(call.Argument(1), call.arguments[2], expiry_ms);
  if (!options.get) call.reply->Ok();
}

void SetNx(RedisCall& call) {
  const bool absent = call.data->Get(call.Argument(1)) == nullptr;
  if (absent) call.data->Put(call.Argument(1), call.arguments[2]);
  call.reply->Integer(absent ? 1 : 0);
}

void SetEx(RedisCall& call) { PutUntil(call, ExpiryForm::kSeconds); }

void PSetEx(RedisCall& call) { PutUntil(call, ExpiryForm::kMillis); }

void GetEx(RedisCall& call) {
  SetOptions options;
  if (!ParseOptions(call.arguments, 2, false, &options)) return call.reply->Error(kSyntaxError);
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  if (entry == nullptr) return call.reply->Null();
  int64_t expiry_ms = kNeverExpires;
  if (options.form != ExpiryForm::kNone && !TakeExpiry(call, options.expiry, options.form, &expiry_ms)) return;
  call.reply->Bulk(entry->value);
  if (options.form != ExpiryForm::kNone && expiry_ms <= call.now_ms) {
    call.data->Delete(call.Argument(1));
  } else if (options.form != ExpiryForm::kNone || (options.persist && entry->expiry_ms != kNeverExpires)) {
    call.data->Put(call.Argument(1), entry->value, expiry_ms);
  }
}

void GetDel(RedisCall& call) {
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  ReplyEntry(call, entry);
  if (entry != nullptr) call.data->Delete(call.Argument(1));
}

void GetSet(RedisCall& call) {
  ReplyEntry(call, call.data->Get(call.Argument(1)));
  call.data->Put(call.Argument(1), call.arguments[2]);
}

void MGet(RedisCall& call) {
  auto& keys = call.data->Remember<RedisKeyCount>();
  // Once, also where the step ends before the first key.
  if (!std::exchange(keys.headed, true)) call.reply->ArrayHead(call.count() - 1);
  for (; keys.next < call.count(); ++keys.next) {
    if (call.data->Yield()) return;
    ReplyEntry(call, call.data->Get(call.Argument(keys.next)));
    if (call.reply->bytes() > call.environment->reply_bytes_max) return;
  }
}

void MSet(RedisCall& call) {
  if (call.count() % 2 == 0) return ReplyWrongArity(call.name, call.reply);
  for (size_t i = 1; i < call.count(); i += 2) call.data->Put(call.Argument(i), call.arguments[i + 1]);
  call.reply->Ok();
}

void MSetNx(RedisCall& call) {
  if (call.count() % 2 == 0) return ReplyWrongArity(call.name, call.reply);
  auto& keys = call.data->Remember<RedisKeyCount>();
  for (; keys.next < call.count(); keys.next += 2) {
    if (call.data->Yield()) return;
    if (call.data->Get(call.Argument(keys.next)) != nullptr) return call.reply->Integer(0);
  }
  for (size_t i = 1; i < call.count(); i += 2) call.data->Put(call.Argument(i), call.arguments[i + 1]);
  call.reply->Integer(1);
}

void Append(RedisCall& call) {
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  const std::string& more = call.arguments[2];
  const size_t bytes = (entry == nullptr ? 0 : entry->value.size()) + more.size();
  if (!FitsInValue(call, bytes)) return;
  const int64_t expiry_ms = entry == nullptr ? kNeverExpires : entry->expiry_ms;
  call.data->Put(call.Argument(1), entry == nullptr ? more : entry->value + more, expiry_ms);
  call.reply->Integer(static_cast<int64_t>(bytes));
}

void StrLen(RedisCall& call) {
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  call.reply->Integer(entry == nullptr ? 0 : static_cast<int64_t>(entry->value.size()));
}

void GetRange(RedisCall& call) {
  int64_t start = 0, end = 0;
  if (!TakeInteger(call, call.Argument(2), &start) || !TakeInteger(call, call.Argument(3), &end)) return;
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  if (entry == nullptr || (start < 0 && end < 0 && start > end)) return call.reply->Bulk("");
  const auto bytes = static_cast<int64_t>(entry->value.size());
  if (start < 0) start = std::max<int64_t>(0, start < -bytes ? 0 : bytes + start);
  if (end < 0) end = std::max<int64_t>(0, end < -bytes ? 0 : bytes + end);
  end = std::min(end, bytes - 1);
  if (bytes == 0 || start > end) return call.reply->Bulk("");
  call.reply->Bulk(
      std::string_view(entry->value).substr(static_cast<size_t>(start), static_cast<size_t>(end - start + 1)));
}

void SetRange(RedisCall& call) {
  int64_t offset = 0;
  if (!TakeInteger(call, call.Argument(2), &offset)) return;
  if (offset < 0) return call.reply->Error("ERR offset is out of range");
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  const std::string& piece = call.arguments[3];
  if (piece.empty()) return call.reply->Integer(entry == nullptr ? 0 : static_cast<int64_t>(entry->value.size()));
  if (!FitsInValue(call, static_cast<uint64_t>(offset) + piece.size())) return;
  const auto at = static_cast<size_t>(offset);
  const size_t before = entry == nullptr ? 0 : entry->value.size();
  if (!call.data->HasTimeFor(std::max(at + piece.size(), before))) return;
  std::string value = entry == nullptr ? std::string() : entry->value;
  if (value.size() < at + piece.size()) value.resize(at + piece.size(), '\0');
  value.replace(at, piece.size(), piece);
  const auto bytes = static_cast<int64_t>(value.size());
  call.data->Put(call.Argument(1), std::move(value), entry == nullptr ? kNeverExpires : entry->expiry_ms);
  call.reply->Integer(bytes);
}

void Incr(RedisCall& call) { AddToNumber(call, 1); }

void Decr(RedisCall& call) { AddToNumber(call, -1); }

void IncrBy(RedisCall& call) {
  int64_t change = 0;
  if (TakeInteger(call, call.Argument(2), &change)) AddToNumber(call, change);
}

void DecrBy(RedisCall& call) {
  int64_t change = 0;
  if (!TakeInteger(call, call.Argument(2), &change)) return;
  if (change == INT64_MIN) return call.reply->Error("ERR decrement would overflow");
  AddToNumber(call, -change);
}

void IncrByFloat(RedisCall& call) {
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  long double number = 0, change = 0;
  if ((entry != nullptr && !ParseFloat(entry->value, &number)) || !ParseFloat(call.arguments[2], &change)) {
    return call.reply->Error("ERR value is not a valid float");
  }
  call.data->Spend(WorkOf(number) + WorkOf(change));
  number += change;
  if (std::isnan(number) || std::isinf(number)) {
    return call.reply->Error("ERR increment would produce NaN or Infinity");
  }
  std::string text = FloatText(number);
  call.reply->Bulk(text);
  call.data->Put(call.Argument(1), std::move(text), entry == nullptr ? kNeverExpires : entry->expiry_ms);
}

}  // namespace redis

}  // namespace bandb::server
