#include "admin/stats_json.h"

#include <nlohmann/json.hpp>
#include <vector>

namespace bandb::admin {

namespace {

using Json = nlohmann::ordered_json;

Json ObjectOf(const std::vector<Figure>& figures) {
  Json object = Json::object();
  for (const Figure& figure : figures) object[std::string(figure.name)] = figure.value;
  return object;
}

Json ObjectOf(const Stats& stats) {
  Json object = ObjectOf(FiguresOf(stats));
  Json levels = Json::array();
  for (const LevelStats& level : stats.levels) levels.push_back(ObjectOf(FiguresOf(level)));
  object["levels"] = std::move(levels);
  return object;
}

}  // namespace

std::string ToJson(const Report& report) {
  Json object = Json::object();
  object["version"] = report.version;
  object["start_seconds"] = report.start_seconds;
  object["server"] = ObjectOf(FiguresOf(report.server));
  object["store"] = report.store.has_value() ? ObjectOf(*report.store) : Json(nullptr);
  // Never throws for bytes that are not UTF-8, however the version came to have some.
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace bandb::admin
