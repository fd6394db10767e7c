"""The address of Temporal's server in the source of other languages than Python."""

from __future__ import annotations

import pytest
from mika.detect.proposal import propose

from tests.kit.machine import cpu_limit
from tests.kit.sources import proposed

GO_MOD = "module x\n\nrequire go.temporal.io/sdk v1.37.0\n"
NODE = '{"dependencies": {"@temporalio/client": "1"}}'
POM = "<dependency><groupId>io.temporal</groupId></dependency>"
CSPROJ = '<PackageReference Include="Temporalio" Version="1" />'

GO = 'package x\nimport "go.temporal.io/sdk/client"\nfunc f() {\n\tc, err := client.Dial(client.Options{OPTIONS})\n}\n'
TS = "import { NativeConnection, Worker } from '@temporalio/worker';\nawait NativeConnection.connect(OPTIONS);\n"
CREATE = "import { Worker } from '@temporalio/worker';\nconst w = await Worker.create(OPTIONS);\n"
JAVA = "import io.temporal.serviceclient.*;\nclass A { WorkflowServiceStubs s = OPTIONS; }\n"
TARGET = "WorkflowServiceStubs.newServiceStubs(WorkflowServiceStubsOptions.newBuilder().setTarget(OPTIONS).build())"
CSHARP = "var client = await TemporalClient.ConnectAsync(new(OPTIONS) { Namespace = x });\n"

FIXED = [
    ("a.go", GO, 'HostPort: "localhost:7233"'),
    ("a.go", GO, "HostPort: client.DefaultHostPort,"),
    ("a.go", GO, ""),
    ("a.go", GO, 'Namespace: "default", ConnectionOptions: client.ConnectionOptions{},'),
    ("a.go", GO + 'const Address = "localhost:7233"\n', "HostPort: Address,"),
    ("a.go", GO + 'func g() { address := "localhost:7233" }\n', "\n\t\tHostPort: address,\n"),
    ("a.ts", TS, "{ address: 'localhost:7233' }"),
    ("a.ts", TS, ""),
    ("a.ts", TS, "{ tls: { a: 1 } }"),
    ("a.ts", "const address = '127.0.0.1:7233';\n" + TS, "{ address }"),
    ("a.ts", CREATE, "{ taskQueue: 'q', bundlerOptions: { x: 1 } }"),
    ("A.java", JAVA, "WorkflowServiceStubs.newLocalServiceStubs()"),
    ("A.java", JAVA, "WorkflowServiceStubs.newInstance()"),
    ("A.java", JAVA, TARGET.replace("OPTIONS", '"127.0.0.1:7233"')),
    ("A.java", JAVA + 'static final String TARGET = "localhost:7233";', TARGET.replace("OPTIONS", "TARGET")),
    ("a.cs", CSHARP, '"localhost:7233"'),
    ("a.cs", 'AddHostedTemporalWorker("localhost:7233", "default", "q")', ""),
]
OPEN = [
    ("a.go", GO, 'HostPort: os.Getenv("TEMPORAL_ADDRESS")'),
    ("a.go", GO, 'HostPort: envOr("TEMPORAL_ADDRESS", "localhost:7233")'),
    ("a.go", GO, "HostPort: cfg.HostPort"),
    ("a.go", GO + 'func g(address string) {}\nvar x = Y{address: "localhost:7233"}', "HostPort: address"),
    ("a.go", GO.replace("client.Dial(", "opts := (").replace("})", '})\n\topts.HostPort = "x.y:1"'), ""),
    ("a.go", "// client.Dial(client.Options{})\n", ""),
    ("a.ts", TS, "{ address: process.env.TEMPORAL_ADDRESS ?? 'localhost:7233' }"),
    ("a.ts", TS, "{ address: process.env.TEMPORAL_ADDRESS }"),
    ("a.ts", TS, "{ ...options }"),
    ("a.ts", TS, "options"),
    ("a.ts", TS, "{ address: 'my.cloud:7233' }"),
    ("a.ts", "const f = (address = 'localhost:7233') => address;\n" + TS, "{ address }"),
    ("a.ts", CREATE, "{ connection, taskQueue: 'q' }"),
    ("a.ts", TS.replace("@temporalio/worker", "a-database"), ""),
    ("A.java", JAVA, TARGET.replace("OPTIONS", 'System.getenv("TEMPORAL_ADDRESS")')),
    ("A.java", "class A { B b = C.newBuilder().setTarget(OPTIONS).build(); } // Temporal", '"localhost:7233"'),
    ("a.cs", CSHARP, 'Environment.GetEnvironmentVariable("TEMPORAL_ADDRESS") ?? "localhost:7233"'),
]


def project(path: str, source: str, options: str) -> dict[str, str]:
    return {
        "go.mod": GO_MOD,
        "package.json": NODE,
        "pom.xml": POM,
        "a.csproj": CSPROJ,
        path: source.replace("OPTIONS", options),
    }


@pytest.mark.parametrize(("path", "source", "options"), FIXED)
def test_a_fixed_address_decides_the_port(tmp_path, path, source, options):
    port = 7244 if "7233" in source + options else 7233
    sources = {name: text.replace("7233", str(port)) for name, text in project(path, source, options).items()}
    assert "TEMPORAL_PORT" not in propose(tmp_path, {}, (8000, 7299), {}).settings
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    guess = propose(tmp_path, {}, (8000, 7299), {}).settings["TEMPORAL_PORT"]
    assert (guess.value, guess.why) == (str(port), f"{path} always connects to this port")
    assert "TEMPORAL_PORT" not in propose(tmp_path, {}, (8000, port), {}).settings


@pytest.mark.parametrize(("path", "source", "options"), OPEN)
def test_an_address_that_may_be_another_decides_nothing(tmp_path, path, source, options):
    sources = {name: text.replace("7233", "7244") for name, text in project(path, source, options).items()}
    found = proposed(tmp_path, sources)
    assert "TEMPORAL_PORT" not in found.settings
    assert not [note for note in found.notes if "compose" in note]


@pytest.mark.parametrize(
    ("path", "source", "options", "advice"),
    [
        ("a.go", GO, 'HostPort: "temporal:7233"', "change it"),
        ("a.ts", TS, "{ address: process.env.T_URL || 'temporal:7233' }", "set T_URL"),
        ("A.java", JAVA, TARGET.replace("OPTIONS", '"temporal:7233"'), "change it"),
        ("a.cs", CSHARP, '"temporal:7233"', "change it"),
    ],
)
def test_a_name_of_compose(tmp_path, path, source, options, advice):
    note = f"{path} connects to temporal:7233, a name that exists only inside compose: {advice}"
    assert note in proposed(tmp_path, project(path, source, options)).notes


@pytest.mark.parametrize(
    "filler", [" ", "a ", "\n", "{", "(", "Temporal client.Options{", "Connection.connect({a", "//"]
)
def test_texts_that_never_end_cost_little(tmp_path, filler):
    starts = {
        "a.go": GO + "client.Options{",
        "a.ts": TS.replace("OPTIONS", "{ address }") + "const address",
        "b.ts": CREATE.replace("OPTIONS);", "{"),
        "A.java": JAVA + ".setTarget(",
        "a.cs": "Temporal ConnectAsync(new(",
    }
    most = 190_000 // len(filler)
    manifests = project("x.md", "", "")
    with cpu_limit(5):
        proposed(tmp_path, {**manifests, **{path: text + filler * most for path, text in starts.items()}})
