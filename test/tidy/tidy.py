#!/usr/bin/env python3
"""Holds the tree to the house rules: `tidy.py --root . --build build/dev`. There is no list of exceptions.

Prints one line for each violation and fails if there is any. self_test.py shows for each rule that it can fail.
"""

import argparse
import dataclasses
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import comment_rules  # noqa: E402
import include_rules  # noqa: E402
import shape_rules  # noqa: E402
import source_tree  # noqa: E402
import text_rules  # noqa: E402
import tool_rules  # noqa: E402

TREE_RULES = {**comment_rules.RULES, **shape_rules.RULES, **include_rules.RULES, **text_rules.RULES}
TOOL_RULES = tool_rules.RULES


@dataclasses.dataclass
class Context:
    build: str
    cache: str
    jobs: int
    header_flags: list


def check(root, context, rules=None):
    """All violations of the tree under `root`, sorted. `rules` names those to check; None means all."""
    tree = source_tree.SourceTree(root)
    found = set()
    for name, rule in {**TREE_RULES, **TOOL_RULES}.items():
        if rules is not None and name not in rules:
            continue
        begin = time.monotonic()
        found.update(rule(tree) if name in TREE_RULES else rule(tree, context))
        spent = time.monotonic() - begin
        if spent > 1:
            print(f"tidy: {name}: {spent:.0f} s", file=sys.stderr)
    return sorted(found), len(tree.files)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--build", default="build/dev", help="build folder with compile_commands.json")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rule", action="append", help="check only this rule; may be repeated")
    parser.add_argument("--header-flag", action="append", default=[])
    options = parser.parse_args()
    unknown = set(options.rule or []) - set(TREE_RULES) - set(TOOL_RULES)
    if unknown:
        parser.error(f"no such rule: {', '.join(sorted(unknown))}")
    context = Context(options.build, tool_rules.cache_folder(), options.jobs, options.header_flag)
    violations, files = check(options.root, context, options.rule)
    tool_rules.forget_old(context.cache)
    for violation in violations:
        print(violation)
    print(f"tidy: {files} files, {len(violations)} violations")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
