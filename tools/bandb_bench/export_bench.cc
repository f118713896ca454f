#include "export_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "bandb/db.h"
#include "bandb/server.h"
#include "base/file_system.h"
#include "base/posix_file_system.h"
#include "base/random.h"
#include "base/status.h"
#include "client/client.h"
#include "processes/child_process.h"

namespace bandb::bench {

namespace {

// As an import has them.
constexpr uint64_t kBatchEntries = 500;
constexpr uint64_t kBatchesUnderWay = 16;
constexpr uint64_t kOutputBytesMax = 1 << 20;

// bandb, in the folder of the program that runs.
std::string ClientProgram() {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "bandb" : (self.parent_path() / "bandb").string();
}

class ExportBench {
 public:
  ExportBench(base::Clock* clock, const ExportBenchOptions& options, ExportFigures* figures)
      : clock_(clock), options_(options), figures_(figures), value_(options.value_bytes, '\0') {
    // Text, as most values are, that does not compress.
    base::Random random(1);
    for (char& byte : value_) byte = static_cast<char>('!' + random.Uniform(90));
  }

  absl::Status Run() {
    if (std::error_code ignored; std::filesystem::exists(options_.dir, ignored)) {
      return base::Error(absl::StatusCode::kAlreadyExists, "{}: exists", options_.dir);
    }
    Options options;
    options.error_if_exists = true;
    BANDB_ASSIGN_OR_RETURN(db_, Db::Open(base::JoinPath(options_.dir, "db"), options));
    ServerOptions server_options;
    server_options.listen = "127.0.0.1:0";
    BANDB_ASSIGN_OR_RETURN(server_, Server::Start(*db_, server_options, {}));
    target_.address = server_->Address();
    const absl::Status done = Measure();
    server_.reset();
    db_.reset();
    Remove(options_.dir);
    return done;
  }

 private:
  absl::Status Measure() {
    BANDB_RETURN_IF_ERROR(PutBatches().status());
    BANDB_RETURN_IF_ERROR(db_->Flush());
    for (int round = 0; round < options_.rounds; ++round) {
      BANDB_RETURN_IF_ERROR(Take(Export("jsonl"), &figures_->json_lines));
      BANDB_RETURN_IF_ERROR(Take(Export("raw"), &figures_->raw));
      BANDB_RETURN_IF_ERROR(Take(Import(), &figures_->import));
      BANDB_RETURN_IF_ERROR(Take(PutBatches(), &figures_->batches));
    }
    return absl::OkStatus();
  }

  static absl::Status Take(const absl::StatusOr<double>& rate, double* best) {
    if (rate.ok()) *best = std::max(*best, *rate);
    return rate.status();
  }

  static void Remove(const std::string& path) {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }

  std::string Files() const { return base::JoinPath(options_.dir, "files"); }

  double PerSecond(int64_t begin_nanos) const {
    const int64_t nanos = std::max<int64_t>(clock_->MonotonicNanos() - begin_nanos, 1);
    return static_cast<double>(options_.keys) * 1e9 / static_cast<double>(nanos);
  }

  absl::StatusOr<double> PutBatches() {
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<client::Client> client, client::Client::Connect(target_));
    const uint64_t batches = (options_.keys + kBatchEntries - 1) / kBatchEntries;
    const int64_t begin_nanos = clock_->MonotonicNanos();
    for (uint64_t sent = 0, answered = 0; answered < batches;) {
      for (; sent < batches && sent - answered < kBatchesUnderWay; ++sent) AppendBatch(sent, client->output());
      BANDB_RETURN_IF_ERROR(client->Exchange());
      proto::Reply reply;
      while (true) {
        BANDB_ASSIGN_OR_RETURN(const bool found, client->Next(&reply));
        if (!found) break;
        if (!reply.ok) return base::Error(absl::StatusCode::kInternal, "a batch failed: {}", reply.message);
        ++answered;
      }
    }
    return PerSecond(begin_nanos);
  }

  void AppendBatch(uint64_t number, std::string* to) const {
    proto::BatchBuilder builder;
    const uint64_t end = std::min((number + 1) * kBatchEntries, options_.keys);
    for (uint64_t key = number * kBatchEntries; key < end; ++key) {
      builder.Add({.kind = proto::BatchKind::kPut, .key = fmt::format("{:016}", key), .value = value_});
    }
    builder.AppendTo(to);
  }

  absl::StatusOr<double> Export(const std::string& format) {
    Remove(Files());
    return RunClient({"export", "--out", Files(), "--format", format}, "exported");
  }

  absl::StatusOr<double> Import() { return RunClient({"import", Files()}, "imported"); }

  // Runs bandb to its end, and looks that it says of all entries that it has done so with them.
  absl::StatusOr<double> RunClient(const std::vector<std::string>& arguments, const std::string& done) {
    std::vector<std::string> words{program_, "--addr", target_.address};
    words.insert(words.end(), arguments.begin(), arguments.end());
    const std::string output = base::JoinPath(options_.dir, "output");
    Remove(output);
    const int64_t begin_nanos = clock_->MonotonicNanos();
    BANDB_ASSIGN_OR_RETURN(const std::unique_ptr<processes::ChildProcess> child,
                           processes::ChildProcess::Start(words, output));
    const int code = child->Wait();
    const double rate = PerSecond(begin_nanos);
    BANDB_ASSIGN_OR_RETURN(std::string said, base::ReadFile(&files_, output, kOutputBytesMax));
    // It writes a comma between thousands.
    said.erase(std::remove(said.begin(), said.end(), ','), said.end());
    if (code == 0 && said.find(fmt::format("{} {} entries", done, options_.keys)) != std::string::npos) return rate;
    return base::Error(absl::StatusCode::kInternal, "bandb {} ended with {}: {}", arguments[0], code, said);
  }

  base::Clock* const clock_;
  const ExportBenchOptions options_;
  ExportFigures* const figures_;
  std::string value_;
  base::PosixFileSystem files_;
  const std::string program_ = ClientProgram();
  std::unique_ptr<Db> db_;
  std::unique_ptr<Server> server_;
  client::Target target_;
};

}  // namespace

absl::Status RunExportBench(base::Clock* clock, const ExportBenchOptions& options, ExportFigures* figures) {
  return ExportBench(clock, options, figures).Run();
}

}  // namespace bandb::bench
