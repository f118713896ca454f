#include "line_editor.h"

#include <histedit.h>
#include <pwd.h>
#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace bandb::cli {

namespace {

constexpr int kHistoryLines = 1000;

char* Prompt(EditLine* /*editor*/) {
  static char prompt[] = "> ";
  return prompt;
}

std::string DefaultHistoryPath() {
  const passwd* user = ::getpwuid(::getuid());
  return user == nullptr || user->pw_dir == nullptr ? "" : std::string(user->pw_dir) + "/.bandb_history";
}

// libedit truncates the file and takes away the access of all other users: that must not happen to
// /dev/null.
bool MayHoldHistory(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  return std::filesystem::is_regular_file(status) || !std::filesystem::exists(status);
}

}  // namespace

LineEditor::LineEditor(const std::string& history_path)
    : history_path_(history_path.empty() ? DefaultHistoryPath() : history_path) {
  if (!MayHoldHistory(history_path_)) history_path_.clear();
  // Without a locale that knows them the editor drops all letters beyond ASCII.
  ::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1) ::setlocale(LC_CTYPE, "C.UTF-8");
  editor_ = ::el_init("bandb", stdin, stdout, stderr);
  history_ = ::history_init();
  HistEvent event{};
  ::history(history_, &event, H_SETSIZE, kHistoryLines);
  ::history(history_, &event, H_SETUNIQUE, 1);
  if (!history_path_.empty()) ::history(history_, &event, H_LOAD, history_path_.c_str());
  ::el_set(editor_, EL_PROMPT, &Prompt);
  ::el_set(editor_, EL_EDITOR, "emacs");
  ::el_set(editor_, EL_SIGNAL, 1);
  ::el_set(editor_, EL_HIST, &::history, history_);
}

LineEditor::~LineEditor() {
  ::history_end(history_);
  ::el_end(editor_);
}

bool LineEditor::Read(std::string* line) {
  // el_gets itself prepares the terminal only after the prompt, and what is typed before that means
  // something else.
  ::el_set(editor_, EL_PREP_TERM, 1);
  int length = 0;
  const char* text = ::el_gets(editor_, &length);
  if (text == nullptr || length <= 0) return false;
  line->assign(text, static_cast<size_t>(length));
  while (!line->empty() && (line->back() == '\n' || line->back() == '\r')) line->pop_back();
  if (!line->empty()) {
    HistEvent event{};
    ::history(history_, &event, H_ENTER, line->c_str());
    // At once, so that it is there after Control-C, too.
    if (!history_path_.empty()) ::history(history_, &event, H_SAVE, history_path_.c_str());
  }
  return true;
}

}  // namespace bandb::cli
