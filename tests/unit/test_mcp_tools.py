"""The tools of `mika mcp`: what an agent may rely on."""

from __future__ import annotations

import sys

from mika.mcp.tools import CONTROL, READING

from tests.unit.test_docs import ROOT, rows
from tests.unit.test_import_layers import LAUNCHER, imports

# Names and arguments may be added; what is here stays.
CONTRACT = {
    "mika_status": set(),
    "mika_logs": {"names", "lines", "since", "grep"},
    "mika_doctor": {"workflow"},
    "mika_workflows": {"count", "failed", "running"},
    "mika_check": {"processes"},
    "mika_restart": {"names", "force"},
    "mika_start": {"names"},
    "mika_stop": {"names"},
    "mika_send": {"text", "user", "group"},
    "mika_reset": {"ids", "stuck", "to"},
}


def test_the_tools_and_their_arguments():
    tools = READING | CONTROL
    assert {name: set(tool.properties) for name, tool in tools.items()} == CONTRACT
    assert {name for name, tool in tools.items() if not tool.as_json(name)["annotations"]["readOnlyHint"]} == set(
        CONTROL
    )


def test_each_is_documented():
    page = ROOT / "docs" / "mcp.md"
    text = page.read_text(encoding="utf-8")
    assert {name.strip("`") for name, *_ in rows(page, "Tools")} == set(READING)
    for name, tool in (READING | CONTROL).items():
        line = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(f"`{argument}`" in line.split("|")[2] for argument in tool.properties), line


def test_the_server_needs_only_the_standard_library():
    for module, path in LAUNCHER.items():
        if module.startswith("mika.mcp"):
            foreign = {name.partition(".")[0] for name in imports(path)} - sys.stdlib_module_names
            assert foreign <= {"mika"}, f"{module} imports {foreign}"
