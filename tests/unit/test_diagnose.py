"""What the last lines of a process say."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from mika.supervisor.cause import find_cause
from mika.supervisor.diagnose import (
    Missing,
    ended_itself,
    find_error_line,
    find_missing,
    find_permanent_cause,
    numbers,
)
from mika.supervisor.hosts import explain_host

TRACEBACK = """Traceback (most recent call last):
  File "<frozen runpy>", line 198, in _run_module_as_main
  File "/app/worker.py", line 3, in <module>
    import nowhere
{}""".splitlines()


def traceback(last: str) -> list[str]:
    return [line.format(last) for line in TRACEBACK]


@pytest.mark.parametrize(
    "line",
    [
        "ModuleNotFoundError: No module named 'nowhere'",
        "ImportError: cannot import name 'a' from 'b' (/app/b.py)",
        "SyntaxError: invalid syntax",
        "IndentationError: unexpected indent",
        "/usr/bin/python: No module named src.workers.temporal_wroker",
        'ERROR:    Error loading ASGI app. Could not import module "src.api.mian".',
        "/usr/bin/python: can't open file '/app/x.py': [Errno 2] No such file or directory",
        "Error: Cannot find module '@temporalio/worker'",
        "worker.ts(3,1): error TS2307: Cannot find module '@temporalio/worker' or its type declarations.",
        "cmd/jobs/main.go:9:2: missing go.sum entry for module providing package go.temporal.io/sdk/client; to add:",
        "RuntimeError: Worker validation failed: Namespace mika was not found or otherwise could not be retrieved",
        "ERROR:    [Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use",
    ],
)
def test_what_a_retry_cannot_mend(line):
    expected = line.removesuffix("; to add:")
    place = " (/app/worker.py:3)" if line.startswith(("SyntaxError", "IndentationError", "TabError")) else ""
    assert find_permanent_cause(traceback(line), 1).text == expected + place
    assert find_permanent_cause([line, "", "  "], 1).text == expected


@pytest.mark.parametrize(
    "line",
    [
        "ConnectionRefusedError: [Errno 111] Connection refused",
        "RuntimeError: Failed client connect: Server connection error",
        "KeyError: 'ImportError'",
        "MemoryError",
        "2026/11/28 12:00:00 main.go:23: unable to connect: connection refused",
        "workflow not_found",
        "GET /nowhere 404 Not Found",
        "",
    ],
)
def test_what_a_retry_may_mend(line):
    assert not find_permanent_cause(traceback(line), 1)


@pytest.mark.parametrize(
    ("line", "missing"),
    [
        ("ModuleNotFoundError: No module named 'nowhere.inner'", Missing("python", "nowhere")),
        ("/usr/bin/python: No module named uvicorn", Missing("python", "uvicorn")),
        ("ImportError: cannot import name 'a' from 'b' (/app/b.py)", None),
        ("Error: Cannot find module '@temporalio/worker'", Missing("node", "@temporalio/worker")),
        ("Error: Cannot find module 'dotenv/config'", Missing("node", "dotenv")),
        ("src/a.ts(1,1): error TS2307: Cannot find module 'zod' or its type declarations.", Missing("node", "zod")),
        ("Error: Cannot find module './activities'", None),
        ("Error: Cannot find module '/app/node_modules/@acme/shared/dist/index.js'. Please verify", Missing("built")),
        ("sh: 1: ts-node: not found", Missing("program")),
        ("/bin/sh: tsx: command not found", Missing("program")),
        ('npm error npx canceled due to missing packages and no YES option: ["tsx@4.23.15"]', Missing("program")),
        ("order 7: not found", None),
    ],
)
def test_what_a_program_did_not_find(line, missing):
    assert find_missing([*traceback(line), "", "stopped"], 1) == missing


def test_a_program_that_the_shell_did_not_find():
    assert find_missing(["something in the language of the user"], 9009) == Missing("program")
    assert find_missing([], 1) is None
    yarn = ["/bin/sh: 1: ts-node: not found", "error Command failed with exit code 127.", "info Visit https://x.y"]
    assert find_permanent_cause(yarn, 127).text == yarn[0]


def test_what_was_killed_did_not_end_by_what_it_had_said():
    lines = ["ModuleNotFoundError: No module named 'optional'; going on without it"]
    assert asyncio.run(find_cause(lines, 1, []))
    assert not asyncio.run(find_cause(lines, -9, []))


@pytest.mark.parametrize(
    "line",
    [
        "RuntimeError: Worker validation failed: Namespace orders was not found or otherwise could not be retrieved",
        "temporalio.service.RPCError: Namespace orders is not found.",
        "2026/11/30 05:02:39 Unable to start worker Namespace orders is not found.",
        "[cause]: ServiceError: Namespace 'orders' was not found or otherwise could not be described",
    ],
)
def test_a_namespace_that_is_missing(line):
    assert find_permanent_cause(traceback(line), 1).fix == (
        "let it use TEMPORAL_NAMESPACE, or add `orders` to `namespaces` under [temporal] in mika.toml"
    )


def chain(*errors):
    """What Python prints of `raise ... from ...`, with the first error first."""
    between = ["", "The above exception was the direct cause of the following exception:", ""]
    lines = traceback(errors[0])
    for error in errors[1:]:
        lines += [*between, *traceback(error)]
    return lines


def test_an_error_with_a_cause_is_told_with_the_first_one():
    lines = chain("KeyError: 'dsn'", "LookupError: no settings", "app.StartError: cannot start")
    assert find_error_line(lines) == "app.StartError: cannot start: KeyError: 'dsn'"
    during = [line.replace("above exception was the direct cause of", "during") for line in lines]
    assert find_error_line(during) == "app.StartError: cannot start"
    assert find_error_line(chain("OSError: no", "app.StartError: OSError: no")) == "app.StartError: OSError: no"


@pytest.mark.parametrize("file", ["<frozen os>", "/usr/lib/python3.12/os.py", r"C:\Python\Lib\os.py"])
def test_a_variable_that_is_not_set(file):
    lines = [*TRACEBACK[:-1], f'  File "{file}", line 679, in __getitem__', "KeyError: 'DJANGO_SECRET_KEY'"]
    why = find_permanent_cause(lines, 1)
    assert (why.text, why.fix) == ("KeyError: 'DJANGO_SECRET_KEY'", "set DJANGO_SECRET_KEY in .env")
    assert not find_permanent_cause(traceback("KeyError: 'order'"), 1)


@pytest.mark.parametrize(
    "error",
    [
        'environs.exceptions.EnvNotSetError: Environment variable "API_KEY" not set',
        "decouple.UndefinedValueError: API_KEY not found. Declare it as envvar or define a default value.",
        "django.core.exceptions.ImproperlyConfigured: Set the API_KEY environment variable",
        "openai.OpenAIError: api_key must be set either here or by setting the API_KEY environment variable",
        "pydantic_ai.exceptions.UserError: Set the `API_KEY` environment variable or pass it via `Provider(api_key=…)`",
        "omegaconf.errors.InterpolationResolutionError: KeyError raised: \"Environment variable 'API_KEY' not found\"",
        "KeyError: \"Config 'API_KEY' is missing, and has no default.\"",
        "ValueError: API_KEY environment variable is required",
        "RuntimeError: the environment variable API_KEY is not set",
    ],
)
def test_a_variable_that_a_library_wants(error):
    assert find_permanent_cause(traceback(error), 1).fix == "set API_KEY in .env"
    assert not find_permanent_cause([f"WARNING {error.partition(': ')[2]}"], 1), "only a warning"


@pytest.mark.parametrize(
    "line",
    [
        'env: required environment variable "T_URL" is not set',
        '2026/11/30 21:10:00 env: required environment variable "T_URL" is not set; required key Q',
        "2026/11/30 21:10:00 required key T_URL missing value",
        "Temporal: Address: missing required value: T_URL",
        "java.lang.IllegalArgumentException: Could not resolve placeholder 'T_URL' in value \"${T_URL}\"",
    ],
)
def test_a_variable_that_a_library_of_go_or_spring_wants(line):
    why = find_permanent_cause(["starting", line, "exit status 1"], 1)
    assert (why.text, why.fix) == (line, "set T_URL in .env")


@pytest.mark.parametrize(
    "path", ["/app/dist/worker.js", r"C:\app\lib\worker.js", "/app/node_modules/@shop/shared/dist/index.js"]
)
def test_what_is_not_built_yet(path):
    why = find_permanent_cause([f"Error: Cannot find module '{path}'", "  code: 'MODULE_NOT_FOUND',"], 1)
    assert why.fix == "a build usually makes this file: run the build first"
    assert not find_permanent_cause(
        [f"Error: Cannot find module '{path.replace('dist', 'x').replace('lib', 'x')}'"], 1
    ).fix


def test_a_file_of_env_file_that_is_not_there():
    why = find_permanent_cause(["> tsx --env-file=.env src/worker.ts", "", "node: .env: not found"], 9)
    assert (why.text, why.fix) == ("node: .env: not found", "make .env, or take `--env-file` out of the command")
    assert find_permanent_cause(["node: bad option: --env-file"], 9)


PYDANTIC = """\
pydantic_core._pydantic_core.ValidationError: 2 validation errors for Settings
openai_api_key
  Field required [type=missing, input_value={'port': 's3cret'}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2.14/v/missing
port
  Input should be a valid integer, unable to parse string as an integer [type=int_parsing, input_value='s3cret', in]
    For further information visit https://errors.pydantic.dev/2.14/v/int_parsing""".splitlines()


def test_a_database_file_that_belongs_to_somebody_else():
    error = "unable to create SQLite admin DB: attempt to write a readonly database (8)"
    why = find_permanent_cause([f"Error: failed starting server: failed creating namespaces: {error}"], 1)
    assert error in why.text
    assert "cannot be written: check who owns it" in why.fix
    full = "Error: unable to create SQLite admin DB: unable to open database file (14)"
    assert not find_permanent_cause([full], 1), "SQLite says so, too, for want of file descriptors: that passes"


def test_settings_that_pydantic_refuses():
    lines = ["Traceback (most recent call last):", *PYDANTIC, "", "ERROR:    Application startup failed. Exiting."]
    why = find_permanent_cause(lines, 3)
    assert why.text == find_error_line(lines)
    assert why.text.partition("Settings: ")[2] == (
        "openai_api_key: Field required; port: Input should be a valid integer, unable to parse string as an integer"
    )
    assert why.fix == "set what is required in .env"
    order = [line.replace("Settings", "Order") for line in lines]
    assert not find_permanent_cause(order, 3), "it may be what somebody has sent"


def test_a_status_of_grpc_is_told_by_its_message():
    line = (
        "RuntimeError: Worker validation failed: Namespace orders was not found or otherwise could not be described:"
        ' Status { code: NotFound, message: "Namespace orders is not found.", details: b"\\x08\\x05", source: None }'
    )
    assert find_error_line(traceback(line)).endswith("could not be described: Namespace orders is not found.")


def test_a_worker_that_starts_when_it_is_imported():
    lines = [
        *chain(
            "RuntimeError: asyncio.run() cannot be called from a running event loop",
            "RuntimeError: Failed validating workflow Greeting",
        ),
        "sys:1: RuntimeWarning: coroutine 'main' was never awaited",
    ]
    why = find_permanent_cause(lines, 1)
    assert why.text.startswith("RuntimeError: Failed validating workflow Greeting: RuntimeError: asyncio.run() cannot")
    assert why.fix == 'put what starts the worker below `if __name__ == "__main__":`'


def test_who_has_the_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        line = f"2026/11/30 02:26:39 listen tcp 127.0.0.1:{port}: bind: address already in use"
        why = asyncio.run(find_cause([line, "exit status 1"], 1, []))
        assert why.text == line
        assert f"(pid {os.getpid()}) listens on port {port}; stop that program" in why.fix
        assert asyncio.run(find_cause(["BindException: Address already in use"], 1, [port])).fix == why.fix
    assert not asyncio.run(find_cause([line], 1, [port])), "it will be free in a minute"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026/11/30 02:26:39 listen tcp :8091: bind: address already in use", [8091]),
        ("2026/11/30 02:26:39.123456 listen tcp 10.0.0.5:8091: bind: address already in use", [8091]),
        ("Error: listen EADDRINUSE: address already in use :::3000", [3000]),
        ("[Errno 98] error while attempting to bind on address ('127.0.0.1', 8000): address already in use", [8000]),
        ('Os { code: 98, kind: AddrInUse, message: "Address already in use" }', []),
        ("2026-11-30T02:27:53.190Z 325 Port 8080 was already in use", [8080, 325]),
    ],
)
def test_the_numbers_that_may_be_ports(line, expected):
    assert numbers(line) == expected


def test_only_the_end_of_the_output_counts():
    assert not find_permanent_cause(["ImportError: optional", *["working"] * 50], 1)
    assert not find_permanent_cause([], 1)


def test_the_newest_cause_counts():
    lines = [
        "ImportError: first",
        "During handling of the above exception, another exception occurred:",
        "SyntaxError: b",
    ]
    assert find_permanent_cause(lines, 1).text == "SyntaxError: b"


def test_a_cause_is_bounded():
    assert len(find_permanent_cause(["ImportError: " + "x" * 10_000], 1).text) == 300
    assert len(find_error_line(["x" * 10_000])) == 300


@pytest.mark.parametrize("code", [126, 127, 9009])
def test_a_shell_that_did_not_find_the_program(code):
    assert find_permanent_cause(["sh: 1: uvicron: not found"], code).text == "sh: 1: uvicron: not found"
    assert find_permanent_cause([], code)
    assert not find_permanent_cause(["not found"], 1)


DUMP = """Fatal Python error: PyGILState_Release: thread state 0x7f34c8000f80 must be current when releasing
Python runtime state: finalizing (tstate=0x00007f34e2576ef8)

Thread 0x00007f34e26aeb80 (most recent call first):
  <no Python frame>""".splitlines()


def test_what_crashes_after_the_end_is_not_why_it_ended():
    lines = [*traceback("ModuleNotFoundError: No module named 'nowhere'"), *DUMP]
    assert (
        find_error_line(lines)
        == find_permanent_cause(lines, -6).text
        == "ModuleNotFoundError: No module named 'nowhere'"
    )
    assert ended_itself(-6, lines)
    for others in (["all is well", *DUMP], DUMP, [*lines[:5], DUMP[0], "Python runtime state: initialized", *DUMP[2:]]):
        assert find_error_line(others) == DUMP[0]
        assert not ended_itself(-6, others)


def test_find_error_line():
    assert find_error_line(traceback("ValueError: no")) == "ValueError: no"
    assert find_error_line(["ValueError: no", "", "bye", "  "]) == "ValueError: no"
    assert find_error_line(["some.module.OddError: dotted", "bye"]) == "some.module.OddError: dotted"
    assert (
        find_error_line(["2026-01-01 fatal: not a git repository", "bye"]) == "2026-01-01 fatal: not a git repository"
    )
    assert find_error_line(["one", "two", ""]) == "two"
    assert find_error_line(["", " "]) == ""
    assert find_error_line([]) == ""


RUST = (
    "RuntimeError: Failed client connect: Server connection error: tonic::transport::Error(Transport,"
    ' ConnectError(ConnectError("dns error", Custom { kind: Uncategorized, error: "failed to lookup address'
    ' information: Name or service not known" })))'
)
NOWHERE = f"db-{'x' * 64}"  # so long that no network is asked for it


@pytest.mark.parametrize(
    "lines",
    [
        [f'    client = await Client.connect("{NOWHERE}:7233")', "             ^^^^", RUST],
        [
            f"    s = socket.create_connection(('{NOWHERE}', 6379))",
            "socket.gaierror: [Errno -2] Name or service not known",
        ],
        [
            f'    e = create_engine("postgresql://me:pw@{NOWHERE}:5432/x")',
            "socket.gaierror: [Errno 11001] getaddrinfo failed",
        ],
        [f"redis.exceptions.ConnectionError: Error -2 connecting to {NOWHERE}:6379. Name or service not known."],
        [f"ServerSelectionTimeoutError: {NOWHERE}:27017: [Errno -3] Temporary failure in name resolution (configured)"],
        [f'OperationalError: could not translate host name "{NOWHERE}" to address: Name or service not known'],
        [f"Error: getaddrinfo ENOTFOUND {NOWHERE}", "    at GetAddrInfoReqWrap.onlookupall [as oncomplete]"],
        [
            'Exception in thread "main" java.lang.RuntimeException: no connection',
            f"Caused by: java.net.UnknownHostException: {NOWHERE}: Name or service not known",
            "\tat java.base/java.net.Inet6AddressImpl.lookupAllHostAddr(Native Method)",
        ],
        [f"2026/11/28 panic: dial tcp: lookup {NOWHERE} on 127.0.0.53:53: no such host"],
    ],
)
def test_a_host_of_compose(lines):
    why = explain_host(lines)
    assert why.text.startswith(f"the host name `{NOWHERE}` cannot be resolved here: ")
    assert ("TEMPORAL_ADDRESS" in why.fix) == (RUST in lines)


@pytest.mark.parametrize(
    "lines",
    [
        [f'    client = await Client.connect("{NOWHERE}:7233")', "ValueError: no"],
        ['    client = await Client.connect("localhost:7233")', RUST],
        ['    client = await Client.connect("temporal.no-such-domain.invalid:7233")', RUST],  # the network may be away
        ["    client = await Client.connect(settings.address)", RUST],
        [],
    ],
)
def test_what_is_not_a_host_of_compose(lines):
    assert not explain_host(lines)


def test_tls_to_a_server_that_has_none():
    """As Temporal's Python SDK says it; that of a server that is about to start is another error."""
    error = (
        "RuntimeError: Failed client connect: Server connection error: tonic::transport::Error(Transport,"
        " ConnectError(Custom { kind: InvalidData, error: InvalidMessage(InvalidContentType) }))"
    )
    cause = find_permanent_cause(["Traceback (most recent call last):", error], 1)
    assert cause.fix == "this server speaks no TLS: connect to it without `tls` and `api_key`"
    assert "InvalidContentType" in cause.text
