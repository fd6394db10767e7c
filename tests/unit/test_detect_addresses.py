"""The address of Temporal's server in the source of other languages than Python."""

from __future__ import annotations

import pytest
from mika.detect.proposal import propose

from tests.kit.machine import cpu_limit
from tests.kit.sources import only, proposed

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


GO_CONFIG = """package config
type Config struct {
	Temporal Temporal
}
type Temporal struct {
	Host string `envconfig:"T_HOST" default:"localhost"`
	Port int    `envconfig:"T_PORT" default:"7233"`
}
func (t Temporal) HostPort() string {
	return fmt.Sprintf("%s:%d", t.Host, t.Port)
}
func Load() (*Config, error) { return parsed() }
"""
BOTH, PORT = {"T_HOST": "localhost", "T_PORT": "${TEMPORAL_PORT}"}, {"T_PORT": "${TEMPORAL_PORT}"}


@pytest.mark.parametrize(
    ("before", "address", "told"),
    [
        ("", 'fmt.Sprintf("%s:%s", os.Getenv("TEMPORAL_HOST"), os.Getenv("TEMPORAL_PORT"))', {}),
        ("", 'os.Getenv("TEMPORAL_HOST") + ":" + os.Getenv("TEMPORAL_PORT")', {}),
        ("", 'net.JoinHostPort(os.Getenv("T_HOST"), os.Getenv("T_PORT"))', BOTH),
        ("", 'fmt.Sprintf("%s:7233", getEnv("T_HOST", "temporal"))', {"T_HOST": "localhost"}),
        ("", 'getEnv("T_HOST", "localhost") + ":" + getEnv("T_PORT", "7233")', PORT),
        ('h := os.Getenv("T_HOST")\n\tp := os.Getenv("T_PORT")', 'fmt.Sprintf("%s:%s", h, p)', BOTH),
        ('a := fmt.Sprintf("%s:%s", os.Getenv("T_HOST"), os.Getenv("T_PORT"))', "a", BOTH),
        ("cfg, err := config.Load()", 'fmt.Sprintf("%s:%d", cfg.Temporal.Host, cfg.Temporal.Port)', PORT),
        ("cfg, err := config.Load()", "net.JoinHostPort(cfg.Temporal.Host, strconv.Itoa(cfg.Temporal.Port))", PORT),
        ("cfg, err := config.Load()", "cfg.Temporal.HostPort()", PORT),
        ("", 'fmt.Sprintf("%s:%s", host(), port())', {}),
    ],
)
def test_host_and_port_in_go_are_told_apart(tmp_path, before, address, told):
    main = (
        'package main\nimport (\n\t"go.temporal.io/sdk/client"\n\t"go.temporal.io/sdk/worker"\n)\nfunc main() {\n'
        f"\t{before}\n\tc, err := client.Dial(client.Options{{HostPort: {address}}})\n"
        '\tw := worker.New(c, "q", worker.Options{})\n}\n'
    )
    module = "module example.com/shop\n\nrequire go.temporal.io/sdk v1.37.0\n"
    sources = {"go.mod": module, "config/config.go": GO_CONFIG, "main.go": main}
    found = proposed(tmp_path, sources)
    assert (only(found).env, found.notes) == (told, ())
    assert not only(proposed(tmp_path, sources, T_HOST="of.the.user", T_PORT="1")).env


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("`${process.env.TEMPORAL_HOST}:${process.env.TEMPORAL_PORT}`", {}),
        ("`${process.env.TEMPORAL_HOST || 'localhost'}:${process.env.TEMPORAL_PORT || 7233}`", {}),
        ("`${process.env.T_HOST || 'temporal'}:${process.env.T_PORT ?? '7233'}`", BOTH),
        ("process.env.T_HOST + ':' + process.env.T_PORT", BOTH),
        ("`${process.env.T_HOST}:7233`", {"T_HOST": "localhost"}),
    ],
)
def test_host_and_port_in_a_template_are_told_apart(tmp_path, address, told):
    worker = (
        "import { NativeConnection, Worker } from '@temporalio/worker';\n"
        f"const connection = await NativeConnection.connect({{ address: {address} }});\n"
        "const worker = await Worker.create({ connection, taskQueue: 'q' });\n"
    )
    manifest = '{"scripts": {"worker": "tsx src/worker.ts"}, "dependencies": {"@temporalio/worker": "1", "tsx": "4"}}'
    found = proposed(tmp_path, {"package.json": manifest, "src/worker.ts": worker})
    assert (only(found).env, found.notes) == (told, ())


def test_a_fixed_port_beside_a_variable_for_the_host_is_that_of_the_server(tmp_path):
    worker = (
        "import { NativeConnection, Worker } from '@temporalio/worker';\n"
        "const connection = await NativeConnection.connect({ address: `${process.env.T_HOST}:7244` });\n"
        "const worker = await Worker.create({ connection, taskQueue: 'q' });\n"
    )
    manifest = '{"scripts": {"worker": "tsx src/worker.ts"}, "dependencies": {"@temporalio/worker": "1", "tsx": "4"}}'
    found = proposed(tmp_path, {"package.json": manifest, "src/worker.ts": worker})
    assert found.settings["TEMPORAL_PORT"].value == "7244"
