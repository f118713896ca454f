#include "tls/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <cstdint>

#include "base/assert.h"
#include "base/status.h"

namespace bandb::tls {

namespace {

constexpr size_t kTokenBytes = 32;
// So that programs that look for secrets in the wrong places know one when they see it.
constexpr std::string_view kTokenPrefix = "bandb_";

// Base64 for names of files and addresses (RFC 4648 §5), without padding.
std::string ToText(const std::array<unsigned char, kTokenBytes>& bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  uint32_t bits = 0;
  int count = 0;
  for (const unsigned char byte : bytes) {
    bits = bits << 8 | byte;
    count += 8;
    for (; count >= 6; count -= 6) text += kDigits[bits >> (count - 6) & 63];
  }
  if (count > 0) text += kDigits[bits << (6 - count) & 63];
  return text;
}

}  // namespace

absl::Status CheckAvailable() { return absl::OkStatus(); }

std::string DigestOf(std::string_view bytes) {
  std::string digest(kDigestBytes, '\0');
  unsigned int size = 0;
  const int ok = ::EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                              ::EVP_sha256(), nullptr);
  BANDB_ASSERT(ok == 1);
  BANDB_ASSERT(size == kDigestBytes);
  return digest;
}

bool AreSameDigest(std::string_view a, std::string_view b) {
  BANDB_ASSERT(a.size() == kDigestBytes);
  BANDB_ASSERT(b.size() == kDigestBytes);
  return ::CRYPTO_memcmp(a.data(), b.data(), kDigestBytes) == 0;
}

bool HoldsToken(std::string_view text) {
  const size_t at = text.find(kTokenPrefix);
  return at != std::string_view::npos && text.size() - at > kTokenBytes;
}

absl::StatusOr<std::string> NewToken() {
  std::array<unsigned char, kTokenBytes> bytes{};
  if (::RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return base::Error(absl::StatusCode::kInternal, "the system gives no random bytes");
  }
  std::string token = std::string(kTokenPrefix) + ToText(bytes);
  ::OPENSSL_cleanse(bytes.data(), bytes.size());
  return token;
}

}  // namespace bandb::tls
