#include "server/codec.h"

#include <memory>
#include <utility>

namespace bandb::server {

namespace {

struct PinnedReply {
  PinnedValue value;
  net::Quota* quota = nullptr;
};

}  // namespace

net::OwnedBytes Keep(PinnedValue value, net::Quota* quota) {
  auto* const kept = new PinnedReply{std::move(value), quota};
  const std::string_view bytes = kept->value.value();
  quota->Share(bytes.data(), bytes.size());
  return net::OwnedBytes(bytes, 0, kept, [](void* owner) {
    const std::unique_ptr<PinnedReply> released(static_cast<PinnedReply*>(owner));
    released->quota->Unshare(released->value.value().data());
  });
}

}  // namespace bandb::server
