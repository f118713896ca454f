// Starting, health, reflection, draining and ending.
#include <google/protobuf/descriptor.pb.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/thread.h"
#include "grpc/health.grpc.pb.h"
#include "grpc/kv_client.h"
#include "grpc/messages.h"
#include "grpc/reflection.grpc.pb.h"
#include "support/catch.h"

namespace bandb::test {

using ::grpc::health::v1::Health;
using ::grpc::health::v1::HealthCheckRequest;
using ::grpc::health::v1::HealthCheckResponse;
using ::grpc::reflection::v1alpha::ServerReflection;
using ::grpc::reflection::v1alpha::ServerReflectionRequest;
using ::grpc::reflection::v1alpha::ServerReflectionResponse;

TEST_CASE("an address that is taken or none, and options out of range, are refused with their code") {
  GrpcFixture fixture;
  const auto start = [&](const grpc::ListenerOptions& options) {
    return grpc::Listener::Start(fixture.server.get(), options).status();
  };
  CHECK_CODE(start({.listen = fixture.address()}), kFailedPrecondition);
  CHECK_CODE(start({.listen = "no port"}), kInvalidArgument);
  CHECK_CODE(start({.listen = "127.0.0.1:0", .streams_max = 0}), kInvalidArgument);
  CHECK_CODE(start({.listen = "127.0.0.1:0", .threads = 65}), kInvalidArgument);
  CHECK_CODE(start({.listen = "127.0.0.1:0", .threads = 2, .calls_max = 7}), kInvalidArgument);
}

TEST_CASE("health tells of the server and its services, and of no others") {
  GrpcFixture fixture;
  const auto stub = Health::NewStub(KvClient(fixture.address()).channel());
  for (const char* service : {"", "test_grpc.KVService", "grpc.health.v1.Health"}) {
    ::grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    CHECK(stub->Check(&context, request, &response).ok());
    CHECK(response.status() == HealthCheckResponse::SERVING);
  }
  ::grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("other");
  HealthCheckResponse response;
  CHECK(stub->Check(&context, request, &response).error_code() == ::grpc::StatusCode::NOT_FOUND);
  ::grpc::ClientContext watching;
  const auto watch = stub->Watch(&watching, request);
  REQUIRE(watch->Read(&response));
  CHECK(response.status() == HealthCheckResponse::SERVICE_UNKNOWN);
  watching.TryCancel();
  CHECK(watch->Finish().error_code() == ::grpc::StatusCode::CANCELLED);
}

TEST_CASE("calls of strangers that last for ever leave room for those of the store, and for newer ones") {
  GrpcFixture fixture;
  absl::StatusOr<std::unique_ptr<grpc::Listener>> listener =
      grpc::Listener::Start(fixture.server.get(), {.listen = "127.0.0.1:0", .calls_max = 8});
  REQUIRE_OK(listener.status());
  const KvClient stranger((*listener)->Address());
  const auto stub = Health::NewStub(stranger.channel());
  struct Watching {
    bool Lasts() {
      HealthCheckResponse response;
      return reader->Read(&response);
    }
    ::grpc::StatusCode End() { return Lasts() ? ::grpc::StatusCode::OK : reader->Finish().error_code(); }
    ::grpc::ClientContext context;
    std::unique_ptr<::grpc::ClientReader<HealthCheckResponse>> reader;
  };
  // A quarter of the calls: the third ends the first, and so on.
  std::vector<std::unique_ptr<Watching>> watches;
  for (size_t i = 0; i < 10; i++) {
    Watching& watch = *watches.emplace_back(std::make_unique<Watching>());
    watch.reader = stub->Watch(&watch.context, HealthCheckRequest());
    CHECK(watch.Lasts());
    if (i >= 2) CHECK(watches[i - 2]->End() == ::grpc::StatusCode::CANCELLED);
  }
  CHECK(KvClient((*listener)->Address()).Put("k", "v").success);
  // A client that asks for the health once is answered, whatever others watch.
  ::grpc::ClientContext context;
  HealthCheckResponse response;
  CHECK(stub->Check(&context, HealthCheckRequest(), &response).ok());
  CHECK(watches[8]->End() == ::grpc::StatusCode::CANCELLED);
  watches[9]->context.TryCancel();
  CHECK(watches[9]->End() == ::grpc::StatusCode::CANCELLED);
}

TEST_CASE("reflection lists the services and describes their files") {
  GrpcFixture fixture;
  const auto stub = ServerReflection::NewStub(KvClient(fixture.address()).channel());
  ::grpc::ClientContext context;
  const auto stream = stub->ServerReflectionInfo(&context);
  const auto ask = [&stream](const ServerReflectionRequest& request) {
    ServerReflectionResponse response;
    REQUIRE(stream->Write(request));
    REQUIRE(stream->Read(&response));
    return response;
  };
  ServerReflectionRequest request;
  request.set_list_services("*");
  std::set<std::string> names;
  const ServerReflectionResponse listed = ask(request);
  for (const auto& service : listed.list_services_response().service()) names.insert(service.name());
  CHECK(names == std::set<std::string>{grpc::kKvServiceName, grpc::kHealthName, grpc::kReflectionName});
  for (const std::string& name : names) {
    request.set_file_containing_symbol(name);
    const ServerReflectionResponse response = ask(request);
    REQUIRE(response.file_descriptor_response().file_descriptor_proto_size() == 1);
    ::google::protobuf::FileDescriptorProto file;
    REQUIRE(file.ParseFromString(response.file_descriptor_response().file_descriptor_proto(0)));
    CHECK(file.package() + "." + file.service(0).name() == name);
    request.set_file_by_filename(file.name());
    CHECK(ask(request).file_descriptor_response().file_descriptor_proto_size() == 1);
  }
  request.set_file_containing_symbol("nobody.Nothing");
  CHECK(ask(request).error_response().error_code() == ::grpc::StatusCode::NOT_FOUND);
  request.set_all_extension_numbers_of_type("test_grpc.PutRequest");
  CHECK(ask(request).has_error_response());
  CHECK(ask(ServerReflectionRequest()).has_error_response());
  CHECK(stream->WritesDone());
  CHECK(stream->Finish().ok());
}

TEST_CASE("a drain tells watchers, answers what is under way, and takes nothing new") {
  GrpcFixture fixture;
  KvClient client(fixture.address());
  ::grpc::ClientContext watching, reflecting;
  const auto health = Health::NewStub(client.channel());
  const auto watch = health->Watch(&watching, HealthCheckRequest());
  HealthCheckResponse response;
  REQUIRE(watch->Read(&response));
  CHECK(response.status() == HealthCheckResponse::SERVING);
  // A stream that waits for its client must not hold the end up.
  const auto reflection = ServerReflection::NewStub(client.channel());
  const auto stream = reflection->ServerReflectionInfo(&reflecting);
  ServerReflectionRequest request;
  request.set_list_services("*");
  ServerReflectionResponse listed;
  REQUIRE(stream->Write(request));
  REQUIRE(stream->Read(&listed));
  fixture.store.SetHolding(true);
  const auto call = client.StartPut("k", "v");
  REQUIRE(GrpcFixture::Eventually([&] { return fixture.server->Stats().in_flight == 1; }));
  absl::Status drained = absl::UnknownError("");
  base::Thread drain([&] { drained = fixture.listener->Drain(); });
  REQUIRE(watch->Read(&response));
  CHECK(response.status() == HealthCheckResponse::NOT_SERVING);
  CHECK(watch->Finish().ok());
  CHECK_FALSE(stream->Read(&listed));
  CHECK(KvClient(fixture.address()).Put("new", "v").status == ::grpc::StatusCode::UNAVAILABLE);
  fixture.store.SetHolding(false);
  CHECK(call->Wait().success);
  drain.Join();
  CHECK_OK(drained);
  CHECK(fixture.store.size() == 1);
}

TEST_CASE("a drain waits no longer than its timeout, and what the store has is done nevertheless") {
  ServerOptions options;
  options.drain_timeout = absl::Milliseconds(50);
  GrpcFixture fixture(options);
  KvClient client(fixture.address());
  fixture.store.SetHolding(true);
  const auto call = client.StartPut("k", "v");
  REQUIRE(GrpcFixture::Eventually([&] { return fixture.server->Stats().in_flight == 1; }));
  CHECK_CODE(fixture.listener->Drain(), kDeadlineExceeded);
  CHECK_FALSE(call->Wait().success);
  CHECK_OK(fixture.listener->Drain());
  fixture.store.SetHolding(false);
  fixture.listener.reset();
  CHECK(fixture.store.size() == 1);
}

TEST_CASE("a server that has ended refuses calls, and the listener ends after it as well") {
  GrpcFixture fixture;
  KvClient client(fixture.address());
  CHECK(client.Put("k", "v").success);
  fixture.server->Stop();
  const GrpcReply reply = client.Put("k", "v");
  CHECK(reply.status == ::grpc::StatusCode::OK);
  CHECK_FALSE(reply.success);
  CHECK_FALSE(reply.code.empty());
}

TEST_CASE("text in a header is printable, and cut where it is too long") {
  CHECK(grpc::ToHeaderValue("") == "");
  CHECK(grpc::ToHeaderValue("plain text ~") == "plain text ~");
  CHECK(grpc::ToHeaderValue("50%\r\n\x7f\xc3\xa9") == "50%25%0D%0A%7F%C3%A9");
  CHECK(grpc::ToHeaderValue(std::string(100'000, 'x')).size() <= 1024);
  CHECK(grpc::ToHeaderValue(std::string(100'000, '\n')).size() <= 1024);
}

TEST_CASE("a peer of gRPC's is HOST:PORT") {
  CHECK(grpc::ToPeer("ipv4:127.0.0.1:80") == "127.0.0.1:80");
  CHECK(grpc::ToPeer("ipv6:%5B::1%5D:80") == "[::1]:80");
  CHECK(grpc::ToPeer("ipv6:[::1]:80") == "[::1]:80");
}

TEST_CASE("clients of gRPC are listed with what is known of them, and may be ended") {
  GrpcFixture fixture;
  Server& server = *fixture.server;
  KvClient client(fixture.address());
  REQUIRE(client.Put("k", "v").success);
  const auto clients = [&server](size_t count_max) {
    absl::StatusOr<ClientList> list = server.Clients(count_max);
    REQUIRE_OK(list.status());
    return *std::move(list);
  };
  REQUIRE(clients(10).clients.size() == 1);
  const ClientInfo listed = clients(10).clients[0];
  CHECK(listed.protocol == "grpc");
  CHECK(listed.address.starts_with("127.0.0.1:"));
  CHECK(listed.last_operation == "put");
  CHECK(listed.user.empty());
  CHECK_FALSE(listed.tls);
  CHECK(listed.age >= listed.idle);
  CHECK(GrpcFixture::Eventually([&] { return clients(10).clients[0].in_flight == 0; }));
  fixture.store.SetHolding(true);
  const std::unique_ptr<GrpcCall> held = client.StartPut("k", "w");
  CHECK(GrpcFixture::Eventually([&] { return clients(10).clients[0].in_flight == 1; }));
  fixture.store.SetHolding(false);
  CHECK(held->Wait().success);
  // A second listener uses no number twice.
  absl::StatusOr<std::unique_ptr<grpc::Listener>> second = grpc::Listener::Start(&server, {.listen = "127.0.0.1:0"});
  REQUIRE_OK(second.status());
  KvClient other((*second)->Address());
  REQUIRE(other.Get("k").success);
  REQUIRE(clients(10).clients.size() == 2);
  CHECK(clients(10).clients[0].id != clients(10).clients[1].id);
  CHECK(clients(1).omitted == 1);
  CHECK_CODE(server.KillClient(listed.id + 1000), kNotFound);
  REQUIRE_OK(server.KillClient(listed.id));
  CHECK(GrpcFixture::Eventually([&] { return clients(10).clients.size() == 1; }));
  CHECK(clients(10).clients[0].last_operation == "get");
  CHECK_CODE(server.KillClient(listed.id), kNotFound);
  // gRPC connects again.
  CHECK(GrpcFixture::Eventually([&] { return client.Get("k").success; }));
}

}  // namespace bandb::test
