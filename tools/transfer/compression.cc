#include "transfer/compression.h"

#include <zstd.h>

#include <memory>

#include "base/status.h"

namespace bandb::transfer {

namespace {

constexpr int kLevel = 3;

}  // namespace

absl::StatusOr<std::string> Compress(std::string_view bytes) {
  const std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> context(::ZSTD_createCCtx(), &::ZSTD_freeCCtx);
  if (context == nullptr) return base::Error(absl::StatusCode::kResourceExhausted, "no memory for zstd");
  ::ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ::ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string compressed(::ZSTD_compressBound(bytes.size()), '\0');
  const size_t n = ::ZSTD_compress2(context.get(), compressed.data(), compressed.size(), bytes.data(), bytes.size());
  if (::ZSTD_isError(n) != 0) {
    return base::Error(absl::StatusCode::kResourceExhausted, "zstd: {}", ::ZSTD_getErrorName(n));
  }
  compressed.resize(n);
  return compressed;
}

}  // namespace bandb::transfer
