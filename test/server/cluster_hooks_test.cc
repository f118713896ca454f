// Servers with hooks over the nodes of a cluster: which of them run their hooks, and how often.
#include <fmt/format.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "cluster/cluster_rig.h"
#include "server/wire_client.h"
#include "support/catch.h"

namespace bandb::test {
namespace {

constexpr const char* kNames[] = {"a", "b", "c"};

// What all hooks were told, in its order; and what one of them is to do besides.
class Notes {
 public:
  void Add(const std::string& note) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    text_ += note + ";";
  }
  std::string Take() ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    return std::exchange(text_, {});
  }
  // Once, within the next hook on an operation of this kind.
  void DoWithin(OperationKind kind, std::function<void()> what) ABSL_LOCKS_EXCLUDED(mutex_) {
    base::MutexLock lock(&mutex_);
    kind_ = kind;
    what_ = std::move(what);
  }
  void IsWithin(OperationKind kind) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::function<void()> what;
    {
      base::MutexLock lock(&mutex_);
      if (kind == kind_) std::swap(what, what_);
    }
    if (what != nullptr) what();
  }

 private:
  base::Mutex mutex_;
  std::string text_ ABSL_GUARDED_BY(mutex_);
  OperationKind kind_ ABSL_GUARDED_BY(mutex_) = OperationKind::kGet;
  std::function<void()> what_ ABSL_GUARDED_BY(mutex_);
};

std::string Describe(const ServerOperation& operation) {
  static constexpr const char* kKinds[] = {"get", "put", "delete", "delete range", "scan"};
  return fmt::format("{} {}", kKinds[static_cast<int>(operation.kind)], operation.key);
}

std::string Describe(const ServerOutcome& outcome) { return outcome.ok ? "OK" : fmt::format("error {}", outcome.code); }

// Keys that begin with "old/" lie under "new/"; a put of "item/X" adds one of "index/X".
HookResult RouteOrEmit(const ServerOperation& operation) {
  const std::string key(operation.key);
  if (operation.kind == OperationKind::kScan) return HookResult::Pass();
  if (key.starts_with("old/")) return HookResult::Route("new/" + key.substr(4));
  if (operation.kind != OperationKind::kPut || !key.starts_with("item/")) return HookResult::Pass();
  return HookResult::Emit({{.key = "index/" + key.substr(5), .value = std::string(operation.value)}});
}

// Three nodes, the first of which leads, and a server of each. Hooks say at which node they are.
class HookedNodes {
 public:
  explicit HookedNodes(absl::Duration store_timeout = absl::Minutes(1)) : store_timeout_(store_timeout) {
    for (const char* name : kNames) Serve(name);
  }

  void Serve(const std::string& name) {
    ServerOptions options;
    options.listen = "127.0.0.1:0";
    options.redis_listen = "127.0.0.1:0";
    options.stall_timeout = absl::InfiniteDuration();
    options.store_timeout = store_timeout_;
    auto started = Server::Start(nodes[name], options, MakeHooks(name));
    REQUIRE_OK(started.status());
    servers[name] = *std::move(started);
  }
  void Kill(const std::string& name) {
    servers.erase(name);
    nodes.Kill(name);
  }
  void Restart(const std::string& name) {
    nodes.Start(name);
    Serve(name);
  }
  // Has another node than this one lead: which.
  std::string LeadElsewhere(const std::string& name) {
    for (int round = 0;; ++round) {
      const std::string leader = nodes.AwaitLeader();
      if (leader != name) return leader;
      // One that has just come back may not be able to yet.
      nodes[name].TransferLeadership(Other(name, round)).IgnoreError();
    }
  }

  // One of the two others.
  static std::string Other(const std::string& name, int which = 0) {
    std::string others;
    for (const char* other : kNames) others += other == name ? "" : other;
    return others.substr(static_cast<size_t>(which) % 2, 1);
  }

  Notes notes;
  Nodes nodes{3};
  std::map<std::string, std::unique_ptr<Server>> servers;

 private:
  ServerHooks MakeHooks(const std::string& name) {
    ServerHooks hooks;
    hooks.before_operations.emplace_back([this, name](const ServerOperation& operation) {
      notes.Add(fmt::format("{}: {}", name, Describe(operation)));
      notes.IsWithin(operation.kind);
      return RouteOrEmit(operation);
    });
    hooks.after_operations.emplace_back([this, name](const ServerOperation& operation, const ServerOutcome& outcome) {
      notes.Add(fmt::format("{}: {} {}", name, Describe(operation), Describe(outcome)));
    });
    hooks.before.push_back({kFirstUserMessage, [this, name](const ServerRequest&) {
                              notes.Add(name + ": route");
                              return HookResult::Pass();
                            }});
    hooks.after.push_back({kFirstUserMessage, [this, name](const ServerRequest&, const ServerOutcome& outcome) {
                             notes.Add(fmt::format("{}: route {}", name, Describe(outcome)));
                           }});
    // Writes through its own node, which may take until there is a leader.
    hooks.routes.push_back({kFirstUserMessage,
                            [this, name](const ServerRequest& request, Responder responder) {
                              notes.Add(name + ": handler");
                              const absl::Status put = nodes[name].Put(request.payload, "by a route");
                              put.ok() ? responder.Ok(name) : responder.Error(kFirstHookErrorCode, "not done");
                            },
                            {.on_worker = true}});
    return hooks;
  }

  const absl::Duration store_timeout_;
};

std::string RouteFrame(std::string_view payload) {
  std::string frame;
  proto::AppendFrame(&frame, kFirstUserMessage, payload);
  return frame;
}

void CheckRedis(WireClient* client, const std::string& request, const std::string& reply) {
  INFO(request);
  REQUIRE(client->Send(request + "\r\n"));
  CHECK(client->ReceiveText(reply.size()) == reply);
}

}  // namespace

TEST_CASE("hooks run at the node that the client talks to, once for each request, and at no other") {
  HookedNodes cluster;
  const bool at_leader = GENERATE(true, false);
  CAPTURE(at_leader);
  const std::string leader = cluster.nodes.AwaitLeader();
  const std::string name = at_leader ? leader : HookedNodes::Other(leader);
  WireClient client(cluster.servers[name]->Address());
  const auto with_name = [&name](std::string text) {
    for (size_t at = 0; (at = text.find('@', at)) != std::string::npos;) text.replace(at, 1, name + ":");
    return text;
  };
  const struct {
    std::string frame;
    OwnedReply reply;
    const char* told;
  } rows[] = {
      {PutFrame("k", "1"), OkReply(), "@ put k;@ put k OK;"},
      {GetFrame("k"), ValueReply("1"), "@ get k;@ get k OK;"},
      {PutFrame("item/1", "x"), OkReply(), "@ put item/1;@ put item/1 OK;"},
      {PutFrame("old/1", "y"), OkReply(), "@ put old/1;@ put new/1 OK;"},
      {GetFrame("old/1"), ValueReply("y"), "@ get old/1;@ get new/1 OK;"},
      {BatchFrame({{.kind = proto::BatchKind::kPut, .key = "item/2", .value = "z"},
                   {.kind = proto::BatchKind::kDelete, .key = "k"}}),
       OkReply(), "@ put item/2;@ delete k;@ put item/2 OK;@ delete k OK;"},
      {RouteFrame("routed"), OkReply(name), "@ route;@ handler;@ route OK;"},
  };
  for (const auto& row : rows) {
    INFO(row.told);
    CHECK(client.Ask(row.frame) == row.reply);
    CHECK(cluster.notes.Take() == with_name(row.told));
  }
  const std::optional<OwnedReply> scanned = client.Ask(ScanFrame({.begin = "index/", .limit = "index0"}));
  REQUIRE(scanned.has_value());
  CHECK(scanned->ok);
  CHECK(cluster.notes.Take() == with_name("@ scan index/;@ scan index/ OK;"));
  WireClient redis(cluster.servers[name]->RedisAddress());
  CheckRedis(&redis, "INCR n", ":1\r\n");
  CHECK(cluster.notes.Take() == with_name("@ get n;@ put n;@ get n OK;@ put n OK;"));
  CheckRedis(&redis, "MULTI", "+OK\r\n");
  CheckRedis(&redis, "INCR n", "+QUEUED\r\n");
  CheckRedis(&redis, "SET item/3 w", "+QUEUED\r\n");
  CheckRedis(&redis, "SET old/2 v", "+QUEUED\r\n");
  CheckRedis(&redis, "EXEC", "*3\r\n:2\r\n+OK\r\n+OK\r\n");
  CHECK(cluster.notes.Take() ==
        with_name("@ get n;@ put n;@ put item/3;@ put old/2;@ get n OK;@ put n OK;@ put item/3 OK;@ put new/2 OK;"));
  // Every node has what they made of it, and nobody else was asked.
  for (const char* at : kNames) {
    CHECK(*cluster.nodes[at].Get("index/1") == "x");
    CHECK(*cluster.nodes[at].Get("index/2") == "z");
    CHECK(*cluster.nodes[at].Get("index/3") == "w");
    CHECK(*cluster.nodes[at].Get("new/1") == "y");
    CHECK(*cluster.nodes[at].Get("new/2") == "v");
    CHECK(*cluster.nodes[at].Get("routed") == "by a route");
    CHECK_CODE(cluster.nodes[at].Get("old/1").status(), kNotFound);
    CHECK(cluster.servers[at]->Stats().hook_emissions == (at == name ? 3U : 0U));
  }
  // What the host itself writes passes no hook.
  REQUIRE_OK(cluster.nodes[name].Put("item/4", "u"));
  CHECK_CODE(cluster.nodes[name].Get("index/4").status(), kNotFound);
  CHECK(cluster.notes.Take().empty());
}

TEST_CASE("what is passed on to the next leader, since the one before is gone, no hook is asked about once more") {
  HookedNodes cluster;
  const bool is_gone = GENERATE(true, false);
  CAPTURE(is_gone);
  const std::string name = "c";
  WireClient client(cluster.servers[name]->Address()), redis(cluster.servers[name]->RedisAddress());
  base::Event entered, go_on;
  // The leader changes while the hook runs: what it lets through is sent to the old one, if to any.
  const auto ask = [&](OperationKind kind, WireClient* by, const std::string& frame) {
    const std::string leader = cluster.LeadElsewhere(name);
    cluster.notes.DoWithin(kind, [&] {
      entered.Set();
      go_on.BlockUntilSet(base::kForever);
    });
    REQUIRE(by->Send(frame));
    entered.BlockUntilSet(base::kForever);
    entered.Reset();
    if (is_gone) {
      cluster.Kill(leader);
    } else {
      REQUIRE_OK(cluster.nodes[leader].TransferLeadership(leader == "a" ? "b" : "a"));
    }
    go_on.Set();
    return leader;
  };
  const auto recover = [&](const std::string& leader) {
    go_on.Reset();
    if (is_gone) cluster.Restart(leader);
  };

  std::string leader = ask(OperationKind::kPut, &client, PutFrame("item/1", "x"));
  CHECK(client.Receive() == OkReply());
  CHECK(cluster.notes.Take() == "c: put item/1;c: put item/1 OK;");
  recover(leader);
  leader = ask(OperationKind::kPut, &client, PutFrame("old/1", "y"));
  CHECK(client.Receive() == OkReply());
  CHECK(cluster.notes.Take() == "c: put old/1;c: put new/1 OK;");
  recover(leader);
  leader = ask(OperationKind::kGet, &client, GetFrame("item/1"));
  CHECK(client.Receive() == ValueReply("x"));
  CHECK(cluster.notes.Take() == "c: get item/1;c: get item/1 OK;");
  recover(leader);
  leader = ask(OperationKind::kScan, &client, ScanFrame({.begin = "index/", .limit = "index0"}));
  std::optional<OwnedReply> scanned = client.Receive();
  REQUIRE(scanned.has_value());
  CHECK(scanned->ok);
  CHECK(cluster.notes.Take() == "c: scan index/;c: scan index/ OK;");
  recover(leader);
  leader = ask(OperationKind::kPut, &redis, "INCR item/2\r\n");
  CHECK(redis.ReceiveText(4) == ":1\r\n");
  CHECK(cluster.notes.Take() == "c: get item/2;c: put item/2;c: get item/2 OK;c: put item/2 OK;");
  recover(leader);
  for (const char* at : kNames) {
    CHECK(*cluster.nodes[at].Get("index/1") == "x");
    CHECK(*cluster.nodes[at].Get("new/1") == "y");
    CHECK(*cluster.nodes[at].Get("item/2") == "1");
    CHECK(*cluster.nodes[at].Get("index/2") == "1");
  }
}

TEST_CASE("a command that another node was quicker than asks the hooks on puts again, at the same node") {
  HookedNodes cluster;
  WireClient redis(cluster.servers["b"]->RedisAddress());
  REQUIRE_OK(cluster.nodes["a"].Put("n", "1"));
  absl::Status put;
  cluster.notes.DoWithin(OperationKind::kPut, [&] { put = cluster.nodes["c"].Put("n", "10"); });
  CheckRedis(&redis, "INCR n", ":11\r\n");
  CHECK_OK(put);
  CHECK(cluster.notes.Take() == "b: get n;b: put n;b: put n;b: get n OK;b: put n OK;");
  CHECK(*cluster.nodes["a"].Get("n") == "11");
}

TEST_CASE("without a majority hooks are told what the client is told, and are not asked again") {
  HookedNodes cluster(absl::Milliseconds(300));
  WireClient client(cluster.servers["c"]->Address());
  cluster.Kill("a");
  cluster.Kill("b");
  const std::optional<OwnedReply> reply = client.Ask(PutFrame("item/1", "x"));
  REQUIRE(reply.has_value());
  CHECK((reply->code == proto::ToCode(absl::StatusCode::kUnknown) ||
         reply->code == proto::ToCode(absl::StatusCode::kDeadlineExceeded)));
  CHECK(cluster.notes.Take() == fmt::format("c: put item/1;c: put item/1 error {};", reply->code));
}

}  // namespace bandb::test
