"""Rules that a compiler or a clang tool decides. What passed is remembered by the hash of everything it depends on."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

import include_rules

# Each release of clang-format lays some lines out in its own way, so one of them decides: that of Debian 12.
LAYOUT_RELEASE = 14
# More sources in one unit save little and take much memory.
UNIT_FILES_MAX = 16
HEADER_FLAGS = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"]


# What has not been met for so long will not come back.
REMEMBERED_SECONDS = 60 * 24 * 3600


def cache_folder():
    """Where clones of one user remember together what passed, as they do with ccache."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(home) / "bandb-tidy"


def forget_old(cache):
    for mark in pathlib.Path(cache).glob("*/*"):
        if mark.stat().st_mtime < time.time() - REMEMBERED_SECONDS:
            mark.unlink(missing_ok=True)


class Checker:
    """Runs a command for each of many files, a few at a time, and remembers the clean ones in `cache`."""

    def __init__(self, cache, jobs):
        self.cache = pathlib.Path(cache) if cache else None
        self.jobs = jobs

    def run(self, work):
        """`work` yields (file, key, command); returns (file, output) of those that failed."""
        failed, waiting = [], []
        for file, key, command in work:
            mark = self.cache / key[:2] / key if self.cache else None
            if mark is not None and mark.exists():
                mark.touch()
            else:
                waiting.append((file, mark, command))
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            for (file, mark, _), done in zip(waiting, pool.map(lambda item: execute(item[2]), waiting)):
                if done.returncode != 0:
                    failed.append((file, done.stdout))
                elif mark is not None:
                    mark.parent.mkdir(parents=True, exist_ok=True)
                    mark.touch()
        return failed


def execute(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          check=False)


def version(tool):
    path = shutil.which(tool)
    if path is None:
        raise SystemExit(f"tidy: {tool} is not installed; tools/test.sh installs it")
    return execute([path, "--version"]).stdout


def key_of(tree, *parts):
    """Names what was checked, wherever the tree lies."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).replace(str(tree.root), ".").encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def first_error(output):
    lines = [line for line in output.split("\n") if re.search(r"(error|warning):", line)]
    return (lines or output.strip().split("\n"))[0][-300:]


def built_first(tree, header):
    """Whether some .cc of the libraries or programs has the same name and includes `header` before anything else."""
    if header.path.startswith("test/"):
        return False
    for folder in {str(pathlib.PurePosixPath(header.path).parent), "lib/kv", "lib/storage", "lib/server", "lib/cluster"}:
        source = tree.by_path.get(f"{folder}/{header.stem}.cc")
        if source is not None and source.includes and tree.resolve_include(source, source.includes[0][1]) is header:
            return True
    return False


def precompiled_header(context, compiler, flags):
    """The flags that put a precompiled header before what is compiled, which is made here: what the rule `includes` knows of.

    Without it parsing the standard library takes most of the time of each header.
    """
    folder = pathlib.Path(context.build) / "tidy"
    folder.mkdir(parents=True, exist_ok=True)
    header = folder / f"{hashlib.sha256((compiler + str(flags)).encode()).hexdigest()[:16]}.h"
    made = header.with_name(header.name + ".gch")
    if not made.exists():
        header.write_text("".join(f"#include <{name}>\n" for name in include_rules.PROVIDED))
        done = execute(["g++", *(flag for flag in flags if flag != "-fsyntax-only"), "-x", "c++-header", str(header), "-o", str(made)])
        if done.returncode != 0:
            raise SystemExit(f"tidy: no precompiled header: {first_error(done.stdout)}")
    return ["-include", str(header)]


def headers_compile(tree, context):
    """Every header compiles alone: with nothing before it.

    Where a .cc of the libraries or programs includes its header first, the build shows that. The others are compiled here.
    In both cases behind a precompiled header: that nothing of it is missing is for the rule `includes`.
    """
    compiler = version("g++")
    flags = HEADER_FLAGS + [f"-I{tree.root / folder}" for folder in ("include", "lib", "test", "tools")]
    flags += [f"-I{pathlib.Path(context.build) / 'generated'}", *context.header_flags]
    precompiled = precompiled_header(context, compiler, flags)

    def work():
        for file in tree.cxx:
            if file.is_header and not built_first(tree, file):
                contents = [part.data for part in tree.closure(file)]
                path = str(tree.root / file.path)
                yield (file, key_of(tree, "header", compiler, flags, path, list(include_rules.PROVIDED), *contents),
                       ["g++", *flags, *precompiled, "-x", "c++", path])

    for file, output in Checker(context.cache, context.jobs).run(work()):
        yield file.violation(1, "headers-compile", first_error(output))


def layout_is_decided_here():
    """Whether the clang-format of this machine is the one that decides; if not, says so."""
    release = int(re.search(r"version (\d+)", version("clang-format")).group(1))
    if release != LAYOUT_RELEASE:
        print(f"tidy: clang-format: not checked: release {LAYOUT_RELEASE} decides, this is {release}", file=sys.stderr)
    return release == LAYOUT_RELEASE


def clang_format(tree, context):
    if not layout_is_decided_here():
        return
    tool, style = version("clang-format"), (tree.root / ".clang-format")
    config = style.read_bytes() if style.exists() else b""

    def work():
        for file in tree.cxx:
            command = ["clang-format", "--dry-run", "--Werror", "--style=file", str(tree.root / file.path)]
            yield file, key_of(tree, "format", tool, config, file.data), command

    for file, output in Checker(context.cache, context.jobs).run(work()):
        match = re.search(r":(\d+):\d+: error", output)
        yield file.violation(int(match.group(1)) if match else 1, "clang-format", "run clang-format -i")


def compile_command(entry):
    """The command of a compilation database, made fit for clang: without precompiled header and launcher."""
    words = shlex.split(entry["command"]) if "command" in entry else list(entry["arguments"])
    kept, at = [], 0
    while at < len(words):
        if words[at] == "-include" and "cmake_pch" in words[at + 1]:
            at += 2
            continue
        if words[at] == "-o":
            at += 2
            continue
        if words[at] == "-include":
            kept += words[at:at + 2]
            at += 2
            continue
        if words[at].startswith(("-I", "-D", "-std=", "-W")) and words[at] not in ("-Winvalid-pch", "-Werror"):
            kept.append(words[at])
        elif words[at] == "-isystem":
            kept += words[at:at + 2]
            at += 1
        at += 1
    return kept


def program_of(entry):
    """The target that an entry of a compilation database belongs to, by the object file that it makes."""
    match = re.search(r"-o \S*CMakeFiles/(\w+)\.dir/", entry.get("command") or " ".join(entry["arguments"]))
    return match.group(1) if match else ""


def sources_of(tree, context):
    """What the build compiles: {file: (target, flags)}, without what the clang stage of tools/test.sh compiles of the tests.

    A file that two targets build is named once, with the shorter command: the other one only adds to it.
    """
    build = pathlib.Path(context.build)
    listed = build / "clang_stage_programs.txt"
    elsewhere = set(listed.read_text().split()) if listed.exists() else set()
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = os.path.relpath(os.path.realpath(os.path.join(entry["directory"], entry["file"])), tree.root)
        file = tree.by_path.get(pathlib.PurePath(path).as_posix())
        target = program_of(entry)
        if file is not None and file.suffix == ".cc" and target not in elsewhere:
            flags = compile_command(entry) + ["-Wthread-safety"]
            if file not in found or len(flags) < len(found[file][1]):
                found[file] = (target, flags)
    return found


def units_of(sources):
    """`sources` in lists that are checked as one unit, in the order of the build: those of one library together.

    Parsing and searching the headers is nearly all of the time that clang-tidy takes.
    """
    units = []
    for file, (target, flags) in sources.items():
        last = units[-1] if units else None
        if last and file.path.startswith("lib/") and (target, flags) == sources[last[-1]] and len(last) < UNIT_FILES_MAX:
            last.append(file)
        else:
            units.append([file])
    return units


def unit_path(tree, context, files):
    """The file to check for all of `files`: the one, or one that includes them."""
    paths = [str(tree.root / file.path) for file in files]
    if len(paths) == 1:
        return paths[0]
    folder = pathlib.Path(context.build) / "tidy"
    folder.mkdir(parents=True, exist_ok=True)
    unit = folder / (files[0].path.replace("/", "_"))
    unit.write_text("".join(f'#include "{path}"\n' for path in paths))
    return str(unit)


def clang_tidy(tree, context):
    """clang-tidy with the checks of .clang-tidy over every source that the build knows.

    Of those of the tests only what clang itself warns of: parsing is half of the time that the other checks take. And of
    these not what the stage of tools/test.sh that builds with clang compiles with the same warnings as errors.
    """
    tool, compiler = version("clang-tidy"), version("clang++")
    config_file = tree.root / ".clang-tidy"
    config = config_file.read_bytes()
    sources = sources_of(tree, context)

    def work():
        for files in units_of(sources):
            flags = sources[files[0]][1]
            contents = {part.path: part.data for file in files for part in tree.closure(file)}
            path = unit_path(tree, context, files)
            if files[0].path.startswith("test/"):
                command = ["clang++", "-fsyntax-only", "-Werror", *flags, path]
                yield files[0], key_of(tree, "clang", compiler, flags, *contents.values()), command
            else:
                command = ["clang-tidy", "--quiet", f"--config-file={config_file}", path, "--", *flags]
                names = [file.path for file in files]
                yield files[0], key_of(tree, "tidy", tool, config, flags, names, *contents.values()), command

    for file, output in Checker(context.cache, context.jobs).run(work()):
        found = set(re.findall(r"^(\S+?):(\d+):\d+: (?:error|warning): (.*)$", output, re.MULTILINE))
        for where, line, message in sorted(found):
            path = os.path.relpath(os.path.realpath(where), tree.root)
            reported = tree.by_path.get(path, file)
            yield reported.violation(int(line), "clang-tidy", message)
        if not found:
            yield file.violation(1, "clang-tidy", first_error(output))


RULES = {"headers-compile": headers_compile, "clang-format": clang_format, "clang-tidy": clang_tidy}
