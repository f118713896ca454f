#include "server/wire_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "base/clock.h"
#include "net/address.h"
#include "support/catch.h"

namespace bandb::test {

namespace {
// Far beyond what anything takes; only a hang gets there.
constexpr int kPatienceMillis = 60000;
}  // namespace

OwnedReply OkReply(std::string body) { return {.ok = true, .body = std::move(body), .code = 0, .message = {}}; }

OwnedReply ValueReply(std::string_view value) {
  std::string body;
  base::PutFixed32(&body, static_cast<uint32_t>(value.size()));
  return OkReply(body.append(value));
}

std::string PutFrame(std::string_view key, std::string_view value) {
  std::string frame;
  proto::AppendPut(&frame, key, value);
  return frame;
}

std::string GetFrame(std::string_view key) {
  std::string frame;
  proto::AppendGet(&frame, key);
  return frame;
}

std::string DeleteFrame(std::string_view key) {
  std::string frame;
  proto::AppendDelete(&frame, key);
  return frame;
}

std::string BatchFrame(const proto::BatchBuilder& builder) {
  std::string frame;
  builder.AppendTo(&frame);
  return frame;
}

std::string BatchFrame(const std::vector<proto::BatchOperation>& operations,
                       const std::vector<proto::BatchCondition>& conditions) {
  proto::BatchBuilder builder;
  for (const proto::BatchCondition& condition : conditions) builder.Require(condition);
  for (const proto::BatchOperation& operation : operations) builder.Add(operation);
  return BatchFrame(builder);
}

std::string ScanFrame(const proto::Scan& scan) {
  std::string frame;
  proto::AppendScan(&frame, scan);
  return frame;
}

WireClient::WireClient(const std::string& address) {
  auto to = net::ParseAddress(address);
  if (!to.ok()) return;
  fd_ = ::socket(to->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  connected_ = fd_ >= 0 && ::connect(fd_, to->get(), to->length) == 0;
}

WireClient::~WireClient() { Close(); }

void WireClient::Close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void WireClient::CloseWrite() { ::shutdown(fd_, SHUT_WR); }

size_t WireClient::SendSome(std::string_view bytes) {
  const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return count < 0 ? 0 : static_cast<size_t>(count);
}

bool WireClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd waited{fd_, POLLOUT, 0};
    if (::poll(&waited, 1, kPatienceMillis) <= 0) return false;
    const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

bool WireClient::WaitReadable(int millis) {
  pollfd waited{fd_, POLLIN, 0};
  return ::poll(&waited, 1, millis) > 0;
}

bool WireClient::Fill() {
  std::array<char, 65536> buffer;
  if (!WaitReadable(kPatienceMillis)) return false;
  const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
  if (count <= 0) return false;
  reader_.Append(std::string_view(buffer.data(), static_cast<size_t>(count)));
  return true;
}

std::optional<OwnedReply> WireClient::Receive() {
  proto::Frame frame;
  while (reader_.Next(&frame) != proto::CutResult::kFrame) {
    if (!Fill()) return std::nullopt;
  }
  proto::Reply reply;
  // Not by Catch's macros: tests use clients on several threads. A caller that wants a reply sees
  // that there is none.
  if (!proto::DecodeReply(frame, &reply)) return std::nullopt;
  return OwnedReply{reply.ok, std::string(reply.body), reply.code, std::string(reply.message)};
}

std::string WireClient::ReceiveText(size_t bytes) {
  std::string text(bytes, '\0');
  size_t received = 0;
  while (received < bytes && WaitReadable(kPatienceMillis)) {
    const ssize_t count = ::recv(fd_, text.data() + received, bytes - received, 0);
    if (count <= 0) break;
    received += static_cast<size_t>(count);
  }
  text.resize(received);
  return text;
}

std::vector<OwnedReply> WireClient::ReceiveMany(size_t count) {
  std::vector<OwnedReply> replies;
  while (replies.size() < count) {
    std::optional<OwnedReply> reply = Receive();
    if (!reply.has_value()) break;
    replies.push_back(*std::move(reply));
  }
  return replies;
}

std::optional<OwnedReply> WireClient::Ask(std::string_view frame) {
  if (!Send(frame)) return std::nullopt;
  return Receive();
}

bool WireClient::SeesEnd() {
  std::array<char, 4096> buffer;
  if (reader_.buffered_bytes() > 0 || !WaitReadable(kPatienceMillis)) return false;
  return ::recv(fd_, buffer.data(), buffer.size(), 0) <= 0;
}

bool WireClient::StaysSilent(int millis) { return reader_.buffered_bytes() == 0 && !WaitReadable(millis); }

ServerFixture::ServerFixture(ServerOptions options, ServerHooks hooks) {
  options.listen = "127.0.0.1:0";
  // Tests that hold the store take the time that they need.
  if (options.stall_timeout == ServerOptions().stall_timeout) options.stall_timeout = absl::InfiniteDuration();
  auto started = Server::Start(store, options, std::move(hooks));
  REQUIRE(started.status() == absl::OkStatus());
  server = *std::move(started);
}

ServerFixture::~ServerFixture() {
  store.SetHolding(false);
  server.reset();
}

bool ServerFixture::Eventually(const std::function<bool()>& done) {
  base::SystemClock clock;
  const int64_t deadline = clock.MonotonicNanos() + int64_t{kPatienceMillis} * 1000000;
  base::Event never;
  while (!done()) {
    if (clock.MonotonicNanos() > deadline) return false;
    never.BlockUntilSet(1000000);
  }
  return true;
}

}  // namespace bandb::test
