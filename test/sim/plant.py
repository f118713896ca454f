#!/usr/bin/env python3
"""Plants the known bugs of a patch into a copy of a library, of which the library itself knows nothing: lib/raft and
mutants.patch here, lib/cluster and that of test/world, lib/storage and that of test/storage.

  plant.py apply SOURCE PATCH TARGET    makes TARGET a copy of the folder SOURCE with the patch applied
  plant.py diff SOURCE TARGET           prints the patch that makes TARGET of SOURCE
  plant.py check SOURCE PATCH HUNTER    the patch applies, and plants exactly the bugs that HUNTER --list names

After a change of the library that the patch does not follow: `apply` names the hunks that no longer fit and leaves what
fitted in TARGET; edit TARGET, then write the output of `diff` to mutants.patch.
"""

import difflib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile


def sources(folder):
    return sorted(p.relative_to(folder) for p in folder.rglob("*") if p.suffix in (".h", ".cc"))


def apply(source, patch, target):
    """True if every hunk fits exactly, at whatever line it now is. Files that do not change keep their time."""
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "copy"
        shutil.copytree(source, copy)
        command = ["patch", "--strip=1", "--fuzz=0", "--no-backup-if-mismatch", "--batch", "--quiet", f"--input={patch}"]
        fits = subprocess.run(command, cwd=copy, check=False).returncode == 0
        for name in sources(copy):
            to = target / name
            text = (copy / name).read_bytes()
            if to.exists() and to.read_bytes() == text:
                continue
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(text)
        for name in sources(target):
            if not (copy / name).exists():
                (target / name).unlink()
    return fits


def diff(source, target):
    for name in sources(source):
        before = (source / name).read_text().splitlines(keepends=True)
        after = (target / name).read_text().splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"))
    return True


def check(source, patch, hunter):
    with tempfile.TemporaryDirectory() as folder:
        if not apply(source, patch, pathlib.Path(folder)):
            print(f"{patch} no longer applies to {source}")
            return False
    added = [line for line in patch.read_text().splitlines() if line.startswith("+")]
    planted = {int(n) for line in added for n in re.findall(r"BANDB_[A-Z]+_MUTANT\((\d+)\)", line)}
    listed = subprocess.run([str(hunter), "--list"], capture_output=True, text=True, check=True).stdout
    hunted = {int(line.split()[0]) for line in listed.splitlines()}
    if planted != hunted:
        print(f"planted and not hunted: {sorted(planted - hunted)}; hunted and not planted: {sorted(hunted - planted)}")
    return planted == hunted


def main(arguments):
    commands = {"apply": (apply, 3), "diff": (diff, 2), "check": (check, 3)}
    command, count = commands.get(arguments[0] if arguments else "", (None, 0))
    if command is None or len(arguments) != 1 + count:
        print(__doc__, file=sys.stderr)
        return 2
    return 0 if command(*(pathlib.Path(a).resolve() for a in arguments[1:])) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
