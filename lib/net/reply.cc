#include "net/reply.h"

#include <memory>

namespace bandb::net {

OwnedBytes OwnedBytes::Of(std::string&& bytes) {
  auto kept = std::make_unique<std::string>();
  kept->swap(bytes);
  const std::string_view view = *kept;
  const size_t own_bytes = kept->capacity();
  return OwnedBytes(view, own_bytes, kept.release(), [](void* owner) { delete static_cast<std::string*>(owner); });
}

}  // namespace bandb::net
