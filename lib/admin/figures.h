// What there is to measure: every counter and gauge of a server and its store, with the name, the
// unit and the help text under which all formats show it.
#ifndef BANDB_ADMIN_FIGURES_H_
#define BANDB_ADMIN_FIGURES_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "bandb/cluster.h"
#include "bandb/server.h"
#include "bandb/stats.h"

namespace bandb::admin {

enum class FigureKind {
  kCounter,  // grows from the start of the process on
  kGauge,    // as it is now
};

struct Figure {
  // As the field of Stats or ServerStats is called, with its unit at the end.
  std::string_view name;
  std::string_view help;
  FigureKind kind = FigureKind::kCounter;
  uint64_t value = 0;
};

// In the order of the struct. A new field without a figure does not compile.
std::vector<Figure> FiguresOf(const ServerStats& stats);
// Without what Stats derives from other fields, and without the levels.
std::vector<Figure> FiguresOf(const Stats& stats);
// Of one level.
std::vector<Figure> FiguresOf(const LevelStats& level);

// Of a node and of one member as it sees that, without what is no number.
std::vector<Figure> FiguresOf(const ClusterStatus& status);
std::vector<Figure> FiguresOf(const ClusterStatus& status, const MemberStatus& member);

// Of a server's audit log.
struct AuditStats {
  uint64_t lines_lost = 0;
};
std::vector<Figure> FiguresOf(const AuditStats& stats);

// What is known at one moment.
struct Report {
  std::string_view version;
  // When the process began to serve, in seconds since 1970.
  uint64_t start_seconds = 0;
  ServerStats server;
  // None while the store cannot tell.
  std::optional<Stats> store;
  // None: there is no audit log.
  std::optional<AuditStats> audit{};
  // None: the server is no node of a cluster.
  std::optional<ClusterStatus> cluster{};
  ServerLatencies latencies{};
};

}  // namespace bandb::admin

#endif  // BANDB_ADMIN_FIGURES_H_
