"""The command that makes what a program did not find."""

from __future__ import annotations

import json

import pytest
from mika.stack.missing import fix_for_missing
from mika.supervisor.diagnose import Missing

from tests.kit.sources import make

PACKAGE = json.dumps({"dependencies": {"zod": "3"}, "scripts": {"build": "tsc"}})
SHARED = json.dumps({"name": "@acme/shared", "scripts": {"build": "tsc"}})
ROOT = json.dumps({"packageManager": "pnpm@10.1.0", "scripts": {"build": "turbo build"}})
MONOREPO = {"package.json": ROOT, "apps/worker/package.json": PACKAGE, "packages/shared/package.json": SHARED}
PROGRAM, BUILT, ZOD = Missing("program"), Missing("built"), Missing("node", "zod")


@pytest.mark.parametrize(
    ("sources", "folder", "missing", "fix"),
    [
        ({"package.json": PACKAGE}, "", PROGRAM, "`npm install` installs what the project needs"),
        ({"package.json": PACKAGE, "yarn.lock": ""}, "", ZOD, "`yarn install` installs what the project needs"),
        ({"web/package.json": PACKAGE}, "web/src", PROGRAM, "`npm install` in web installs what the project needs"),
        (MONOREPO, "apps/worker", PROGRAM, "`pnpm install` installs what the project needs"),
        ({**MONOREPO, "node_modules/a": ""}, "apps/worker", ZOD, "`pnpm install` installs what the project needs"),
        ({**MONOREPO, "node_modules/a": ""}, "apps/worker", PROGRAM, ""),
        ({**MONOREPO, "node_modules/a": ""}, "apps/worker", Missing("node", "left-pad"), ""),
        (MONOREPO, "apps/worker", BUILT, "a build usually makes this file: run `pnpm run build`"),
        (
            {"web/package.json": PACKAGE},
            "web",
            BUILT,
            "a build usually makes this file: run `npm run build` in web",
        ),
        ({"package.json": "{}"}, "", BUILT, ""),
        ({"main.go": ""}, "", PROGRAM, ""),
    ],
)
def test_what_node_did_not_find(tmp_path, sources, folder, missing, fix):
    make(tmp_path, sources)
    assert fix_for_missing(tmp_path, tmp_path / folder, missing) == fix


def test_another_folder_than_the_project_is_not_looked_at(tmp_path):
    make(tmp_path, {"package.json": PACKAGE})
    assert fix_for_missing(tmp_path / "project", tmp_path, PROGRAM) == ""
