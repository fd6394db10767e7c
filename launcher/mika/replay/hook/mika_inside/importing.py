"""Patch a module as soon as the program has imported it, without importing it earlier than the program does."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from .report import say

Patch = Callable[[Any], None]
_patches: dict[str, Patch] = {}
_announced: set[int] = set()


def when_imported(name: str, patch: Patch) -> None:
    """Call `patch` with the module `name` once it is imported; at once, if it is already."""
    if name in sys.modules:
        patch(sys.modules[name])
        return
    if not _patches:
        sys.meta_path.insert(0, _Finder())
    _patches[name] = patch


def is_awaited(name: str) -> bool:
    """Whether the module `name` is to be patched, and has not been looked for yet."""
    return name in _patches


def _announce() -> None:
    """The parent kills a process that has loaded the SDK's core without this line: its worker would be a live one."""
    if os.getpid() not in _announced:
        _announced.add(os.getpid())
        say("patched")


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del target
        if fullname.startswith("temporalio"):
            _announce()
        patch = _patches.pop(fullname, None)
        if patch is None:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchingLoader(spec.loader, patch)
        return spec


class _PatchingLoader(Loader):
    def __init__(self, loader: Loader, patch: Patch) -> None:
        self._loader, self._patch = loader, patch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._patch(module)
