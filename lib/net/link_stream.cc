#include "net/link_stream.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "net/link_host.h"

namespace bandb::net {

namespace {
constexpr size_t kLinkPiecesMax = 64;
}

LinkStream::LinkStream(LinkHost* host, LinkStreamUser* user)
    : host_(host), user_(user), output_(host->pool()), read_bytes_max_(LinkHost::kReadBytes) {}

LinkStream::~LinkStream() { Drop(); }

absl::Status LinkStream::Connect(const std::string& name, const std::string& address) {
  BANDB_ASSERT(stream_ == nullptr);
  absl::StatusOr<std::unique_ptr<base::Stream>> stream = host_->loop()->ConnectFor(name, address, this);
  if (!stream.ok()) return stream.status();
  stream_ = *std::move(stream);
  stream_->Watch(false, true);
  return absl::OkStatus();
}

void LinkStream::Take(std::unique_ptr<base::Stream> stream) {
  BANDB_ASSERT(stream_ == nullptr);
  BANDB_ASSERT(stream != nullptr);
  stream_ = std::move(stream);
  stream_->SetHandler(this);
  connected_ = true;
  WatchAgain();
}

void LinkStream::WatchAgain() {
  if (stream_ != nullptr && connected_) stream_->Watch(reading_, !output_.empty());
}

void LinkStream::SetReading(bool on) {
  reading_ = on;
  WatchAgain();
}

void LinkStream::ResumeLater() {
  resume_asked_ = true;
  host_->Touch(this);
}

void LinkStream::Append(std::string_view bytes) {
  if (output_.empty()) output_since_nanos_ = host_->loop()->NowNanos();
  output_.Append(bytes);
  host_->Touch(this);
}

void LinkStream::AppendOwned(OwnedBytes bytes) {
  if (output_.empty()) output_since_nanos_ = host_->loop()->NowNanos();
  output_.AppendOwned(std::move(bytes));
  host_->Touch(this);
}

void LinkStream::Drop() {
  host_->loop()->Cancel(std::exchange(linger_timer_, base::kNoTimer));
  stream_.reset();
  output_.Clear();
  user_ = nullptr;
}

void LinkStream::OnReadable() {
  // Told once more, perhaps, after reading was turned off in the same turn.
  if (!reading_) return;
  const base::IoResult result = stream_->Read(host_->read_buffer(), leaving_ ? LinkHost::kReadBytes : read_bytes_max_);
  switch (result.state) {
    case base::IoResult::State::kWouldBlock:
      return;
    case base::IoResult::State::kEnd:
    case base::IoResult::State::kFailed:
      return Lose(result.state == base::IoResult::State::kEnd);
    case base::IoResult::State::kDone:
      break;
  }
  if (user_ != nullptr) user_->OnInput(std::string_view(host_->read_buffer(), result.bytes));
}

void LinkStream::OnWritable() {
  if (!connected_) {
    connected_ = true;
    WatchAgain();
    if (user_ != nullptr) user_->OnConnected();
    return;
  }
  host_->Touch(this);
}

void LinkStream::OnBroken() { Lose(false); }

void LinkStream::Lose(bool ended) {
  LinkStreamUser* const user = user_;
  const bool leaving = leaving_;
  const std::string why = stream_ == nullptr ? std::string() : stream_->failure();
  Drop();
  if (leaving) host_->Left(this);
  if (user != nullptr) user->OnLost(ended, why);
}

void LinkStream::Flush() {
  if (stream_ == nullptr) return;
  if (connected_ && !output_.empty()) Write();
  if (stream_ != nullptr && leaving_ && output_.empty() && !std::exchange(said_all_, true)) stream_->CloseWrite();
  // Last, for it may give this stream up.
  if (std::exchange(resume_asked_, false) && user_ != nullptr) user_->OnResume();
}

void LinkStream::Write() {
  std::array<std::string_view, kLinkPiecesMax> pieces;
  const size_t count = output_.Gather(absl::MakeSpan(pieces));
  const base::IoResult result = stream_->Write(absl::MakeConstSpan(pieces.data(), count));
  if (result.state == base::IoResult::State::kFailed) return Lose(false);
  if (result.state == base::IoResult::State::kDone) {
    output_.Consume(result.bytes);
    output_since_nanos_ = host_->loop()->NowNanos();
  }
  WatchAgain();
  if (result.state == base::IoResult::State::kDone && user_ != nullptr) user_->OnOutputTaken();
}

void LinkStream::TakeLeave(int64_t linger_nanos) {
  leaving_ = true;
  user_ = nullptr;
  SetReading(true);
  linger_timer_ = host_->loop()->After(linger_nanos, [this] {
    linger_timer_ = base::kNoTimer;
    Lose(false);
  });
  host_->Touch(this);
}

}  // namespace bandb::net
