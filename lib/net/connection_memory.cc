// What a connection holds, and whether that is too much.
#include "net/connection.h"

namespace bandb::net {

bool Connection::OverMark() const {
  return output_.bytes() + replies_.bytes() >= host_->limits.output_bytes_max ||
         in_flight_ >= host_->limits.in_flight_requests_max || in_flight_bytes_ >= host_->limits.in_flight_bytes_max ||
         HoldsTooMuch();
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
  return output_.bytes() + replies_.bytes() <= host_->limits.output_bytes_max / 2 &&
         in_flight_ <= host_->limits.in_flight_requests_max / 2 &&
         in_flight_bytes_ <= host_->limits.in_flight_bytes_max / 2 && !HoldsTooMuch();
}

void Connection::Account() {
  const int64_t change = static_cast<int64_t>(HeldBytes()) - accounted_bytes_;
  if (change == 0) return;
  accounted_bytes_ += change;
  host_->quota->AddMemory(change);
}

}  // namespace bandb::net
