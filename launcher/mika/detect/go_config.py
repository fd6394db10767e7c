"""The settings of programs in Go: fields of a struct that a library fills, by their tags or by viper.

Known are the tags of caarlos0/env, cleanenv, envconfig (two of them) and of what viper unmarshals.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

from mika.detect import nodes
from mika.detect.files import Files, ancestors
from mika.detect.sources import Value
from mika.frozen import frozen

_TAGGED = re.compile(r"`[^`\n]*\b(?:env|envconfig|mapstructure|envPrefix|env-prefix):\"")
_VIPER = "spf13/viper"
_STRUCT = re.compile(r"^type[ \t]+(\w+)[ \t]+struct[ \t]*\{|^[ \t]+(\w+)[ \t]+struct[ \t]*\{", re.MULTILINE)
_LINE = re.compile(r"^[ \t]*(\w+)[ \t]+\*?(?:\w+\.)?(\w+)[ \t]*(?:`([^`\n]*)`)?[ \t]*$")
_REMARK = re.compile(r"\s//[^`]*$")
_CLOSES = re.compile(r"^[ \t]*\}[ \t]*(?:`([^`\n]*)`)?")
_TAG = re.compile(r'([\w-]+):"([^"]*)"')
_PATH = re.compile(r"(?:\w+\.){1,4}([A-Z]\w*)")
_GET = re.compile(r'\w+\.GetString\(\s*"([\w.-]{1,100})"\s*\)')
_VARIABLE = re.compile(r"[A-Za-z_]\w*")
_PREFIX = re.compile(r"(?:^|,)\s*prefix=(\w+)")
_INNER_DEFAULT = re.compile(r"(?:^|,)\s*default=(.*)")
_DEFAULTS = ("envDefault", "env-default", "default")
_SET_DEFAULT = re.compile(r'\.SetDefault\(\s*"([\w.-]{1,100})"\s*,\s*([^\n]{1,200})\)[ \t]*$', re.MULTILINE)
_BIND = re.compile(r'\.BindEnv\(\s*"([\w.-]{1,100})"\s*,\s*"(\w{1,100})"')
_ENV_PREFIX = re.compile(r'\.SetEnvPrefix\(\s*"(\w{1,60})"\s*\)')
_REPLACER = re.compile(r"\.SetEnvKeyReplacer\(\s*strings\.NewReplacer\(([^()]{1,100})\)")
_QUOTED = re.compile(r'"([^"\n]*)"')
_CONFIG_NAME = re.compile(r'\.SetConfigName\(\s*"([\w.-]{1,60})"\s*\)')
_CONFIG_FILE = re.compile(r'\.SetConfigFile\(\s*"([\w./-]{1,200})"\s*\)')
_CONFIG_PATH = re.compile(r'\.AddConfigPath\(\s*"([\w./-]{1,200})"\s*\)')
_ENDS = (".yaml", ".yml", ".json")
"""What is read here as YAML."""
_UNREAD = (".toml", ".hcl", ".ini", ".properties", ".props", ".env")
"""What viper reads, too."""
_READS = re.compile(r"\.(?:ReadInConfig|MergeInConfig|ReadConfig)\(")
_DEEPEST = 4
_ALIKE = re.compile(r"conf|cfg|env|sett|temporal", re.IGNORECASE)


@frozen
class Field:
    """One of the struct `owner`: its type, and its tags."""

    owner: str
    name: str
    type: str
    tags: Mapping[str, str]

    @property
    def key(self) -> str:
        """By what viper knows it."""
        return self.tags.get("mapstructure", self.name).partition(",")[0].lower()

    @property
    def variable(self) -> str:
        """That of the environment, without what stands before it."""
        name = self.tags.get("env") or self.tags.get("envconfig") or ""
        return name.partition(",")[0].strip()

    @property
    def prefix(self) -> str:
        """What stands before the variables of its fields."""
        found = self.tags.get("envPrefix") or self.tags.get("env-prefix")
        inner = _PREFIX.search(self.tags.get("env", ""))
        return found or (inner[1] if inner else "")

    @property
    def default(self) -> str | None:
        inner = _INNER_DEFAULT.search(self.tags.get("env", ""))
        return next((self.tags[name] for name in _DEFAULTS if name in self.tags), inner[1] if inner else None)


class GoConfig:
    """`text` gives the source of a path; `paths` are all of those in Go."""

    def __init__(
        self, files: Files, text: Callable[[str], str], paths: Iterable[str], variables: Mapping[str, str]
    ) -> None:
        self._files, self._text, self._paths, self._variables = files, text, paths, variables

    @cached_property
    def _having(self) -> list[str]:
        """The sources that have such fields, or viper."""
        found = []
        for path in self._paths:
            if self._files.is_late():
                break
            text = self._text(path)
            if _VIPER in text or _TAGGED.search(text):
                found.append(path)
        return found

    @cached_property
    def _fields(self) -> list[Field]:
        return [field for path in self._having for field in _fields_of(self._text(path))]

    @cached_property
    def _viper(self) -> str:
        """The sources that have viper."""
        return "\n".join(text for text in map(self._text, self._having) if _VIPER in text)

    def value(self, expression: str, path: str) -> Value | None:
        """What an expression of the file `path` is worth, if it is a setting."""
        if asked := _GET.fullmatch(expression):
            return self._of_viper(asked[1], is_asked=True) if self._having else None
        named = _PATH.fullmatch(expression)
        if named is None or not self._having:
            return None
        before = expression.split(".")[-2]
        fields = [field for field in self._fields if field.name == named[1]]
        meant = [field for field in fields if self._is_of(before, field.owner, path)]
        if not meant and len(fields) == 1 and (_ALIKE.search(before) or _ALIKE.search(fields[0].owner)):
            meant = fields
        worth = {value for field in meant for value in self._worth(field)}
        return worth.pop() if len(worth) == 1 else None

    def _is_of(self, name: str, owner: str, path: str) -> bool:
        """Whether something called `name` has the type `owner`, as far as a text shows that."""
        if any(field.name == name and field.type == owner for field in self._fields):
            return True
        text, kind = self._text(path), rf"[*&]?(?:\w+\.)?{re.escape(owner)}\b"
        if re.search(rf"\b{name}\s+{kind}|\b{name}\s*(?::=|=)\s*(?:new\()?{kind}", text):
            return True
        for function in re.findall(rf"\b{name}\b(?:\s*,\s*\w+)?\s*:?=\s*(?:\w+\.)?(\w+)\(", text):
            returns = re.compile(rf"^func {function}\([^()\n]*\)\s*\(?\s*(?:\w+\s+)?{kind}", re.MULTILINE)
            if any(returns.search(other) for other in (text, *map(self._text, self._having))):
                return True
        return False

    def _worth(self, field: Field) -> Iterator[Value]:
        if field.variable:
            for prefix in set(self._before(field.owner, lambda one: one.prefix, 0)):
                name = f"{'' if 'envconfig' in field.tags else prefix}{field.variable}"
                yield Value(self._variables.get(name, field.default), name)
        elif "mapstructure" in field.tags or self._viper:
            for above in set(self._before(field.owner, lambda one: f"{one.key}.", 0)):
                if (found := self._of_viper(f"{above}{field.key}", is_asked=False)) is not None:
                    yield found

    def _before(self, owner: str, part: Callable[[Field], str], depth: int) -> Iterator[str]:
        """What the fields whose type is `owner` put before its own, from the outermost one on."""
        above = [field for field in self._fields if field.type == owner and field.owner != owner]
        if not above or depth > _DEEPEST:
            yield ""
        for field in above if depth <= _DEEPEST else ():
            for before in self._before(field.owner, part, depth + 1):
                yield f"{before}{part(field)}"

    # --- viper -------------------------------------------------------------------------------------------------------

    def _of_viper(self, key: str, *, is_asked: bool) -> Value | None:
        """By its name. None if it is not certain: a file that the project does not have may give it, and only what is
        asked for is taken from the environment although nothing else has it.
        """
        key = key.lower()
        text = self._viper
        bound = {name.lower(): variable for name, variable in _BIND.findall(text)}
        variable = bound.get(key) or (self._automatic(key, text) if "AutomaticEnv(" in text else "")
        defaults = {name.lower(): value.strip() for name, value in _SET_DEFAULT.findall(text)}
        literal = _QUOTED.fullmatch(defaults.get(key, ""))
        if any((self._files.root / path).exists() for path in self._config_files(text, _UNREAD)):
            return None
        written = self._written(key, text)
        if not (is_asked or written or key in defaults or key in bound):
            return None
        if len(written) > 1 or (not variable and not written and _READS.search(text)):
            return None
        found = next(iter(written), literal[1] if literal else None)
        if variable in self._variables:
            found = self._variables[variable]
        return Value(found, variable) if found is not None or variable else None

    @staticmethod
    def _automatic(key: str, text: str) -> str:
        """The variable that viper takes itself; none if its name cannot be one."""
        prefix, replacer = _ENV_PREFIX.search(text), _REPLACER.search(text)
        pairs = _QUOTED.findall(replacer[1]) if replacer else []
        for old, new in zip(pairs[::2], pairs[1::2], strict=False):
            key = key.replace(old, new)
        name = (f"{prefix[1]}_{key}" if prefix else key).upper()
        return name if _VARIABLE.fullmatch(name) else ""

    def _written(self, key: str, text: str) -> set[str]:
        """What the config files of the project say."""
        found = set()
        for path in self._config_files(text, _ENDS):
            try:
                node = nodes.parse(path, self._files.text(path).encode())
            except nodes.InvalidError:
                continue
            for word in key.split("."):
                node = next((inner for name, inner in nodes.items(node).items() if name.lower() == word), None)
            if value := nodes.text(node):
                found.add(value)
        return found

    def _config_files(self, text: str, ends: tuple[str, ...]) -> Iterator[str]:
        """Where the config files may be, in the folder of a source that has viper, or above it."""
        places = _CONFIG_PATH.findall(text) or ["."]
        names = [posixpath.join(place, name) for name in _CONFIG_NAME.findall(text) for place in places]
        files = [f"{name}{end}" for name in names for end in ends] + _CONFIG_FILE.findall(text)
        homes = {folder for path in self._having if _VIPER in self._text(path) for folder in ancestors(path)}
        for name in dict.fromkeys(files):
            for home in homes:
                path = posixpath.normpath(posixpath.join(home, name))
                if name.endswith(ends) and not path.startswith(("..", "/")):
                    yield path


def _fields_of(text: str) -> Iterator[Field]:
    """Those of the structs of a file; a struct without a name of its own is called as its field."""
    opened: list[str] = []
    for line in text.splitlines():
        if begins := _STRUCT.match(line):
            opened.append(begins[1] or f"{opened[-1] if opened else ''} {begins[2]}")
        elif opened and (ends := _CLOSES.match(line)):
            inner = opened.pop()
            if opened:
                yield Field(opened[-1], inner.rpartition(" ")[2], inner, dict(_TAG.findall(ends[1] or "")))
        elif opened and (found := _LINE.match(_REMARK.sub("", line))):
            yield Field(opened[-1], found[1], found[2], dict(_TAG.findall(found[3] or "")))
