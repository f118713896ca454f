// Clients: several, each doing one thing after the other at whichever node, and writing down what
// it saw, in the form of the history checkers (sim/history.h).
//
// A client believes an answer: OK is done, kUnknown and silence are unknown, and everything else is
// a promise that nothing was done. Some have a session: they repeat a write, at any node, until it
// is done, and know that it was done once.
//
// A write of a session puts a marker besides, which must not be there before: if the write is ever
// done twice, the second time is refused, and who asked is told.
#ifndef BANDB_TEST_WORLD_CLIENTS_H_
#define BANDB_TEST_WORLD_CLIENTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/random.h"
#include "sim/history.h"
#include "world/world.h"

namespace bandb::world {

struct ClientOptions {
  uint32_t clients = 6;
  uint32_t with_sessions = 3;  // of them
  uint64_t keys = 6;
  Nanos think_mean = 30 * kMilli;
  Nanos timeout = 2 * kSecond;
  uint32_t reads_percent = 35;
  uint32_t conditional_percent = 30;  // of the writes without a session
  uint32_t delete_percent = 10;
  uint32_t expiring_percent = 5;
  size_t value_bytes_max = 2000;
};

class Clients {
 public:
  struct Counters {
    uint64_t done = 0;
    uint64_t not_done = 0;
    uint64_t unknown = 0;
    uint64_t reads = 0;           // done
    uint64_t writes = 0;          // done
    uint64_t session_writes = 0;  // done
    uint64_t repeats = 0;         // of writes of sessions
    uint64_t at_followers = 0;    // done
    uint64_t total() const { return done + not_done + unknown; }
  };

  // Lifetime: the world outlives it, and what goes on in it.
  Clients(World* world, const ClientOptions& options, uint64_t seed);

  void Start();
  // Nothing new; what is under way ends by itself.
  void Stop() { stopped_ = true; }
  bool idle() const { return flights_.empty(); }
  // A read at one machine, besides what the clients do.
  void ReadAt(Machine* machine, uint64_t key);
  // Ends what is under way as unknown.
  std::vector<sim::Operation> TakeHistory();
  const Counters& counters() const { return counters_; }
  uint64_t keys() const { return options_.keys; }
  // Operations that a machine has done.
  uint64_t served_writes(const Machine& machine) const { return Served(served_writes_, machine); }
  uint64_t served_reads(const Machine& machine) const { return Served(served_reads_, machine); }
  // Of the writes of sessions that were acknowledged.
  const std::set<std::string>& markers() const { return markers_; }
  static std::string KeyName(uint64_t key) { return "k" + std::to_string(key); }

 private:
  struct Client {
    uint64_t session = 0;  // 0: it has none; a nonce until it is open
    bool open = false;
    uint64_t last_number = 0;
    uint64_t seen = 0;  // of the key that it read or wrote last
  };
  // One operation, until its end.
  struct Flight {
    sim::Operation op;
    bool by_client = true;  // who thinks, and goes on
    Machine* at = nullptr;  // null: any
    uint64_t session = 0;
    uint64_t number = 0;
    bool opens = false;
    // If it puts something besides that expires: for how long, and the time of the log before.
    uint64_t ttl_ms = 0;
    uint64_t begun_ms = 0;
    std::string marker;
    uint64_t attempt = 0;     // the present one
    bool maybe_done = false;  // an attempt before has an unknown end
    int refusals = 0;         // in a row
  };
  using Answer = std::function<void(absl::Status status, uint64_t found)>;

  static uint64_t Served(const std::map<int, uint64_t>& served, const Machine& machine) {
    const auto at = served.find(machine.host());
    return at == served.end() ? 0 : at->second;
  }
  std::string ValueOf(uint64_t serial) const;
  Nanos Exponential(Nanos mean);
  Nanos Trip() { return Exponential(300'000); }
  void Think(uint32_t client);
  void Begin(uint32_t client);
  void Draw(Flight* flight);
  void Send(uint64_t serial);
  void Ask(Machine* machine, uint64_t serial, const Flight& flight);
  std::string ExpiringName(uint64_t serial) const { return "t" + std::to_string(serial); }
  // What expires does so no earlier than it may.
  void CheckExpiry(Machine* machine, const Flight& flight, uint64_t serial);
  void AskWrite(Machine* machine, uint64_t serial, const Flight& flight, Answer answer);
  void AskRead(Machine* machine, const Flight& flight, Answer answer);
  void HandleAnswer(uint64_t serial, uint64_t attempt, bool by_leader, const absl::Status& status, uint64_t found);
  // `opened`: the id of the session, if this was to open one.
  void HandleSessionAnswer(uint64_t serial, const absl::Status& status, uint64_t opened, bool by_leader);
  void End(uint64_t serial, sim::Outcome outcome, uint64_t found, bool by_leader);

  World* const world_;
  const ClientOptions options_;
  base::Random random_;
  std::vector<Client> clients_;
  std::map<uint64_t, Flight> flights_;
  std::vector<sim::Operation> history_;
  std::vector<uint64_t> last_seen_;
  std::set<std::string> markers_;
  std::map<int, uint64_t> served_writes_;
  std::map<int, uint64_t> served_reads_;
  uint64_t last_serial_ = 0;
  uint64_t last_attempt_ = 0;
  uint64_t time_ = 0;
  bool stopped_ = false;
  Counters counters_;
};

}  // namespace bandb::world

#endif  // BANDB_TEST_WORLD_CLIENTS_H_
