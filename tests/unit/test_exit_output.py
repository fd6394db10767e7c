"""Why a process exited, by what Node, Java, Go and their tools really print (captured, with fewer lines)."""

from __future__ import annotations

import pytest
from mika.guard.segments import SegmentWriter
from mika.project import logs
from mika.supervisor.diagnose import find_error_line, find_permanent_cause
from mika.supervisor.output import last_lines, telling

JS_FRAMES = "\n".join(["    at a (/app/config.js:2:47)", "    at Module._compile (node:internal/modules:15:1)"] * 5)
JAVA_FRAMES = "\n".join(["\tat com.app.Main.f(Main.java:4) ~[classes/:na]"] * 60)


def reason(output: str) -> str:
    return find_error_line(output.splitlines())


def cause(output: str) -> str:
    return find_permanent_cause(output.splitlines(), 1).text


THROWN = f"""
> worker
> node worker.js

/app/config.js:2
const d = (n) => {{ if (!process.env[n]) throw new Error(`${{n}} is not set`); }};
                                        ^

Error: DATABASE_URL is not set
{JS_FRAMES}

Node.js v20.20.2
"""
PORT_TAKEN = f"""node:events:502
      throw er; // Unhandled 'error' event
      ^

Error: listen EADDRINUSE: address already in use :::3000
{JS_FRAMES}
Emitted 'error' event on Server instance at:
    at emitErrorNT (node:net:1944:8)
    at process.processTicksAndRejections (node:internal/process/task_queues:82:21) {{
  code: 'EADDRINUSE',
  errno: -98,
  syscall: 'listen',
  address: '::',
  port: 3000
}}

Node.js v20.20.2
"""
NO_ERROR = """/app/w.js:1
throw "no config";  // not an error
^
no config
(Use `node --trace-uncaught ...` to show where the exception was thrown)

Node.js v20.20.2"""
WITH_CAUSE = f"""Worker failed TypeError: fetch failed
    at run (/app/worker.js:1:29)
    ... 5 lines matching cause stack trace ...
    at node:internal/main/run_main_module:28:49 {{
  [cause]: Error: connect ECONNREFUSED 127.0.0.1:5432
  {JS_FRAMES}
      at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16) {{
    errno: -111,
    code: 'ECONNREFUSED'
  }}
}}
"""
JAVA = f"""Exception in thread "main" java.lang.RuntimeException: Could not start the worker
{JAVA_FRAMES}
Caused by: java.lang.IllegalStateException: config is broken
\t... 1 more
Caused by: java.lang.IllegalArgumentException: DATABASE_URL is not set
{JAVA_FRAMES}
\t... 12 more
\tSuppressed: java.io.IOException: Error while closing
\t\tat com.app.Main.close(Main.java:9)
"""
MAVEN_END = """[\x1b[1;31mERROR\x1b[m]
[\x1b[1;31mERROR\x1b[m] To see the full stack trace of the errors, re-run Maven with the \x1b[1m-e\x1b[m switch.
[\x1b[1;31mERROR\x1b[m] Re-run Maven using the \x1b[1m-X\x1b[m switch to enable full debug logging.
[\x1b[1;31mERROR\x1b[m]
[\x1b[1;31mERROR\x1b[m] For more information about the errors and possible solutions, please read the following:
[\x1b[1;31mERROR\x1b[m] \x1b[1m[Help 1]\x1b[m http://cwiki.apache.org/confluence/display/MAVEN/MojoFailureException
\x1b[0m\x1b[0m
"""
SPRING = f"""2026-11-30T02:27:53.190Z ERROR 325 --- [ main] o.s.boot.SpringApplication  : Application run failed

org.springframework.beans.factory.BeanCreationException: Error creating bean with name 'boom'
{JAVA_FRAMES}
Caused by: java.lang.IllegalStateException: DATABASE_URL is not set
{JAVA_FRAMES}
\t... 20 common frames omitted

[\x1b[1;31mERROR\x1b[m] Failed to execute goal \x1b[32morg.springframework:maven-plugin:3.3.4:run\x1b[m \
\x1b[1m(default-cli)\x1b[m on project \x1b[36mdemo\x1b[m: \x1b[1;31mProcess terminated with exit code: 1\x1b[m ->\
 \x1b[1m[Help 1]\x1b[m
{MAVEN_END}"""
GO_PANIC = """panic: DATABASE_URL is not set

goroutine 1 [running]:
panic({0x4811e0?, 0x497d08?})
\t/usr/local/go/src/runtime/panic.go:860 +0x13a
main.f(0xdc97d7f41e0?)
\t/app/main.go:4 +0x93
main.main()
\t/app/main.go:3 +0x25

goroutine 18 [select]:
main.error()
\t/app/main.go:9 +0x25
exit status 2
"""
NPM = """npm error Lifecycle script `start` failed with error:
npm error code 1
npm error path /app
npm error workspace worker@1.0.0
npm error location /app
npm error command failed
npm error command sh -c node worker.js
"""
NPM_6 = """npm ERR! code ELIFECYCLE
npm ERR! errno 1
npm ERR! mini@ worker: `node worker.js`
npm ERR! Exit status 1
npm ERR!
npm ERR! Failed at the mini@ worker script.
npm ERR! This is probably not a problem with npm. There is likely additional logging output above.

npm ERR! A complete log of this run can be found in:
npm ERR!     /root/.npm/_logs/2026-11-30T02_26_35_344Z-debug.log
"""
GRADLE = """
FAILURE: Build failed with an exception.

* What went wrong:
Execution failed for task ':run'.
> Process 'command '/usr/bin/java'' finished with non-zero exit value 1

* Try:
> Run with --stacktrace option to get the stack trace.
> Get more help at https://help.gradle.org.

BUILD FAILED in 2s
"""


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (THROWN, "Error: DATABASE_URL is not set"),
        (THROWN + NPM, "Error: DATABASE_URL is not set"),
        (THROWN + NPM_6, "Error: DATABASE_URL is not set"),
        (THROWN + "error Command failed with exit code 1.\n", "Error: DATABASE_URL is not set"),
        (PORT_TAKEN, "Error: listen EADDRINUSE: address already in use :::3000"),
        (WITH_CAUSE, "Error: connect ECONNREFUSED 127.0.0.1:5432"),
        (NO_ERROR, "no config"),
        ("[TransportError: no way] {\n  code: 14,\n  error: 'unknown'\n}", "[TransportError: no way]"),
        (
            f"ValidationError: Invalid config:\n  - PORT: no number\n{JS_FRAMES}",
            "ValidationError: Invalid config: PORT: no number",
        ),
        (JAVA, "java.lang.IllegalArgumentException: DATABASE_URL is not set"),
        (JAVA + GRADLE, "java.lang.IllegalArgumentException: DATABASE_URL is not set"),
        (SPRING, "java.lang.IllegalStateException: DATABASE_URL is not set"),
        (GO_PANIC, "panic: DATABASE_URL is not set"),
        (
            "2026/11/30 starting\n2026/11/30 unable to create client\nexit status 1",
            "2026/11/30 unable to create client",
        ),
        ("2026/11/30 serving\nsignal: killed", "signal: killed"),
        ("panic: no config\nsignal: killed", "panic: no config"),
        ("make: *** [Makefile:3: run] Error 1", "make: *** [Makefile:3: run] Error 1"),  # if there is nothing else
        ('{\n  "error": "no config"\n}', '"error": "no config"'),
    ],
)
def test_the_reason_is_the_program_s_own_error(output, expected):
    assert reason(output) == expected


def test_maven_tells_what_a_goal_has_failed_of():
    failed = (
        "[ERROR] Failed to execute goal org.codehaus.mojo:exec-maven-plugin:3.6.4:java (default-cli) on project demo: "
    )
    said = "An exception occurred while executing the Java class. DATABASE_URL is not set"
    assert reason(f"{failed}{said} -> [Help 1]\n{MAVEN_END}") == said


def test_npm_s_own_error():
    missing = 'npm error Missing script: "wroker"'
    output = f"> build\n> tsc\n\n{missing}\nnpm error\nnpm error To see a list of scripts, run:\nnpm error   npm run\n"
    assert reason(output) == cause(output) == missing
    unread = "enoent Could not read package.json: Error: ENOENT: no such file or directory, open '/app/package.json'"
    output = (
        f"npm error code ENOENT\nnpm error syscall open\nnpm error path /app\nnpm error errno -2\nnpm error {unread}\n"
    )
    assert reason(output + "npm error enoent\nnpm error A complete log is in: /x") == f"npm error {unread}"


def test_gradle_s_own_error():
    output = GRADLE.replace(
        "Process 'command '/usr/bin/java'' finished with non-zero exit value 1", "Could not find a.b:c:1."
    )
    assert reason(output) == "FAILURE: Execution failed for task ':run'. Could not find a.b:c:1."


def test_colours_hide_nothing():
    output = "\x1b[31m[ERROR]\x1b[m disk quota exceeded\n\x1b(B\x1b[m\n\x1b[0m"
    assert reason(output) == "[ERROR] disk quota exceeded"
    pretty = (
        "\x1b[96msrc/a.ts\x1b[0m:\x1b[93m1\x1b[0m:\x1b[93m7\x1b[0m - \x1b[91merror\x1b[0m\x1b[90m TS2322: \x1b[0mNo"
    )
    assert cause(pretty) == "src/a.ts:1:7 - error TS2322: No"
    assert "\x1b" not in reason("an error\x1b[3")


def test_the_last_lines_are_plain_and_many(tmp_path):
    writer = SegmentWriter(str(tmp_path), "worker", 1 << 20)
    writer.write(b"of the run before\n")
    start = logs.end(tmp_path, "worker")
    writer.write(b"Error: \x1b[31mno\x1b[m\n" + b"    at x (/a.js:1:1)\n" * 200 + b"\x1b[0m\r\n\n\x1b[0m")
    writer.close()
    lines = last_lines(tmp_path, "worker", start)
    assert (lines[0], len(lines)) == ("Error: no", 201)
    assert telling(lines) == ["Error: no"]


SPRING_PORT = """Error starting ApplicationContext. To display the report re-run your application with 'debug' enabled.
2026-11-30T02:27:53.190Z ERROR 32571 --- [           main] o.s.b.d.LoggingFailureAnalysisReporter   :

***************************
APPLICATION FAILED TO START
***************************

Description:

Web server failed to start. Port 8080 was already in use.

Action:

Identify and stop the process that's listening on port 8080 or configure this application to listen on another port.

"""
SPRING_SAYS = "Web server failed to start. Port 8080 was already in use."
GO_PORT = "2026/11/30 02:26:39 listen tcp :45992: bind: address already in use"
MAVEN_COMPILER = f"""\x1b[0m[\x1b[1;31mERROR\x1b[m] COMPILATION ERROR :
[\x1b[1;31mERROR\x1b[m] /app/Flow.java:[18,9] cannot find symbol
  symbol:   class Foo
  location: class com.app.Flow
[\x1b[1;31mERROR\x1b[m] /app/Flow.java:[19,1] ';' expected
[\x1b[1;31mERROR\x1b[m] Failed to execute goal \x1b[32morg.apache.maven:maven-compiler-plugin:3.13.0:compile\x1b[m\
 \x1b[1m(default-compile)\x1b[m on project \x1b[36mdemo\x1b[m: \x1b[1;31mCompilation failure\x1b[m: Compilation failure:
[\x1b[1;31mERROR\x1b[m] /app/Flow.java:[18,9] cannot find symbol
[\x1b[1;31mERROR\x1b[m]   symbol:   class Foo
[\x1b[1;31mERROR\x1b[m]   location: class com.app.Flow
[\x1b[1;31mERROR\x1b[m] /app/Flow.java:[19,1] ';' expected
[\x1b[1;31mERROR\x1b[m] -> \x1b[1m[Help 1]\x1b[m
{MAVEN_END}"""
WEBPACK_LOGGED = "\n".join(
    f"\x1b[35m2026-11-30T02:03:17.52{number}Z\x1b[39m [ERROR] {text}"
    for number, text in enumerate(
        [
            "\x1b[1m./workflows.js\x1b[39m\x1b[22m 296 bytes \x1b[1m\x1b[33m[built]\x1b[39m\x1b[22m",
            "",
            "\x1b[1m\x1b[31mERROR\x1b[39m\x1b[22m in \x1b[1m./workflows.js\x1b[39m\x1b[22m \x1b[1m\x1b[32m14:0\x1b[39m",
            "\x1b[1mModule parse \x1b[1m\x1b[31mfailed\x1b[39m\x1b[22m\x1b[1m: Unexpected\x1b[22m token (14:0)",
            "File was parsed as module type 'javascript/auto'.",
            "webpack 5.113.0 compiled with \x1b[1m\x1b[31m1 error\x1b[39m\x1b[22m in 1697 ms",
        ]
    )
)
WEBPACK_TS = """ERROR in ./src/flow.ts
Module build failed (from ./node_modules/swc-loader/src/index.js):
Error:   x Expression expected
   ,-[/app/src/flow.ts:2:1]
 2 |   const x = ;
   :             ^
   `----
Caused by:
    Syntax Error
webpack 5.113.0 compiled with 1 error in 8549 ms"""
WEBPACK_END = f"\nError: Webpack finished with errors, if you're unsure what went wrong, visit our page\n{JS_FRAMES}\n"
NODE_SYNTAX = (
    f"/app/worker.js:11\nconst y = ;\n          ^\n\nSyntaxError: Unexpected token ';'\n{JS_FRAMES}\n\nNode.js v20.20.2"
)
TSX = f"""    triggerUncaughtException(
    ^

Error: Transform failed with 1 error:
/app/a.ts:1:10: ERROR: Unexpected ";"
{JS_FRAMES}
    at Pipe.onStreamRead (node:internal/stream_base_commons:191:23) {{
  name: 'TransformError'
}}

Node.js v20.20.2"""


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (PORT_TAKEN, "Error: listen EADDRINUSE: address already in use :::3000"),
        (f"{GO_PORT}\nexit status 1", GO_PORT),
        (SPRING_PORT + MAVEN_END, f"APPLICATION FAILED TO START: {SPRING_SAYS}"),
        (MAVEN_COMPILER, "/app/Flow.java:[18,9] cannot find symbol: class Foo"),
        (
            "p/Q.java:2: error: illegal start\nclass Q { int x = ; }\n           ^\n1 error",
            "p/Q.java:2: error: illegal start",
        ),
        (WEBPACK_LOGGED + WEBPACK_END, "ERROR in ./workflows.js 14:0: Module parse failed: Unexpected token (14:0)"),
        (WEBPACK_TS + WEBPACK_END, "ERROR in ./src/flow.ts: Error: x Expression expected (/app/src/flow.ts:2:1)"),
        (WEBPACK_END, "Error: Webpack finished with errors, if you're unsure what went wrong, visit our page"),
        (NODE_SYNTAX, "SyntaxError: Unexpected token ';' (/app/worker.js:11)"),
        (
            "file:///app/b.mjs:1\nimport {a} from 'b';\n        ^\nSyntaxError: No 'a'\n",
            "SyntaxError: No 'a' (/app/b.mjs:1)",
        ),
        (
            "a.ts(1,7): error TS2322: 1\nb.ts(2,1): error TS2307: Cannot find module './nope'",
            "a.ts(1,7): error TS2322: 1",
        ),
        (TSX, '/app/a.ts:1:10: ERROR: Unexpected ";"'),
        ("# ex.com/g\nmain.go:2:8: first\nmain.go:3:14: second", "main.go:2:8: first"),
        ("stat /app/wroker: directory not found", "stat /app/wroker: directory not found"),
        ("stat wroker.go: no such file or directory", "stat wroker.go: no such file or directory"),
    ],
)
def test_what_a_retry_cannot_mend(output, expected):
    assert cause(output) == reason(output) == expected


@pytest.mark.parametrize(
    "output",
    [
        THROWN,
        SPRING,
        GO_PANIC,
        f"undefined:1\n<html>\n^\n\nSyntaxError: Unexpected token '<', \"<html>\" is not valid JSON\n{JS_FRAMES}",
        "2026/11/30 02:26:39 stat /data/state.go: no such file or directory",
        "[WARNING] /app/Flow.java:[18,9] [deprecation] stop() in Thread has been deprecated\nno way",
        WEBPACK_TS + "\nError: connect ECONNREFUSED 127.0.0.1:7233",
    ],
)
def test_what_a_retry_may_mend(output):
    assert cause(output) == ""


SUM = "{file}: missing go.sum entry for module providing package go.temporal.io/sdk/{package} (imported by {importer})"


def missing_sums(*importers: str) -> str:
    return "".join(
        f"{SUM.format(file=f'{n}.go:6:2', package=n, importer=importer)}; to add:\n\tgo get {importer}\n"
        for n, importer in enumerate(importers)
    )


def test_the_remedy_that_go_knows():
    one = find_permanent_cause(missing_sums("app", "app").splitlines(), 1)
    assert one.text == SUM.format(file="0.go:6:2", package=0, importer="app")
    assert one.fix == "run `go get app`"
    assert find_permanent_cause(missing_sums("app", "app/worker").splitlines(), 1).fix == "run `go mod tidy`"
    absent = (
        "main.go:2:8: no required module provides package go.temporal.io/sdk; to add it:\n\tgo get go.temporal.io/sdk"
    )
    assert find_permanent_cause(absent.splitlines(), 1).fix == "run `go get go.temporal.io/sdk`"
    assert cause("go: updates to go.mod needed; to update it:\n\tgo mod tidy") == "go: updates to go.mod needed"
