"""How a worker in Java or Kotlin is started: by the command that a text has for its class, else by Maven or Gradle."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence

from mika.detect.documented import Said
from mika.detect.files import ancestors
from mika.detect.languages import Maker, Texts, told_of
from mika.quoting import command_line

_MAIN = re.compile(r"static\s+void\s+main\s*\(|@JvmStatic\s+fun\s+main\s*\(")
_MAIN_OF_FILE = re.compile(r"^(suspend\s+)?fun\s+main\s*\(", re.MULTILINE)
"""In Kotlin: it belongs to a class that the compiler names after the file."""
_PACKAGE = re.compile(r"^package\s+([\w.]+)\s*(?:;|$)", re.MULTILINE)
_SPRING = re.compile(r"@SpringBootApplication\b")
_SPRING_PLUGIN = re.compile(
    r"spring-boot-maven-plugin|spring-boot-starter-parent|org\.springframework\.boot[\"')]|plugins\.spring[\w.]*boot",
    re.IGNORECASE,
)
"""Also the parent of Spring's own poms, which has the plugin."""
_MAIN_CLASS = re.compile(r"\bmainClass(?:Name)?\b")
_RUNS = {"run", "bootRun", "spring-boot:run"}
_EXEC = re.compile(r"(exec:java|org\.codehaus\.mojo:exec-maven-plugin(:[\w.-]+)?:java)(@[\w.-]+)?")
_COMPILES = re.compile(r"(process-|test-)?(compile|classes)|package|verify|install|.*compiler.*:compile")


def starts(texts: Texts, maker: Maker, said: Sequence[Said]) -> Iterator[tuple[str, str]]:
    """Each program that makes this worker, with its command."""
    told = [one for tool in ("mvn", "./mvnw", "gradle", "./gradlew") for one in told_of(said, maker, tool)]
    programs = _programs(texts, maker)
    for path in programs or [maker.path]:
        name = re.compile(rf"{re.escape(class_name(texts, path))}(?![\w.$])")
        named = next((one for one in told if name.search(" ".join(one.words))), None)
        if named is not None:
            yield path, command_line(_compiled(named.words))
            return
    running = next((one for one in told if not _RUNS.isdisjoint(one.words)), None)
    if running is not None:
        yield (programs or [maker.path])[0], command_line(running.words)
        return
    for path in programs:
        if command := _command(texts, maker, path, is_only=len(programs) == 1):
            yield path, command


def class_name(texts: Texts, path: str) -> str:
    """With its package, as Java wants it."""
    package = _PACKAGE.search(texts.text(path))
    simple = _simple(path)
    if path.endswith(".kt") and _MAIN_OF_FILE.search(texts.text(path)):
        simple = f"{simple[0].upper()}{simple[1:]}Kt"
    return f"{package[1]}.{simple}" if package else simple


def _simple(path: str) -> str:
    return posixpath.splitext(posixpath.basename(path))[0]


def _programs(texts: Texts, maker: Maker) -> list[str]:
    """The class itself if it is a program; else those that use it; else those of Spring that find it by themselves."""
    sources = texts.of(maker.language, maker.home)
    programs = [path for path in sources if _MAIN.search(texts.text(path)) or _MAIN_OF_FILE.search(texts.text(path))]
    if maker.path in programs:
        return [maker.path]
    simple = re.escape(_simple(maker.path))
    # Not by its constants, as a client uses the name of its queue.
    uses = re.compile(rf"\bnew\s+{simple}\b|\b{simple}(\s*(::|\.)\s*[a-z]\w*|\.class|\()")
    using = [path for path in programs if uses.search(texts.text(path))]
    return using or [path for path in programs if _scans(texts, path, maker.path)]


def _scans(texts: Texts, path: str, other: str) -> bool:
    """Whether a program of Spring looks for its parts where the other class is: in its own package, and below it."""
    text, folder = texts.text(path), posixpath.dirname(path)
    return _SPRING.search(text) is not None and (other.startswith(f"{folder}/") or "scanBasePackages" in text)


def _command(texts: Texts, maker: Maker, path: str, *, is_only: bool) -> str:
    """What starts a program with the tool of its part; empty if that tool would start another one, or none."""
    main, manifest = class_name(texts, path), texts.text(maker.manifest)
    is_spring = _SPRING.search(texts.text(path)) is not None and _has_plugin(texts, maker)
    if maker.manifest.endswith("pom.xml"):
        tool = _wrapper(texts, maker.home, "mvnw") or "mvn"
        if is_spring:
            return f"{tool} spring-boot:run" + ("" if is_only else f" -Dspring-boot.run.mainClass={main}")
        return f"{tool} compile exec:java -Dexec.mainClass={main}"
    tool = _wrapper(texts, maker.home, "gradlew") or "gradle"
    is_other = _MAIN_CLASS.search(manifest) is not None and main not in manifest
    if is_spring:
        return f"{tool} bootRun" if is_only and not is_other else ""
    return f"{tool} run" if re.search(r"\bapplication\b", manifest) and not is_other else ""


def _wrapper(texts: Texts, home: str, name: str) -> str:
    """The project's own Maven or Gradle, in the folder of a part or above it; empty if it has none."""
    folders = [home, *ancestors(home)] if home else [""]
    folder = next((folder for folder in folders if posixpath.join(folder, name) in texts.files), None)
    if folder is None:
        return ""
    way = posixpath.relpath(folder or ".", home or ".")
    return f"./{name}" if way == "." else f"{way}/{name}"


def _has_plugin(texts: Texts, maker: Maker) -> bool:
    """Whether Spring's plugin is in the manifest of this part, or of one above it."""
    name = posixpath.basename(maker.manifest)
    folders = [maker.home, *ancestors(maker.home)] if maker.home else [""]
    paths = (posixpath.join(folder, name) for folder in folders)
    return any(_SPRING_PLUGIN.search(texts.text(path)) for path in paths if path in texts.files)


def _compiled(words: Sequence[str]) -> list[str]:
    """With the step that `exec:java` leaves to the user: without it, Maven runs what was compiled once, or nothing."""
    at = next((number for number, word in enumerate(words) if _EXEC.fullmatch(word)), None)
    if at is None or any(map(_COMPILES.fullmatch, words[:at])):
        return [*words]
    return [*words[:at], "compile", *words[at:]]
