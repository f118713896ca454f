// What a connection holds, and whether that is too much.
#include "net/connection.h"

namespace bandb::net {

size_t Connection::OutputBytesMax() const {
  const ServerLimits& limits = host_->limits;
  return codec_->restricted() ? std::min(limits.restricted_output_bytes_max, limits.output_bytes_max)
                              : limits.output_bytes_max;
}

size_t Connection::InFlightMax() const { return codec_->restricted() ? 1 : host_->limits.in_flight_requests_max; }

bool Connection::SweepRestricted(int64_t now_nanos) {
  if (!codec_->restricted()) {
    restricted_since_nanos_ = 0;
    return false;
  }
  // It may have been known before.
  if (restricted_since_nanos_ == 0) restricted_since_nanos_ = now_nanos;
  if (now_nanos - restricted_since_nanos_ <= host_->limits.restricted_timeout_nanos) return false;
  host_->counters->connections_timed_out.Add();
  skip_bytes_ > 0 || HasOutput() ? Close() : Refuse(Refusal::kNotKnownInTime);
  return true;
}

bool Connection::OverMark() const {
  return output_.bytes() + replies_.bytes() >= OutputBytesMax() || in_flight_ >= InFlightMax() ||
         in_flight_bytes_ >= host_->limits.in_flight_bytes_max || HoldsTooMuch();
}

size_t Connection::HeldBytes() const {
  const size_t input = closed() ? 0 : input_.capacity() + codec_->held_bytes();
  return input + output_.held_bytes() + replies_.held_bytes() + in_flight_bytes_;
}

bool Connection::OverShare(size_t more_bytes) const {
  return host_->MemoryIsTight() && static_cast<size_t>(kept_bytes()) + more_bytes > host_->TightShareBytes();
}

bool Connection::HoldsTooMuch() const {
  // Only while something is on its way: its end will go on with this connection.
  return (in_flight_ > 0 || !output_.empty()) && OverShare(0);
}

bool Connection::BelowHalf() const {
  return output_.bytes() + replies_.bytes() <= OutputBytesMax() / 2 && in_flight_ <= InFlightMax() / 2 &&
         in_flight_bytes_ <= host_->limits.in_flight_bytes_max / 2 && !HoldsTooMuch();
}

void Connection::Account() {
  const int64_t change = static_cast<int64_t>(HeldBytes() + StreamBytes()) - accounted_bytes_;
  if (change == 0) return;
  accounted_bytes_ += change;
  host_->quota->AddMemory(change);
}

ConnectionView Connection::View() const {
  return {.id = id_,
          .peer = peer(),
          .codec = codec_.get(),
          .is_encrypted = stream_ != nullptr && stream_->is_encrypted(),
          .opened_nanos = opened_nanos_,
          .last_frame_nanos = last_frame_nanos_,
          .last_message_id = last_message_id_,
          .in_flight = in_flight_,
          .output_bytes = output_.bytes() + replies_.bytes() + (stream_ == nullptr ? 0 : stream_->unsent_bytes()),
          .bytes_read = bytes_read_,
          .bytes_written = bytes_written_};
}

}  // namespace bandb::net
