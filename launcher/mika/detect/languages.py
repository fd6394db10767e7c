"""Workers in Go, TypeScript, .NET, Java and Kotlin: which files make them, for which queue, in which part of a project.

Read as text, not as syntax: what an expression is worth is found only for literals, constants and the environment.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from mika.detect import nest_workers, outputs, siblings, spring
from mika.detect.documented import Said
from mika.detect.environments import node_tooling
from mika.detect.files import Files, ancestors
from mika.detect.go_config import GoConfig
from mika.detect.sources import Value
from mika.frozen import frozen

LARGEST = 200_000
"""Bytes. What is larger is generated."""
_DEEPEST = 4
_NODE_SDK = "@temporalio/worker"
_NODE_SDKS = re.compile(rf'"(@temporalio/\w+|temporalio|{nest_workers.PACKAGE})"\s*:')
"""The package `temporalio` brings all the others."""
_LIKELY = re.compile(r"worker|temporal", re.IGNORECASE)
"""The paths to look at where no manifest has the SDK: a frontend has thousands of files."""
_TESTS = re.compile(
    r"(^|/)(tests?|examples?|__tests__)/|[._](test|spec)\.\w+$|Tests?\.(java|kt|cs)$|\.d\.ts$", re.IGNORECASE
)
_PACKAGE = re.compile(r"((?:^|/)src/\w+/)(?:java|kotlin)/(?:.*/)?(?=[^/]+$)")
"""The folders of a package, such as `com.example`: they say nothing of what is in them."""
GO_ALIAS = re.compile(r'^[ \t]*(?:import[ \t]+)?(?!import\b)(\w+)[ \t]+"go\.temporal\.io/sdk/worker"', re.MULTILINE)
_NODE_OPTIONS = re.compile(r"\bWorker\.create\(\s*(?:([A-Za-z_$][\w$]*)|\{((?:[^{}]|\{[^{}]{0,500}\}){0,1500})\})\s*\)")
_SPREAD = re.compile(r"\.\.\.([A-Za-z_$][\w$.]*)(?![\w$.(])")
_LINE_COMMENT = re.compile(r"^[ \t]*//.*$", re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)|(?:^|(?<=\s))//[^\n]*", re.DOTALL | re.MULTILINE)
_LITERAL = re.compile(r"""["'`]([^"'`$\\]+)["'`]""")
_TEMPLATE = re.compile(r"`([^`\n]{1,200})`")
_PART = re.compile(r"(\$\{[^{}]*\})")
_SMALL = re.compile(r"[a-z][a-z0-9]*")
_GETTER = re.compile(
    r"""(?:process\.env(?:\.|\[["'])|(?:os\.Getenv|System\.getenv|GetEnvironmentVariable)\(\s*["'])(\w+)["'\])]*"""
    r"""\s*(?:(?:\?\?|\|\||\?:)\s*(.+))?"""
)
_CONFIGURED = re.compile(
    r"""[\w.]{1,100}\.(?:get|getOrThrow)(?:<[^<>()]{1,50}>)?\(\s*["']([A-Z][A-Z0-9_]{1,60})["']"""
    r"""(?:\s*,\s*["']([^"'\n]{1,200})["'])?"""
)
"""What a ConfigService of Nest is asked for: a variable of the environment, or a default."""
_HELPER = re.compile(
    r"""(?:(?:\w+\.)?\w*env\w*|System\.getenv\(\)\.getOrDefault)\(\s*["'](\w+)["']\s*,\s*([^()]+)\)""", re.IGNORECASE
)
"""Java's, or a function of the project: the value of a variable of the environment, or a default."""
_ASKED = re.compile(
    r"""(?:\w+\.)?\w+\(\s*["']([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)["']\s*,\s*(["'][^"'\n]{0,200}["'])\s*\)"""
)
"""A function of the project with another name, given what only a variable is called."""
_ASSIGNED = r"\bNAME\b(?:\s*:\s*string|\s+string)?\s*(?::=|=|:)\s*([^;\n]{1,200})"
_RETURNED = r"\bNAME(?:\s*=)?\s*\(\)\s*(?::?\s*string\s*)?(?:\{\s*return\s|=>)\s*([^;\n}]{1,200})"
"""What a function without arguments returns, if it does nothing else."""
_NAMED = re.compile(r"[\w.!]+(\(\))?")


@frozen
class Language:
    """`manifest` is the name of the file that has its dependencies, among them (`sdk`) Temporal's.

    `queue` finds the expression of each worker's task queue, and an empty one where only its name is written.
    """

    name: str
    manifest: re.Pattern[str]
    sdk: re.Pattern[str]
    sources: tuple[str, ...]
    queue: re.Pattern[str]


LANGUAGES = (
    Language(
        "go",
        re.compile(r"go\.mod"),
        re.compile(r"^[ \t]*(require[ \t]+)?go\.temporal\.io/sdk\s", re.MULTILINE),
        (".go",),
        re.compile(r"\bworker\.New\(\s*(?:[^,()]|\([^()]*\)){1,200},((?:[^,()]|\([^()]*\)){1,200}),"),
    ),
    Language(
        "node",
        re.compile(r"package\.json"),
        re.compile(rf'"({_NODE_SDK}|temporalio|{nest_workers.PACKAGE})"\s*:'),
        (".ts", ".mts", ".cts", ".js", ".mjs", ".cjs"),
        re.compile(
            r"\b(?:Worker\.create|TemporalModule\.registerWorker(?:Async)?)\((?:(?!Worker\.create|\.registerWorker).)*?"
            r"\btaskQueue\b\s*(?::\s*(`[^`\n]{0,200}`|[^,\n}]{1,200}))?",
            re.DOTALL,
        ),
    ),
    Language(
        "dotnet",
        re.compile(r".+\.(cs|fs)proj"),
        re.compile(r'Include="Temporalio\b'),
        (".cs",),
        re.compile(
            r"(?:\bTemporalWorkerOptions\(|\bAddHostedTemporalWorker\((?:[^(){};]{0,300},)?)(?:\s*taskQueue:)?"
            r"((?:[^(),{};]|\([^()]*\)){1,200})\)"
            r"|(?:\bTemporalWorkerOptions\b|\bnew TemporalWorker\()[^;{}]{0,200}\{[^;{}]{0,500}?"
            r"\bTaskQueue\s*=\s*([^,;{}]{1,200})"
        ),
    ),
    Language(
        "java",
        re.compile(r"pom\.xml|build\.gradle(\.kts)?"),
        re.compile(r"\bio\.temporal\b|\blibs\.temporal\b"),  # the second one by the usual name in a version catalog
        (".java", ".kt"),
        re.compile(r"\.newWorker\(((?:[^,()]|\([^()]*\)){1,200})[,)]"),
    ),
)
GO, NODE, JAVA = (next(one for one in LANGUAGES if one.name == name) for name in ("go", "node", "java"))


@frozen
class Maker:
    """A source file that makes workers for `queues`. `home` is the folder of the `manifest` that it belongs to.

    `lacks` is the package of the SDK if it imports that, and the manifest does not have it. `given` has the expressions
    of the queues, each with what it is worth.
    """

    language: Language
    path: str
    home: str
    manifest: str
    queues: tuple[Value, ...]
    lacks: str = ""
    given: tuple[tuple[str, Value], ...] = ()


class Texts:
    """The sources of the parts of a project that use one of these SDKs."""

    def __init__(self, files: Files, variables: Mapping[str, str]) -> None:
        self.files, self._variables = files, variables
        self._texts: dict[str, str] = {}
        self._homes: dict[Language, set[str]] = {}
        self._manifests_of: dict[Language, dict[str, str]] = {}
        self._sources_of: dict[Language, list[str]] = {}
        self._of: dict[tuple[Language, str], list[str]] = {}
        self._springs: dict[str, spring.Settings | None] = {}

    @functools.cached_property
    def _go_config(self) -> GoConfig:
        return GoConfig(self.files, self.text, self._sources(GO), self._variables)

    def makers(self) -> Iterator[Maker]:
        for language in LANGUAGES:
            manifests = self._manifests(language)
            for path in self._sources(language) if manifests else ():
                if self.files.is_late():
                    return
                home, lacks = self.home_of(language, path), ""
                if language == NODE and home is None and _LIKELY.search(path):
                    home, lacks = self._nearest(path, manifests), _NODE_SDK
                elif language == NODE and home is not None and self._is_hidden(home, manifests[home]):
                    lacks = "" if nest_workers.NAME in self.text(path) else _NODE_SDK
                if home is None or (lacks and lacks not in self.text(path)):
                    continue
                found = list(_queues(language, self.text(path)))
                near = self.of(language, home)
                given = tuple((one, self._queue(language, one or "taskQueue", path, near)) for one in found)
                queues = [value for _expression, value in given]
                if language == JAVA and (settings := self.spring_settings(home)) is not None:
                    worth = functools.partial(self.value, path=path, near=near)
                    queues += spring.queues(without_comments(self.text(path)), settings, worth)
                if queues:
                    yield Maker(language, path, home, manifests[home], tuple(dict.fromkeys(queues)), lacks, given)

    def _queue(self, language: Language, expression: str, path: str, near: Sequence[str]) -> Value:
        declaring = self._declaring(expression, path) if language == JAVA else []
        found = (self.value(expression, other, [other]) for other in declaring)
        return next((value for value in found if value != Value()), None) or self.value(expression, path, near)

    def _declaring(self, expression: str, path: str) -> list[str]:
        """The file of the class in Java that a constant belongs to, perhaps in another module of the project."""
        static = re.search(rf"\bimport\s+static\s+([\w.]+)\.{re.escape(expression.strip())}\s*;", self.text(path))
        owners = (static[1] if static else expression).strip().split(".")
        classes = [name for name in (owners if static else owners[:-1]) if name[:1].isupper() and name.isidentifier()]
        for name in classes:
            imported = re.search(rf"\bimport\s+(?:static\s+)?([\w.]{{1,200}})\.{name}\b", self.text(path))
            full = f"{imported[1]}.{name}" if imported else name
            for known in (full, full.rpartition(".")[0]):  # perhaps of a class inside another one
                end = "/" + known.replace(".", "/")
                near = [one for one in self._sources(JAVA) if known and f"/{posixpath.splitext(one)[0]}".endswith(end)]
                if len(near) == 1:
                    return near
        return []

    def users(self) -> Iterator[tuple[Language, str]]:
        """Every source file of a part that uses an SDK, for workers or for clients."""
        for language in () if self.files.is_late() else LANGUAGES:
            manifests = self._manifests(language)
            sdk = _NODE_SDKS if language == NODE else language.sdk
            homes = [folder for folder, path in manifests.items() if sdk.search(self.text(path))]
            for path in self._sources(language) if homes else ():
                if self.files.is_late():
                    return
                if self._nearest(path, homes) is not None:
                    yield language, path

    def home_of(self, language: Language, path: str) -> str | None:
        """The folder of the nearest manifest that has the SDK for workers."""
        if language not in self._homes:
            manifests = self._manifests(language).items()
            self._homes[language] = {folder for folder, path in manifests if language.sdk.search(self.text(path))}
        return self._nearest(path, self._homes[language])

    def spring_settings(self, home: str) -> spring.Settings | None:
        """The settings of a part in Java, if it has Temporal's starter for Spring."""
        if home not in self._springs:
            manifest = self.text(self._manifests(JAVA)[home])
            self._springs[home] = spring.settings(self.files, home, manifest, self._variables)
        return self._springs[home]

    def _manifests(self, language: Language) -> Mapping[str, str]:
        if language not in self._manifests_of:
            named = self.files.named(language.manifest.pattern)
            self._manifests_of[language] = {posixpath.dirname(path): path for path in named}
        return self._manifests_of[language]

    def nearest(self, language: Language, path: str) -> str | None:
        """The folder of the nearest manifest, whatever that has."""
        return self._nearest(path, self._manifests(language))

    def manifest(self, language: Language, home: str) -> str:
        return self._manifests(language)[home]

    @staticmethod
    def _nearest(path: str, folders: Container[str]) -> str | None:
        return next((folder for folder in ancestors(path) if folder in folders), None)

    def _is_hidden(self, home: str, manifest: str) -> bool:
        """Whether only another package brings the SDK, and pnpm does not let the project's own files import it then."""
        return f'"{_NODE_SDK}"' not in self.text(manifest) and node_tooling(self.files, home).tool == "pnpm"

    def of(self, language: Language, home: str) -> list[str]:
        """The source files of one part."""
        if (language, home) not in self._of:
            inside = [path for path in self._sources(language) if not home or path.startswith(f"{home}/")]
            self._of[language, home] = inside
        return self._of[language, home]

    def watched(self, language: Language, home: str) -> tuple[str, ...]:
        """The patterns of the files of one part, and of the parts that it imports as packages."""
        patterns: list[str] = []
        for folder in (home, *(siblings.in_node(self.files, home) if language == NODE else ())):
            suffixes = {posixpath.splitext(source)[1] for source in self.of(language, folder)}
            patterns += [posixpath.join(folder, f"**/*{suffix}") for suffix in sorted(suffixes)]
        return tuple(patterns)

    def text(self, path: str) -> str:
        if path not in self._texts:
            self._texts[path] = self.files.text(path, LARGEST)
        return self._texts[path]

    def _sources(self, language: Language) -> list[str]:
        if language not in self._sources_of:
            named = (path for path in self.files.sources if path.endswith(language.sources))
            found = [path for path in named if not _TESTS.search(_PACKAGE.sub(r"\1", path))]
            made = outputs.built(self.files, found) if language == NODE else ()
            self._sources_of[language] = [path for path in found if path not in made]
        return self._sources_of[language]

    def value(self, expression: str, path: str, near: Sequence[str], depth: int = 0) -> Value:
        """What an expression in the file `path` is worth; constants may be in the files `near` it."""
        expression = expression.strip()
        if literal := _LITERAL.match(expression):
            return Value(literal[1])
        if template := _TEMPLATE.fullmatch(expression):
            return self._filled(template[1], path, near, depth)
        if getter := _GETTER.search(expression):
            default = self.value(getter[2], path, near, depth + 1).text if getter[2] else None
            return Value(self._variables.get(getter[1], default), getter[1])
        if (asked := _CONFIGURED.match(expression)) and path.endswith(NODE.sources):
            return Value(self._variables.get(asked[1], asked[2]), asked[1])
        if helper := _HELPER.match(expression) or _ASKED.match(expression):
            default = self.value(helper[2], path, near, depth + 1).text
            return Value(self._variables.get(helper[1], default), helper[1])
        if path.endswith(GO.sources) and (setting := self._go_config.value(expression, path)) is not None:
            return setting
        name = re.split(r"\W+", expression.removesuffix("()"))[-1]
        if path.endswith(JAVA.sources):
            given = self.injected(path, name)
            given = self._bound(path, expression) if given is None else given
            if given is not None:
                return given
        if not _NAMED.fullmatch(expression) or not name or depth > _DEEPEST:
            return Value()
        assigned = (_RETURNED if expression.endswith("()") else _ASSIGNED).replace("NAME", name)
        is_bare = "." not in expression and not expression.endswith("()")
        for other in (path, *(self._visible(name, path, near) if is_bare else near)):
            for value in re.findall(assigned, self.text(other)):
                if self.files.is_late():
                    return Value()
                if value.strip().rstrip(",") != expression:
                    found = self.value(value, other, near, depth + 1)
                    if found != Value():
                        return found
        return Value()

    def injected(self, path: str, name: str) -> Value | None:
        """What Spring gives a field with this name in a file of Java or Kotlin."""
        if "@Value(" not in self.text(path):
            return None
        home = self._nearest(path, self._manifests(JAVA).keys())
        found = spring.any_settings(self.files, home or "", self._variables)
        return spring.injected(without_comments(self.text(path)), name, found)

    def _bound(self, path: str, expression: str) -> Value | None:
        """What Spring gives an object with `@ConfigurationProperties`."""
        home = self._nearest(path, self._manifests(JAVA).keys()) or ""
        texts = (self.text(other) for other in self.of(JAVA, home))
        classes = [text for text in texts if "@ConfigurationProperties(" in text] if "." in expression else []
        found = spring.any_settings(self.files, home, self._variables) if classes else None
        source = without_comments(self.text(path))
        return None if found is None else spring.bound(source, expression, map(without_comments, classes), found)

    def _visible(self, name: str, path: str, near: Sequence[str]) -> Iterable[str]:
        """The files in which a bare name of the file `path` may be declared: a parameter is not another's variable."""
        if path.endswith(GO.sources):
            return [other for other in near if posixpath.dirname(other) == posixpath.dirname(path)]
        if name[0].isupper():
            return near
        imported = (
            rf"\bimport\b[^;]{{0,1000}}\b{name}\b|\{{[^{{}}]{{0,1000}}\b{name}\b[^{{}}]{{0,1000}}\}}\s*=\s*require"
        )
        return near if re.search(imported, self.text(path)) else ()

    def _filled(self, template: str, path: str, near: Sequence[str], depth: int) -> Value:
        """A template with what its parts are worth; a small name is a variable of this file."""
        texts: list[str] = []
        variable = ""
        for part in _PART.split(template):
            if _PART.fullmatch(part) is None:
                texts.append(part)
                continue
            inner = part[2:-1].strip()
            value = self.value(inner, path, () if _SMALL.fullmatch(inner) else near, depth + 1)
            if value.text is None:
                return Value(None, value.variable)
            texts.append(value.text)
            variable = variable or value.variable
        return Value("".join(texts), variable)


def _queues(language: Language, text: str) -> Iterator[str]:
    """The expressions of the task queues of the workers that a source file makes."""
    if language == GO and (alias := GO_ALIAS.search(text)):
        text = re.sub(rf"\b{alias[1]}\.New\(", "worker.New(", text)
    if language == NODE:
        text = _LINE_COMMENT.sub("", text)
        for call in list(_NODE_OPTIONS.finditer(text)):
            name = call[1] or (_SPREAD.findall(call[2]) or [""])[-1]
            if not name or "taskQueue" in (call[2] or ""):
                continue
            declared = rf"\b{re.escape(name)}\b[^=\n]{{0,100}}=\s*\{{"
            given = re.search(rf"{declared}[^;]{{0,2000}}?\btaskQueue\b\s*(?::\s*([^,\n}}]{{1,200}}))?", text)
            if given is not None or _NODE_SDK in text:
                yield (given[1] or "") if given is not None else f"{name}.taskQueue"
                text = text.replace(call[0], "")  # another queue may follow
        yield from nest_workers.queues(text)
    for found in language.queue.finditer(text):
        yield next(filter(None, found.groups()), "")


def told_of(said: Sequence[Said], maker: Maker, tool: str) -> list[Said]:
    """The commands of a tool in the texts of this part."""
    home = f"{maker.home}/" if maker.home else ""
    inside = (one for one in said if one.where.startswith(home) and not one.is_in_container)
    return [one for one in inside if one.words[0] == tool]


def without_comments(text: str) -> str:
    return _COMMENT.sub("", text)
