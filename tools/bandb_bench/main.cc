// bandb_bench: measures BanDB. `bandb_bench net` drives a server, as its clients do; `bandb_bench
// db` runs the embedded store beside its peers, `bandb_bench changes` its change feed, `bandb_bench
// backup` its backups, `bandb_bench export` brings a server's entries into files and back,
// `bandb_bench grpc` drives a server through gRPC, `bandb_bench cluster` runs three nodes beside
// three of etcd.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "backup_bench.h"
#include "base/clock.h"
#include "base/status.h"
#include "changes_bench.h"
#include "changes_wire_bench.h"
#include "cluster_bench.h"
#include "db_bench.h"
#include "db_report.h"
#include "export_bench.h"
#include "grpc_bench.h"
#include "net_bench.h"

namespace bandb::bench {

namespace {

constexpr int kDone = 0;
constexpr int kUsage = 2;
constexpr int kServerError = 3;

// What CLI11 cannot put into NetBenchOptions by itself.
struct NetFlags {
  std::string mode = "mixed";
  bool no_fill = false;
};

void DeclareNet(CLI::App* net, NetBenchOptions* options, NetFlags* flags) {
  const CLI::Range positive(1, 1'000'000'000);
  net->add_option("--addr", options->address, "HOST:PORT of the server")->capture_default_str();
  net->add_option("--mode", flags->mode, "put, get or mixed")
      ->check(CLI::IsMember({"put", "get", "mixed"}))
      ->capture_default_str();
  net->add_option("--connections", options->connections)->check(positive)->capture_default_str();
  net->add_option("--depth", options->depth, "requests under way on each connection")
      ->check(positive)
      ->capture_default_str();
  net->add_option("--duration", options->duration_seconds, "seconds measured")->capture_default_str();
  net->add_option("--warmup", options->warm_up_seconds, "seconds before, not measured")->capture_default_str();
  net->add_option("--key-size", options->key_bytes, "bytes")->check(CLI::Range(1, 65536))->capture_default_str();
  net->add_option("--value-size", options->value_bytes, "bytes")->check(CLI::Range(0, 67108864))->capture_default_str();
  net->add_option("--keys", options->keys, "different keys")->check(positive)->capture_default_str();
  net->add_option("--read-ratio", options->read_ratio, "share of reads in mixed")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  net->add_flag("--no-fill", flags->no_fill, "do not put every key once before get and mixed");
  net->add_option("--seed", options->seed, "of the order of keys and operations")->capture_default_str();
}

void Print(std::string_view what, const Measured& measured, double seconds) {
  const HistogramSnapshot& latency = measured.latency_nanos;
  if (latency.count() == 0) return;
  const auto millis = [](double nanos) { return nanos / 1e6; };
  const auto percentile = [&](double percent) { return millis(static_cast<double>(latency.Percentile(percent))); };
  fmt::print("{:5} {:>9} requests {:>9.0f} QPS   average {:.3f} ms  p50 {:.3f}  p95 {:.3f}  p99 {:.3f}  max {:.3f}\n",
             what, latency.count(), static_cast<double>(latency.count()) / seconds, millis(latency.Mean()),
             percentile(50), percentile(95), percentile(99), millis(static_cast<double>(latency.max())));
  if (measured.errors > 0) fmt::print("{:5} {:>9} errors\n", what, measured.errors);
  if (measured.not_found > 0) fmt::print("{:5} {:>9} not found\n", what, measured.not_found);
}

int RunNet(const NetBenchOptions& options) {
  base::SystemClock clock;
  NetBench bench(&clock, options);
  const absl::Status status = bench.Run();
  if (!status.ok()) {
    fmt::print(stderr, "(error) {}\n", base::Message(status));
    return kServerError;
  }
  fmt::print("{} connections, {} under way on each, {}-byte keys, {}-byte values, {} keys, {:.1f} s\n",
             options.connections, options.depth, options.key_bytes, options.value_bytes, options.keys,
             bench.measured_seconds());
  Print("put", bench.puts(), bench.measured_seconds());
  Print("get", bench.gets(), bench.measured_seconds());
  return bench.puts().errors + bench.gets().errors == 0 ? kDone : kServerError;
}

#ifdef BANDB_BENCH_GRPC
void DeclareGrpc(CLI::App* grpc, GrpcBenchOptions* options) {
  grpc->add_option("--addr", options->address, "HOST:PORT of the server's gRPC listener")->capture_default_str();
  grpc->add_option("--clients", options->clients, "each with a connection and one call under way")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  grpc->add_option("--requests", options->requests, "puts, and then gets")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  grpc->add_option("--key-size", options->key_bytes, "bytes")->check(CLI::Range(1, 65536))->capture_default_str();
  grpc->add_option("--value-size", options->value_bytes, "bytes")
      ->check(CLI::Range(0, 67108864))
      ->capture_default_str();
}

int RunGrpc(const GrpcBenchOptions& options) {
  base::SystemClock clock;
  GrpcFigures figures;
  const absl::Status status = RunGrpcBench(&clock, options, &figures);
  if (!status.ok()) {
    fmt::print(stderr, "(error) {}\n", base::Message(status));
    return kServerError;
  }
  fmt::print("{} clients, {}-byte keys, {}-byte values\n", options.clients, options.key_bytes, options.value_bytes);
  const GrpcRound& puts = figures.puts;
  const GrpcRound& gets = figures.gets;
  Print("put", {.latency_nanos = puts.latency_nanos, .errors = puts.failures}, puts.seconds);
  Print("get", {.latency_nanos = gets.latency_nanos, .errors = gets.failures}, gets.seconds);
  return puts.failures + gets.failures == 0 ? kDone : kServerError;
}
#endif

void DeclareDb(CLI::App* db, DbBenchOptions* options) {
  const CLI::Range positive(1, 1'000'000'000);
  db->add_option("--dir", options->dir, "where the stores are made, and removed again")->capture_default_str();
  db->add_option("--workload", options->workloads, "run only these")->check(CLI::IsMember(WorkloadNames()));
  db->add_option("--store", options->subjects, "run only these")->check(CLI::IsMember(SubjectNames()));
  db->add_option("--keys", options->keys, "different keys, and writes")->check(positive)->capture_default_str();
  db->add_option("--reads", options->reads)->check(positive)->capture_default_str();
  db->add_option("--synced", options->synced, "writes of each writer of fillsync")
      ->check(positive)
      ->capture_default_str();
  db->add_option("--value-size", options->value_bytes, "bytes")->check(CLI::Range(0, 67108864))->capture_default_str();
  db->add_option("--rounds", options->rounds)->check(CLI::Range(1, 100))->capture_default_str();
  db->add_option("--write-buffer", options->settings.write_buffer_bytes, "bytes")->capture_default_str();
  db->add_option("--cache", options->settings.block_cache_bytes, "bytes")->capture_default_str();
  db->add_option("--bloom-bits", options->settings.bloom_bits_per_key)->check(CLI::Range(0, 32))->capture_default_str();
  db->add_option("--background-threads", options->settings.background_threads)
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  db->add_option("--compaction-style", options->settings.compaction_style, "of BanDB")
      ->check(CLI::IsMember(std::vector<std::string>(std::begin(kCompactionStyles), std::end(kCompactionStyles))))
      ->capture_default_str();
  db->add_option("--rest", options->rest_seconds, "seconds between opening a store and its workload, for compactions")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  db->add_option("--seed", options->seed)->capture_default_str();
}

int RunDb(const DbBenchOptions& options) {
  base::SystemClock clock;
  DbReport report;
  const absl::Status status = DbBench(&clock, &report, options).Run();
  if (status.ok()) return kDone;
  fmt::print(stderr, "(error) {}\n", base::Message(status));
  return kServerError;
}

struct WireFlags {
  bool wire = false;
  std::string address;
};

void DeclareChanges(CLI::App* changes, ChangesBenchOptions* options, WireFlags* wire) {
  const CLI::Range positive(1, 1'000'000'000);
  changes->add_option("--dir", options->dir, "where the store is made, and removed again")->capture_default_str();
  changes->add_option("--puts", options->puts, "of each round")->check(positive)->capture_default_str();
  changes->add_option("--synced", options->synced, "puts that a reader waits for")
      ->check(positive)
      ->capture_default_str();
  changes->add_option("--value-size", options->value_bytes, "bytes")
      ->check(CLI::Range(0, 67108864))
      ->capture_default_str();
  changes->add_option("--rounds", options->rounds)->check(CLI::Range(1, 100))->capture_default_str();
  changes->add_flag("--wire", wire->wire, "as clients of a server have it, which runs in this process");
  changes->add_option("--addr", wire->address, "HOST:PORT of a server to measure, which keeps changes");
}

int RunChangesWire(const ChangesBenchOptions& options, const std::string& address) {
  base::SystemClock clock;
  ChangesWireFigures figures;
  const absl::Status status = RunChangesWireBench(&clock,
                                                  {.address = address,
                                                   .dir = options.dir,
                                                   .puts = options.puts,
                                                   .synced = options.synced,
                                                   .value_bytes = options.value_bytes,
                                                   .rounds = options.rounds},
                                                  &figures);
  if (!status.ok()) {
    fmt::print(stderr, "(error) {}\n", base::Message(status));
    return kServerError;
  }
  const auto micros = [&](double percent) {
    return static_cast<double>(figures.behind_nanos.Percentile(percent)) / 1e3;
  };
  fmt::print("puts                {:>10.0f} a second\n", figures.puts);
  fmt::print("read back           {:>10.0f} changes a second, of {}\n", figures.read_back, figures.changes_read);
  fmt::print("after a put         p50 {:.0f} us, p99 {:.0f} us\n", micros(50), micros(99));
  return kDone;
}

int RunChanges(const ChangesBenchOptions& options) {
  base::SystemClock clock;
  ChangesFigures figures;
  const absl::Status status = RunChangesBench(&clock, options, &figures);
  if (!status.ok()) {
    fmt::print(stderr, "(error) {}\n", base::Message(status));
    return kServerError;
  }
  const auto micros = [&](double percent) {
    return static_cast<double>(figures.behind_nanos.Percentile(percent)) / 1e3;
  };
  fmt::print("puts alone          {:>10.0f} a second\n", figures.puts_alone);
  fmt::print("puts, one reader    {:>10.0f} a second, {:+.1f} %\n", figures.puts_followed,
             100 * (figures.puts_followed / figures.puts_alone - 1));
  fmt::print("read back           {:>10.0f} changes a second, of {}\n", figures.read_back, figures.changes_read);
  fmt::print("after a synced put  p50 {:.0f} us, p99 {:.0f} us\n", micros(50), micros(99));
  return kDone;
}

void DeclareBackup(CLI::App* backup, BackupBenchOptions* options) {
  const CLI::Range positive(1, 1'000'000'000);
  backup->add_option("--dir", options->dir, "where the store and its backups are made, and removed again")
      ->capture_default_str();
  backup->add_option("--keys", options->keys, "different keys")->check(positive)->capture_default_str();
  backup->add_option("--value-size", options->value_bytes, "bytes")
      ->check(CLI::Range(0, 67108864))
      ->capture_default_str();
  backup->add_option("--changed", options->changed_percent, "percent of the keys, written again for the second backup")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  backup->add_option("--puts", options->puts, "of a writer, of each round")->check(positive)->capture_default_str();
  backup->add_option("--rounds", options->rounds)->check(CLI::Range(1, 100))->capture_default_str();
}

int RunBackup(const BackupBenchOptions& options) {
  base::SystemClock clock;
  BackupFigures figures;
  const absl::Status status = RunBackupBench(&clock, options, &figures);
  if (!status.ok()) {
    fmt::print(stderr, "(error) {}\n", base::Message(status));
    return kServerError;
  }
  const auto print = [](std::string_view what, const BackupRate& rate) {
    fmt::print("{:19} {:>10.1f} MB/s, {} bytes\n", what, static_cast<double>(rate.bytes) / 1e6 / rate.seconds,
               rate.bytes);
  };
  print("create", figures.create);
  print("create again", figures.create_again);
  fmt::print("new tables          {:>10.3f} bytes copied for each of {}\n",
             static_cast<double>(figures.create_again.bytes) /
                 static_cast<double>(std::max<uint64_t>(figures.changed_bytes, 1)),
             figures.changed_bytes);
  print("verify", figures.verify);
  print("restore", figures.restore);
  fmt::print("puts alone          {:>10.0f} a second\n", figures.puts_alone);
  fmt::print("puts, one backup    {:>10.0f} a second, {:+.1f} %\n", figures.puts_beside,
             100 * (figures.puts_beside / figures.puts_alone - 1));
  return kDone;
}

void DeclareExportBench(CLI::App* exporting, ExportBenchOptions* options) {
  const CLI::Range positive(1, 1'000'000'000);
  exporting->add_option("--dir", options->dir, "where the store and the files are made, and removed again")
      ->capture_default_str();
  exporting->add_option("--keys", options->keys, "different keys")->check(positive)->capture_default_str();
  exporting->add_option("--value-size", options->value_bytes, "bytes")
      ->check(CLI::Range(0, 67108864))
      ->capture_default_str();
  exporting->add_option("--rounds", options->rounds)->check(CLI::Range(1, 100))->capture_default_str();
}

int RunExportFigures(const ExportBenchOptions& options) {
  base::SystemClock clock;
  ExportFigures figures;
  const absl::Status status = RunExportBench(&clock, options, &figures);
  if (!status.ok()) {
    fmt::print(stderr, "(error) {}\n", base::Message(status));
    return kServerError;
  }
  fmt::print("export, raw         {:>10.0f} entries a second\n", figures.raw);
  fmt::print("export, jsonl       {:>10.0f} entries a second\n", figures.json_lines);
  fmt::print("batches             {:>10.0f} entries a second\n", figures.batches);
  fmt::print("import, raw         {:>10.0f} entries a second, {:.0f} % of that\n", figures.import,
             100 * figures.import / figures.batches);
  return kDone;
}

void DeclareCluster(CLI::App* cluster, ClusterBenchOptions* options) {
  const CLI::Range positive(1, 1'000'000'000);
  cluster->add_option("--dir", options->dir, "where the nodes have their files, which are removed again")
      ->capture_default_str();
  cluster->add_option("--system", options->systems, "run only these")->check(CLI::IsMember({"bandb", "etcd"}));
  cluster->add_option("--server", options->server_program, "bandb_server [the one beside this program]");
  cluster->add_option("--etcd", options->etcd_program)->capture_default_str();
  cluster->add_option("--port", options->port_base, "the first of some hundred ports")->capture_default_str();
  cluster->add_option("--in-flight", options->in_flight, "requests under way, one figure for each")
      ->check(CLI::Range(1, 10'000));
  cluster->add_option("--depth", options->depth, "of them, on each connection")->check(positive)->capture_default_str();
  cluster->add_option("--duration", options->duration_seconds, "seconds measured, of each")->capture_default_str();
  cluster->add_option("--warmup", options->warm_up_seconds, "seconds before, not measured")->capture_default_str();
  cluster->add_option("--value-size", options->value_bytes, "bytes")
      ->check(CLI::Range(0, 1'048'576))
      ->capture_default_str();
  cluster->add_option("--keys", options->keys, "different keys")->check(positive)->capture_default_str();
}

int RunCluster(const ClusterBenchOptions& options) {
  base::SystemClock clock;
  fmt::print("3 nodes on this machine, fsync on, {}-byte values, {} keys; the leader is asked; gets are linearizable\n",
             options.value_bytes, options.keys);
  const absl::Status status = RunClusterBench(&clock, options, [](const ClusterFigure& figure) {
    fmt::print("{:5} {:>4} in flight on {:>4} connections  ", figure.system, figure.in_flight, figure.connections);
    Print(figure.operation, figure.measured, figure.seconds);
    std::fflush(stdout);
  });
  if (status.ok()) return kDone;
  fmt::print(stderr, "(error) {}\n", base::Message(status));
  return kServerError;
}

int Run(int argc, char** argv) {
  CLI::App app("Measures BanDB.", "bandb_bench");
  app.require_subcommand(1);
  CLI::App* net = app.add_subcommand("net", "drive a server over many connections");
  NetBenchOptions options;
  NetFlags flags;
  DeclareNet(net, &options, &flags);
  CLI::App* db = app.add_subcommand("db", "run the embedded store and its peers side by side");
  DbBenchOptions db_options;
  DeclareDb(db, &db_options);
  CLI::App* changes = app.add_subcommand("changes", "write, and read it back from the change feed");
  ChangesBenchOptions changes_options;
  WireFlags wire_flags;
  DeclareChanges(changes, &changes_options, &wire_flags);
  CLI::App* backup = app.add_subcommand("backup", "back the embedded store up, verify it and restore it");
  BackupBenchOptions backup_options;
  DeclareBackup(backup, &backup_options);
  CLI::App* exporting = app.add_subcommand("export", "export a server over loopback, and import it again");
  ExportBenchOptions export_options;
  DeclareExportBench(exporting, &export_options);
  CLI::App* cluster = app.add_subcommand("cluster", "run three nodes beside three of etcd");
  ClusterBenchOptions cluster_options;
  DeclareCluster(cluster, &cluster_options);
#ifdef BANDB_BENCH_GRPC
  CLI::App* grpc = app.add_subcommand("grpc", "drive a server through its gRPC listener: puts, then gets");
  GrpcBenchOptions grpc_options;
  DeclareGrpc(grpc, &grpc_options);
#endif
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  if (db->parsed()) return RunDb(db_options);
  if (changes->parsed() && (wire_flags.wire || !wire_flags.address.empty())) {
    return RunChangesWire(changes_options, wire_flags.address);
  }
  if (changes->parsed()) return RunChanges(changes_options);
  if (backup->parsed()) return RunBackup(backup_options);
  if (exporting->parsed()) return RunExportFigures(export_options);
  if (cluster->parsed()) return RunCluster(cluster_options);
#ifdef BANDB_BENCH_GRPC
  if (grpc->parsed()) return RunGrpc(grpc_options);
#endif
  options.fill = !flags.no_fill;
  options.mode = flags.mode == "put" ? Mode::kPut : flags.mode == "get" ? Mode::kGet : Mode::kMixed;
  if (std::to_string(options.keys - 1).size() > options.key_bytes) {
    fmt::print(stderr, "{} different keys do not fit in {} bytes\n", options.keys, options.key_bytes);
    return kUsage;
  }
  return RunNet(options);
}

}  // namespace

}  // namespace bandb::bench

int main(int argc, char** argv) { return bandb::bench::Run(argc, argv); }
