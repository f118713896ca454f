// The listener of a build without gRPC: it says so.
#include "base/status.h"
#include "grpc/listener.h"

namespace bandb::grpc {

class Listener::Impl {};

absl::Status CheckListen(const std::string& listen) {
  return base::Error(absl::StatusCode::kUnimplemented,
                     "{}, but this build has no gRPC: install libgrpc++-dev, libprotobuf-dev, protobuf-compiler and "
                     "protobuf-compiler-grpc, and build again with -DBANDB_GRPC=ON",
                     listen);
}

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Listener::~Listener() = default;

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(Server*, const ListenerOptions& options) {
  return CheckListen(options.listen);
}

const std::string& Listener::Address() const {
  static const std::string* const none = new std::string();
  return *none;
}

absl::Status Listener::Drain() { return absl::OkStatus(); }

}  // namespace bandb::grpc
