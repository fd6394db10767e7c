"""Python imports this at its start: mika puts this folder first on PYTHONPATH of a program that it checks or watches.

It loads `mika_inside`, or `mika_keep` and `mika_leave`, then the `sitecustomize` that it stands before: a
distribution's, a tracer's.
Standard library only, as everything here: the program may have any Python environment.
"""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec, spec_from_file_location

_FOLDER = os.path.dirname(os.path.abspath(__file__))


def _load(spec: ModuleSpec | None) -> None:
    if spec is None or spec.loader is None:
        return
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)


sys.path[:] = [path for path in sys.path if os.path.abspath(path or ".") != _FOLDER]
if os.environ.get("MIKA_INSIDE"):
    _package = os.path.join(_FOLDER, "mika_inside")
    _init = os.path.join(_package, "__init__.py")
    _load(spec_from_file_location("mika_inside", _init, submodule_search_locations=[_package]))
    sys.modules["mika_inside"].install()
for _name in ("mika_leave", "mika_keep"):
    if os.environ.get(_name.upper()):
        _load(spec_from_file_location(_name, os.path.join(_FOLDER, f"{_name}.py")))
        sys.modules[_name].install()
_load(PathFinder.find_spec("sitecustomize", sys.path))
