"""Where a value in TypeScript or JavaScript is written that a file names: `config.temporal.address` of another file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping

from mika.detect import package_json
from mika.detect.languages import NODE, Maker, Texts, without_comments
from mika.detect.sources import Value

_DEEPEST = 5
_NAMES = re.compile(r"[A-Za-z_$][\w$]*(?:!?\??\.[A-Za-z_$][\w$]*){0,6}!?")
_TOKEN = re.compile(
    r"""'(?:[^'\\\n]|\\.){0,500}'|"(?:[^"\\\n]|\\.){0,500}"|`(?:[^`\\]|\\.){0,500}`|[{}()\[\],;]|\n(?=\s*(?:export|const)\b)"""
)
_KEY = re.compile(r"""\s*["']?([A-Za-z_$][\w$]*)["']?\s*(?:[:=]|$)""")
_IMPORT = re.compile(
    r"""\bimport\s+([\w$*{},\s]{1,500}?)\s*\bfrom\s*["']([\w./@~-]{1,200})["']"""
    r"""|\b(?:const|let|var)\s+([\w$]{1,100}|\{[^{}]{1,500}\})\s*=\s*require\(\s*["']([\w./@~-]{1,200})["']"""
)
_REEXPORTED = re.compile(r"""\bexport\s*(\*|\{[^{}]{1,500}\})\s*from\s*["']([\w./@~-]{1,200})["']""")
_ALIAS = re.compile(r"^[@~]?/")
_SUFFIX = re.compile(r"\.[cm]?[jt]s$")
_EXPORTED = re.compile(r"\bexport\s+default\s+|\bmodule\.exports\s*=\s*")
_TAKEN = re.compile(r"\b(?:const|let|var)\s*\{([^{}]{1,300})\}\s*=\s*([\w$.]{1,200})\s*(?:;|$)", re.MULTILINE)
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_SCHEMA = r"(?=z\s*\.|[Jj]oi\s*\.|(?:str|host|port|num|url)\()((?:[^\n]|\n\s*\.){1,500})"
"""What zod, Joi or envalid says of a variable: the rest of the line, and of a chain of calls."""
_DEFAULTS = re.compile(r"""\.default\(\s*(["'][^"'\n]{0,200}["']|\d+)\s*\)|\bdefault:\s*(["'][^"'\n]{0,200}["']|\d+)""")
_ASKED = r"""\.get(?:OrThrow)?(?:<[^<>()]{1,50}>)?\(\s*["']NAME["']"""
"""What a ConfigService of Nest is asked for: a variable that the schema of the app gives a default."""
_DEFAULT = ""
"""The name of what a file exports as a whole."""


def written(texts: Texts, path: str, expression: str, depth: int = 0) -> tuple[str, str] | None:
    """The expression that a name, or a member of an object, stands for, and its file; None if that is not clear."""
    if _NAMES.fullmatch(expression) is None or depth > _DEEPEST or texts.files.is_late():
        return None
    name, *members = re.sub(r"[!?]", "", expression).split(".")
    found = _member(texts, path, name, members, depth)
    return found or (_validated(texts, path, members[-1]) if members else None)


def queues(texts: Texts, maker: Maker) -> tuple[Value, ...]:
    """What the task queues of a maker are worth, also those that are members of an object, or of another package."""
    found: list[Value] = []
    for expression, value in maker.given:
        is_open = "." in expression or value == Value()
        place = written(texts, maker.path, (expression or "taskQueue").strip()) if is_open else None
        worth = texts.value(place[1], place[0], ()) if place is not None else Value()
        found.append(_with_default(texts, maker.path, value if worth == Value() else worth))
    return tuple(dict.fromkeys(found))


def _with_default(texts: Texts, path: str, value: Value) -> Value:
    """A variable that a file asks the ConfigService for, with its default."""
    is_open = value.text is None and value.variable
    if not is_open or re.search(_ASKED.replace("NAME", value.variable), texts.text(path)) is None:
        return value
    place = _validated(texts, path, value.variable)
    return texts.value(place[1], place[0], ()) if place is not None else value


def _validated(texts: Texts, path: str, name: str) -> tuple[str, str] | None:
    """A variable of the environment that a schema (zod, Joi, envalid) has with this name, and its default."""
    if _VARIABLE.fullmatch(name) is None:
        return None
    schema = re.compile(rf"(?<![\w.]){name}\s*:\s*{_SCHEMA}")
    near = texts.of(NODE, texts.home_of(NODE, path) or "")
    for files in (near, texts.of(NODE, "")):
        places = {found[1]: file for file in files for found in schema.finditer(texts.text(file))}
        values = {default[1] or default[2] if (default := _DEFAULTS.search(given)) else "" for given in places}
        if places:
            worth = next(iter(values)) if len(values) == 1 else ""
            return next(iter(places.values())), f"process.env.{name}{f' ?? {worth}' if worth else ''}"
    return None


def _member(texts: Texts, path: str, name: str, members: list[str], depth: int) -> tuple[str, str] | None:
    text = without_comments(texts.text(path))
    value = _declared(text, name)
    if value is None:
        other = _imported(texts, path, text, name)
        if other is None or depth > _DEEPEST:
            return None
        file, exported = other
        if exported == "*" and members:
            return _member(texts, file, members[0], members[1:], depth + 1)
        return _member(texts, file, exported, members, depth + 1)
    for number, member in enumerate(members):
        if not value.startswith("{"):
            return written(texts, path, ".".join([value, *members[number:]]), depth + 1)
        found = entries(value).get(member)
        if found is None:
            return None
        value = found
    further = written(texts, path, value, depth + 1) if value != name else None
    return further or (path, value)


def _declared(text: str, name: str) -> str | None:
    """What a file assigns to a name, if it does that once; without a name, what it exports."""
    if name == _DEFAULT:
        starts = [found.end() for found in _EXPORTED.finditer(text)]
    else:
        pattern = (
            rf"\b(?:const|let|var)\s+{re.escape(name)}\b(?:\s*:[^=\n]{{1,100}})?\s*=(?!=)\s*(?:Object\.freeze\(\s*)?"
        )
        enum = rf"\benum\s+{re.escape(name)}\s*(?=\{{)"
        starts = [found.end() for found in re.finditer(f"{pattern}|{enum}", text)]
        if len(re.findall(rf"(?<![\w.$]){re.escape(name)}\s{{0,9}}=(?![=>])", text)) > 1:
            return None
        for names, whole in _TAKEN.findall(text):
            if name in [one.strip() for one in names.split(",")]:
                return f"{whole}.{name}"
    found = _expression(text, starts[0]) if len(starts) == 1 else "require("
    return None if found.startswith("require(") else found


def _expression(text: str, start: int) -> str:
    """The expression that begins there."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        one = token[0]
        if one in "{([":
            depth += 1
        elif one in "})]":
            depth -= 1
        is_end = depth < 0 or (depth == 0 and (one in ",;" or one == "\n"))
        if is_end or (depth == 0 and one == "}"):
            return text[start : token.end() if one == "}" and depth == 0 else token.start()].strip()
    return text[start : start + 200].partition("\n")[0].strip()


def entries(literal: str) -> Mapping[str, str]:
    """The members of an object, and what each is."""
    keys = ((_KEY.match(part), part) for part in parts(literal))
    return {key[1]: part[key.end() :].strip() or key[1] for key, part in keys if key}


def parts(text: str, start: int = 0) -> list[str]:
    """What is between the commas inside the brackets that open there."""
    depth, begin, found = 0, start + 1, list[str]()
    for token in _TOKEN.finditer(text, start):
        one = token[0]
        if one in "{([":
            depth += 1
        elif one in "})]":
            depth -= 1
        if (one == "," and depth == 1) or depth == 0:
            found.append(text[begin : token.start()])
            begin = token.end()
            if depth == 0:
                break
    return found


def _imported(texts: Texts, path: str, text: str, name: str) -> tuple[str, str] | None:
    """The file that a name is imported from, and what it is called there; `*` for all that it exports."""
    for names, source in _REEXPORTED.findall(text):
        called = name if names == "*" else _called(names, name, is_required=False)
        file = _file(texts, path, source) if called is not None else None
        if called is not None and file is not None and (names != "*" or _exports(texts, file, called)):
            return file, called
    for names, source, required, other in _IMPORT.findall(text):
        called = _called(names or required, name, is_required=bool(required))
        file = _file(texts, path, source or other) if called is not None else None
        if called is not None and file is not None:
            return file, called
    return None


def _exports(texts: Texts, path: str, name: str, depth: int = 0) -> bool:
    """Whether a file declares a name, or has it from another one."""
    text = without_comments(texts.text(path))
    if re.search(
        rf"\bexport\s+(?:const|let|var|enum|(?:async\s+)?function)\s+{re.escape(name)}\b|\bexport\s*\{{[^{{}}]*\b{re.escape(name)}\b",
        text,
    ):
        return True
    files = (_file(texts, path, source) for names, source in _REEXPORTED.findall(text) if names == "*")
    return depth < _DEEPEST and any(file is not None and _exports(texts, file, name, depth + 1) for file in files)


def _called(clause: str, name: str, *, is_required: bool) -> str | None:
    """How a module calls what an import takes from it by a name."""
    outer, _brace, inner = clause.partition("{")
    for one in inner.strip(" \n}").split(","):
        theirs, *own = re.split(r"\s+as\s+|\s*:\s*", one.strip().removeprefix("type "))
        if (own or [theirs])[0] == name:
            return theirs
    if re.search(rf"\*\s+as\s+{re.escape(name)}\b", outer):
        return "*"
    return _DEFAULT if outer.strip(" ,\n") == name or (is_required and clause.strip() == name) else None


def _file(texts: Texts, path: str, source: str) -> str | None:
    """The file of the project that an import means, if there is one."""
    home = texts.home_of(NODE, path) or texts.nearest(NODE, path) or ""
    plain = _SUFFIX.sub("", source)
    found = _files(texts, home, set(_stems(posixpath.dirname(path), home, plain)))
    for other in () if found or source.startswith(".") else texts.files.named(r"package\.json"):
        name = package_json.name(texts.files.text(other))
        if name and f"{plain}/".startswith(f"{name}/"):
            folder, inner = posixpath.dirname(other), plain[len(name) + 1 :]
            stems = {posixpath.normpath(posixpath.join(folder, src, inner)) for src in ("", "src", "lib", "src/lib")}
            found = _files(texts, folder, stems)
            break
    return found[0] if len(found) == 1 else None


def _files(texts: Texts, home: str, stems: Collection[str]) -> list[str]:
    return [one for one in texts.of(NODE, home) if _SUFFIX.sub("", one).removesuffix("/index") in stems]


def _stems(folder: str, home: str, source: str) -> Iterator[str]:
    if source.startswith("."):
        yield posixpath.normpath(posixpath.join(folder, source)).removesuffix("/index")
    else:
        inner = _ALIAS.sub("", source)
        yield from (posixpath.normpath(posixpath.join(home, src, inner)) for src in ("", "src"))


def origin(texts: Texts, path: str, name: str) -> str | None:
    """The file of the project that declares what another one imports by this name."""
    file = ""
    for _step in range(_DEEPEST):
        further = _imported(texts, file or path, without_comments(texts.text(file or path)), name)
        if further is None:
            break
        file, name = further
    return file or None
