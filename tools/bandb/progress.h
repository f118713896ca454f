// A progress bar on standard error, if that is a terminal.
#ifndef BANDB_TOOLS_BANDB_PROGRESS_H_
#define BANDB_TOOLS_BANDB_PROGRESS_H_

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace bandb::cli {

// "1234567" as "1,234,567".
std::string Thousands(uint64_t number);
// `number` in `nanos`, as so many in a second.
std::string PerSecond(uint64_t number, int64_t nanos);

// Draws at once, then at most ten times a second, over its own last line, and once more at the end,
// so that a short load shows its bar, too. If standard error is no terminal it draws nothing.
class Progress {
 public:
  // `total_bytes` is 0 if it is not known; `unit` is what is counted. Lifetime: borrows the clock.
  Progress(base::Clock* clock, uint64_t total_bytes, std::string unit = "lines");

  void Show(uint64_t count, uint64_t bytes);
  // Draws where it ended, and keeps that line on the screen.
  void Finish(uint64_t count, uint64_t bytes);

 private:
  void Draw(uint64_t count, uint64_t bytes, int64_t now_nanos);

  base::Clock* const clock_;
  const uint64_t total_bytes_;
  const std::string unit_;
  const bool watched_;
  const int64_t begin_nanos_;
  int64_t last_drawn_nanos_ = 0;
  bool drawn_ = false;
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_PROGRESS_H_
