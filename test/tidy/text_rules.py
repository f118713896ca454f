"""Rules on words: what only the seams of lib/base may do, what is not written at all, names of files."""

import re

import source_tree

# Everything here is done by lib/base and handed on through Env. Where a rule of the second column matches, the code
# belongs to a seam.
SEAM_WORDS = (
    ("a thread", r"std::(thread|jthread|async)\b|\bpthread_create\b"),
    ("a mutex", r"std::(mutex|shared_mutex|recursive_mutex|condition_variable\w*|lock_guard|unique_lock)\b"),
    ("sleeping", r"\bsleep_for\b|\bsleep_until\b|\b(u|nano)?sleep\s*\(|absl::SleepFor\b"),
    ("a clock", r"(?<!ock\.)(?<!ock->)::now\s*\(|\bclock_gettime\b|\bgettimeofday\b|absl::Now\s*\(|(?<![\w.>:])time\s*\(\s*(0|NULL|nullptr)"),
    ("randomness", r"\brandom_device\b|(?<![\w.>:])s?rand\s*\(|\bgetrandom\b|std::mt19937\w*|absl::BitGen\b"),
    ("opening a file", r"(?<![\w.>:])(::)?(open|openat|creat)\s*\(|\bfopen\s*\(|std::(i|o)?fstream\b"),
    ("the environment", r"\bgetenv\b"),
)
# Tests of thread safety are about real threads, and tests of tools about real files; the rest holds for them, too.
TEST_MAY = ("a thread", "a mutex", "opening a file", "the environment")

UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
NAMELESS = re.compile(r"(^|_)(util|utils|common|helper|helpers|manager|misc)(_|$)")
INVISIBLE = re.compile("[\u0000-\u0008\u000b-\u001f\u007f-\u00a0\u00ad\u2028-\u202f\u200b-\u200f\u2060-\u2069\ufeff\ufffd]")


def seam_words(tree):
    for file in tree.cxx:
        if file.path.startswith("lib/base/"):
            continue
        for number, line in enumerate(file.code.split("\n"), 1):
            for what, pattern in SEAM_WORDS:
                if file.path.startswith("test/") and what in TEST_MAY:
                    continue
                match = re.search(pattern, line)
                if match and not declares_method(line, match):
                    yield file.violation(number, "seam-words",
                                         f"{match.group(0).strip()}: {what} comes through the Env of lib/base")


def declares_method(line, match):
    """A method of our own may be called Open or open: what counts are calls of the free function."""
    return re.search(r"(override|= 0;|virtual)", line) is not None and "(" in match.group(0)


def unfinished(tree):
    for file in tree.files:
        if file.path == "LICENSE":
            continue
        for number, line in enumerate(file.lines, 1):
            match = UNFINISHED.search(line)
            if match:
                yield file.violation(number, "unfinished", f"{match.group(0)}: finish it or write it down as an issue")


def file_names(tree):
    for file in tree.files:
        for part in re.split(r"[/.]", file.path):
            if NAMELESS.search(part):
                yield file.violation(1, "file-names", f'"{part}" names no concept')
        if file.is_cxx and not re.fullmatch(r"[a-z][a-z0-9_]*", file.stem):
            yield file.violation(1, "file-names", "file names are snake_case")


def concepts(tree):
    """A file is named for one concept that docs/architecture.md explains: the name is there, in backticks or prose."""
    document = tree.by_path.get("docs/architecture.md")
    words = set(re.findall(r"\w+", document.text)) if document else set()
    for file in tree.cxx:
        if file.path.startswith(("lib/", "include/")) and file.stem not in words:
            yield file.violation(1, "concepts", f"docs/architecture.md does not explain {file.stem}")


def characters(tree):
    for file in tree.files:
        if file.data.endswith(b"\n\n") or not file.data.endswith(b"\n"):
            yield file.violation(len(file.lines), "characters", "a file ends with exactly one line end")
        code = file.code.split("\n") if file.is_cxx else None
        for number, line in enumerate(file.lines, 1):
            if line != line.rstrip():
                yield file.violation(number, "characters", "space at the end of the line")
            match = INVISIBLE.search(line)
            if match:
                yield file.violation(number, "characters", f"invisible character U+{ord(match.group(0)):04X}")
            if "\t" in line:
                yield file.violation(number, "characters", "tab")
            if code is not None and not code[number - 1].isascii():
                yield file.violation(number, "characters", "outside comments and literals the code is ASCII")


def heads(tree):
    """The head of a file says what it is. A .cc may leave that to its header, and a test to its test cases."""
    headers = {file.stem for file in tree.cxx if file.is_header}
    for file in tree.cxx:
        spoken_for = not file.is_header and (file.stem in headers or file.stem.endswith("_test"))
        if not spoken_for and not file.text.startswith("//"):
            yield file.violation(1, "heads", "the file does not begin with a comment that says what it is")


def paths_in_documents(tree):
    """A path of the tree that a document names exists."""
    tops = {path.split("/", 1)[0] for path in source_tree.FOLDERS}
    for file in tree.files:
        if file.suffix != ".md":
            continue
        for number, line in enumerate(file.lines, 1):
            for path in re.findall(r"`(?:\./)?([\w.-]+/[\w./-]*\w)`", line):
                if path.split("/", 1)[0] in tops and not (tree.root / path).exists():
                    yield file.violation(number, "paths", f"there is no {path}")


RULES = {"seam-words": seam_words, "unfinished": unfinished, "file-names": file_names, "concepts": concepts,
         "characters": characters, "heads": heads, "paths": paths_in_documents}
