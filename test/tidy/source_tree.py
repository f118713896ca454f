"""The files that the rules look at, and the view of a C++ file without its comments and strings."""

import dataclasses
import functools
import pathlib
import re

# What the project consists of. Anything else in the working directory (build folders, data) is not looked at.
FOLDERS = ("include", "lib", "tools", "examples", "test", "docs", "cmake", ".ci")
TOP_FILES = ("CMakeLists.txt", "CMakePresets.json", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
             ".clang-format", ".clang-tidy", ".editorconfig", ".gitignore")
# What people write. Everything else is data: golden files, corpora of fuzzers, compressed input.
TEXT_SUFFIXES = (".h", ".cc", ".py", ".sh", ".cmake", ".in", ".md", ".txt", ".json", ".toml", ".yaml", ".yml")

COMMENT_OR_LITERAL = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^\s()\\]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
    re.DOTALL)


@dataclasses.dataclass(frozen=True, order=True)
class Violation:
    path: str
    line: int
    rule: str
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.message}"


def blank(text):
    """`text` with everything but its line ends replaced by spaces."""
    return re.sub(r"[^\n]", " ", text)


def is_text(path):
    if path.suffix:
        return path.suffix in TEXT_SUFFIXES
    with path.open("rb") as file:
        return file.read(2) == b"#!"


class SourceFile:
    """One file. `path` is relative to the root, with slashes."""

    def __init__(self, root, path):
        self.root = root
        self.path = path
        self.suffix = pathlib.PurePosixPath(path).suffix
        self.stem = pathlib.PurePosixPath(path).stem
        self.is_header = self.suffix == ".h"
        self.is_cxx = self.suffix in (".h", ".cc")

    @functools.cached_property
    def data(self):
        return (self.root / self.path).read_bytes()

    @functools.cached_property
    def text(self):
        return self.data.decode("utf-8", errors="replace")

    @functools.cached_property
    def lines(self):
        return self.text.split("\n")

    @functools.cached_property
    def code(self):
        """The text with comments blanked and literals emptied; every line keeps its place."""

        def replace(match):
            token = match.group(0)
            if token.startswith("/"):
                return blank(token)
            quote = token[-1]
            return quote + blank(token[2 if token.startswith("R") else 1:-1]) + quote + \
                (" " if token.startswith("R") else "")

        return COMMENT_OR_LITERAL.sub(replace, self.text)

    @functools.cached_property
    def comment_lines(self):
        """The numbers of the lines that have a comment."""
        numbers = set()
        for match in COMMENT_OR_LITERAL.finditer(self.text):
            if match.group(0).startswith("/"):
                first = self.line_of(match.start())
                numbers.update(range(first, first + match.group(0).count("\n") + 1))
        return numbers

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    @functools.cached_property
    def includes(self):
        """(line, what, quoted) of every #include."""
        found = []
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            if match:
                found.append((number, match.group(2), match.group(1) == '"'))
        return found

    def violation(self, line, rule, message):
        return Violation(self.path, line, rule, message)


class SourceTree:
    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        paths = [name for name in TOP_FILES if (self.root / name).is_file()]
        for folder in FOLDERS:
            for path in (self.root / folder).rglob("*"):
                if path.is_file() and is_text(path):
                    paths.append(path.relative_to(self.root).as_posix())
        self.files = [SourceFile(self.root, path) for path in sorted(paths)]
        self.by_path = {file.path: file for file in self.files}

    @property
    def cxx(self):
        return [file for file in self.files if file.is_cxx]

    def resolve_include(self, file, name):
        """The file of this tree that a quoted include of `file` means, or None."""
        beside = (pathlib.PurePosixPath(file.path).parent / name).as_posix()
        for candidate in (f"include/{name}", f"lib/{name}", f"test/{name}", f"tools/{name}", name, beside):
            if candidate in self.by_path:
                return self.by_path[candidate]
        if file.path.startswith("test/tools/") and "/" not in name:
            # The tests of the programs see the folder of each program.
            for folder in sorted({path.split("/")[1] for path in self.by_path if re.match(r"tools/\w+/", path)}):
                if f"tools/{folder}/{name}" in self.by_path:
                    return self.by_path[f"tools/{folder}/{name}"]
        return None

    def closure(self, file):
        """`file` and every file of this tree that it includes, directly or not."""
        seen = {file.path: file}
        queue = [file]
        while queue:
            current = queue.pop()
            for _, name, _ in current.includes:
                found = self.resolve_include(current, name)
                if found and found.path not in seen:
                    seen[found.path] = found
                    queue.append(found)
        return [seen[path] for path in sorted(seen)]
