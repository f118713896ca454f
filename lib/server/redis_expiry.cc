// Commands on when keys expire.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "server/redis_command.h"

namespace bandb::server::redis {

namespace {

// What is left, or when: -2 no such key, -1 it does not expire.
void ReplyExpiry(RedisCall& call, bool absolute, bool millis) {
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  if (entry == nullptr) return call.reply->Integer(-2);
  if (entry->expiry_ms == kNeverExpires) return call.reply->Integer(-1);
  const int64_t shown = absolute ? entry->expiry_ms : std::max<int64_t>(0, entry->expiry_ms - call.now_ms);
  call.reply->Integer(millis ? shown : shown / 1000 + (shown % 1000 >= 500 ? 1 : 0));
}

struct ExpireOptions {
  bool if_none = false, if_some = false, if_later = false, if_earlier = false;
};

bool ParseExpire(RedisCall& call, ExpireOptions* options) {
  for (size_t i = 3; i < call.count(); ++i) {
    const std::string_view option = call.Argument(i);
    if (EqualsIgnoringCase(option, "nx")) {
      options->if_none = true;
    } else if (EqualsIgnoringCase(option, "xx")) {
      options->if_some = true;
    } else if (EqualsIgnoringCase(option, "gt")) {
      options->if_later = true;
    } else if (EqualsIgnoringCase(option, "lt")) {
      options->if_earlier = true;
    } else {
      call.reply->Error(fmt::format("ERR Unsupported option {}", option));
      return false;
    }
  }
  if (options->if_none && (options->if_some || options->if_later || options->if_earlier)) {
    call.reply->Error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return false;
  }
  if (options->if_later && options->if_earlier) {
    call.reply->Error("ERR GT and LT options at the same time are not compatible");
    return false;
  }
  return true;
}

// What does not expire expires later than all else.
bool Allows(const ExpireOptions& options, int64_t expiry_ms, int64_t present_ms) {
  const bool expires = present_ms != kNeverExpires;
  if (options.if_none && expires) return false;
  if (options.if_some && !expires) return false;
  if (options.if_later && (!expires || expiry_ms <= present_ms)) return false;
  return !options.if_earlier || !expires || expiry_ms < present_ms;
}

void SetExpiry(RedisCall& call, bool absolute, bool millis) {
  ExpireOptions options;
  int64_t when = 0;
  if (!ParseExpire(call, &options) || !TakeInteger(call, call.Argument(2), &when)) return;
  bool fits = millis || (when <= INT64_MAX / 1000 && when >= INT64_MIN / 1000);
  if (fits && !millis) when *= 1000;
  if (fits && !absolute) fits = when <= INT64_MAX - call.now_ms;
  if (!fits) return call.reply->Error(fmt::format("ERR invalid expire time in '{}' command", call.name));
  if (!absolute) when += call.now_ms;
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  if (entry == nullptr || !Allows(options, when, entry->expiry_ms)) return call.reply->Integer(0);
  if (when <= call.now_ms) {
    call.data->Delete(call.Argument(1));
  } else {
    call.data->Put(call.Argument(1), entry->value, std::min(when, kNeverExpires - 1));
  }
  call.reply->Integer(1);
}

}  // namespace

void Ttl(RedisCall& call) { ReplyExpiry(call, false, false); }

void PTtl(RedisCall& call) { ReplyExpiry(call, false, true); }

void ExpireTime(RedisCall& call) { ReplyExpiry(call, true, false); }

void PExpireTime(RedisCall& call) { ReplyExpiry(call, true, true); }

void Expire(RedisCall& call) { SetExpiry(call, false, false); }

void PExpire(RedisCall& call) { SetExpiry(call, false, true); }

void ExpireAt(RedisCall& call) { SetExpiry(call, true, false); }

void PExpireAt(RedisCall& call) { SetExpiry(call, true, true); }

void Persist(RedisCall& call) {
  const StoredEntry* entry = call.data->Get(call.Argument(1));
  const bool expires = entry != nullptr && entry->expiry_ms != kNeverExpires;
  if (expires) call.data->Put(call.Argument(1), entry->value);
  call.reply->Integer(expires ? 1 : 0);
}

}  // namespace bandb::server::redis
