"""Workers in TypeScript that are made by a function which is given their queue, perhaps one of another package."""

from __future__ import annotations

import json

import pytest
from mika.detect.findings import UNKNOWN_QUEUE

from tests.kit.sources import HERE, only, proposed

SDK = {"@temporalio/worker": "1"}
HELPER = """import { NativeConnection, Worker } from '@temporalio/worker';
interface Options { taskQueue: string; activities: object }
{head}
  const connection = await NativeConnection.connect({{ address: process.env.T_URL ?? 'localhost:7233' }});
  const shutdown = (taskQueue: string) => {{ stop(); }};
  return Worker.create({{ connection, {options} }});
}}
"""


def helper(head: str, options: str) -> str:
    return HELPER.replace("{head}", head).replace("{options}", options).replace("{{", "{").replace("}}", "}")


def manifest(name: str, dependencies: dict[str, str], **others: object) -> str:
    return json.dumps({"name": name, "scripts": {"start": "tsx src/main.ts"}, "dependencies": dependencies, **others})


def workspace(imports: str, call: str, head: str, options: str) -> dict[str, str]:
    return {
        "package.json": json.dumps({"workspaces": ["apps/*", "packages/*"]}),
        "apps/orders/package.json": manifest("@acme/orders", {"@acme/temporal": "*", "tsx": "4"}),
        "apps/orders/src/main.ts": f"{imports}\nconst own = {{ q: 'orders' }};\n{call}",
        "packages/temporal/package.json": json.dumps({"name": "@acme/temporal", "dependencies": SDK}),
        "packages/temporal/src/index.ts": "export * from './client';\nexport * from './worker';\n",
        "packages/temporal/src/client.ts": "export const connect = () => client.start({ taskQueue: 'of-a-client' });",
        "packages/temporal/src/worker.ts": helper(head, options),
    }


PLAIN = "import { work } from '@acme/temporal';"
SPREAD = "export async function work(options: Options) {"


@pytest.mark.parametrize(
    ("imports", "call", "head", "options"),
    [
        (PLAIN, "work('orders');", "export async function work(taskQueue: string): Promise<Worker> {", "taskQueue"),
        (PLAIN, "work({}, own.q);", "export async function work(a: Record<string, A>, q: string) {", "taskQueue: q"),
        (PLAIN, "work();", "export const work = async (taskQueue = 'orders') => {", "taskQueue"),
        (PLAIN, "work({ taskQueue: own.q });", "export const work = async ({ a, taskQueue }: O) => {", "taskQueue"),
        (PLAIN, "const o = { taskQueue: 'orders' };\nwork(o);", SPREAD, "taskQueue: options.taskQueue"),
        (PLAIN, "const taskQueue = 'orders';\nawait work({\n  taskQueue,\n  a,\n});", SPREAD, "...options"),
        ("import { work as begin } from '@acme/temporal';", "begin({ taskQueue: 'orders' });", SPREAD, "...options"),
        ("import { work } from '@acme/temporal/worker';", "work({ taskQueue: 'orders' });", SPREAD, "...options"),
    ],
)
def test_a_worker_is_made_by_a_function_of_another_package(tmp_path, imports, call, head, options):
    found = proposed(tmp_path, workspace(imports, call, head, options))
    process = only(found)
    assert (process.name, process.queues, process.cwd) == ("worker", ("orders",), "apps/orders")
    assert (process.command, process.env) == ("npm run start", {"T_URL": HERE})
    assert not [note for note in found.notes if "makes a worker" in note]


@pytest.mark.parametrize("call", ["work(load());", "work(...all);", "// work('orders')", "other.work('orders');"])
def test_a_queue_that_the_caller_does_not_say_is_not_invented(tmp_path, call):
    sources = workspace(PLAIN, call, "export async function work(taskQueue: string) {", "taskQueue")
    found = proposed(tmp_path, sources)
    assert not [process for process in found.processes if process.queues != (UNKNOWN_QUEUE,)]
    assert found.questions or any("makes a worker" in note for note in found.notes)


def test_each_program_of_a_package_has_its_own_queue(tmp_path):
    scripts = {"orders": "tsx src/orders.ts", "payments": "tsx src/payments.ts"}
    call = "import {{ run }} from './temporal/run.js';\nrun({{ taskQueue: '{}' }});"
    wrapped = "export async function run(config: Options) {\n  const worker = await work(config.taskQueue);\n}\n"
    sources = {
        "package.json": json.dumps({"scripts": scripts, "dependencies": {**SDK, "tsx": "4"}}),
        "src/orders.ts": call.format("orders"),
        "src/payments.ts": call.format("payments"),
        "src/temporal/run.ts": helper("async function work(taskQueue: string) {", "taskQueue") + wrapped,
    }
    found = proposed(tmp_path, sources).processes
    assert [(one.name, one.command, one.queues) for one in found] == [
        ("orders", "npm run orders", ("orders",)),
        ("payments", "npm run payments", ("payments",)),
    ]


BUILT = '{"name": "@acme/temporal", "main": "./dist/index.js", "scripts": {"build": "tsc"}, "dependencies": %s}'
NOT_BUILT = "packages/temporal is not built yet, and others here import it: "


@pytest.mark.parametrize(
    ("changed", "fix"),
    [
        ({}, "`npm run build` in packages/temporal"),
        ({"package.json": '{"workspaces": ["*"], "scripts": {"build": "turbo build"}}'}, "`npm run build`"),
        ({"packages/temporal/dist/index.js": ""}, ""),
        ({"tsconfig.base.json": '{"paths": {"@acme/temporal": ["packages/temporal/src"]}}'}, ""),
        ({"packages/temporal/package.json": '{"name": "@acme/temporal", "main": "./src/index.ts"}'}, ""),
        ({"apps/orders/package.json": manifest("@acme/orders", {**SDK, "tsx": "4"})}, ""),
    ],
)
def test_a_package_that_must_be_built_first(tmp_path, changed, fix):
    sources = workspace(PLAIN, "work('orders');", "export async function work(taskQueue: string) {", "taskQueue")
    sources |= {"packages/temporal/package.json": BUILT % json.dumps(SDK)} | changed
    told = [note for note in proposed(tmp_path, sources).notes if "not built" in note]
    assert told == ([NOT_BUILT + fix] if fix else [])
