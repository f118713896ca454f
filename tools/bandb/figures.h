// The figures of a server as a client reads them: the answer to `figures` of ADMIN
// (lib/admin/figure_lines.h has its lines).
#ifndef BANDB_TOOLS_BANDB_FIGURES_H_
#define BANDB_TOOLS_BANDB_FIGURES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "bandb/latency.h"
#include "client/client.h"

namespace bandb::cli {

struct Figures {
  std::map<std::string, uint64_t, std::less<>> numbers;
  std::map<std::string, LatencyHistogram, std::less<>> histograms;  // request.… and hook.…
  std::string version;

  // 0: there is none of this name.
  uint64_t Number(std::string_view name) const;
};

// Lines that it does not know are passed over, for a server that is newer may have some. Errors:
// kDataLoss a line that it should know is malformed.
absl::StatusOr<Figures> ParseFigures(std::string_view text);
// Errors: as Client::Administer.
absl::StatusOr<Figures> AskFigures(client::Client* client);

// A duration as people read it, of three digits: "0.85 ms".
std::string ShowDuration(absl::Duration duration);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_FIGURES_H_
