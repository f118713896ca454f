#include "db_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "base/mutex.h"
#include "base/random.h"
#include "base/status.h"
#include "base/thread.h"

namespace bandb::bench {

namespace {

constexpr int64_t kStallNanos = 10'000'000;
constexpr uint64_t kScanLength = 50;

// Sixteen digits, as the peers' own benchmarks have them. Odd numbers are never written, so that
// they are missing.
void FormatKey(uint64_t number, std::string* key) {
  key->resize(16);
  for (size_t at = 16; at > 0; number /= 10) (*key)[--at] = static_cast<char>('0' + number % 10);
}

void Rest(base::Clock* clock, int seconds) {
  const int64_t until_nanos = clock->MonotonicNanos() + int64_t{seconds} * 1'000'000'000;
  base::Mutex mutex;
  base::CondVar nobody;
  const base::MutexLock lock(&mutex);
  while (clock->MonotonicNanos() < until_nanos) nobody.WaitFor(&mutex, until_nanos - clock->MonotonicNanos());
}

std::vector<SubjectKind> AllKinds() {
  std::vector<SubjectKind> kinds = {BandbKind()};
#ifdef BANDB_BENCH_ROCKSDB
  kinds.push_back(RocksdbKind());
#endif
#ifdef BANDB_BENCH_LEVELDB
  kinds.push_back(LeveldbKind());
#endif
#ifdef BANDB_BENCH_LMDB
  kinds.push_back(LmdbKind());
#endif
  return kinds;
}

bool Chosen(const std::vector<std::string>& chosen, const std::string& name) {
  return chosen.empty() || std::find(chosen.begin(), chosen.end(), name) != chosen.end();
}

}  // namespace

const std::vector<DbBench::Workload>& DbBench::Workloads() {
  static const std::vector<Workload> kWorkloads = {
      {"fillseq", true, 0},           {"ingest", true, 0},        {"fillrandom", true, 0},
      {"overwrite", false, 0},        {"readrandom", false, 0},   {"readmissing", false, 0},
      {"seekrandom", false, 0},       {"readseq", false, 0},      {"readreverse", false, 0},
      {"readwhilewriting", false, 0}, {"deleterandom", false, 0}, {"fillsync", true, 1},
      {"fillsync16", true, 16},
  };
  return kWorkloads;
}

std::vector<std::string> WorkloadNames() {
  std::vector<std::string> names;
  for (const auto& workload : DbBench::Workloads()) names.push_back(workload.name);
  return names;
}

std::vector<std::string> SubjectNames() {
  std::vector<std::string> names;
  for (const SubjectKind& kind : AllKinds()) names.push_back(kind.name);
  return names;
}

DbBench::DbBench(base::Clock* clock, DbReport* report, DbBenchOptions options)
    : clock_(clock), report_(report), options_(std::move(options)) {
  for (SubjectKind& kind : AllKinds()) {
    if (Chosen(options_.subjects, kind.name)) kinds_.push_back(std::move(kind));
  }
  base::Random random(options_.seed);
  while (value_.size() < options_.value_bytes) value_.push_back(static_cast<char>(' ' + random.Uniform(95)));
}

std::string DbBench::DirOf(const SubjectKind& kind, const Workload& workload) const {
  const bool own = workload.name == "fillseq" || workload.name == "ingest" || workload.writers > 0;
  return options_.dir + "/" + kind.name + "-" + (own ? workload.name : "random");
}

uint64_t DbBench::CountFor(const Workload& workload) const {
  if (workload.writers > 0) return options_.synced;
  if (workload.name == "readseq" || workload.name == "readreverse") {
    return std::max<uint64_t>(1, options_.reads / options_.keys);
  }
  const bool writes = workload.fresh || workload.name == "overwrite";
  if (workload.name == "seekrandom") return options_.reads / 4;
  return writes ? options_.keys : options_.reads;
}

absl::Status DbBench::OperateOnce(Subject* subject, const Workload& workload, uint64_t i, base::Random* random,
                                  std::string* key, uint64_t* counted) {
  *counted = 1;
  const std::string& name = workload.name;
  FormatKey((name == "fillseq" ? i : random->Uniform(options_.keys)) * 2, key);
  if (workload.fresh || name == "overwrite") return subject->Put(*key, value_, workload.writers > 0);
  if (name == "deleterandom") return subject->Delete(*key);
  if (name == "readseq" || name == "readreverse") {
    BANDB_ASSIGN_OR_RETURN(*counted, subject->Scan({}, UINT64_MAX, name == "readreverse"));
    return absl::OkStatus();
  }
  if (name == "seekrandom") return subject->Scan(*key, kScanLength, false).status();
  if (name == "readmissing") ++(*key)[15];
  return subject->Get(*key).status();
}

absl::Status DbBench::Ingest(Subject* subject, uint64_t count) const {
  uint64_t given = 0;
  std::string key;
  return subject->Ingest([&](std::string_view* to_key, std::string_view* to_value) {
    if (given == count) return false;
    FormatKey(2 * given++, &key);
    *to_key = key;
    *to_value = value_;
    return true;
  });
}

absl::Status DbBench::Operate(Subject* subject, const Workload& workload, int writer, Histogram* latency,
                              uint64_t* operations) {
  base::Random random(options_.seed * 1000 + static_cast<uint64_t>(writer));
  std::string key;
  const uint64_t count = CountFor(workload);
  int64_t before_nanos = clock_->MonotonicNanos();
  if (workload.name == "ingest") {
    BANDB_RETURN_IF_ERROR(Ingest(subject, count));
    *operations = count;
    return absl::OkStatus();
  }
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t counted = 0;
    BANDB_RETURN_IF_ERROR(OperateOnce(subject, workload, i, &random, &key, &counted));
    *operations += counted;
    const int64_t now_nanos = clock_->MonotonicNanos();
    latency->Record(static_cast<uint64_t>(now_nanos - before_nanos));
    before_nanos = now_nanos;
  }
  return absl::OkStatus();
}

absl::StatusOr<Measurement> DbBench::RunOne(const SubjectKind& kind, const Workload& workload) {
  const std::string dir = DirOf(kind, workload);
  std::error_code failure;
  if (workload.fresh) std::filesystem::remove_all(dir, failure);
  if (failure) return base::Error(absl::StatusCode::kInternal, "cannot remove {}: {}", dir, failure.message());
  BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<Subject> subject, kind.open(dir, options_.settings));
  if (!workload.fresh) Rest(clock_, options_.rest_seconds);
  std::atomic<bool> stop{false};
  std::unique_ptr<base::Thread> background;
  if (workload.name == "readwhilewriting") {
    background = std::make_unique<base::Thread>([&]() {
      base::Random random(options_.seed + 99);
      std::string key;
      absl::Status written;
      while (written.ok() && !stop.load(std::memory_order_relaxed)) {
        FormatKey(random.Uniform(options_.keys) * 2, &key);
        written = subject->Put(key, value_, false);
      }
    });
  }
  const int threads = std::max(workload.writers, 1);
  Histogram latency;
  std::vector<uint64_t> operations(static_cast<size_t>(threads), 0);
  std::vector<absl::Status> outcomes(static_cast<size_t>(threads));
  const int64_t begin_nanos = clock_->MonotonicNanos();
  {
    std::vector<std::unique_ptr<base::Thread>> others;
    for (int writer = 1; writer < threads; ++writer) {
      const auto at = static_cast<size_t>(writer);
      others.push_back(std::make_unique<base::Thread>(
          [&, writer, at]() { outcomes[at] = Operate(subject.get(), workload, writer, &latency, &operations[at]); }));
    }
    outcomes[0] = Operate(subject.get(), workload, 0, &latency, operations.data());
  }
  const int64_t end_nanos = clock_->MonotonicNanos();
  stop.store(true, std::memory_order_relaxed);
  background.reset();
  uint64_t total = 0;
  for (int thread = 0; thread < threads; ++thread) {
    BANDB_RETURN_IF_ERROR(outcomes[static_cast<size_t>(thread)]);
    total += operations[static_cast<size_t>(thread)];
  }
  Measurement measurement;
  measurement.description = subject->Describe();
  measurement.operations_per_second = static_cast<double>(total) * 1e9 / static_cast<double>(end_nanos - begin_nanos);
  measurement.latency_nanos = latency.Snapshot();
  measurement.stalled_seconds = measurement.latency_nanos.SumAbove(kStallNanos) / 1e9;
  return measurement;
}

std::vector<DbBench::Workload> DbBench::WorkloadsToRun() const {
  std::vector<Workload> to_run;
  for (const Workload& workload : Workloads()) {
    // What later workloads read must be written, whether its figures are wanted or not.
    const bool needed = workload.name == "fillrandom";
    if (needed || Chosen(options_.workloads, workload.name)) to_run.push_back(workload);
  }
  return to_run;
}

absl::Status DbBench::Run() {
  std::error_code failure;
  std::filesystem::create_directories(options_.dir, failure);
  if (failure) return base::Error(absl::StatusCode::kInternal, "cannot create {}: {}", options_.dir, failure.message());
  const absl::Status measured = MeasureAll();
  // Only what was made here: the folder may hold other things of the user.
  for (const Workload& workload : Workloads()) {
    for (const SubjectKind& kind : kinds_) std::filesystem::remove_all(DirOf(kind, workload), failure);
  }
  std::filesystem::remove(options_.dir, failure);
  return measured;
}

absl::Status DbBench::MeasureAll() {
  report_->Settings(fmt::format(
      "{} keys of 16 bytes, values of {} bytes, write buffer {} MiB, cache {} MiB, {} bits of Bloom, {} background "
      "threads, no compression, bandb {}, {} s of rest, {} rounds",
      options_.keys, options_.value_bytes, options_.settings.write_buffer_bytes >> 20,
      options_.settings.block_cache_bytes >> 20, options_.settings.bloom_bits_per_key,
      options_.settings.background_threads, options_.settings.compaction_style, options_.rest_seconds,
      options_.rounds));
  const std::vector<Workload> workloads = WorkloadsToRun();
  report_->Expect(static_cast<size_t>(options_.rounds) * workloads.size() * kinds_.size());
  for (int round = 0; round < options_.rounds; ++round) {
    for (const Workload& workload : workloads) {
      for (size_t i = 0; i < kinds_.size(); ++i) {
        // Another store goes first in each round.
        const SubjectKind& kind = kinds_[(i + static_cast<size_t>(round)) % kinds_.size()];
        report_->Begin(round + 1, workload.name, kind.name);
        absl::StatusOr<Measurement> measurement = RunOne(kind, workload);
        BANDB_RETURN_IF_ERROR(base::Annotate(measurement.status(), workload.name + " on " + kind.name));
        report_->Add(round + 1, workload.name, kind.name, *std::move(measurement));
      }
    }
  }
  std::vector<std::string> wanted;
  for (const Workload& workload : workloads) {
    if (Chosen(options_.workloads, workload.name)) wanted.push_back(workload.name);
  }
  std::vector<std::string> stores;
  for (const SubjectKind& kind : kinds_) stores.push_back(kind.name);
  report_->Table(wanted, stores);
  return absl::OkStatus();
}

}  // namespace bandb::bench
