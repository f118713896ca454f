"""Rules on what is written for people: layouts in comments, the width of prose, names with one meaning, rooms that explain themselves."""

import pathlib
import re

import cxx_scopes
import source_tree

PROSE_COLUMNS = 100
CODE_COLUMNS = 120
ROOM_README_LINES_MAX = 30

COMMENT_LINE = re.compile(r"(\s*)//( *)(.*)$")
DEFINITION = re.compile(r"[\w ,()<>*]+?\s*:=")

# What reads as translated, and what to say. A word is here if a machine can tell its wrong use from its right one.
PLAIN_WORDS = tuple((re.compile(pattern), say) for pattern, say in (
    (r"\b[Ww]hom?ever\b", "name the reader, caller or node"),
    (r"\b(?:for|to|by|from|with|without|than) who\b", "name the reader, caller or node"),
    (r"\b[Aa]new\b", "say again"),
    (r"\bfor ever\b", "say forever"),
    (r"\b[Ii]n front of\b", "say before"),
    # A clock and a follower may be behind; what comes next in a file is after it.
    (r"(?<!\bis )(?<!\bare )(?<!\bbe )(?<!being )(?<!ms )(?<!hours )(?<!far )(?<!fallen )"
     r"\b[Bb]ehind (?:it|them|that|which|each|all|every|an?|the)\b", "say after"),
    (r"\b[Ss]tands? (?:before|at|on|behind|beyond|there|here)\b", "say is"),
    (r"\b(?:[Hh]e|[Hh]im|[Hh]is|[Ss]he|[Hh]ers)\b", "a thread, a caller and a node are it"),
))


def comment_blocks(file):
    """Runs of lines that hold a comment and nothing else, as lists of (line number, indent of the text, text)."""
    block = []
    for number, line in enumerate(file.lines, 1):
        match = COMMENT_LINE.match(line)
        if match:
            block.append((number, len(match.group(2)), match.group(3)))
        elif block:
            yield block
            block = []
    if block:
        yield block


def layouts(tree):
    """A grammar in a comment is as it was written: indented by two or more, and what goes on from a line of it is indented further.

    A formatter that takes a grammar for prose moves the end of a long line to the next one, at the left.
    """
    for file in tree.cxx:
        for block in comment_blocks(file):
            yield from torn_layouts(file, block)
            yield from torn_bullets(file, block)


def torn_bullets(file, block):
    """What goes on from a bullet is indented like its text. A line at the left between the two was torn off."""
    for (_, indent, text), (number, torn, line), (_, after, _) in zip(block, block[1:], block[2:]):
        if indent == 1 and text.startswith(("* ", "- ")) and torn == 1 and line and after > 1 and line[:2] not in ("* ", "- "):
            yield file.violation(number, "layouts", "what goes on from a bullet is indented further than it")


def torn_layouts(file, block):
    names, signs = None, set()  # the column of the name that is being defined, and those of all := before
    for number, indent, text in block:
        if len(file.lines[number - 1]) > CODE_COLUMNS:
            yield file.violation(number, "layouts", f"a line ends at column {CODE_COLUMNS}, also where the formatter leaves it alone")
        if not text:
            names, signs = None, set()
        elif ":=" in text:
            at = indent + text.index(":=")
            padded = text[:text.index(":=")].endswith("  ")
            if indent < 2 or not DEFINITION.match(text):
                yield file.violation(number, "layouts", "a grammar is indented by two or more, one definition to a line")
            elif padded and signs and at not in signs:
                yield file.violation(number, "layouts", "this := is aligned with none: the line before it was torn")
            names = indent
            signs.add(at)
        elif names is not None and indent <= names and not text.endswith(":"):
            yield file.violation(number, "layouts", "what goes on from a line of a grammar is indented further than it")


def prose_width(tree):
    """Prose in comments is 100 columns wide at the most, however wide the code is. Layouts are as they were written."""
    for file in tree.cxx:
        for block in comment_blocks(file):
            for number, indent, text in block:
                if indent < 2 and " " in text and len(file.lines[number - 1]) > PROSE_COLUMNS:
                    yield file.violation(number, "prose-width", f"a comment ends at column {PROSE_COLUMNS}")


def prose(file):
    """(line number, text) of what is written for people: comments, documents, and what programs say."""
    if file.suffix == ".md":
        yield from enumerate(file.lines, 1)
    elif file.suffix in (".py", ".sh", ".cmake", ".txt"):
        yield from ((number, line) for number, line in enumerate(file.lines, 1) if re.match(r'\s*(#(?!!)|""")', line))
    elif file.is_cxx:
        for match in source_tree.COMMENT_OR_LITERAL.finditer(file.text):
            # The names of test cases, and the bytes that tests are about, are their own.
            if match.group(0).startswith("/") or not file.path.startswith("test/"):
                yield from enumerate(match.group(0).split("\n"), file.line_of(match.start()))


def plain_words(tree):
    """Plain English: no word that a native engineer would stumble over. People are they, and who is a person."""
    for file in tree.files:
        if file.path == "LICENSE" or file.path.startswith("test/data/"):
            continue
        for number, line in prose(file):
            for pattern, say in PLAIN_WORDS:
                match = pattern.search(line)
                if match:
                    yield file.violation(number, "plain-words", f'"{match.group(0)}": {say}')


def one_hand(tree):
    """A bound is named for what it bounds: kKeyBytesMax and key_bytes_max, not kMaxKeyBytes and max_key_bytes."""
    for file in tree.cxx:
        if not file.path.startswith(("include/", "lib/")):
            continue
        for number, line in enumerate(file.code.split("\n"), 1):
            match = re.search(r"\b(kM(?:ax|in)[A-Z]\w*|(?<![.>])m(?:ax|in)_[a-z]\w*)", line)
            if match and "numeric_limits" not in line:
                yield file.violation(number, "one-hand", f"{match.group(1)}: the bound comes last, ...Max or ..._max")


def declared_types(tree):
    found = set()
    for file in tree.cxx:
        if file.path.startswith(("include/", "lib/")):
            found.update(item.name for item in cxx_scopes.declarations(file.code) if item.kind in ("type", "enum"))
            found.update(re.findall(r"\b(?:class|struct|enum class|using)\s+(?:\[\[\w+\]\]\s*)?([A-Z]\w*)", file.code))
    return found


def glossary(tree):
    """The glossary of docs/architecture.md and the code mean the same things: each type that it names is declared.

    And a word that it lists as retired is the name, or the last word of the name, of no type.
    """
    document = tree.by_path.get("docs/architecture.md")
    if document is None or "## Glossary" not in document.lines:
        return
    types = declared_types(tree)
    begin = document.lines.index("## Glossary")
    for number, line in enumerate(document.lines[begin + 1:], begin + 2):
        if line.startswith("## "):
            break
        if not line.startswith("|") or set(line) <= set("|- "):
            continue
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) != 3:
            yield document.violation(number, "glossary", "a word has three cells: itself, its meaning, and what it is not")
            continue
        for name in re.findall(r"`([A-Z]\w+)`", cells[1]):
            if name not in types:
                yield document.violation(number, "glossary", f"no type is called {name}")
        for word in re.findall(r"not `([A-Z]\w+)`", cells[2]):
            for name in sorted(types):
                if name == word or (name.endswith(word) and name not in cells[1]):
                    yield document.violation(number, "glossary", f"{name}: {word} is not a word of this house any more")


def mirrors(tree):
    """A test that bears the name of a unit is in the folder that mirrors the unit's, and every folder with code has tests."""
    units, tested = {}, set()
    for file in tree.cxx:
        if file.path.startswith("lib/"):
            units.setdefault(file.stem, set()).add(str(pathlib.PurePosixPath(file.path).parent)[4:])
        elif file.path.startswith("test/") and file.stem.endswith("_test"):
            tested.add(str(pathlib.PurePosixPath(file.path).parent)[5:])
    for file in tree.cxx:
        folder = str(pathlib.PurePosixPath(file.path).parent)
        if file.path.startswith("test/") and file.stem.endswith("_test"):
            rooms = units.get(file.stem[:-len("_test")])
            if rooms and folder[5:] not in rooms:
                yield file.violation(1, "mirrors", f"the unit is in lib/{sorted(rooms)[0]}, so its test is in test/{sorted(rooms)[0]}")


def room_readmes(tree):
    """Each room of lib/ has a README.md of at most 30 lines for those who open the folder."""
    rooms = {file.path.split("/")[1] for file in tree.cxx if file.path.startswith("lib/") and file.path.count("/") > 1}
    for room in sorted(rooms):
        readme = tree.by_path.get(f"lib/{room}/README.md")
        if readme is None:
            first = min(file for file in tree.by_path if file.startswith(f"lib/{room}/"))
            yield tree.by_path[first].violation(1, "room-readmes", f"lib/{room} has no README.md")
        elif len(readme.text.splitlines()) > ROOM_README_LINES_MAX:
            yield readme.violation(ROOM_README_LINES_MAX + 1, "room-readmes", f"{ROOM_README_LINES_MAX} lines are allowed")


RULES = {"layouts": layouts, "prose-width": prose_width, "one-hand": one_hand, "glossary": glossary, "mirrors": mirrors,
         "room-readmes": room_readmes, "plain-words": plain_words}
