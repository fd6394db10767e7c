"""The addresses of Temporal's server that the source has: a fixed one is not changed by what mika tells a process."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping

from mika.detect import go_fields, go_flags, nest_workers, node_values, passed, spring
from mika.detect.fields import dotted
from mika.detect.files import ancestors
from mika.detect.languages import GO, JAVA, NODE, Language, Texts, without_comments
from mika.detect.modules import Module
from mika.detect.sources import Sources, Value
from mika.frozen import frozen

_LOCAL = "localhost:7233"
"""Where each SDK connects to without an address. None of them reads TEMPORAL_ADDRESS for that."""
_TABLE = r"\{((?:[^{}]|\{[^{}]*\}){0,2000})\}"
_NODE_CONNECTS = re.compile(rf"\b(?:Native)?Connection\.(?:connect|lazy)\(\s*(?:\)|{_TABLE}\s*\))")
_NODE_WORKER = re.compile(rf"\bWorker\.create\(\s*{_TABLE}\s*\)")
_NODE_ADDRESS = re.compile(
    r"(?<![\w.])address\b\s*(?::\s*(`[^`\n]{0,300}`|(?:[^,\n}()]|\([^()\n]{0,200}\)){1,200}(?=[,\n}]|$)|[^,\n}]+))?"
)
_GO_OPTIONS = re.compile(rf"\bclient\.Options{_TABLE}")
_GO_ADDRESS = re.compile(r"\bHostPort:\s*((?:[^,()\n}]|\((?:[^()\n]|\([^()\n]{0,200}\)){0,200}\)){1,200})")
_GO_CLIENT = re.compile(r'^[ \t]*(?:import[ \t]+)?(?:(\w+)[ \t]+)?"go\.temporal\.io/sdk/client"', re.MULTILINE)
_GO_DIALS = re.compile(r"\bclient\.(?:Dial|DialContext|NewClient|NewLazyClient)\(")
_GO_DEFAULT = r'\bif\s+NAME\s*==\s*""\s*\{\s*NAME\s*=\s*([^;\n}]{1,200})'
_GO_ELSEWHERE = re.compile(r"\.HostPort\s*=(?!=)|\bcontrib/envconfig\b")
_JAVA_LOCAL = re.compile(
    r"\bWorkflowServiceStubs\s*\.\s*(?:newLocalServiceStubs\(\s*\)|newInstance\(\s*\)"
    r"|newServiceStubs\(\s*WorkflowServiceStubsOptions\s*\.\s*getDefaultInstance\()"
)
_JAVA_TARGET = re.compile(r"\.setTarget\(([^()]{1,200}(?:\([^()]{0,200}\))?[^()]{0,200})\)")
_CSHARP = re.compile(
    r"\b(?:ConnectAsync|CreateLazy)\(\s*new(?:\s+\w+)?\(([^(),]{1,200})[,)]|\bTargetHost\s*=\s*([^,;}]{1,200})"
    r"|\bAdd(?:HostedTemporalWorker|TemporalClient)\(\s*([^(),]{1,200}),"
)
_NAME = re.compile(r"[A-Za-z_]\w*")
_JOINED = re.compile(
    r"""fmt\.Sprintf(?=\(\s*"%[sv]:(?:%[sdv]|(\d{1,5}))"\s*,)|net\.JoinHostPort(?=\()"""
    r"""|`\$\{([^{}]{1,200})\}:(?:\$\{([^{}]{1,200})\}|(\d{1,5}))`"""
    r"""|([^"'`+]{1,100}(?:["'][^"'\n]{0,100}["'][^"'`+]{0,100}){0,4})\+\s*["'](?::["']\s*\+(.{1,200})|:(\d{1,5})["'])"""
)
"""Host and port, put together in Go or in a template."""
_NUMBER = re.compile(r"strconv\.Itoa\((.{1,200})\)")
_METHOD = re.compile(r"[\w.]{0,100}\b(\w{1,100})\(\)")
_RETURNS = r"^func (?:\([^()\n]{1,100}\) )?NAME\(\) string \{\s*return ([^\n]{1,300}?)\s*\}"


@frozen
class Target:
    """An address in the file `path`; `value.variable` is the variable that may change it.

    `home`: the folder of the manifest, in other languages than Python. `flag`: the option of the command line that
    alone may change it, with `--`. `host` and `port`: its two halves, if each has a variable of its own.
    """

    path: str
    value: Value
    home: str = ""
    flag: str = ""
    host: Value = Value()
    port: Value = Value()


def of_python(sources: Sources) -> Iterator[Target]:
    for module in sources.entries:
        for call in module.calls:
            if module.source_of(dotted(call.func)).endswith("Client.connect"):
                target = call.args[0] if call.args else module.keyword(call, "target_host")
                host, port = _halves(sources, target, module)
                value = passed.certain(sources, target, module)
                if value == Value() and None not in (host.text, port.text) and not (host.variable or port.variable):
                    value = Value(f"{host.text}:{port.text}", file=port.file)
                yield Target(module.path, value, host=host, port=port)


def _halves(sources: Sources, node: ast.expr | None, module: Module) -> tuple[Value, Value]:
    """Host and port of `f"{host}:{port}"`, also behind a name or a property; without values for anything else."""
    name = dotted(node).rpartition(".")[2]
    places = [(node, module), *((found, part) for part in sources.reachable(module) for found in _given(part, name))]
    for text, part in places if node is not None else ():
        match text:
            case ast.JoinedStr(values=[ast.FormattedValue(host), ast.Constant(":"), ast.FormattedValue(port)]):
                return passed.certain(sources, host, part), passed.certain(sources, port, part)
    return Value(), Value()


def _given(module: Module, name: str) -> Iterator[ast.expr]:
    """What a module has for a name: a value, or what a property returns."""
    yield from (table[name] for table in (module.values, module.returns) if name in table)


def of_others(texts: Texts) -> Iterator[Target]:
    """Those of the parts that use an SDK, each once for a file."""
    for language, path in texts.users():
        text = texts.text(path)
        if "emporal" not in text:
            continue
        text = without_comments(text)
        home = _home(texts, language, path)
        expressions = dict.fromkeys(one.strip() for one in _EXPRESSIONS[language.name](text))
        targets = (_target(one, text, texts, language, path, home) for one in expressions)
        yield from (
            one for one in dict.fromkeys(targets) if _is_known(one.value) or one.host.variable or one.port.variable
        )
    yield from _of_spring(texts)


def _home(texts: Texts, language: Language, path: str) -> str:
    """Of the manifest with the SDK; a server in Node may have that of clients alone."""
    home = texts.home_of(language, path)
    if home is None and language == NODE:
        home = next((f for f in ancestors(path) if posixpath.join(f, "package.json") in texts.files), None)
    return home or ""


def _is_known(value: Value) -> bool:
    return ":" in value.text if value.text is not None else bool(value.variable)


def _of_spring(texts: Texts) -> Iterator[Target]:
    homes = dict.fromkeys(texts.home_of(language, path) for language, path in texts.users() if language == JAVA)
    for home in homes:
        settings = texts.spring_settings(home) if home is not None else None
        if settings is not None and (value := spring.target(settings)) is not None:
            yield Target(settings.path, value, home or "")


def _target(expression: str, text: str, texts: Texts, language: Language, path: str, home: str) -> Target:
    where, given = _returned(expression, texts, path) if language == GO else (path, expression)
    if language in (GO, NODE) and (halves := _parted(_assigned(given, text) or given)) is not None:
        host, port = (_value(half, without_comments(texts.text(where)), texts, language, where) for half in halves)
        return Target(path, _whole(host, port), home, host=host, port=port)
    flag = go_flags.find(expression, text) if language == GO else None
    if flag is None:
        return Target(path, _value(expression, text, texts, language, path), home)
    default = _value(flag.default, text, texts, language, path)
    variable = flag.variable or default.variable
    return Target(path, Value(default.text or None, variable), home, "" if variable else f"--{flag.name}")


def _parted(expression: str) -> tuple[str, str] | None:
    """The expressions of host and port, if it puts these together."""
    found = _JOINED.match(expression.strip())
    if found is None:
        return None
    if "(" not in found[0] and found[0][:1] == "`":
        return found[2], found[3] or f'"{found[4]}"'
    if found[5]:
        return found[5].strip(), (found[6] or f'"{found[7]}"').strip()
    given = [one.strip() for one in node_values.parts(expression.strip(), found.end())]
    host, port = (given[-1], f'"{found[1]}"') if found[1] else (*given[-2:], "", "")[:2]
    number = _NUMBER.fullmatch(port)
    return host, number[1] if number else port


def _whole(host: Value, port: Value) -> Value:
    """What both are together, where that is no matter of the halves alone: elsewhere, or at a fixed port."""
    if "." in (host.text or "") and port.text is not None:
        return Value(f"{host.text}:{port.text}", host.variable)
    if port.variable or port.text is None or host == Value():
        return Value()
    return Value(f"{'localhost' if host.variable else host.text}:{port.text}")


def _returned(expression: str, texts: Texts, path: str) -> tuple[str, str]:
    """The file, and the expression that a method there returns, if it does nothing else; else what is given."""
    called = _METHOD.fullmatch(expression)
    if called is not None:
        pattern = re.compile(_RETURNS.replace("NAME", called[1]), re.MULTILINE)
        near = texts.of(GO, texts.home_of(GO, path) or "")
        found = [(one, each) for one in near for each in pattern.findall(texts.text(one))]
        if len(found) == 1:
            return found[0]
    return path, expression


def _assigned(expression: str, text: str) -> str | None:
    """What a file gives a name, if it does that once."""
    if _NAME.fullmatch(expression) is None:
        return None
    typed = rf"\b(?:const|let|var|final String|String|string)\s{{1,9}}{expression}\b[\w :]{{0,30}}"
    declared = rf"(?:{typed}|\b{expression}\s{{0,9}}:)"
    assigned = re.findall(rf"(?<![\w.]){expression}\s{{0,9}}=(?![=>])", text)
    found = re.findall(rf"{declared}=(?!=)([^;\n]{{1,200}})", text)
    return None if len(found) != 1 or len(assigned) > 1 else found[0].strip()


def _value(expression: str, text: str, texts: Texts, language: Language, path: str) -> Value:
    """What an expression is worth, as far as that is certain."""
    if expression in (_LOCAL, "client.DefaultHostPort"):
        return Value(_LOCAL)
    name = _NAME.fullmatch(expression)
    if language == NODE and (written := node_values.written(texts, path, expression)) is not None:
        return texts.value(written[1], written[0], ())
    if name is None:
        worth = texts.value(expression, path, ())
        if language != GO or worth != Value():
            return worth
        return go_fields.value(expression, texts, texts.of(GO, texts.home_of(GO, path) or ""))
    if language == JAVA and (given := texts.injected(path, expression)) is not None:
        return given
    if expression[0].isupper():  # a constant, perhaps of another file
        return texts.value(expression, path, texts.of(language, texts.home_of(language, path) or ""))
    if (assigned := _assigned(expression, text)) is None:
        return Value()
    value = texts.value(assigned, path, ())
    if value.text is None and (default := re.search(_GO_DEFAULT.replace("NAME", expression), text)):
        return Value(texts.value(default[1], path, ()).text, value.variable)
    return value


def _in_go(text: str) -> Iterator[str]:
    imported = _GO_CLIENT.search(text)
    if imported is None or _GO_ELSEWHERE.search(text) is not None:
        return
    if imported[1]:
        text = re.sub(rf"\b{imported[1]}\.(?=[A-Z])", "client.", text)
    dials = _GO_DIALS.search(text) is not None
    for options in _GO_OPTIONS.findall(text):
        given = _GO_ADDRESS.search(options)
        if given or dials:  # another file may add it to options that it gets from here
            yield given[1] if given else _LOCAL


def _in_node(text: str) -> Iterator[str]:
    if nest_workers.NAME in text:
        yield from nest_workers.addresses(text)
    if "@temporalio/" not in text:
        return
    for options in _NODE_CONNECTS.findall(text):
        given = _NODE_ADDRESS.search(options)
        if given or "..." not in options:
            yield (given[1] or "address") if given else _LOCAL
    for options in _NODE_WORKER.findall(text):
        if re.search(r"\bconnection\b|\.\.\.", options) is None:
            yield _LOCAL


def _in_java(text: str) -> Iterator[str]:
    if "WorkflowServiceStubs" in text:
        yield from (_LOCAL for _found in _JAVA_LOCAL.findall(text))
        yield from _JAVA_TARGET.findall(text)


def _in_csharp(text: str) -> Iterator[str]:
    yield from ("".join(found) for found in _CSHARP.findall(text))


_EXPRESSIONS: Mapping[str, Callable[[str], Iterator[str]]] = {
    "go": _in_go,
    "node": _in_node,
    "java": _in_java,
    "dotnet": _in_csharp,
}
