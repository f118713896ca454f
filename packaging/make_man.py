#!/usr/bin/env python3
"""Writes the manual pages of the programs from what they say of themselves: make_man.py BIN_DIR OUT_DIR VERSION."""

import pathlib
import re
import subprocess
import sys

PAGES = [("bandb", 1, "client of a BanDB server"), ("bandb_bench", 1, "measures BanDB beside its peers"),
         ("bandb_inspect", 1, "looks into a BanDB database, and repairs it"), ("bandb_server", 8, "serves a BanDB database over TCP")]
SEE_ALSO = {"bandb": "bandb_server(8)", "bandb_bench": "bandb(1), bandb_server(8)", "bandb_inspect": "bandb(1), bandb_server(8)",
            "bandb_server": "bandb(1)"}


def said_by(program, *words):
    done = subprocess.run([program, *words], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL, timeout=60)
    return done.stdout.strip("\n")


def escaped(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def verbatim(text):
    return f".nf\n{escaped(text)}\n.fi\n"


def commands_of(name, help_text):
    """The names of its commands, in the order of its help."""
    listed = re.search(r"^(?:Commands|Subcommands):\n(.*?)(?:\n\S|\n\n|\Z)", help_text, re.DOTALL | re.MULTILINE)
    words = re.findall(r"^  ([a-z]\w*)", listed.group(1), re.MULTILINE) if listed else []
    return [word for word in dict.fromkeys(words) if (name, word) != ("bandb", "help")]


def page(program, section, what, version):
    name = program.name
    help_text = said_by(program, "--help")
    text = (f'.TH {name.upper()} {section} "" "BanDB {version}" "BanDB"\n.SH NAME\n{escaped(f"{name} - {what}")}\n'
            f".SH SYNOPSIS\n.B {escaped(name)}\n[OPTIONS]{' [COMMAND ...]' if commands_of(name, help_text) else ''}\n"
            f".SH DESCRIPTION\n{verbatim(help_text)}")
    for command in commands_of(name, help_text):
        text += f".SH {escaped(f'{name} {command}')}\n{verbatim(said_by(program, command, '--help'))}"
    return text + f".SH SEE ALSO\n{escaped(SEE_ALSO[name])}; /usr/share/doc/bandb\\-server\n"


def main():
    binaries, out, version = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
    out.mkdir(parents=True, exist_ok=True)
    for name, section, what in PAGES:
        if (binaries / name).exists():
            (out / f"{name}.{section}").write_text(page(binaries / name, section, what, version))


if __name__ == "__main__":
    main()
