"""What a compiler has made of a project in TypeScript is no program of its own."""

from __future__ import annotations

import json

import pytest
from mika.detect import outputs
from mika.detect.files import Files

from tests.kit.machine import cpu_limit
from tests.kit.sources import make, only, proposed

WORK = "const worker = await Worker.create({ taskQueue: 'q' });\n"


def package(**scripts: str) -> str:
    packages = {"@temporalio/worker": "1", "tsx": "4"}
    return json.dumps({"scripts": {"worker": "tsx src/worker.ts", **scripts}, "dependencies": packages})


@pytest.mark.parametrize(
    ("made", "settings"),
    [
        ("lib/worker.js", ""),
        ("out/src/worker.js", ""),
        ("src/worker.js", ""),
        ("lib/worker.mjs", ""),
        ("bin/worker.js", '{\n  // of tsc\n  "compilerOptions": { "outDir": "./bin", },\n}'),
        ("bin/jobs/worker.js", '{"compilerOptions": {"outDir": "bin/jobs/"}}'),
    ],
)
@pytest.mark.parametrize("folder", ["", "back/"])
def test_a_built_file_is_no_second_worker(tmp_path, made, settings, folder):
    sources = {"package.json": package(), "src/worker.ts": WORK, made: WORK, "tsconfig.json": settings}
    found = only(proposed(tmp_path, {f"{folder}{path}": text for path, text in sources.items()}))
    assert (found.command, found.why) == ("npm run worker", (f"{folder}src/worker.ts polls q",))
    assert found.watch == (f"{folder}**/*.ts",)


@pytest.mark.parametrize(
    ("other", "settings"),
    [
        ("lib/mail.js", ""),
        ("bin/worker.js", ""),
        ("bin/mail.js", '{"compilerOptions": {"outDir": "bin"}}'),
        ("bin/worker.js", '{"compilerOptions": {"outDir": "."}}'),
        ("bin/worker.js", '{"compilerOptions": {"outDir": "../bin"}}'),
    ],
)
def test_a_file_without_a_source_here_is_a_program(tmp_path, other, settings):
    sources = {"package.json": package(), "src/worker.ts": WORK, "tsconfig.json": settings}
    found = proposed(tmp_path, {**sources, other: WORK.replace("'q'", "'other'")})
    assert {process.command for process in found.processes} == {"npm run worker", f"node {other}"}


@pytest.mark.parametrize("is_built", [False, True])
def test_a_script_that_runs_what_a_part_is_built_to(tmp_path, is_built):
    scripts = {
        "dev": "npm-run-all build:temporal --parallel dev:next start:worker",
        "build:next": "next build",
        "build:temporal": "tsc --build ./temporal/tsconfig.json",
        "build:watch": "tsc --watch",
        "start:worker": "node ./temporal/lib/worker",
    }
    sources = {"package.json": package(**scripts), "temporal/src/worker.ts": WORK}
    if is_built:
        sources["temporal/lib/worker.js"] = WORK
    found = only(proposed(tmp_path, sources))
    why = ("temporal/src/worker.ts polls q", "it runs what `npm run build:temporal` makes")
    assert (found.command, found.why) == ("npm run start:worker", why)


@pytest.mark.parametrize("folder", ["", "a/" * 30, "lib/" * 30])
def test_many_built_files_cost_little(tmp_path, folder):
    files = Files(make(tmp_path, {"package.json": "{}", "tsconfig.json": '{"compilerOptions": {"outDir": "js"}}'}))
    paths = [
        f"{top}/{number}/{folder}index.{end}" for number in range(2000) for top, end in (("s", "ts"), ("js", "js"))
    ]
    with cpu_limit(2):
        assert len(outputs.built(files, paths)) == 2000
