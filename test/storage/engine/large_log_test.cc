// Logs that are too large to be held in memory while a database is opened.
#include "base/forwarding_file_system.h"
#include "base/status.h"
#include "storage/db/open_db.h"

namespace bandb::test {

namespace {

constexpr char kDir[] = "/db";
constexpr int kValues = 80;
constexpr uint64_t kValueBytes = 1 << 20;

// The budget has 64 MiB beyond the write buffer.
Options LargeBuffer() {
  Options options;
  options.write_buffer_bytes = 256 << 20;
  options.block_cache_bytes = 0;
  options.compression = Compression::kNone;
  return options;
}

std::string ValueOf(int i) { return std::string(kValueBytes, static_cast<char>('a' + i % 26)); }

std::unique_ptr<CrashFileSystem> DeadProcess() {
  TestEnv env(1);
  const auto db = MustOpen(env.env(), kDir, LargeBuffer());
  for (int i = 0; i < kValues; ++i) REQUIRE_OK(db->Put(std::to_string(i), ValueOf(i), {.sync = i == 20}));
  return env.files().ProcessDeathImage(2);
}

// Reads one byte of a log wrong, each time that it is opened for the n-th time.
class MisreadFiles final : public base::ForwardingFileSystem {
 public:
  MisreadFiles(base::FileSystem* files, uint64_t offset, int nth)
      : base::ForwardingFileSystem(files), offset_(offset), opens_left_(std::make_shared<int>(nth)) {}

  absl::StatusOr<std::unique_ptr<base::RandomAccessFile>> Open(const std::string& path) override {
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::RandomAccessFile> file, target().Open(path));
    if (!Matches("*.log", path) || --*opens_left_ != 0) return file;
    return std::unique_ptr<base::RandomAccessFile>(std::make_unique<Misread>(std::move(file), offset_));
  }
  absl::StatusOr<std::unique_ptr<base::FileSystem>> Pin(const std::string& path) override {
    BANDB_ASSIGN_OR_RETURN(std::unique_ptr<base::FileSystem> pinned, target().Pin(path));
    std::unique_ptr<MisreadFiles> made(new MisreadFiles(pinned.get(), offset_, 0));
    made->owned_ = std::move(pinned);
    made->opens_left_ = opens_left_;
    return std::unique_ptr<base::FileSystem>(std::move(made));
  }
  bool has_misread() const { return *opens_left_ <= 0; }

 private:
  class Misread final : public base::RandomAccessFile {
   public:
    Misread(std::unique_ptr<base::RandomAccessFile> file, uint64_t wrong) : file_(std::move(file)), wrong_(wrong) {}
    absl::StatusOr<size_t> Read(uint64_t offset, absl::Span<char> to) const override {
      BANDB_ASSIGN_OR_RETURN(const size_t read, file_->Read(offset, to));
      if (wrong_ >= offset && wrong_ - offset < read) to[wrong_ - offset] ^= 1;
      return read;
    }
    void Prefetch(uint64_t offset, uint64_t bytes) const override { file_->Prefetch(offset, bytes); }
    uint64_t Size() const override { return file_->Size(); }

   private:
    const std::unique_ptr<base::RandomAccessFile> file_;
    const uint64_t wrong_;
  };

  std::unique_ptr<base::FileSystem> owned_;
  const uint64_t offset_;
  // Shared with what was made of this one.
  std::shared_ptr<int> opens_left_;
};

}  // namespace

TEST_CASE("what of a large log is read wrong once at an open is not written over what is right") {
  const std::unique_ptr<CrashFileSystem> dead = DeadProcess();
  // Once to judge it, once to replay it, once to make it durable.
  for (const int nth : {2, 3}) {
    CAPTURE(nth);
    TestEnv env(1, dead->ProcessDeathImage(1));
    MisreadFiles files(&env.files(), 60 * kValueBytes, nth);
    base::Env misreading = env.env();
    misreading.files = &files;
    const absl::Status opened = storage::OpenDb(misreading, kDir, LargeBuffer()).status();
    REQUIRE(files.has_misread());
    CHECK_CODE(opened, kDataLoss);
    const auto db = MustOpen(env.env(), kDir, LargeBuffer());
    for (int i = 0; i < kValues; ++i) REQUIRE(*db->Get(std::to_string(i)) == ValueOf(i));
  }
}

TEST_CASE("a log that is too large to be held at an open is made durable all the same, and judged like any other") {
  const std::unique_ptr<CrashFileSystem> dead = DeadProcess();
  std::string log;
  for (const auto& [path, bytes] : dead->Files()) {
    if (Matches("*.log", path)) log = path;
  }
  {
    TestEnv env(3, dead->ProcessDeathImage(1));
    const auto db = MustOpen(env.env(), kDir, LargeBuffer());
    CHECK(db->GetStats().recovered_log_records == kValues);
    // Before anything of it is in a table.
    CHECK(db->GetStats().table_bytes == 0);
    TestEnv after(4, env.files().CrashImage(Damage::kLost, 5));
    const auto found = MustOpen(after.env(), kDir, LargeBuffer());
    for (int i = 0; i < kValues; ++i) REQUIRE(*found->Get(std::to_string(i)) == ValueOf(i));
  }
  // Damage before what a record names as synced is damage, and a torn tail after it.
  for (const int damaged : {10, 60}) {
    TestEnv env(6, dead->ProcessDeathImage(1));
    env.files().FlipByte(log, static_cast<uint64_t>(damaged) * kValueBytes, 1);
    const auto opened = storage::OpenDb(env.env(), kDir, LargeBuffer());
    if (damaged == 10) {
      CHECK_CODE(opened.status(), kDataLoss);
      continue;
    }
    REQUIRE_OK(opened.status());
    CHECK(*(*opened)->Get("58") == ValueOf(58));
    CHECK_CODE((*opened)->Get("60").status(), kNotFound);
    CHECK((*opened)->GetStats().dropped_log_bytes > 0);
  }
}

}  // namespace bandb::test
