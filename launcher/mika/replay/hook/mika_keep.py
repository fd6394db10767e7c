"""The code with which a worker was started stays the code of its workflows, whatever is saved meanwhile.

The SDK's sandbox loads the file of a workflow again for each run that begins, and for each that is no longer in the
worker's cache. So a worker whose replacement was refused would run the refused code all the same, beside the old code
of everything else.
"""

import importlib
import os
import sys
from importlib.machinery import SourceFileLoader
from types import CodeType


def install() -> None:
    kept: dict[str, CodeType | None] = {}
    load = SourceFileLoader.get_code
    root, prefix = os.getcwd() + os.sep, os.path.abspath(sys.prefix) + os.sep

    def is_own(path: str) -> bool:
        """Whether it is the project's, and not of its environment."""
        return path.startswith(root) and not path.startswith(prefix) and f"{os.sep}site-packages{os.sep}" not in path

    def get_code(self: SourceFileLoader, fullname: str) -> CodeType | None:
        path = os.path.abspath(self.path)
        # Somebody who asks for a new version gets it.
        if path not in kept or fullname in getattr(importlib, "_RELOADING", ()):
            code = load(self, fullname)
            if not is_own(path):
                return code
            kept[path] = code
        return kept[path]

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]
