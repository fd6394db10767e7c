"""Workers that a package for NestJS makes: the app is the worker."""

from __future__ import annotations

import json

import pytest

from tests.kit.sources import HERE, only, proposed

MAIN = "import { AppModule } from './app.module';\nNestFactory.create(AppModule).then(app => app.listen(3000));"
OPTIONS = "{ connection: { address: WHERE, namespace: 'x' }, taskQueue: QUEUE, worker: { activityClasses: [A] } }"
FACTORY = (
    "TemporalModule.registerAsync({ inject: [ConfigService],\n"
    f"  useFactory: (config: ConfigService): TemporalOptions => ({OPTIONS}),\n}})"
)
IN_LINES = OPTIONS.replace(", ", ",\n").replace("{ ", "{\n").replace(" }", "\n}")


def sources(registered: str, package: str = "nestjs-temporal-core", **others: str) -> dict[str, str]:
    manifest = {"scripts": {"start": "nest start"}, "dependencies": {"@nestjs/core": "11", package: "3"}}
    module = (
        f"import {{ TemporalModule }} from '{package}';\n@Module({{ imports: [{registered}] }})\nclass AppModule {{}}\n"
    )
    module = module.replace("WHERE", "'localhost:7233'").replace("QUEUE", "'q'")
    return {"package.json": json.dumps(manifest), "src/main.ts": MAIN, "src/app.module.ts": module, **others}


@pytest.mark.parametrize(
    ("package", "registered", "queues"),
    [
        ("nestjs-temporal-core", FACTORY, ("q",)),
        ("nestjs-temporal-core", f"TemporalModule.register({OPTIONS})", ("q",)),
        ("nestjs-temporal-core", f"TemporalModule.register({IN_LINES})", ("q",)),
        (
            "nestjs-temporal-core",
            "TemporalModule.register({ taskQueue: 'c', workers: [{ taskQueue: 'a' }, { taskQueue: `b` }] })",
            ("a", "b"),
        ),
        ("nestjs-temporal", "TemporalModule.registerWorker({ workerOptions: { taskQueue: 'q' } })", ("q",)),
        (
            "nestjs-temporal",
            "TemporalModule.registerWorkerAsync({ useFactory: () => ({ workerOptions: { taskQueue: 'q' } }) })",
            ("q",),
        ),
    ],
)
@pytest.mark.parametrize("lock", ["package-lock.json", "pnpm-lock.yaml"])
def test_the_app_is_the_worker(tmp_path, package, registered, queues, lock):
    found = proposed(tmp_path, {**sources(registered, package), lock: ""})
    tool = "pnpm" if lock.startswith("pnpm") else "npm"
    assert (only(found).command, only(found).queues) == (f"{tool} run start", queues)
    assert (found.notes, "MIKA_BACKEND" in found.settings) == ((), False)


def test_a_module_that_is_only_a_client(tmp_path):
    found = proposed(tmp_path, sources(f"TemporalModule.register({OPTIONS.partition(', worker')[0]} }})"))
    assert (only(found).name, only(found).ready) == ("web", "tcp:3000")
    assert "MIKA_BACKEND" not in found.settings, "it does use Temporal"


@pytest.mark.parametrize("registered", [FACTORY, f"TemporalModule.register({IN_LINES})"])
@pytest.mark.parametrize(
    ("address", "env"),
    [("config.getOrThrow<string>('T_URL')", {"T_URL": HERE}), ("config.get('TEMPORAL_ADDRESS', 'temporal:7233')", {})],
)
def test_its_address(tmp_path, registered, address, env):
    found = only(proposed(tmp_path, sources(registered.replace("WHERE", address))))
    assert found.env == env


@pytest.mark.parametrize(
    ("queue", "queues"),
    [("config.get<string>('GIVEN')", ("of the user",)), ("config.get('OTHER', 'default')", ("default",))],
)
def test_its_queue_from_the_configuration(tmp_path, queue, queues):
    found = proposed(tmp_path, sources(FACTORY.replace("QUEUE", queue)), GIVEN="of the user")
    assert only(found).queues == queues


@pytest.mark.parametrize(
    "registered", [FACTORY.replace("QUEUE", "config.get('X')"), "TemporalModule.register({ worker: {} })"]
)
def test_a_queue_that_is_not_known_is_asked_for(tmp_path, registered):
    assert [one.key for one in proposed(tmp_path, sources(registered)).questions] == ["queue.worker"]
