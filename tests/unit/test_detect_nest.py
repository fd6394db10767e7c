"""What the Nest CLI starts beside a worker, and in a monorepo."""

from __future__ import annotations

import json

import pytest

from tests.kit.sources import only, proposed

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


def monorepo(path: str, source: str, *, cli: str = "@nestjs/cli", **scripts: str) -> dict[str, str]:
    """With a worker and two apps that serve, in a file for each."""
    projects: dict[str, dict[str, str]] = {
        name: {"type": "application", "root": f"apps/{name}", "sourceRoot": f"apps/{name}/src"}
        for name in ("api", "orders", "work")
    }
    projects["shared"] = {"type": "library", "sourceRoot": "libs/shared/src", "entryFile": "index"}
    manifest = {"scripts": scripts, "dependencies": PACKAGES, "devDependencies": {cli: "1"}}
    return {
        "package.json": json.dumps(manifest),
        "nest-cli.json": json.dumps({"monorepo": True, "sourceRoot": "apps/api/src", "projects": projects}),
        "apps/api/src/main.ts": main(),
        "apps/orders/src/main.ts": main("process.env.PORT ?? 3001"),
        "apps/work/src/main.ts": "bootstrap();",
        "libs/shared/src/index.ts": main("3002"),
        path: source,
    }


@pytest.mark.parametrize(
    ("scripts", "command"),
    [
        ({"start:prod": "node dist/apps/shop/main"}, "npx nest start work"),
        ({"start:prod": "node dist/main"}, "npx nest start work"),
        ({"start:prod": "node dist/apps/api/main"}, "npx nest start work"),
        ({"prod": "node dist/apps/work/main"}, "npm run prod"),
        ({"work:dev": "nest start work --watch", "work": "nest start --exec node work"}, "npm run work"),
    ],
)
def test_a_worker_of_a_monorepo(tmp_path, scripts, command):
    sources = monorepo("apps/work/src/main.ts", WORK, start="nest start", **scripts)
    processes = {process.name: process for process in proposed(tmp_path, sources).processes}
    assert {name: process.command for name, process in processes.items()} == {
        "worker": command,
        "api": "npm run start",
        "orders": "npx nest start orders",
    }
    assert (processes["orders"].ready, processes["orders"].env) == ("tcp:3001", {"PORT": "3001"})
    assert processes["orders"].why == ("apps/orders/src/main.ts: NestJS, on port 3001",)


def test_an_app_of_a_monorepo_that_makes_its_worker_in_a_service(tmp_path):
    sources = monorepo("apps/work/src/work.service.ts", f"@Injectable()\nexport class S {{\n{WORK}}}")
    sources["apps/work/src/main.ts"] = "import { S } from './work.service';\n" + main("3003")
    commands = [process.command for process in proposed(tmp_path, sources).processes]
    assert commands == [f"npx nest start {name}" for name in ("work", "api", "orders")]


def test_an_app_of_a_monorepo_whose_port_is_not_known_is_said(tmp_path):
    found = proposed(tmp_path, monorepo("apps/orders/src/main.ts", main("config.port")))
    line = "add `orders: npx nest start orders` to the Procfile"
    assert f"the NestJS app of apps/orders/src/main.ts: left out; to run it, {line}" in found.notes


def test_without_the_nest_cli_npx_would_take_another_package(tmp_path):
    sources = monorepo("apps/work/src/main.ts", WORK, cli="typescript")
    assert [process.command for process in proposed(tmp_path, sources).processes] == [
        "npx ts-node apps/work/src/main.ts"
    ]


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("node packages/a/dist/work.js", "npm run a"),
        ("node bundle/a/work.js", "npm run a"),
        ("node dist/other/work.js", "npx ts-node packages/a/src/work.ts"),
        ("node dist/work.js", "npx ts-node packages/a/src/work.ts"),
    ],
)
def test_a_script_for_one_of_two_files_of_a_name(tmp_path, script, command):
    sources = {"package.json": package(a=script), "packages/a/src/work.ts": WORK, "packages/b/src/work.ts": "1"}
    (process,) = proposed(tmp_path, sources).processes
    assert process.command == command


@pytest.mark.parametrize(
    ("schema", "queue"),
    [
        ("Joi.string().default('orders')", "orders"),
        ("Joi.string()\n      .trim()\n      .default('orders')", "orders"),
        ("z.string().default('orders')", "orders"),
        ("Joi.string().required()", "QUEUE"),
    ],
)
def test_the_default_of_what_the_configuration_is_asked_for(tmp_path, schema, queue):
    module = (
        "@Module({ imports: [ConfigModule.forRoot({ validationSchema: Joi.object({\n"
        f"    PORT: Joi.number().default(3000),\n    TEMPORAL_TASK_QUEUE: {schema},\n  }}) }})] }})\n"
        "export class AppModule {}"
    )
    worker = (
        "import { Worker } from '@temporalio/worker';\n@Injectable()\nexport class W {\n  async start() {\n"
        "    const taskQueue = this.config.get<string>('TEMPORAL_TASK_QUEUE');\n"
        "    this.worker = await Worker.create({ taskQueue, connection });\n  }\n}\n"
    )
    main = "import { AppModule } from './app.module';\nNestFactory.create(AppModule).then(app => app.listen(3000));"
    manifest = {
        "scripts": {"start": "nest start"},
        "dependencies": {"@nestjs/core": "10", "@temporalio/worker": "1", "joi": "17"},
    }
    sources = {
        "package.json": json.dumps(manifest),
        "src/main.ts": main,
        "src/app.module.ts": f"import {{ W }} from './worker';\n{module}",
        "src/worker.ts": worker,
    }
    assert only(proposed(tmp_path, sources)).queues == (queue,)
