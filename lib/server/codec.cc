#include "server/codec.h"

#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/status.h"
#include "proto/message_id.h"
#include "server/message_table.h"

namespace bandb::server {

namespace {

struct PinnedReply {
  PinnedValue value;
  net::Quota* quota = nullptr;
};

}  // namespace

std::string NameOfMessage(uint32_t id) {
  if (const Message* const message = FindMessage(id); message != nullptr) {
    return absl::AsciiStrToLower(std::string(message->name));
  }
  return id == static_cast<uint32_t>(proto::MessageId::kAdmin) ? "admin" : fmt::format("message {}", id);
}

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
