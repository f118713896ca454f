// BanDB's own messages over a Store: what BanNet calls for each id.
#ifndef BANDB_SERVER_SERVICE_H_
#define BANDB_SERVER_SERVICE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bandb/store.h"
#include "base/event_loop.h"
#include "net/router.h"
#include "server/answer.h"
#include "server/durable_replies.h"
#include "server/read_path.h"
#include "server/scan_path.h"
#include "server/write_collector.h"

namespace bandb::server {

struct ServiceOptions {
  bool sync = true;
  bool reads_inline = true;
  uint32_t frame_bytes_max = 0;
  uint32_t in_flight_requests_max = 0;
  uint32_t batch_operations_max = 0;
  int64_t memory_bytes_max = 0;
  int64_t stall_timeout_nanos = 0;
};

struct ServiceParts {
  Store* store = nullptr;
  base::EventLoop* loop = nullptr;
  net::Completions* completions = nullptr;
  net::Quota* quota = nullptr;
  base::Executor* readers = nullptr;     // for reads that may wait for a disk
  std::function<std::string()> stats{};  // the text of STATS
};

// Thread safety: the loop's thread. Lifetime: borrows everything; to be destroyed when idle.
class Service {
 public:
  Service(const ServiceParts& parts, const ServiceOptions& options);
  ~Service();

  void AddTo(net::Router* router);
  // Hands on what the turn collected.
  void EndTurn();
  bool idle() const { return writes_.idle() && reads_.idle() && scans_.idle() && durable_.idle(); }
  const ServiceCounters& counters() const { return counters_; }

 private:
  class MethodHandler;
  using Method = void (Service::*)(net::Call& call);

  void Put(net::Call& call);
  void Get(net::Call& call);
  void Delete(net::Call& call);
  void Batch(net::Call& call);
  void Scan(net::Call& call);
  void Hello(net::Call& call);
  void Ping(net::Call& call);
  void Stats(net::Call& call);
  void AnswerBody(net::Call& call, std::string_view body);

  const ServiceOptions options_;
  const std::function<std::string()> stats_;
  ServiceCounters counters_;
  DurableReplies durable_;
  const AnswerContext context_;
  WriteCollector writes_;
  ReadPath reads_;
  ScanPath scans_;
  std::vector<std::unique_ptr<MethodHandler>> handlers_;
};

}  // namespace bandb::server

#endif  // BANDB_SERVER_SERVICE_H_
