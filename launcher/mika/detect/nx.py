"""How a workspace of Nx starts one of its projects."""

from __future__ import annotations

import posixpath
import re

from mika.detect import package_json
from mika.detect.files import Files, ancestors

_NAME = re.compile(r"@?[A-Za-z0-9][\w./-]{0,100}")


def command(files: Files, path: str) -> str:
    """What serves the project that a file belongs to: if it has the target `serve`, or a README has the command."""
    folders = list(ancestors(path))
    if not any(files.text(posixpath.join(folder, "nx.json")) for folder in folders):
        return ""
    for folder in folders:
        project = package_json.mapping(files.text(posixpath.join(folder, "project.json")))
        package = package_json.mapping(files.text(posixpath.join(folder, "package.json")))
        if not project and "nx" not in package:
            continue
        own = package_json.table(package, "nx")
        name = project.get("name") or own.get("name") or package.get("name") or posixpath.basename(folder)
        if not isinstance(name, str) or _NAME.fullmatch(name) is None:
            return ""
        targets = {**package_json.table(own, "targets"), **package_json.table(project, "targets")}
        return f"npx nx serve {name}" if "serve" in targets or _is_documented(files, name) else ""
    return ""


def _is_documented(files: Files, name: str) -> bool:
    told = re.compile(rf"\bnx\s(?:serve {re.escape(name)}|run {re.escape(name)}:serve)(?![\w./-])")
    return any(told.search(files.text(path)) for path in files.named(r"README.*"))
