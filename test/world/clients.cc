#include "world/clients.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "bandb/write_batch.h"
#include "base/assert.h"
#include "base/checksum.h"
#include "base/status.h"
#include "cluster/sessions.h"
#include "kv/batch_format.h"
#include "sim/exponential.h"

namespace bandb::world {

namespace {

using absl::StatusCode;
using sim::OpKind;
using sim::Outcome;

// After that many refusals that may mean that the session is gone, it is.
constexpr int kRefusalsMax = 6;

uint64_t SerialOf(std::string_view value) {
  uint64_t serial = 0;
  std::from_chars(value.data(), value.data() + value.size(), serial);
  return serial;
}

Outcome OutcomeOf(const absl::Status& status) {
  if (status.ok()) return Outcome::kDone;
  return status.code() == StatusCode::kUnknown ? Outcome::kUnknown : Outcome::kNotDone;
}

// In one of the three ways in which a batch can say it.
void RequireAbsent(const std::string& key, uint64_t serial, WriteBatch* batch) {
  switch (serial % 3) {
    case 0:
      return batch->RequireAbsent(key);
    case 1:
      return batch->RequireVersion(key, 0);
    default:
      return batch->RequireEmptyRange(key, key + '\0');
  }
}

}  // namespace

Clients::Clients(World* world, const ClientOptions& options, uint64_t seed)
    : world_(world),
      options_(options),
      random_(seed),
      clients_(options.clients),
      last_seen_(options.keys, sim::kAbsent) {
  for (uint32_t i = 0; i < options_.with_sessions; ++i) clients_[i].session = random_.Next() >> 1 | 1;
}

Nanos Clients::Exponential(Nanos mean) { return sim::Exponential(&random_, mean); }

std::string Clients::ValueOf(uint64_t serial) const {
  const uint64_t hash = base::Hash64(std::to_string(serial));
  const size_t padding = hash % (hash % 4 == 0 ? options_.value_bytes_max : options_.value_bytes_max / 16 + 1);
  return std::to_string(serial) + ":" + std::string(padding, static_cast<char>('a' + serial % 26));
}

void Clients::Start() {
  for (uint32_t client = 0; client < clients_.size(); ++client) Think(client);
}

void Clients::Think(uint32_t client) {
  world_->After(Exponential(options_.think_mean), [this, client] { Begin(client); });
}

void Clients::Begin(uint32_t client) {
  if (stopped_) return;
  const uint64_t serial = ++last_serial_;
  Flight& flight = flights_[serial];
  flight.op.client = client;
  Draw(&flight);
  flight.op.call = ++time_;
  Send(serial);
}

void Clients::Draw(Flight* flight) {
  Client& client = clients_[flight->op.client];
  sim::Operation& op = flight->op;
  op.key = random_.Uniform(options_.keys);
  if (random_.Uniform(100) < options_.reads_percent) {
    op.kind = OpKind::kGet;
    return;
  }
  if (random_.Uniform(100) < options_.expiring_percent) flight->ttl_ms = 1 + random_.Uniform(5000);
  flight->begun_ms = world_->log_time_ms();
  if (client.session != 0) {
    flight->session = client.session;
    flight->opens = !client.open;
    flight->number = client.open ? ++client.last_number : cluster::kOpenNumber;
    flight->marker = fmt::format("m/{}/{}", client.session, flight->number);
    op.kind = random_.Uniform(100) < options_.delete_percent ? OpKind::kDelete : OpKind::kPut;
  } else if (random_.Uniform(100) < options_.conditional_percent) {
    op.kind = OpKind::kCas;
    op.expected = last_seen_[op.key];
  } else {
    op.kind = random_.Uniform(100) < options_.delete_percent ? OpKind::kDelete : OpKind::kPut;
  }
  if (op.kind != OpKind::kDelete) op.value = last_serial_;
}

void Clients::ReadAt(Machine* machine, uint64_t key) {
  const uint64_t serial = ++last_serial_;
  Flight& flight = flights_[serial];
  flight.by_client = false;
  flight.at = machine;
  flight.op = {.kind = OpKind::kGet, .client = 99, .key = key};
  flight.op.call = ++time_;
  Send(serial);
}

// ---- To a node and back. ----

void Clients::Send(uint64_t serial) {
  Flight& flight = flights_.at(serial);
  flight.attempt = ++last_attempt_;
  Machine* machine = flight.at;
  if (machine == nullptr) machine = &world_->machine(random_.Uniform(world_->machines().size()));
  world_->After(Trip(), [this, serial, machine, attempt = flight.attempt] {
    const auto found = flights_.find(serial);
    if (found == flights_.end() || found->second.attempt != attempt) return;
    Ask(machine, serial, found->second);
  });
  world_->After(options_.timeout + kSecond, [this, serial, attempt = flight.attempt] {
    HandleAnswer(serial, attempt, false, base::Error(StatusCode::kUnknown, "silence"), 0);
  });
}

void Clients::Ask(Machine* machine, uint64_t serial, const Flight& flight) {
  Answer answer = [this, serial, machine, life = machine->lives(), is_read = flight.op.kind == OpKind::kGet,
                   attempt = flight.attempt](absl::Status status, uint64_t found) {
    // A client that died says nothing.
    if (machine->lives() != life || machine->dying()) return;
    if (status.ok()) ++(is_read ? served_reads_ : served_writes_)[machine->host()];
    world_->After(Trip(), [this, serial, attempt, leads = machine->leads(), status = std::move(status), found] {
      HandleAnswer(serial, attempt, leads, status, found);
    });
  };
  if (machine->node() == nullptr) return answer(base::Error(StatusCode::kUnavailable, "connection refused"), 0);
  if (flight.op.kind == OpKind::kGet) {
    AskRead(machine, flight, std::move(answer));
  } else {
    AskWrite(machine, serial, flight, std::move(answer));
  }
}

void Clients::CheckExpiry(Machine* machine, const Flight& flight, uint64_t serial) {
  storage::EngineReplica& replica = machine->node()->replica();
  PinnedValue value;
  const absl::Status got = replica.engine().Get(ExpiringName(serial), {}, &value);
  if (!got.ok() && got.code() != StatusCode::kNotFound) return;
  // A node that leads knows the time of all that was applied before, and goes on from there.
  const uint64_t least_ms = flight.begun_ms + flight.ttl_ms;
  const uint64_t expires_ms =
      got.ok() ? static_cast<uint64_t>(absl::ToUnixMillis(value.expiry())) : replica.commit_time_ms();
  if (expires_ms >= least_ms) return;
  world_->Fail(fmt::format("{}, put for {} ms at {} or later, expires at {}", ExpiringName(serial), flight.ttl_ms,
                           flight.begun_ms, expires_ms));
}

void Clients::AskWrite(Machine* machine, uint64_t serial, const Flight& flight, Answer answer) {
  WriteBatch batch;
  const std::string key = KeyName(flight.op.key);
  if (!flight.opens) {
    if (flight.op.kind == OpKind::kCas && flight.op.expected == sim::kAbsent) RequireAbsent(key, serial, &batch);
    if (flight.op.kind == OpKind::kCas && flight.op.expected != sim::kAbsent) {
      batch.RequireValue(key, ValueOf(flight.op.expected));
    }
    if (!flight.marker.empty()) {
      RequireAbsent(flight.marker, serial, &batch);
      batch.Put(flight.marker, "");
    }
    if (flight.op.kind == OpKind::kDelete) {
      batch.Delete(key);
    } else {
      batch.Put(key, ValueOf(flight.op.value));
    }
    if (flight.ttl_ms != 0) batch.PutWithTtl(ExpiringName(serial), key, absl::Milliseconds(flight.ttl_ms));
  }
  cluster::WriteContent content{.session = flight.session,
                                .number = flight.number,
                                .conditions = WriteBatchAccess::Conditions(batch),
                                .operations = WriteBatchAccess::Operations(batch),
                                .deadline_nanos = world_->now() + options_.timeout};
  // The write itself, which has the id of what it has opened.
  auto self = std::make_shared<const cluster::ClientWrite*>(nullptr);
  auto write = std::make_shared<cluster::ClientWrite>(
      std::move(content), [this, machine, flight, serial, self, answer = std::move(answer)](absl::Status status) {
        if (status.ok() && flight.ttl_ms != 0 && !flight.opens && !machine->dying())
          CheckExpiry(machine, flight, serial);
        answer(std::move(status), (*self)->opened());
      });
  *self = write.get();
  machine->loop()->Post([machine, write = std::move(write)] {
    if (machine->node() != nullptr) machine->node()->Write(write);
  });
}

void Clients::AskRead(Machine* machine, const Flight& flight, Answer answer) {
  const auto shared = std::make_shared<Answer>(std::move(answer));
  const auto get = [machine, key = KeyName(flight.op.key), shared] {
    PinnedValue value;
    const absl::Status got = machine->node()->replica().engine().Get(key, {}, &value);
    if (got.code() == StatusCode::kNotFound) return (*shared)(absl::OkStatus(), sim::kAbsent);
    (*shared)(got, got.ok() ? SerialOf(value.value()) : 0);
  };
  machine->loop()->Post([machine, shared, get, deadline = world_->now() + options_.timeout] {
    cluster::Node* const node = machine->node();
    if (node == nullptr) return;
    // As the façade does.
    const bool lease_reads = machine->options().node.core.lease_reads;
    const Consistency consistency = lease_reads ? Consistency::kLease : Consistency::kLinearizable;
    if (node->published().MayReadNow(consistency, machine->clock())) return get();
    node->Read({.deadline_nanos = deadline, .done = [machine, shared, get](const absl::Status& status) {
                  if (!status.ok()) return (*shared)(status, 0);
                  machine->loop()->Post(get);
                }});
  });
}

void Clients::HandleAnswer(uint64_t serial, uint64_t attempt, bool by_leader, const absl::Status& status,
                           uint64_t found) {
  const auto at = flights_.find(serial);
  if (at == flights_.end() || at->second.attempt != attempt) return;
  Flight& flight = at->second;
  if (status.code() == StatusCode::kDataLoss) {
    return world_->Fail(fmt::format("a client was told of damage: {}", base::Message(status)));
  }
  if (world_->trace().wordy() && !status.ok()) {
    world_->trace().Line("client {} is told of {}: {}", flight.op.client, sim::Describe(flight.op), status.ToString());
  }
  if (!flight.by_client && !status.ok()) return Send(serial);
  if (flight.session != 0) return HandleSessionAnswer(serial, status, found, by_leader);
  End(serial, OutcomeOf(status), found, by_leader);
}

void Clients::HandleSessionAnswer(uint64_t serial, const absl::Status& status, uint64_t opened, bool by_leader) {
  Flight& flight = flights_.at(serial);
  Client& client = clients_[flight.op.client];
  if (status.code() == StatusCode::kAborted) {
    return world_->Fail(fmt::format("number {} of session {} was done twice", flight.number, flight.session));
  }
  if (status.ok() && flight.opens) {
    if (opened == cluster::kNoSession) return world_->Fail("a session was opened, and has no id");
    client.open = true;
    client.session = opened;
  }
  if (status.ok()) return End(serial, flight.opens ? Outcome::kNotDone : Outcome::kDone, 0, by_leader);
  flight.maybe_done |= status.code() == StatusCode::kUnknown;
  flight.refusals = status.code() == StatusCode::kFailedPrecondition ? flight.refusals + 1 : 0;
  if (flight.refusals == kRefusalsMax || (stopped_ && status.code() != StatusCode::kUnknown)) {
    // The session has expired, perhaps. What it had asked for last may have been done before.
    client.session = random_.Next() >> 1 | 1;
    client.open = false;
    client.last_number = 0;
    return End(serial, flight.maybe_done && !flight.opens ? Outcome::kUnknown : Outcome::kNotDone, 0, by_leader);
  }
  ++counters_.repeats;
  world_->After(Exponential(50 * kMilli), [this, serial] {
    if (flights_.count(serial) != 0) Send(serial);
  });
}

void Clients::End(uint64_t serial, Outcome outcome, uint64_t found, bool by_leader) {
  const auto at = flights_.find(serial);
  const Flight flight = std::move(at->second);
  flights_.erase(at);
  sim::Operation op = flight.op;
  op.outcome = outcome;
  // A condition that held found what it asked for.
  op.found = op.kind == OpKind::kCas ? op.expected : found;
  op.ret = outcome == Outcome::kUnknown ? sim::kNever : ++time_;
  world_->trace().Mix(sim::TraceKind::kClient, {serial, static_cast<uint64_t>(outcome), found});
  if (world_->trace().wordy()) world_->trace().Line("{}", sim::Describe(op));
  if (outcome == Outcome::kDone) {
    ++counters_.done;
    ++(op.kind == OpKind::kGet ? counters_.reads : counters_.writes);
    counters_.session_writes += flight.session != 0 ? 1 : 0;
    counters_.at_followers += by_leader ? 0 : 1;
    last_seen_[op.key] = op.kind == OpKind::kGet ? found : op.value;
    if (!flight.marker.empty()) markers_.insert(flight.marker);
  } else {
    ++(outcome == Outcome::kUnknown ? counters_.unknown : counters_.not_done);
  }
  if (!flight.opens) history_.push_back(op);
  if (flight.by_client) Think(op.client);
}

std::vector<sim::Operation> Clients::TakeHistory() {
  stopped_ = true;
  while (!flights_.empty()) End(flights_.begin()->first, Outcome::kUnknown, 0, false);
  return std::move(history_);
}

}  // namespace bandb::world
