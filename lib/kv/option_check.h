// Collects the rules that a set of options breaks, so that all of them are told at once.
//
// The user of a program knows options by the keys of a configuration file, not by their names in
// C++, and wants to see the place in that file. So a complaint is structured, pieces of text and
// names of options, and can be shown under any names.
#ifndef BANDB_KV_OPTION_CHECK_H_
#define BANDB_KV_OPTION_CHECK_H_

#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"

namespace bandb::kv {

// An option by its C++ name, as a piece of a complaint.
struct OptionName {
  std::string_view name;
};

// One broken rule. The first option in it is the one that is most at fault.
using OptionComplaint = std::vector<std::variant<OptionName, std::string>>;

// The text of a complaint, in which an option is called what `name_of` says.
std::string Tell(const OptionComplaint& complaint, const std::function<std::string(std::string_view)>& name_of);

// Takes the complaints about one set of options.
class OptionCheck {
 public:
  // Complains of a value that is not in [low, high].
  template <typename Value>
  void Within(std::string_view option, Value value, std::type_identity_t<Value> low, std::type_identity_t<Value> high) {
    if (value >= low && value <= high) return;
    Wrong({OptionName{option}, fmt::format(" is {}, not between {} and {}", value, low, high)});
  }
  void Wrong(OptionComplaint complaint) { complaints_.push_back(std::move(complaint)); }

  // In the order in which they were made. Lifetime: as long as the check.
  const std::vector<OptionComplaint>& complaints() const { return complaints_; }

  // Errors: kInvalidArgument "what: complaint; complaint", in C++ names, if there are complaints.
  absl::Status ToStatus(std::string_view what) const;

 private:
  std::vector<OptionComplaint> complaints_;
};

}  // namespace bandb::kv

#endif  // BANDB_KV_OPTION_CHECK_H_
