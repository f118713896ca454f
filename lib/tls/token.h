// Tokens of users: made at random, told once, and known from then on by their digest alone.
//
// A token has 256 random bits, so that a plain SHA-256 of it says nothing about it: what makes a
// hash of passwords slow on purpose would only cost the server time.
#ifndef BANDB_TLS_TOKEN_H_
#define BANDB_TLS_TOKEN_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace bandb::tls {

// Errors: kUnimplemented this build has no OpenSSL. Then nothing else of this room may be used.
absl::Status CheckAvailable();

inline constexpr size_t kDigestBytes = 32;
// SHA-256.
std::string DigestOf(std::string_view bytes);
// In a time that does not depend on where they differ. Both have kDigestBytes.
bool AreSameDigest(std::string_view a, std::string_view b);
// Whether a token may be in it: what somebody sent in the place of a name, or together with it.
bool HoldsToken(std::string_view text);
// Printable. Errors: kInternal the system gives no random bytes.
absl::StatusOr<std::string> NewToken();

}  // namespace bandb::tls

#endif  // BANDB_TLS_TOKEN_H_
