"""Where a Django project has its settings, and which of its paths say that it is well."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator

from mika.detect.fields import dotted, literal
from mika.detect.modules import Module
from mika.detect.sources import Sources

_DEEPEST = 4
_LOCAL = {"*", "127.0.0.1"}


def health_paths(sources: Sources, manage: Module) -> set[str]:
    """Of the root URLconf and those that it includes; none if Django would refuse the host 127.0.0.1."""
    settings = sources.django_settings(manage.path)
    if settings is None:
        return set()
    hosts = settings.values.get("ALLOWED_HOSTS")
    named = {literal(host) for host in hosts.elts} if isinstance(hosts, ast.List | ast.Tuple) else _LOCAL
    if named and named.isdisjoint(_LOCAL):
        return set()
    root = literal(settings.values.get("ROOT_URLCONF"))
    urls = sources.find(root, manage.path) if root else None
    return set(_paths(sources, urls, "/")) if urls is not None else set()


def _paths(sources: Sources, urls: Module, prefix: str, depth: int = 0) -> Iterator[str]:
    """The paths of `path("health/", …)`, with those of `path("api/", include("api.urls"))`."""
    for call in urls.calls if depth < _DEEPEST and not sources.files.is_late() else ():
        route = literal(call.args[0]) if dotted(call.func) == "path" and len(call.args) > 1 else None
        if route is None:
            continue
        view = call.args[1]
        if isinstance(view, ast.Call) and dotted(view.func) == "include":
            name = literal(view.args[0]) if view.args else None
            included = sources.find(name, urls.path) if name else None
            if included is not None:
                yield from _paths(sources, included, prefix + route, depth + 1)
        elif re.search(r"\w", posixpath.basename(f"{prefix}{route}".rstrip("/"))):  # the front page may want a login
            yield prefix + route
