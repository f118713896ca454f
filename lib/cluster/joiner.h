// Joiner: a node that is no member asks one of several others to be let in.
#ifndef BANDB_CLUSTER_JOINER_H_
#define BANDB_CLUSTER_JOINER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "cluster/peer_handshake.h"
#include "cluster/peer_protocol.h"
#include "net/dialer.h"

namespace bandb::cluster {

struct JoinerOptions {
  net::DialerOptions dialer;
  int64_t answer_timeout_nanos = int64_t{60} * 1000000000;  // of each that is asked
  int64_t ping_nanos = int64_t{500} * 1000000;
};

// Thread safety: the loop's thread. Lifetime: what it borrows must outlive it; it may be destroyed
// at any time, from inside `done` as well.
class Joiner final : private net::DialerHandler {
 public:
  // What is answered, and by which cluster.
  struct Answer {
    raft::ClusterId cluster = 0;
    std::string bytes;
  };
  using Done = std::function<void(absl::StatusOr<Answer>)>;

  // `self.cluster` may be 0. The protocol of `parts` is set here.
  Joiner(const PeerSelf& self, const JoinerOptions& options, const net::Dialer::Parts& parts, base::Random random);
  ~Joiner();

  // Asks the addresses, HOST:PORT each, one after the other, until one answers; once at a time.
  // `done` is called later. What an answer says is its sender's and the caller's to know. Errors:
  // kUnavailable nobody has answered: what each has said instead.
  void Ask(std::vector<std::string> addresses, std::string request, Done done);

 private:
  std::string Hello() override;
  absl::Status OnHello(std::string_view hello) override;
  void OnUp() override;
  void OnFrame(const net::Frame& frame) override;
  void OnWritable() override {}
  void OnDown(const net::LinkEnd& end) override { TryNext(net::ToString(end)); }
  void OnAttemptFailed(const net::LinkEnd& end) override { TryNext(net::ToString(end)); }

  // `failure`: what became of the one before.
  void TryNext(const std::string& failure);
  void Finish(absl::StatusOr<Answer> answer);
  void SayAlive();

  const PeerSelf self_;
  const JoinerOptions options_;
  const std::shared_ptr<base::EventLoop> loop_;
  const PeerProtocol protocol_;
  net::Dialer dialer_;
  std::vector<std::string> addresses_;
  size_t next_ = 0;
  std::string request_;
  Done done_;
  std::string failures_;
  raft::ClusterId answering_ = 0;
  base::TimerId timer_ = base::kNoTimer;
  int64_t deadline_nanos_ = 0;
};

}  // namespace bandb::cluster

#endif  // BANDB_CLUSTER_JOINER_H_
