// The page for people, as it is sent. It is written in dashboard.html and is compiled in.
#ifndef BANDB_ADMIN_DASHBOARD_H_
#define BANDB_ADMIN_DASHBOARD_H_

#include <cstddef>

namespace bandb::admin {

// kDashboardBytes of HTML.
extern const char kDashboard[];
extern const std::size_t kDashboardBytes;

}  // namespace bandb::admin

#endif  // BANDB_ADMIN_DASHBOARD_H_
