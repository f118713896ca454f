// What is said of each command: not for use outside the parser and the help.
#ifndef BANDB_TOOLS_BANDB_COMMAND_TEXTS_H_
#define BANDB_TOOLS_BANDB_COMMAND_TEXTS_H_

#include <string_view>

#include "command.h"

namespace bandb::cli {

struct CommandText {
  Verb verb;
  std::string_view name;
  std::string_view usage;
  std::string_view summary;
  std::string_view details;  // paragraphs, options, examples
};

const CommandText& TextOf(Verb verb);

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_COMMAND_TEXTS_H_
