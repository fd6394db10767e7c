"""Workers in TypeScript that an app starts, and the options of a worker in a variable."""

from __future__ import annotations

import json

import pytest

from tests.kit.sources import HERE, only, proposed

TS = "const worker = await Worker.create({\n  workflowsPath: require.resolve('./workflows'),\n  taskQueue: 'q',\n});\n"
WITH_SDK = '{"scripts": {"worker": "tsx src/worker.ts"}, "dependencies": {"@temporalio/worker": "^1.11.0"}}'


def test_options_in_a_variable_in_typescript(tmp_path):
    source = "const options: WorkerOptions = {\n  workflowsPath, taskQueue: 'q' };\nawait Worker.create(options);\n"
    source += "await client.workflow.start(greet, { taskQueue: 'of-a-client' });\n"
    sources = {"package.json": WITH_SDK, "src/worker.ts": source}
    assert only(proposed(tmp_path, sources)).queues == ("q",)


NEST = json.dumps(
    {
        "scripts": {"start": "nest start", "start:dev": "nest start --watch", "start:prod": "node dist/main"},
        "dependencies": {"@nestjs/core": "10", "@temporalio/worker": "1", "ts-node": "10"},
    }
)
NEST_MAIN = "import { AppModule } from './app.module';\nNestFactory.create(AppModule).then(app => app.listen(3000));"


@pytest.mark.parametrize(
    "sources",
    [
        {
            "src/app.module.ts": "import { W } from './work/w.module';\n@Module({ imports: [W] })\nexport class A {}",
            "src/work/w.module.ts": "import { S } from './w.service';\n@Module({ providers: [S] })\nclass W {}",
            "src/work/w.service.ts": f"@Injectable()\nexport class S {{\n{TS}}}",
        },
        {
            "src/app.module.ts": (
                "// TemporalModule.registerWorker({ workerOptions: { taskQueue: 'old' } })\n"
                "@Module({ imports: [TemporalModule.registerWorker({ workerOptions: { taskQueue: 'q' } })] })\n"
                "export class AppModule {}"
            ),
        },
    ],
    ids=["a service", "a package"],
)
def test_a_worker_that_nest_starts_with_the_app(tmp_path, sources):
    found = proposed(tmp_path, {"package.json": NEST, "src/main.ts": NEST_MAIN, **sources})
    assert (only(found).command, only(found).queues) == ("npm run start", ("q",))
    assert not [note for note in found.notes if "NestJS" in note], "the worker's program serves it, too"


def test_an_app_that_starts_its_worker_runs_once(tmp_path):
    scripts = {"build": "tsc", "start": "node dist/index.js"}
    manifest = {"scripts": scripts, "dependencies": {"express": "4", "@temporalio/worker": "1", "ts-node": "10"}}
    main = "import { work } from './worker';\nconst app = express();\napp.listen(4000);\nwork();\n"
    maker = f"export async function work() {{\n{TS}}}"
    sources = {"package.json": json.dumps(manifest), "src/index.ts": main, "src/worker.ts": maker}
    assert only(proposed(tmp_path, sources)).command == "npm run start"


def test_a_file_of_the_same_name_in_another_folder_starts_nothing(tmp_path):
    scripts = {"start": "tsx src/web/main.ts", "work": "tsx src/work/main.ts"}
    sources = {
        "package.json": json.dumps({"scripts": scripts, "dependencies": {"@temporalio/worker": "1"}}),
        "src/work/create.ts": f"export async function create() {{\n{TS}}}",
        "src/work/index.ts": "export * from './create.js';",
        "src/work/main.ts": "import { create } from '.';\ncreate();",
        "src/web/create.ts": "export const create = 1;",
        "src/web/main.ts": "import { create } from './create';",
    }
    assert only(proposed(tmp_path, sources)).command == "npm run work"


def test_a_runner_that_only_another_script_uses(tmp_path):
    manifest = WITH_SDK.replace("worker", "start", 1).replace("src/worker.ts", "src/api.ts")
    found = only(proposed(tmp_path, {"package.json": manifest, "src/worker.ts": TS}))
    assert found.command == "npx tsx src/worker.ts"


@pytest.mark.parametrize(
    ("dev", "start", "command"),
    [
        ("tsx watch src/worker.ts", "node dist/worker.js", "npx tsx src/worker.ts"),
        ("tsx watch --clear-screen=false src/worker.ts", "node dist/worker", "npx tsx src/worker.ts"),
        ("tsx watch --env-file=.env src/worker.ts", "node dist/worker.js", "npm run start"),
        ("tsc --watch", "node dist/worker.js", "npm run start"),
        ("tsx watch src/worker.ts", "npm run build && node dist/worker.js", "npm run start"),
    ],
)
def test_a_worker_that_another_script_watches_as_it_is_needs_no_build(tmp_path, dev, start, command):
    scripts = {"dev": dev, "start": start, "build": "tsc"}
    manifest = json.dumps({"scripts": scripts, "dependencies": {"@temporalio/worker": "1"}})
    assert only(proposed(tmp_path, {"package.json": manifest, "src/worker.ts": TS})).command == command


@pytest.mark.parametrize(
    "start",
    ["bun src/index.ts", "bun run src/index.ts", "bun run ./src/index.ts", "bun --env-file=.env src/index.ts"],
)
@pytest.mark.parametrize("lock", ["bun.lock", "bun.lockb"])
@pytest.mark.parametrize("folder", ["", "packages/work/"])
def test_a_worker_that_bun_runs(tmp_path, start, lock, folder):
    scripts = {"dev": "bun --watch src/index.ts", "start": start, "test": "bun test", "build": "bun run build.ts"}
    manifest = json.dumps({"scripts": scripts, "dependencies": {"@temporalio/worker": "1"}})
    sources = {f"{folder}package.json": manifest, f"{folder}src/index.ts": TS, lock: ""}
    found = only(proposed(tmp_path, sources))
    assert (found.command, found.environment.install()) == ("bun run start", "`bun install`")


@pytest.mark.parametrize(
    ("named", "lock", "command"),
    [
        ("pnpm@9.1.0", "x", "pnpm run worker"),
        ("yarn@4.1.0+sha256.abc", "pnpm-lock.yaml", "yarn run worker"),
        ("npm@10", "yarn.lock", "npm run worker"),
        ("bun@1.1.0", "x", "bun run worker"),
        (["pnpm"], "yarn.lock", "yarn run worker"),
        ("other@1", "x", "npm run worker"),
    ],
)
@pytest.mark.parametrize("is_workspace", [False, True])
def test_the_package_manager_that_the_project_names(tmp_path, named, lock, command, is_workspace):
    manifest, folder = json.loads(WITH_SDK), "work/" if is_workspace else ""
    top = {"packageManager": named, "private": True}
    sources = {"package.json": json.dumps(top), f"{folder}src/worker.ts": TS, lock: ""}
    sources[f"{folder}package.json"] = json.dumps(manifest if is_workspace else {**manifest, **top})
    assert only(proposed(tmp_path, sources)).command == command


def test_a_web_app_of_bun_in_a_folder_of_its_own(tmp_path):
    manifest = '{"scripts": {"start": "bun index.ts"}, "dependencies": {"hono": "4"}, "packageManager": "bun@1"}'
    sources = {"api/package.json": manifest, "api/index.ts": "app.listen(3000);"}
    found = only(proposed(tmp_path, sources))
    assert (found.command, found.cwd, found.ready) == ("bun run start", "api", "tcp:3000")


@pytest.mark.parametrize(
    ("project", "others", "command"),
    [
        ({"name": "jobs", "targets": {"serve": {}}}, {}, "npx nx serve jobs"),
        ({"targets": {"serve": {}}}, {}, "npx nx serve work"),
        ({"name": "jobs"}, {"README.md": "$ nx serve jobs\n"}, "npx nx serve jobs"),
        ({"name": "jobs"}, {"apps/work/README.md": "npx nx run jobs:serve"}, "npx nx serve jobs"),
        ({"name": "jobs"}, {"README.md": "nx serve jobs-api"}, "npx tsx apps/work/src/main.ts"),
        ({"name": "jobs", "targets": {"build": {}}}, {}, "npx tsx apps/work/src/main.ts"),
        ({"name": "-x", "targets": {"serve": {}}}, {}, "npx tsx apps/work/src/main.ts"),
        ({"name": "jobs", "targets": {"serve": {}}}, {"nx.json": ""}, "npx tsx apps/work/src/main.ts"),
        ({}, {"apps/work/package.json": '{"name": "@a/b", "nx": {"targets": {"serve": {}}}}'}, "npx nx serve @a/b"),
    ],
)
def test_a_worker_of_nx(tmp_path, project, others, command):
    manifest = {"dependencies": {"@temporalio/worker": "1"}, "devDependencies": {"nx": "20", "tsx": "4"}}
    sources = {"package.json": json.dumps(manifest), "nx.json": "{}", "apps/work/src/main.ts": TS}
    sources["apps/work/project.json"] = json.dumps(project)
    found = only(proposed(tmp_path, {**sources, **others}))
    assert found.command == command


@pytest.mark.parametrize("folder", ["", "api/"])
def test_a_server_for_node_is_told_the_address_as_a_worker_is(tmp_path, folder):
    package = (
        '{"scripts": {"start": "tsx src/index.ts"},'
        ' "dependencies": {"express": "4", "tsx": "4", "@temporalio/client": "1"}}'
    )
    source = (
        "import { Connection } from '@temporalio/client';\n"
        "const c = await Connection.connect({ address: process.env.T_URL || 'localhost:7239' });\n"
        "const app = express();\napp.listen(3000);\n"
    )
    found = only(proposed(tmp_path, {f"{folder}package.json": package, f"{folder}src/index.ts": source}))
    assert (found.ready, found.env) == ("tcp:3000", {"T_URL": HERE})


def test_the_packages_of_a_workspace_of_npm_are_in_its_top_folder(tmp_path):
    manifest = (
        '{"name": "@shop/jobs", "scripts": {"start": "tsx src/w.ts"}, "dependencies": {"@temporalio/worker": "1"}}'
    )
    sources = {"package.json": '{"workspaces": ["services/*"]}', "services/jobs/package.json": manifest}
    found = only(proposed(tmp_path, {**sources, "services/jobs/src/w.ts": TS}))
    assert (found.environment.tool, found.environment.folder) == ("npm", "")
    del sources["package.json"]
    found = only(proposed(tmp_path / "alone", {**sources, "services/jobs/src/w.ts": TS}))
    assert (found.environment.tool, found.environment.folder) == ("npm", "services/jobs")


@pytest.mark.parametrize(
    ("scripts", "script"),
    [
        ({"dev": "next dev", "start": "next start"}, "dev"),
        ({"dev": "concurrently a b", "dev:next": "next dev", "start": "next start"}, "dev:next"),
        ({"dev": "concurrently a b", "start": "next start"}, "start"),
    ],
)
def test_a_frontend_is_named_with_the_script_that_needs_no_build(tmp_path, scripts, script):
    manifest = json.dumps({"scripts": scripts, "dependencies": {"next": "15"}})
    (note,) = proposed(tmp_path, {"package.json": manifest}).notes
    assert f"`frontend: npm run {script}`" in note
