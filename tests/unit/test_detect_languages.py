"""Workers in Go, TypeScript, .NET and Java: entry, command, queue."""

from __future__ import annotations

import json

import pytest

from tests.kit.machine import cpu_limit
from tests.kit.sources import JAVA, POM, only, proposed, worker

GO_MOD = "module example.com/shop\n\nrequire (\n\tgo.temporal.io/sdk v1.37.0\n)\n"
GO = "package main\nfunc main() {\n\tw := worker.New(c, QUEUE, worker.Options{})\n\tw.Run(worker.InterruptCh())\n}\n"
NODE = '{"scripts": {SCRIPTS}, "dependencies": {"@temporalio/worker": "^1.11.0"}}'
TS = "const worker = await Worker.create({\n  workflowsPath: require.resolve('./workflows'),\n  QUEUE,\n});\n"
TS_GIVEN = TS.replace("QUEUE", "taskQueue: queue")
CSPROJ = """<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><OutputType>Exe</OutputType></PropertyGroup>
<ItemGroup><PackageReference Include="Temporalio" Version="1.4.0" /></ItemGroup></Project>"""
CSHARP = "using var worker = new TemporalWorker(client, new TemporalWorkerOptions(QUEUE).AddWorkflow<W>());"


def package(**scripts: str) -> str:
    return NODE.replace("{SCRIPTS}", json.dumps(scripts))


@pytest.mark.parametrize(
    ("expression", "others", "expected"),
    [
        ('"literal"', {}, "literal"),
        ("Queue", {"worker/const.go": 'const Queue = "a constant"'}, "a constant"),
        ("shared.Queue", {"shared/a.go": 'const (\n\tQueue string = "typed"\n)'}, "typed"),
        ("queue", {"worker/a.go": 'queue := "assigned"'}, "assigned"),
        ("q", {"worker/a.go": 'var q = os.Getenv("GIVEN")'}, "given"),
        ("shared.Queue()", {"shared/a.go": 'const q = "of"\nfunc Queue() string { return q }'}, "of"),
        ("queue", {"worker/a.go": 'queue := envOr("UNSET", "by default")'}, "by default"),
        ('getEnv("GIVEN", "default")', {}, "given"),
    ],
)
def test_the_queue_of_a_worker_in_go(tmp_path, expression, others, expected):
    sources = {"go.mod": GO_MOD, "worker/main.go": GO.replace("QUEUE", expression), **others}
    found = only(proposed(tmp_path, sources, GIVEN="given"))
    assert found.queues == (expected,)
    assert (found.command, found.ready, found.watch) == ("go run ./worker", f"worker:{expected}", ("**/*.go",))


@pytest.mark.parametrize(
    ("path", "others", "command", "cwd"),
    [
        ("main.go", {"go.mod": GO_MOD}, "go run .", ""),
        ("cmd/worker/main.go", {"go.mod": GO_MOD}, "go run ./cmd/worker", ""),
        ("back/worker/main.go", {"back/go.mod": GO_MOD}, "go run ./worker", "back"),
    ],
)
def test_the_command_of_a_worker_in_go(tmp_path, path, others, command, cwd):
    found = only(proposed(tmp_path, {path: GO.replace("QUEUE", '"q"'), **others}))
    assert (found.command, found.cwd, found.environment.tool) == (command, cwd, "go")


def test_a_program_in_go_that_imports_the_worker_starts_it(tmp_path):
    sources = {
        "go.mod": GO_MOD,
        "internal/jobs/run.go": 'package jobs\nfunc Run() { w := worker.New(c, "jobs", worker.Options{}) }',
        "cmd/jobs/main.go": 'package main\nimport "example.com/shop/internal/jobs"\nfunc main() { jobs.Run() }',
        "cmd/api/main.go": "package main\nfunc main() {}",
        "internal/jobs/run_test.go": 'package jobs\nfunc x() { worker.New(c, "test", worker.Options{}) }',
    }
    found = only(proposed(tmp_path, sources))
    assert (found.command, found.queues) == ("go run ./cmd/jobs", ("jobs",))


def test_what_is_documented_decides_between_two_programs_in_go(tmp_path):
    main = GO.replace("QUEUE", '"q"')
    sources = {"go.mod": GO_MOD, "old/main.go": main, "worker/main.go": main}
    assert proposed(tmp_path, sources).questions
    assert only(proposed(tmp_path, {"README.md": "```\ngo run worker/main.go\n```\n"})).command == "go run ./worker"


@pytest.mark.parametrize(
    ("queue", "others", "expected"),
    [
        ("taskQueue: 'literal'", {}, "literal"),
        ("taskQueue: `template`", {}, "template"),
        ("taskQueue: `jobs-${process.env.GIVEN}`", {}, "jobs-given"),
        ("taskQueue: `${PREFIX}-${kind}`", {"src/a.ts": "const PREFIX = 'a';"}, "a-b"),
        ("taskQueue: TASK_QUEUE", {"src/shared.ts": "export const TASK_QUEUE = 'shared';"}, "shared"),
        ("taskQueue: config.queue", {"src/config.ts": "export const config = { queue: 'inner' };"}, "inner"),
        ("taskQueue", {"src/a.ts": "export const taskQueue: string = 'typed';"}, "typed"),
        ("taskQueue: queue()", {"src/a.ts": "export const queue = (): string => 'returned';"}, "returned"),
        ("taskQueue: process.env.QUEUE ?? 'default'", {}, "default"),
        ("taskQueue: process.env['GIVEN'] || 'default'", {}, "given"),
    ],
)
def test_the_queue_of_a_worker_in_typescript(tmp_path, queue, others, expected):
    source = "import { taskQueue } from './a';\nconst kind = 'b';\n" + TS.replace("QUEUE", queue)
    sources = {"package.json": package(worker="tsx src/worker.ts"), "src/worker.ts": source}
    found = only(proposed(tmp_path, {**sources, **others}, GIVEN="given"))
    assert (found.queues, found.watch) == ((expected,), ("**/*.ts",))


@pytest.mark.parametrize(
    ("scripts", "others", "command"),
    [
        ({"build": "tsc", "start": "ts-node src/worker.ts"}, {}, "npm run start"),
        ({"start.watch": "nodemon src/worker.ts", "start": "ts-node src/worker.ts"}, {}, "npm run start"),
        ({"dev": "nodemon src/worker.ts"}, {}, "npm run dev"),
        ({"build": "tsc", "work": "node lib/worker.js"}, {}, "npm run work"),
        ({"worker": "tsx src/worker"}, {"pnpm-lock.yaml": ""}, "pnpm run worker"),
        ({"main": "tsx src/index.ts"}, {"src/index.ts": "import { run } from './worker';"}, "npm run main"),
        ({}, {"README.md": "npx ts-node src/worker.ts"}, "npx ts-node src/worker.ts"),
        ({"dev": "concurrently 'npm run worker' 'vite'", "worker": "tsx src/worker.ts"}, {}, "npm run worker"),
        ({"worker": "tsx other/worker.ts", "x": "tsx src/worker.ts"}, {"other/worker.ts": ""}, "npm run x"),
        ({"work": "node bundle/worker.js"}, {}, "npm run work"),
    ],
)
def test_the_command_of_a_worker_in_typescript(tmp_path, scripts, others, command):
    worker = TS.replace("QUEUE", "taskQueue: 'q'")
    sources = {
        "package.json": package(**scripts),
        "src/worker.ts": worker,
        "node_modules/x/worker.ts": worker,
        **others,
    }
    assert only(proposed(tmp_path, sources)).command == command


def test_the_command_of_another_language_is_not_meant(tmp_path):
    sources = {
        "package.json": package(),
        "src/worker.ts": TS.replace("QUEUE", "taskQueue: 'ts'"),
        "src/worker.py": worker('"py"'),
        "src/other.py": worker('"py"'),
        "README.md": "python src/worker.py\nnpx tsx src/worker.ts\nnpx tsx src/other.ts\n",
    }
    found = proposed(tmp_path, sources)
    assert {process.command for process in found.processes} == {"python src/worker.py", "npx tsx src/worker.ts"}


def test_a_worker_in_typescript_that_nothing_starts_is_said(tmp_path):
    sources = {"package.json": package(test="mocha"), "src/worker.ts": TS.replace("QUEUE", "taskQueue: 'q'")}
    found = proposed(tmp_path, sources)
    assert not found.processes
    assert "src/worker.ts makes a worker, but no script of package.json and no documentation starts it" in found.notes
    assert "MIKA_BACKEND" not in found.settings, "it does use Temporal"


def test_workers_of_the_same_name_are_not_mixed_up(tmp_path):
    """Each is started by its own path, and polls its own queue."""
    sources = {"package.json": package(worker="node src/worker.js", dev="concurrently 'npm run worker' 'npm run web'")}
    for folder, queue in (("src", "one"), ("src/mail", "two")):
        sources[f"{folder}/worker.js"] = TS.replace("QUEUE", f"taskQueue: '{queue}'")
    found = {process.command: process.queues for process in proposed(tmp_path, sources).processes}
    assert found == {"npm run worker": ("one",), "node src/mail/worker.js": ("two",)}


@pytest.mark.parametrize(("packages", "command"), [("ts-node", "npx ts-node worker.ts"), ("typescript", "")])
def test_a_worker_whose_sdk_is_not_declared(tmp_path, packages, command):
    worker = "import { Worker } from '@temporalio/worker';\n" + TS.replace("QUEUE", "taskQueue: 'q'")
    manifest = f'{{"dependencies": {{"{packages}": "^1"}}}}'
    found = proposed(tmp_path, {"package.json": manifest, "worker.ts": worker})
    assert [process.command for process in found.processes] == ([command] if command else [])
    lacks = "worker.ts imports @temporalio/worker, which package.json does not have: `npm install @temporalio/worker`"
    assert (lacks in found.notes) == bool(command)
    assert any(note.startswith("worker.ts ") for note in found.notes)


TYPED = {"src/worker.ts": TS.replace("QUEUE", "taskQueue: 'q'")}


@pytest.mark.parametrize(
    ("package", "others", "command"),
    [
        ("ts-node", {}, "npx ts-node src/worker.ts"),
        ("ts-node-dev", {}, "npx ts-node src/worker.ts"),
        ("ts-node-dev", {"pnpm-lock.yaml": ""}, ""),
        ("@swc-node/register", {}, "node -r @swc-node/register src/worker.ts"),
        ("nodemon", {}, ""),
        ("x", {"x/worker.Dockerfile": 'CMD [ "node", "lib/worker.js" ]'}, "node lib/worker.js"),
        ("x", {"Dockerfile.worker": 'CMD ["node", "/app/lib/worker.js"]'}, ""),
        ("x", {"Containerfile": 'CMD ["node", "lib/other.js"]'}, ""),
        ("tsx", {"worker.dockerfile": 'CMD ["node", "lib/worker.js"]'}, "npx tsx src/worker.ts"),
    ],
)
def test_the_command_of_a_worker_in_typescript_without_a_script(tmp_path, package, others, command):
    manifest = f'{{"dependencies": {{"@temporalio/worker": "1"}}, "devDependencies": {{"{package}": "1"}}}}'
    found = proposed(tmp_path, {"package.json": manifest, **TYPED, **others})
    assert [process.command for process in found.processes] == ([command] if command else [])
    assert not found.example.startswith("worker: python"), found.example


@pytest.mark.parametrize(
    ("sources", "example"),
    [
        ({"package.json": package(), **TYPED}, "worker: npx tsx src/worker.ts"),
        (
            {"package.json": package(), **TYPED, "src/main.ts": "import { run } from './worker';"},
            "worker: npx tsx src/main.ts",
        ),
        ({"b/package.json": package(x="tsx src/worker.ts"), **{f"b/{path}": text for path, text in TYPED.items()}}, ""),
        (
            {
                "package.json": '{"scripts": {"start": "x"}, "dependencies": {"@temporalio/worker": "1", "koa": "1"}}',
                **TYPED,
            },
            "web: npm run start\nworker: npx tsx src/worker.ts",
        ),
        ({"package.json": "{}"}, "web: npm run start"),
        ({"go.mod": "module x\n"}, "api: go run ./"),
        ({"a/pom.xml": POM, "a/work/Jobs.java": "factory.newWorker(QUEUE)"}, "api: mvn spring-boot:run"),
        ({"build.gradle.kts": ""}, "api: gradle"),
        ({"a/a.csproj": ""}, "api: dotnet run"),
        ({"package.json": "{}", "tool.py": ""}, "api: python -m uvicorn"),
        ({}, "api: python -m uvicorn"),
    ],
)
def test_the_example_of_a_procfile_is_in_the_language_of_the_project(tmp_path, sources, example):
    found = proposed(tmp_path, sources)
    assert bool(found.processes) == (not example)
    assert found.example.startswith(example)


@pytest.mark.parametrize(
    ("lock", "is_said"), [("package-lock.json", False), ("yarn.lock", False), ("pnpm-lock.yaml", True)]
)
def test_the_package_that_brings_all_others(tmp_path, lock, is_said):
    """Not with pnpm: there a file may only import what its own package.json names."""
    manifest = '{"scripts": {"w": "node w.js"}, "dependencies": {"temporalio": "1"}}'
    source = "const { Worker } = require('@temporalio/worker');\n" + TS.replace("QUEUE", "taskQueue: 'q'")
    found = proposed(tmp_path, {"package.json": manifest, "w.js": source, lock: ""})
    assert only(found).queues == ("q",)
    assert bool(found.notes) == is_said


def test_what_has_to_be_built_before_is_said(tmp_path):
    scripts = {"build": "tsc", "work": "node dist/worker.js"}
    sources = {"package.json": package(**scripts), "src/worker.ts": TS.replace("QUEUE", "taskQueue: 'q'")}
    found = only(proposed(tmp_path, sources))
    assert "runs what `npm run build` makes" in found.why[1]
    scripts["work"] = "npm run build && node dist/worker.js"
    assert len(only(proposed(tmp_path, {"package.json": package(**scripts)})).why) == 1, "it does that itself"


@pytest.mark.parametrize(
    ("source", "readme", "command", "queue"),
    [
        (CSHARP.replace("QUEUE", '"literal"'), "", "dotnet run", "literal"),
        (CSHARP.replace("QUEUE", 'taskQueue: "named"'), "", "dotnet run", "named"),
        (CSHARP.replace("QUEUE", "Q") + 'const string Q = "a constant";', "", "dotnet run", "a constant"),
        ('services.AddHostedTemporalWorker("localhost:7233", "default", "hosted")', "", "dotnet run", "hosted"),
        (CSHARP.replace("QUEUE", '"q"'), "    dotnet run worker\n    dotnet run workflow\n", "dotnet run worker", "q"),
    ],
)
def test_a_worker_in_csharp(tmp_path, source, readme, command, queue):
    found = only(proposed(tmp_path, {"work/work.csproj": CSPROJ, "work/Program.cs": source, "work/README.md": readme}))
    assert (found.command, found.cwd, found.queues, found.watch) == (command, "work", (queue,), ("work/**/*.cs",))


@pytest.mark.parametrize(
    "sources",
    [
        {"go.mod": GO_MOD, "main.go": GO.replace("QUEUE", "os.Args[1]")},
        {"package.json": package(w="tsx worker.ts"), "worker.ts": TS.replace("QUEUE", "taskQueue: name()")},
        {
            "package.json": package(w="tsx worker.ts"),
            "worker.ts": TS.replace("QUEUE", "taskQueue: `a-${version}`"),
            "other.ts": "const version = 'another one';",
        },
        {"a.csproj": CSPROJ, "a.cs": CSHARP.replace("QUEUE", "args[0]")},
    ],
)
def test_a_queue_that_is_not_known_is_asked_for(tmp_path, sources):
    assert [question.key for question in proposed(tmp_path, sources).questions] == ["queue.worker"]


@pytest.mark.parametrize("second", ["`b-${version}`", "name()", "process.env.NOT_SET"])
def test_a_second_worker_whose_queue_is_not_known_is_said(tmp_path, second):
    source = TS.replace("QUEUE", "taskQueue: 'a'") + TS.replace("QUEUE", f"taskQueue: {second}")
    found = proposed(tmp_path, {"package.json": package(w="tsx worker.ts"), "worker.ts": source})
    assert only(found).ready == "worker:a"
    note = "worker.ts also makes a worker whose task queue is not known: `ready` of worker waits for a alone"
    assert found.notes == (note,)


def test_the_variable_that_a_second_queue_depends_on_is_said(tmp_path):
    second = "const version = process.env.VERSION || 'x';\n" + TS.replace("QUEUE", "taskQueue: `b-${version}`")
    source = TS.replace("QUEUE", "taskQueue: 'a'") + second
    found = only(proposed(tmp_path, {"package.json": package(w="tsx worker.ts"), "worker.ts": source}))
    assert (found.queues, found.why) == (("a", "b-x"), ("worker.ts polls a, b-x (VERSION, or its default)",))


@pytest.mark.parametrize(
    "sources",
    [
        {"main.go": GO.replace("QUEUE", '"q"')},
        {"go.mod": "module x\n", "main.go": GO.replace("QUEUE", '"q"')},
        {"package.json": "{", "worker.ts": TS.replace("QUEUE", "taskQueue: 'q'")},
        {"package.json": '{"scripts": [], "dependencies": {"@temporalio/worker": "1"}}', "worker.ts": TS},
        {"package.json": '["@temporalio/worker":', "worker.ts": TS},
        {"go.mod": GO_MOD, "main.go": b"\xff\xfe\x00"},
        {"pom.xml": POM, "src/test/java/A.java": JAVA},
    ],
    ids=range(7),
)
def test_what_is_no_worker_of_temporal(tmp_path, sources):
    assert not proposed(tmp_path, sources).processes


MANIFESTS = {"go.mod": GO_MOD, "package.json": package(w="tsx a.ts"), "a.csproj": CSPROJ, "pom.xml": POM}
STARTS = {
    "a.go": "worker.New(c, ",
    "b.go": "package main\n" * 5000 + "worker.New(",
    "a.ts": "Worker.create(",
    "b.ts": "from './a';\nWorker.create({taskQueue: ",
    "a.cs": "new TemporalWorkerOptions(",
    "b.cs": "AddHostedTemporalWorker(a, ",
    "A.java": "f.newWorker(",
    ".env.example": "KEY=",
    "README.md": "go run ",
}


@pytest.mark.parametrize(
    "filler",
    [
        " ",
        "a",
        "\n",
        "(",
        "worker.New(c, ",
        "Worker.create(",
        "taskQueue: ",
        "AddHostedTemporalWorker(",
        "f.newWorker(",
    ],
)
def test_texts_that_never_end_cost_little(tmp_path, filler):
    most = 190_000 // len(filler)
    with cpu_limit(5):
        proposed(tmp_path, {**MANIFESTS, **{name: start + filler * most for name, start in STARTS.items()}})


def test_another_name_of_the_package_in_go(tmp_path):
    source = (
        'package main\nimport sdkworker "go.temporal.io/sdk/worker"\n'
        'func main() {\n\tw := sdkworker.New(connected(ctx), "q", sdkworker.Options{})\n}\n'
    )
    assert only(proposed(tmp_path, {"go.mod": GO_MOD, "main.go": source})).queues == ("q",)


@pytest.mark.parametrize(
    ("sources", "command"),
    [
        (
            {
                "go.mod": GO_MOD,
                "queue/run.go": GO.replace("main", "queue").replace("func queue()", "func Run(queue string)"),
                "cmd/email/main.go": 'package main\nimport "example.com/shop/queue"\nfunc main() { queue.Run(of()) }',
                "cmd/billing/main.go": 'package main\nvar queue = "billing"\nfunc main() {}',
            },
            "go run ./cmd/email",
        ),
        (
            {
                "package.json": package(email="tsx src/email.ts"),
                "src/create.ts": f"export async function create(queue: string) {{\n{TS_GIVEN}}}",
                "src/email.ts": "import { create } from './create';\ncreate(of());",
                "src/billing.ts": "const queue = 'billing';",
            },
            "npm run email",
        ),
    ],
    ids=["go", "typescript"],
)
def test_a_parameter_is_not_the_variable_of_another_file(tmp_path, sources, command):
    sources = {path: text.replace("QUEUE", "queue") for path, text in sources.items()}
    proposal = proposed(tmp_path, sources)
    assert ([one.key for one in proposal.questions], only(proposal).command) == (["queue.worker"], command)


@pytest.mark.parametrize(
    "options",
    [
        'new TemporalWorkerOptions { TaskQueue = "q" }.AddWorkflow<W>()',
        'new TemporalWorkerOptions() { TaskQueue = "q", MaxCachedWorkflows = 3 }',
        'new() { TaskQueue = "q" }',
    ],
)
def test_options_as_properties_in_csharp(tmp_path, options):
    source = f"using var worker = new TemporalWorker(client, {options});"
    assert only(proposed(tmp_path, {"Shop.csproj": CSPROJ, "Program.cs": source})).queues == ("q",)


def test_a_queue_of_the_configuration_in_csharp_is_asked_for(tmp_path):
    source = 'services.AddHostedTemporalWorker(address, "default", taskQueue: config.GetValue<string>("Queue") ?? "q");'
    proposal = proposed(tmp_path, {"Shop.csproj": CSPROJ, "Program.cs": source})
    assert [one.key for one in proposal.questions] == ["queue.worker"]
