// Reads lines from a terminal with editing and a history that is kept between sessions.
#ifndef BANDB_TOOLS_BANDB_LINE_EDITOR_H_
#define BANDB_TOOLS_BANDB_LINE_EDITOR_H_

#include <string>

struct editline;
struct history;

namespace bandb::cli {

// Over libedit. One at a time, since there is one terminal.
class LineEditor {
 public:
  // The history is kept in `history_path`; empty: in .bandb_history in the user's home. Nowhere, if
  // that is not a file but, say, /dev/null.
  explicit LineEditor(const std::string& history_path);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // Shows the prompt and reads one line, without its end. False at the end of the input.
  bool Read(std::string* line);

 private:
  editline* editor_ = nullptr;
  history* history_ = nullptr;
  std::string history_path_;  // empty if there is no place for it
};

}  // namespace bandb::cli

#endif  // BANDB_TOOLS_BANDB_LINE_EDITOR_H_
