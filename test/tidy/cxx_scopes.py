"""Finds the declarations of a C++ file: what is in namespaces and classes, and how long each function is.

It reads no grammar. At namespace and class level a brace opens a namespace, a type, an initializer or a function body, and
the words before it tell which; what is inside a function is skipped as a whole. That is enough for a formatted
tree, and a file whose braces do not match is reported instead of being passed over.
"""

import dataclasses
import re

SKIPPED_PREFIX = re.compile(r"\s*(\[\[[^\]]*\]\]|alignas\s*\([^)]*\))")


class Unmatched(Exception):
    """The braces of the file do not match."""


@dataclasses.dataclass
class Declaration:
    kind: str  # "namespace", "type", "enum", "function" or "value"
    head: str
    first_line: int
    last_line: int
    public: bool
    depth: int  # enclosing types
    of_class: bool  # the innermost enclosing scope is the private or protected part of a type

    @property
    def is_definition_of_code(self):
        return self.kind == "function"

    @property
    def name(self):
        text = re.sub(r"operator\s*(\(\s*\)|[^\s(]+)", "operator", strip_template(self.head))
        if self.kind in ("type", "enum"):
            text = re.split(r"(?<!:):(?!:)|\bfinal\b|;", text)[0]
            words = re.findall(r"\w+", re.sub(r"\([^)]*\)", "", text))
            return words[-1] if words else ""
        if self.kind == "function":
            match = re.search(r"(~?\w+)\s*\(", text)
            return match.group(1) if match else ""
        # What is left of a value is its type and, last, its name.
        text = outside_of_angles(re.sub(r"\b[A-Z][A-Z_]+\s*\([^()]*\)", "", text))
        words = re.findall(r"\w+", re.sub(r"\{.*|\[[^\]]*\]|:\s*\d+", "", text, flags=re.DOTALL))
        return words[-1] if words else ""


def strip_template(head):
    """`head` without leading template parameters and attributes."""
    while True:
        match = SKIPPED_PREFIX.match(head)
        if match:
            head = head[match.end():]
            continue
        match = re.match(r"\s*template\s*<", head)
        if not match:
            return head.strip()
        depth, at = 1, match.end()
        while at < len(head) and depth > 0:
            depth += {"<": 1, ">": -1}.get(head[at], 0)
            at += 1
        head = head[at:]


def outside_brackets(text):
    """`text` without what is in parentheses, brackets and braces."""
    depth, kept = 0, []
    for char in text:
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
        elif depth == 0:
            kept.append(char)
    return "".join(kept)


def classify(head):
    text = strip_template(head)
    if re.match(r'(inline\s+)?namespace\b|extern\s*"[^"]*"$', text):
        return "namespace"
    if re.match(r"(typedef\s+|static\s+|const\s+|constexpr\s+|inline\s+)*(class|struct|union)\b", text):
        return "type"
    if re.match(r"(typedef\s+)?enum\b", text):
        return "enum"
    plain = outside_brackets(re.sub(r"operator\s*(\(\s*\)|[^\s(]+)", "operator", text))
    if "=" in plain:
        return "value"
    if text and "(" not in text:
        return "value"
    # A brace after a name in a constructor's list of initializers belongs to that list.
    if re.search(r"(?<!:):(?!:)", plain) and re.search(r"[\w>]$", text):
        return "value"
    return "function"


class Scanner:
    def __init__(self, code):
        without_macros = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), code,
                                flags=re.MULTILINE)
        self.code = without_macros
        self.found = []
        self.scopes = []  # (kind, public, declaration)
        self.head_start = 0

    def line_of(self, offset):
        return self.code.count("\n", 0, offset) + 1

    def first_line(self, end):
        head = self.code[self.head_start:end]
        return self.line_of(self.head_start + len(head) - len(head.lstrip()))

    def closing_brace(self, opening):
        depth = 0
        for match in re.compile(r"[{}]").finditer(self.code, opening):
            depth += 1 if match.group(0) == "{" else -1
            if depth == 0:
                return match.start()
        raise Unmatched(f"the brace of line {self.line_of(opening)} is never closed")

    def add(self, kind, end, last):
        public = all(scope[1] for scope in self.scopes)
        depth = sum(1 for scope in self.scopes if scope[0] == "type")
        of_class = bool(self.scopes) and not self.scopes[-1][1]
        declaration = Declaration(kind, self.code[self.head_start:end].strip(), self.first_line(end),
                                  self.line_of(last), public, depth, of_class)
        self.found.append(declaration)
        return declaration

    def open_brace(self, at):
        """Deals with the brace at `at`; returns where to go on."""
        head = self.code[self.head_start:at]
        kind = classify(head)
        if kind in ("namespace", "type"):
            declaration = self.add(kind, at, at)
            is_class = re.match(r"(typedef\s+)?class\b", strip_template(head)) is not None
            self.scopes.append([kind, not is_class, declaration])
            self.head_start = at + 1
            return at + 1
        closing = self.closing_brace(at)
        # An initializer that holds statements is code: a lambda.
        if kind == "function" or kind == "enum" or ";" in self.code[at:closing]:
            self.add("enum" if kind == "enum" else "function", at, closing)
            if kind != "value":
                self.head_start = closing + 1
        return closing + 1

    def close_brace(self, at):
        if not self.scopes:
            raise Unmatched(f"the brace of line {self.line_of(at)} closes nothing")
        _, _, declaration = self.scopes.pop()
        declaration.last_line = self.line_of(at)
        self.head_start = at + 1

    def colon(self, at):
        label = self.code[self.head_start:at].strip()
        if label in ("public", "private", "protected") and self.scopes:
            self.scopes[-1][1] = label == "public"
            self.head_start = at + 1

    def run(self):
        at, depth = 0, 0
        while at < len(self.code):
            char = self.code[at]
            if char in "([":
                depth += 1
            elif char in ")]":
                depth -= 1
            elif char == "{":
                at = self.closing_brace(at) + 1 if depth > 0 else self.open_brace(at)
                continue
            elif char == "}":
                self.close_brace(at)
            elif char == ":" and depth == 0:
                self.colon(at)
            elif char == ";" and depth == 0:
                if self.code[self.head_start:at].strip():
                    text = strip_template(self.code[self.head_start:at])
                    self.add("function" if "(" in outside_of_angles(text) else "value", at, at)
                self.head_start = at + 1
            at += 1
        if self.scopes:
            raise Unmatched("a namespace or class is never closed")
        return self.found


def outside_of_angles(text):
    """The part of a declaration before its `=`, without template arguments."""
    text = re.split(r"=(?!=)", re.sub(r"operator\s*(\(\s*\)|[^\s(]+)", "operator", text))[0]
    while True:
        shorter = re.sub(r"<[^<>]*>", "", text)
        if shorter == text:
            return text
        text = shorter


def declarations(code):
    """Every declaration at namespace and class level, in order. Raises Unmatched."""
    return Scanner(code).run()
