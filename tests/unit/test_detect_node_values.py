"""The address of Temporal's server that a program in TypeScript takes from another file."""

from __future__ import annotations

import pytest

from tests.kit.machine import cpu_limit
from tests.kit.sources import HERE, proposed

MANIFEST = '{"scripts": {"worker": "tsx src/worker.ts"}, "dependencies": {"@temporalio/worker": "1", "tsx": "4"}}'
WORKER = """import { NativeConnection, Worker } from '@temporalio/worker';
IMPORT
const connection = await NativeConnection.connect({ address: ADDRESS });
const worker = await Worker.create({ connection, taskQueue: 'q' });
"""
URL = "process.env.T_URL || 'temporal:7233'"
NESTED = f"export const config = {{ port: 3000, temporal: {{ a: f(1, {{}}), address: {URL}, namespace: 'x' }} }};"


def sources(imports: str, address: str, config: str, path: str = "src/config.ts") -> dict[str, str]:
    worker = WORKER.replace("IMPORT", imports).replace("ADDRESS", address)
    return {"package.json": MANIFEST, "src/worker.ts": worker, path: config, "src/redis.ts": "x = { address: 'r:1' };"}


@pytest.mark.parametrize(
    ("imports", "address", "config"),
    [
        ("import { config } from './config';", "config.temporal.address", NESTED),
        ("import { a, config as c } from './config.js';", "c.temporal.address", NESTED),
        ("import { config } from '@/config';", "config.temporal!.address", NESTED),
        ("import * as all from './config';", "all.config.temporal?.address", NESTED),
        ("const { config } = require('./config');", "config.temporal.address", NESTED),
        ("const all = require('./config');", "all.address", f"module.exports = {{ 'address': {URL} }};"),
        ("import c from './config';", "c.t.address", f"const t = {{ address: {URL} }}\nexport default {{ t }};"),
        ("import c from './config';", "c.address", f"const c: C = {{ address: {URL} }} as const;\nexport default c;"),
        ("import { url } from './config';", "url", f"export const url = {URL}\nexport const b = 1;"),
        (
            "import { c } from './config';\nconst { url } = c;",
            "url",
            f"export const c = {{\n  // a, b\n  url: {URL},\n}};",
        ),
        ("import { c } from './config';\nconst url = c.url;", "url", f"export const c = {{ url: {URL} }};"),
        ("", "config.get('T_URL', 'temporal:7233')", ""),
    ],
)
def test_an_address_of_another_file(tmp_path, imports, address, config):
    found = proposed(tmp_path, sources(imports, address, config))
    assert found.processes[0].env == {"T_URL": HERE}
    told = "connects to temporal:7233, a name that exists only inside compose: T_URL is localhost:7233 instead"
    assert found.notes == (f"src/worker.ts {told}",)


@pytest.mark.parametrize("address", ["process.env.T_URL", "process.env.T_URL!", "service.getOrThrow<string>('T_URL')"])
@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_variable_without_a_default(tmp_path, address, is_elsewhere):
    config = f"export const config = {{ address: {address} }};"
    here = sources("import { config } from './config';", "config.address" if is_elsewhere else address, config)
    found = proposed(tmp_path, here)
    assert found.processes[0].env == {"T_URL": HERE}
    assert not proposed(tmp_path, here, T_URL="of.the.user:1").processes[0].env


@pytest.mark.parametrize(
    ("imports", "address", "config"),
    [
        ("import { config } from 'a-package';", "config.temporal.address", NESTED),
        ("import { config } from './config';", "config.other.address", NESTED),
        ("import { config } from './config';", "config.temporal.address", NESTED + NESTED),
        ("import { config } from './config';", "config.temporal.address", "export const config = load();"),
        ("import { a } from './config';", "a.b", "import { b } from './worker';\nexport const a = a.b;"),
        ("import { url } from './config';", "url", f"export let url = {URL};\nurl = other();"),
        ("import { config } from './config';", "config.temporal.address", NESTED.replace("T_URL", "TEMPORAL_ADDRESS")),
    ],
)
def test_what_is_not_clear_is_not_told(tmp_path, imports, address, config):
    found = proposed(tmp_path, sources(imports, address, config))
    assert not found.processes[0].env
    assert not [note for note in found.notes if "temporal:7233" in note and "T_URL" in note]


ZOD = """const schema = z.object({
  PORT: z.coerce.number().default(3000),
  T_URL: z
    .string().min(1)
    .default('temporal:7233'),
  T_QUEUE: z.string().default("orders"), // of the worker
  OTHER: z.string().default('other'),
});
"""
ENVALID = "const env = cleanEnv(process.env, { T_URL: str({ default: 'temporal:7233' }), T_QUEUE: str() });\n"


@pytest.mark.parametrize(
    ("config", "queue"),
    [
        (f"{ZOD}export const env = schema.parse(process.env);", "orders"),
        (f"{ZOD}const parsed = schema.safeParse(process.env);\nexport const env = parsed.data;", "orders"),
        (f"{ZOD}export default load(schema);", "orders"),
        (f"{ENVALID}export default env;", "QUEUE"),
    ],
)
def test_variables_that_a_schema_has(tmp_path, config, queue):
    files = sources("import { env } from './config';", "env.T_URL", config)
    files["src/worker.ts"] = files["src/worker.ts"].replace("'q'", "env.T_QUEUE")
    (process,) = proposed(tmp_path, files).processes
    assert process.ready == f"worker:{queue}"
    assert process.env["T_URL"] == HERE
    (process,) = proposed(tmp_path, files, T_QUEUE="mine").processes
    assert process.ready == "worker:mine"


def test_schemas_of_several_parts(tmp_path):
    """The own one counts; of several others, none is taken for certain."""
    own = sources("import { env } from './config';", "env.T_URL", f"{ZOD}export const env = schema.parse(process.env);")
    own["src/worker.ts"] = own["src/worker.ts"].replace("'q'", "env.T_QUEUE")
    files = {f"apps/one/{name}": text for name, text in own.items()}
    files |= {f"apps/two/{name}": text.replace("orders", "mails") for name, text in own.items()}
    assert {each.ready for each in proposed(tmp_path, files).processes} == {"worker:orders", "worker:mails"}
    del files["apps/one/src/config.ts"]
    files["apps/three/src/config.ts"] = ZOD
    ready = [each.ready for each in proposed(tmp_path / "b", files).processes if each.cwd == "apps/one"]
    assert ready == ["worker:QUEUE"]


SHARED = "packages/shared/src"
QUEUES = "export const QUEUES = { mail: 'mail-q', other: 'o' } as const;"


@pytest.mark.parametrize(
    ("imported", "queue", "shared"),
    [
        ("{ QUEUES } from '@shop/shared'", "QUEUES.mail", {"index.ts": QUEUES}),
        (
            "{ QUEUES } from '@shop/shared'",
            "QUEUES.mail",
            {"index.ts": "export * from './a';\nexport * from './q';", "a.ts": "", "q.ts": QUEUES},
        ),
        ("{ Q } from '@shop/shared'", "Q.mail", {"index.ts": "export { QUEUES as Q } from './q'", "q.ts": QUEUES}),
        ("{ QUEUES } from '@shop/shared/q'", "QUEUES.mail", {"q.ts": QUEUES}),
        ("{ MAIL } from '@shop/shared'", "MAIL", {"index.ts": "export const MAIL = process.env.Q ?? 'mail-q';"}),
        (
            "{ Queue } from '@shop/shared'",
            "Queue.Mail",
            {"index.ts": "export enum Queue { Other = 'o', Mail = 'mail-q' }"},
        ),
    ],
)
def test_a_queue_of_another_package_of_the_workspace(tmp_path, imported, queue, shared):
    worker = (
        WORKER.replace("IMPORT", f"import {imported};").replace("'q'", queue).replace("ADDRESS", "'localhost:7233'")
    )
    own = {"apps/work/package.json": MANIFEST, "apps/work/src/worker.ts": worker}
    others = {f"{SHARED}/{name}": text for name, text in shared.items()}
    manifests = {"package.json": '{"workspaces": ["*/*"]}', "packages/shared/package.json": '{"name": "@shop/shared"}'}
    found = proposed(tmp_path, {**own, **others, **manifests})
    assert [process.ready for process in found.processes] == ["worker:mail-q"]


def test_a_queue_is_that_of_the_object_which_the_source_names(tmp_path):
    """Also where another object has a member of the same name."""
    files = sources("import { QUEUES } from './config';", "'localhost:7233'", "const b = { mail: 'b' };\n" + QUEUES)
    files["src/worker.ts"] = files["src/worker.ts"].replace("'q'", "QUEUES.mail")
    assert proposed(tmp_path, files).processes[0].ready == "worker:mail-q"


@pytest.mark.parametrize(
    "filler", ["{", "a: {", "'", "`", "'\\'", "import {", "import a, ", "const config = ", " ", ",\n"]
)
def test_texts_that_never_end_cost_little(tmp_path, filler):
    config = "export const config = {" + filler * (190_000 // len(filler))
    with cpu_limit(8):
        proposed(tmp_path, sources("import { config } from './config';", "config.temporal.address", config))
        proposed(tmp_path / "own", sources(config, "config.temporal.address", ""))
