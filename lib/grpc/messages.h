// What the services of the door answer, as messages: no I/O, and nothing of gRPC's.
#ifndef BANDB_GRPC_MESSAGES_H_
#define BANDB_GRPC_MESSAGES_H_

#include <string>
#include <string_view>

#include "grpc/health.pb.h"
#include "grpc/reflection.pb.h"

namespace bandb::grpc {

inline constexpr char kKvServiceName[] = "test_grpc.KVService";
inline constexpr char kHealthName[] = "grpc.health.v1.Health";
inline constexpr char kReflectionName[] = "grpc.reflection.v1alpha.ServerReflection";

// The state of a service while the server is serving, or ending. SERVICE_UNKNOWN: there is no such
// service. The empty name is the server as a whole.
::grpc::health::v1::HealthCheckResponse HealthOf(std::string_view service, bool serving);

::grpc::reflection::v1alpha::ServerReflectionResponse Reflect(
    const ::grpc::reflection::v1alpha::ServerReflectionRequest& request);

// Text as the value of a header: what is not printable ASCII as %XX, and cut where it is too long.
std::string ToHeaderValue(std::string_view text);

// HOST:PORT of what gRPC calls a peer: "ipv4:127.0.0.1:80", "ipv6:%5B::1%5D:80".
std::string ToPeer(std::string_view uri);

}  // namespace bandb::grpc

#endif  // BANDB_GRPC_MESSAGES_H_
