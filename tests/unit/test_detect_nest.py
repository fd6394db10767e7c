"""What the Nest CLI starts beside a worker, and in a monorepo."""

from __future__ import annotations

import json

import pytest

from tests.kit.sources import proposed

WORK = "const worker = await Worker.create({ taskQueue: 'q' });\n"
PACKAGES = {"@nestjs/core": "10", "@temporalio/worker": "1", "ts-node": "10"}


def package(**scripts: str) -> str:
    return json.dumps({"scripts": scripts, "dependencies": PACKAGES})


def main(port: str = "3000") -> str:
    return f"NestFactory.create(AppModule).then(app => app.listen({port}));"


@pytest.mark.parametrize(
    ("start", "settings", "entry"),
    [
        ("nest start", None, "src/main.ts"),
        ("nest start --exec node", {}, "src/main.ts"),
        ("nest start", {"sourceRoot": "api", "entryFile": "server"}, "api/server.ts"),
        ("nest start --entryFile api", {"sourceRoot": "src"}, "src/api.ts"),
        ("nest start", [], "src/main.ts"),
    ],
)
@pytest.mark.parametrize(("port", "env"), [("3000", {}), ("process.env.PORT ?? 3000", {"PORT": "3000"})])
def test_an_api_beside_a_worker(tmp_path, start, settings, entry, port, env):
    sources = {
        "package.json": package(**{"start": start, "start:dev": "nest start --watch", "worker": "ts-node src/work.ts"}),
        "src/work.ts": WORK,
        entry: main(port),
        "nest-cli.json": json.dumps(settings),
    }
    worker, web = proposed(tmp_path, sources).processes
    assert worker.command == "npm run worker"
    assert (web.name, web.command, web.ready, web.env) == ("web", "npm run start", "tcp:3000", env)


def test_a_program_that_the_nest_cli_does_not_know_says_no_port(tmp_path):
    found = proposed(tmp_path, {"package.json": package(start="nest start other"), "src/main.ts": main()})
    assert not found.processes
