"""Rules on the size of things, and on contracts of the public API."""

import ast
import re

import cxx_scopes

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70


def file_length(tree):
    for file in tree.files:
        lines = len(file.text.splitlines())
        if lines > FILE_LINES_MAX and file.path != "LICENSE":
            yield file.violation(FILE_LINES_MAX + 1, "file-length", f"{lines} lines; {FILE_LINES_MAX} are allowed")


def function_length(tree):
    for file in tree.files:
        if file.is_cxx:
            yield from cxx_function_length(file)
        elif file.suffix == ".py":
            yield from python_function_length(file)


def cxx_function_length(file):
    try:
        found = cxx_scopes.declarations(file.code)
    except cxx_scopes.Unmatched as mismatch:
        yield file.violation(1, "function-length", f"cannot be measured: {mismatch}")
        return
    for declaration in found:
        lines = declaration.last_line - declaration.first_line + 1
        if declaration.is_definition_of_code and lines > FUNCTION_LINES_MAX:
            yield file.violation(declaration.first_line, "function-length",
                                 f"{declaration.name} has {lines} lines; {FUNCTION_LINES_MAX} are allowed")


def python_function_length(file):
    for node in ast.walk(ast.parse(file.text)):
        if isinstance(node, ast.FunctionDef):
            lines = node.end_lineno - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield file.violation(node.lineno, "function-length",
                                     f"{node.name} has {lines} lines; {FUNCTION_LINES_MAX} are allowed")


def public_comments(tree):
    """Every public symbol has a comment above it or after it.

    Fields may share the comment of the block they are in, overloads that of the first. What default, delete, a destructor
    and a copy or move do, every reader knows.
    """
    for file in tree.cxx:
        if not file.path.startswith("include/bandb/"):
            continue
        previous, previous_documented = None, False
        for declaration in cxx_scopes.declarations(file.code):
            if not declaration.public or not needs_comment(declaration):
                continue
            documented = has_comment(file, declaration) or shares_comment(declaration, previous, previous_documented)
            if not documented:
                yield file.violation(declaration.first_line, "public-comments",
                                     f"{declaration.name or declaration.head} has no comment")
            previous, previous_documented = declaration, documented


def needs_comment(declaration):
    head = cxx_scopes.strip_template(declaration.head)
    if declaration.kind == "namespace" or re.match(r"friend\b|using\s+[\w:]+\s*$|static_assert\b", head):
        return False
    if re.match(r"(class|struct|enum(\s+class)?)\s+\w+$", head) and declaration.kind == "value":
        return False  # a forward declaration
    if re.search(r"=\s*(default|delete)$", head) or re.match(r"(virtual\s+)?~", head):
        return False
    return not re.match(r"(\w+)\((const )?\1&&?( \w+)?\)|(\w+)& operator=\((const )?\4&&?( \w+)?\)", head)


def has_comment(file, declaration):
    above = declaration.first_line - 1 in file.comment_lines
    behind = declaration.kind in ("value", "function") and declaration.last_line in file.comment_lines
    return above or behind


def shares_comment(declaration, previous, previous_documented):
    if previous is None or not previous_documented:
        return False
    if declaration.kind == "value" and previous.kind == "type" and declaration.depth == previous.depth + 1:
        return declaration.first_line == previous.first_line + 1
    if declaration.depth != previous.depth:
        return False
    if declaration.kind == "value":
        return previous.kind == "value" and declaration.first_line == previous.last_line + 1
    return declaration.kind == "function" and declaration.name == previous.name


def names(tree):
    """Types and aliases are CamelCase, members that are not public end in an underscore, constants are kName."""
    for file in tree.cxx:
        for declaration in cxx_scopes.declarations(file.code):
            complaint = name_complaint(declaration)
            if complaint:
                yield file.violation(declaration.first_line, "names", f"{declaration.name} {complaint}")


def name_complaint(declaration):
    name, head = declaration.name, cxx_scopes.strip_template(declaration.head)
    if declaration.kind in ("type", "enum"):
        return None if not name or re.fullmatch(r"[A-Z]\w*", name) else "is a type: CamelCase"
    if declaration.kind != "value" or re.match(r"(using|friend|typedef|extern|static_assert)\b|(class|struct|enum)\s", head):
        return None
    if re.search(r"\bconstexpr\b", head) or (declaration.depth == 0 and re.match(r"(inline |static )*const ", head)):
        return None if re.fullmatch(r"k[A-Z]\w*", name) else "is a constant: kName"
    if declaration.depth > 0 and declaration.of_class and not declaration.public:
        return None if re.fullmatch(r"[a-z][a-z0-9_]*_", name) else "is a member that is not public: it ends in _"
    return None


RULES = {"names": names, "file-length": file_length, "function-length": function_length, "public-comments": public_comments}
