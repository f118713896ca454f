#!/usr/bin/env python3
"""Shows for every rule of tidy.py that it can fail: a small tree that keeps all rules is spoilt in one way at a time."""

import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import tidy  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]

GLOSSARY = "\n## Glossary\n\n| word | meaning | not |\n|---|---|---|\n| thing | a thing: {} | {} |\n"

GOOD = {
    "lib/base/README.md": "What three libraries need.\n",
    "docs/architecture.md": "What `widget` and `door` are.\n",
    "lib/base/widget.h": "// A widget.\n#ifndef BANDB_BASE_WIDGET_H_\n#define BANDB_BASE_WIDGET_H_\n\n"
                         "namespace bandb::base {\n\nint Count();\n\n}  // namespace bandb::base\n\n"
                         "#endif  // BANDB_BASE_WIDGET_H_\n",
    "lib/base/widget.cc": '#include "base/widget.h"\n\nnamespace bandb::base {\n\nint Count() { return 1; }\n\n'
                          "}  // namespace bandb::base\n",
    "include/bandb/door.h": "// A door.\n#ifndef BANDB_DOOR_H_\n#define BANDB_DOOR_H_\n\nnamespace bandb {\n\n"
                            "// Opens.\nclass Door {\n public:\n  Door() = default;\n  // Goes through.\n  void Pass();\n"
                            "\n private:\n  int passed_ = 0;\n};\n\n}  // namespace bandb\n\n#endif  // BANDB_DOOR_H_\n",
}


def widget(body, head=""):
    return f'#include "base/widget.h"\n{head}\nnamespace bandb::base {{\n\n{body}\n\n}}  // namespace bandb::base\n'


def storage(body, head=""):
    """A file of a library that must go through the seams."""
    return f"// What a widget is made of.\n{head}\nnamespace bandb::storage {{\n\n{body}\n\n}}  // namespace bandb::storage\n"


LONG_FUNCTION = "int Count() {\n" + "  Count();\n" * 70 + "  return 1;\n}"
# A constructor whose members are initialised with braces, and a lambda: the scanner must see through both.
LONG_CONSTRUCTOR = "struct W {\n  W() : a_{1}, b_{2} {\n" + "    ++a_;\n" * 70 + "  }\n  int a_, b_;\n};"
LONG_LAMBDA = "const auto kCount = [] {\n" + "  Count();\n" * 70 + "};"

# (rule, path, text, what the message must say). One row for each way in which a rule can be broken.
BAD = [
    ("file-length", "lib/base/widget.cc", widget("int Count() { return 1; }\n" + "\n" * 500), "allowed"),
    ("function-length", "lib/base/widget.cc", widget(LONG_FUNCTION), "Count has 73 lines"),
    ("function-length", "lib/base/widget.cc", widget(LONG_CONSTRUCTOR), "allowed"),
    ("function-length", "lib/base/widget.cc", widget(LONG_LAMBDA), "allowed"),
    ("function-length", "lib/base/widget.cc", 'extern "C" ' + LONG_FUNCTION, "Count has 73 lines"),
    ("function-length", "lib/base/widget.cc", widget("int Count() { return 1; }}"), "cannot be measured"),
    ("function-length", "tools/count.py", "def count():\n" + "    count()\n" * 70, "count has 71 lines"),
    ("public-comments", "include/bandb/door.h", GOOD["include/bandb/door.h"].replace("  // Goes through.\n", ""), "Pass"),
    ("public-comments", "include/bandb/door.h", GOOD["include/bandb/door.h"].replace("// Opens.\n", "\n"), "Door"),
    ("arrows", "lib/base/widget.cc", widget("int Count() { return 1; }", '#include "net/socket.h"\n'), "lib/base may not"),
    ("arrows", "include/bandb/door.h", GOOD["include/bandb/door.h"].replace(
        "\nnamespace", '\n#include "base/widget.h"\n\nnamespace', 1), "include/bandb may not"),
    ("arrows", "lib/raft/widget.cc", '#include "proto/frame.h"\n', "lib/raft may not"),
    ("arrows", "lib/proto/widget.cc", '#include "raft/core.h"\n', "lib/proto may not"),
    ("arrows", "lib/storage/widget.cc", '#include "raft/types/entry.h"\n', "lib/storage may not"),
    ("arrows", "lib/server/widget.cc", '#include "storage/engine.h"\n', "lib/server may not"),
    ("arrows", "examples/door.cc", '// Opens.\n#include "base/widget.h"\n', "examples may not"),
    ("arrows", "lib/base/widget.cc", widget("", '#include "../base/widget.h"\n'), "climbs"),
    ("arrows", "lib/storage/widget.cc", "#include <thread>\n", "no place"),
    ("arrows", "lib/net/widget.cc", "#include <toml++/toml.h>\n", "no place"),
    ("arrows", "lib/new_room/widget.cc", "// A room that nobody drew.\n", "not in the table"),
    ("include-guards", "lib/base/widget.h", GOOD["lib/base/widget.h"].replace("BASE_WIDGET", "WIDGET"), "guard must be"),
    ("include-guards", "lib/base/widget.h", "// A widget.\n#pragma once\n" + GOOD["lib/base/widget.h"], "once"),
    ("includes", "lib/base/widget.cc", widget("std::string Count();"), "needs <string>"),
    ("includes", "test/base/widget.h", "// A widget.\nabsl::Status Count();\n", "needs <absl/status/status.h>"),
    ("precompiled", "cmake/bandb_settings.cmake", "set(BANDB_PRECOMPILED_HEADERS\n    <vector> <list>)\n", "nothing of <list>"),
    ("headers-compile", "include/bandb/door.h", GOOD["include/bandb/door.h"].replace("int passed", "std::list<int> passed"),
     "std"),
    # A source hides what its header lacks by including something before it.
    ("headers-compile", "lib/base/widget.h", {
        "lib/base/widget.h": GOOD["lib/base/widget.h"].replace("int Count", "std::list<int> Count"),
        "lib/base/widget.cc": "#include <list>\n\n" + GOOD["lib/base/widget.cc"]}, "std"),
    ("names", "lib/base/widget.cc", widget("class count {};"), "CamelCase"),
    ("names", "lib/base/widget.cc", widget("class Count {\n  int passed;\n};"), "ends in _"),
    ("names", "lib/base/widget.cc", widget("constexpr int LIMIT = 1;"), "kName"),
    ("clang-format", "lib/base/widget.cc", widget("int  Count() { return 1; }"), "clang-format -i"),
    ("clang-tidy", "lib/base/widget.cc", widget("struct Count {\n  Count(int n);\n};"), "explicit"),
    ("clang-tidy", "test/base/widget_test.cc", widget("int Count() { int unused = 1; return 1; }"), "unused"),
    ("seam-words", "lib/storage/widget.cc", storage("std::thread t;"), "a thread"),
    ("seam-words", "lib/storage/widget.cc", storage("std::mutex m;"), "a mutex"),
    ("seam-words", "lib/storage/widget.cc", storage("void F() { std::this_thread::sleep_for(x); }"), "sleeping"),
    ("seam-words", "lib/storage/widget.cc", storage("auto t = std::chrono::steady_clock::now();"), "a clock"),
    ("seam-words", "lib/storage/widget.cc", storage("std::random_device d;"), "randomness"),
    ("seam-words", "lib/storage/widget.cc", storage("int r = rand();"), "randomness"),
    ("seam-words", "lib/storage/widget.cc", storage("int f = ::open(path, 0);"), "opening a file"),
    ("seam-words", "lib/storage/widget.cc", storage("int f = open(path, 0);"), "opening a file"),
    ("seam-words", "lib/storage/widget.cc", storage("auto* f = fopen(path, mode);"), "opening a file"),
    ("seam-words", "lib/storage/widget.cc", storage("std::ifstream in(path);"), "opening a file"),
    ("seam-words", "lib/storage/widget.cc", storage("auto* v = getenv(name);"), "the environment"),
    ("seam-words", "test/base/widget_test.cc", storage("void F() { usleep(1); }"), "sleeping"),
    ("unfinished", "lib/base/widget.cc", widget("// TO" "DO: count\nint Count() { return 1; }"), "finish it"),
    ("unfinished", "docs/architecture.md", "`widget` and `door`: FIX" "ME\n", "finish it"),
    ("file-names", "lib/base/string_util.cc", "// Strings.\n", "names no concept"),
    ("file-names", "test/helpers/widget.cc", "// A widget.\n", "names no concept"),
    ("file-names", "lib/base/Gadget.cc", "// A gadget.\n", "snake_case"),
    ("concepts", "lib/base/gadget.h", GOOD["lib/base/widget.h"].replace("WIDGET", "GADGET"), "does not explain gadget"),
    ("concepts", "docs/architecture.md", "What `door` is.\n", "does not explain widget"),
    ("characters", "lib/base/widget.cc", widget("int Count() { return 1; }  // \u202e"), "invisible"),
    ("characters", "lib/base/widget.cc", widget("int Co\u00fcnt() { return 1; }"), "ASCII"),
    ("characters", "lib/base/widget.cc", widget("int Count() {\n\treturn 1;\n}"), "tab"),
    ("characters", "README.md", "Two spaces  \n", "end of the line"),
    ("characters", "README.md", "No end", "one line end"),
    ("paths", "README.md", "See `docs/absent.md` and `./lib/base/widget.cc`.\n", "there is no docs/absent.md"),
    ("layouts", "lib/base/widget.h", GOOD["lib/base/widget.h"].replace(
        "// A widget.\n", "// A widget.\n//\n//   widget := a:u8\n//   b:u8\n"), "indented further"),
    ("layouts", "lib/base/widget.h", GOOD["lib/base/widget.h"].replace(
        "// A widget.\n", "// A widget.\n//\n//   widget := a:u8     and more, that\n//   only door   := b:u8\n"), "torn"),
    ("layouts", "lib/base/widget.h", GOOD["lib/base/widget.h"].replace(
        "// A widget.\n", "// A widget.\n//\n// widget := a:u8\n"), "indented by two"),
    ("layouts", "lib/base/widget.h", GOOD["lib/base/widget.h"].replace(
        "// A widget.\n", "// A widget.\n//   " + "long " * 24 + "\n"), "column 120"),
    ("layouts", "lib/base/widget.h", GOOD["lib/base/widget.h"].replace(
        "// A widget.\n", "// A widget.\n//\n// * Counts, and\n// does so\n//   well.\n"), "bullet"),
    ("prose-width", "lib/base/widget.h", GOOD["lib/base/widget.h"].replace(
        "// A widget.\n", "// A widget" + " of many words" * 8 + ".\n"), "column 100"),
    ("plain-words", "lib/base/widget.cc", widget("// Whoever counts waits.\nint Count() { return 1; }"), "name the reader"),
    ("plain-words", "lib/base/widget.cc", widget("// A lock for who counts.\nint Count() { return 1; }"), "name the reader"),
    ("plain-words", "docs/architecture.md", "`widget` and `door`, made anew.\n", "say again"),
    ("plain-words", "tools/count.py", "# It waits for ever.\n", "say forever"),
    ("plain-words", "tools/count.cc", '// Counts.\nconst char* kHelp = "what is in front of a door";\n', "say before"),
    ("plain-words", "lib/base/widget.cc", widget("int Count() { return 1; }  // and zeros behind it"), "say after"),
    ("plain-words", "lib/base/widget.cc", widget("// It stands at the end.\nint Count() { return 1; }"), "say is"),
    ("plain-words", "lib/base/widget.cc", widget("// A caller and his lock.\nint Count() { return 1; }"), "are it"),
    ("one-hand", "lib/base/widget.cc", widget("constexpr int kMaxCount = 1;"), "kMaxCount"),
    ("one-hand", "lib/base/widget.cc", widget("int Count(int max_count) { return max_count; }"), "max_count"),
    ("glossary", "docs/architecture.md", GOOD["docs/architecture.md"] + GLOSSARY.format("`Gadget`", ""), "called Gadget"),
    ("glossary", "docs/architecture.md", GOOD["docs/architecture.md"] + GLOSSARY.format("", "not `Door`"), "Door is not a word"),
    ("glossary", "docs/architecture.md", GOOD["docs/architecture.md"] + GLOSSARY.replace(" | {} |\n", " |\n").format("`Door`"), "three cells"),
    ("mirrors", "test/kv/widget_test.cc", storage(""), "the unit is in lib/base"),
    ("room-readmes", "lib/kv/gadget.cc", "// A gadget.\n", "lib/kv has no README.md"),
    ("room-readmes", "lib/base/README.md", "Line.\n" * 31, "30 lines"),
    ("heads", "lib/base/widget.h", GOOD["lib/base/widget.h"].replace("// A widget.\n", ""), "what it is"),
]


def write_tree(folder, files):
    root = pathlib.Path(folder)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    for name in (".clang-format", ".clang-tidy"):
        (root / name).write_bytes((ROOT / name).read_bytes())
    build = root / "build"
    build.mkdir()
    (build / "compile_commands.json").write_text(json.dumps([
        {"directory": str(root), "file": path,
         "command": f"c++ -std=c++20 -Wall -Wextra -I{root}/lib -I{root}/include -c {path}"}
        for path in ("lib/base/widget.cc", "test/base/widget_test.cc") if path in files]))
    return tidy.Context(str(build), None, 1, [])


def violations(files, rules):
    with tempfile.TemporaryDirectory() as folder:
        context = write_tree(folder, files)
        return tidy.check(folder, context, rules)[0]


def main():
    failures = [f"the good tree is not clean: {found}" for found in violations(GOOD, None)]
    decided = tidy.tool_rules.layout_is_decided_here()
    for rule, path, text, message in BAD:
        if rule == "clang-format" and not decided:
            continue
        found = violations({**GOOD, **(text if isinstance(text, dict) else {path: text})}, [rule])
        if not any(violation.rule == rule and message in violation.message for violation in found):
            failures.append(f"{rule} does not see {path} ({message}); it reported: {[str(item) for item in found]}")
    for rule in sorted(set(tidy.TREE_RULES) | set(tidy.TOOL_RULES)):
        if rule not in {row[0] for row in BAD}:
            failures.append(f"{rule} has no negative test")
    for failure in failures:
        print(failure)
    print(f"tidy self-test: {len(BAD)} bad trees, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
