"""Small stacks without Temporal: the command line, the Procfile and the file watch of Windows."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.kit.machine import poll_until
from tests.kit.windows.programs import SERVICE
from tests.kit.windows.project import PATIENCE, WinProject
from tests.kit.windows.python import to_windows

pytestmark = pytest.mark.timeout(180)

Make = Callable[..., WinProject]

ARGUMENTS = "import sys, pathlib; print(ascii(sys.argv[1:]), ascii(pathlib.Path.cwd().name), flush=True)\n"


def test_a_procfile_of_windows(project: Make):
    """CRLF, backslashes, spaces, %VARIABLES%, a batch file and a command of cmd.exe."""
    lines = [
        "# CRLF",
        r'args: python tools\show.py "C:\a b\c" \\server\share %NAME% $NAME 100%',
        r'slash: "tools\my tool.cmd" 1 2',
        "builtin: echo from cmd& exit /b 0",
        r'folder: python ..\tools\show.py "quo""ted"',
    ]
    stack = project(
        "\r\n".join(lines) + "\r\n",
        name="my bot",
        env={"NAME": "名 x"},
        toml='[process]\nargs.restart = "never"\nslash.restart = "never"\nbuiltin.restart = "never"\n'
        'folder.restart = "never"\nfolder.cwd = "sub dir"\n',
    )
    for folder in ("tools", "sub dir"):
        (stack.folder / folder).mkdir()
    stack.write("tools/show.py", ARGUMENTS)
    stack.write("tools/my tool.cmd", "@echo tool %2 %1\r\n")
    result = stack.mika("up")
    assert result.code == 0, str(result)
    logs = {name: stack.log(name).strip() for name in ("args", "slash", "builtin", "folder")}
    name = ascii("名 x")[1:-1]
    assert logs["args"] == rf"['C:\\a b\\c', '\\\\server\\share', '{name}', '{name[:-2]}', 'x', '100%'] 'my bot'"
    assert logs["slash"] == "tool 2 1"
    assert logs["builtin"] == "from cmd"
    assert logs["folder"].endswith("'sub dir'")


def test_a_procfile_that_was_written_on_linux(project: Make):
    """Single quotes, and paths with `/`: cmd.exe, which runs batch files, knows neither."""
    stack = project(
        "shim: tool 'a b' 'c' \"d e\" $NAME\nslash: ./tools/tool.cmd 'x & y' && echo end\n",
        name="机器人 ü",
        env={"NAME": "名"},
        toml='[process]\nshim.restart = "never"\nslash.restart = "never"\n',
    )
    (stack.folder / "tools").mkdir()
    stack.write("show.py", ARGUMENTS)
    for file in ("tool.cmd", "tools/tool.cmd"):  # as npx.cmd does: it passes its arguments on
        stack.write(file, "@python show.py %*\r\n")
    result = stack.mika("up")
    assert result.code == 0, str(result)
    assert stack.log("shim").startswith(r"['a b', 'c', 'd e', '\u540d']")
    assert stack.log("slash").startswith("['x & y']")
    assert stack.log("slash").strip().endswith("end")


def test_a_process_is_described(project: Make):
    """Wine does not tell its program. A variable has one value, however it is spelt."""
    code = "import os, time; print(os.environ['MIXED'], flush=True); time.sleep(600)"
    stack = project(
        scripts={"web": code}, name="机器人 ü", env={"MIXED": "outer"}, toml='[process.web.env]\nMixed = "inner"\n'
    )
    stack.up()
    told = stack.ok("describe", "web").out
    assert "web.py" in told
    assert to_windows(stack.folder) in told
    assert "MIXED=inner  (mika.toml" in told
    poll_until(lambda: stack.log("web").strip() == "inner", PATIENCE, "its output")


def test_data_that_another_program_has_open(project: Make):
    stack = project(scripts={"web": SERVICE}, name="机器人 ü")
    stack.up()
    stack.ok("down")
    stack.write(".mika/data/temporal.db", "x")
    stack.agent.call("global viewer\nviewer = open(args[0])", to_windows(stack.folder / ".mika/data/temporal.db"))
    told = stack.error("down", "--volumes", "--yes", code=2).out
    assert "temporal.db: " in told
    assert "another program has it open (a database viewer, an editor?): close that" in told
    stack.agent.call("viewer.close()")
    stack.ok("down", "--volumes", "--yes")
    assert not (stack.folder / ".mika/data/temporal.db").exists()


@pytest.mark.parametrize("command", ["no-such-program --flag", r"tools\nothing.exe"])
def test_an_unknown_program_is_named_before_anything_starts(project: Make, command: str):
    stack = project(f"# CRLF\r\nweb: {command}\r\n")
    told = stack.error("up", "-d", code=2).out
    assert f"Procfile:2: the program '{command.split(maxsplit=1)[0]}'" in told
    assert "check its spelling" in told


def test_an_unknown_program_behind_cmd_gives_up(project: Make):
    stack = project("web: cd .& no-such-program\r\n")
    assert stack.mika("up", "-d").code in (0, 1), "it counts as ready until it ends"
    poll_until(lambda: stack.events("gave_up", "web"), PATIENCE, "web has given up")
    assert {exited["code"] for exited in stack.events("exited", "web")} == {9009}
    assert "no-such-program" in stack.events("gave_up", "web")[0]["reason"]


def test_a_folder_that_mika_has_never_seen(project: Make):
    stack = project("web: python web.py\r\n", name="新的 folder")
    for words, code in {"": 2, "status": 3, "logs": 0, "down": 0, "stop web": 3}.items():
        result = stack.mika(*words.split())
        assert result.code == code, str(result)
    settings = stack.ok("config", "--json").json
    assert settings["project"] == to_windows(stack.folder)
    assert settings["settings"]["API_PORT"] == {
        "value": stack.ports["API_PORT"], "origin": "environment", "secret": False
    }  # fmt: skip
    assert "TEMPORAL_PORT" in stack.ok("config").out
    assert not (stack.folder / ".mika").exists(), "looking changes nothing"


def test_colours_and_code_page_936(project: Make):
    """A Chinese Windows: nothing that a process prints can make `mika` fail."""
    stack = project(scripts={"web": SERVICE}, name="机器人", chinese=True)
    assert "ready" in stack.up().out
    poll_until(lambda: "GBK" in stack.log("web"), PATIENCE, "the output of web")
    plain = stack.ok("logs", process=True).out
    assert plain == "up ? 你好 ?\nGBK 你好\n"
    assert stack.mika("logs", env={"NO_COLOR": "1", "FORCE_COLOR": "1"}, process=True).out == plain
    assert "\x1b[" in stack.mika("up", "-d", env={"FORCE_COLOR": "1"}).out
    assert "\x1b[" not in stack.ok("up", "-d").out
    python = stack.agent.call("import sys\nanswer = sys.executable")
    command = f'chcp 936 && "{python}" -m mika -C "{to_windows(stack.folder)}" logs'
    in_cmd = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1], shell=True))"
    chcp = stack.python(["-c", in_cmd, command])
    assert chcp.code == 0, str(chcp)
    assert chcp.out.endswith(plain), str(chcp)
    assert stack.ok("down").out.startswith("stopped ")
    assert stack.log("web").endswith("clean\r\n")


def test_watch(project: Make):
    stack = project(scripts={"web": SERVICE}, name="with space")
    stack.up("--watch")
    pid = stack.pid("web")
    stack.write("web.py", SERVICE.replace("up ✓", "changed"))
    found = stack.wait_replaced("web", pid, PATIENCE)
    poll_until(lambda: "changed" in stack.log("web"), PATIENCE, "the new output")
    assert found["last_exit"]["code"] == 0
    assert stack.log("web").count("clean") == 1


def test_a_taken_port_is_named_before_anything_starts(project: Make):
    """Wine does not say who has it: the message must do without."""
    stack = project("api: python -m uvicorn src.api.main:app\r\n", backend="external")
    with socket.create_server(("127.0.0.1", stack.ports["API_PORT"])):
        told = stack.error("up", "-d", code=2).out
    assert f"port {stack.ports['API_PORT']} (API_PORT) is taken by another program" in told
    assert "choose another port in the environment: API_PORT=" in told


def test_a_script_that_captures_the_output_of_up_gets_it_at_once(project: Make):
    """The supervisor in the background must not hold the pipes of whoever ran `mika up -d`."""
    stack = project(scripts={"web": SERVICE})
    code = """
import os, subprocess, sys
done = subprocess.run([sys.executable, "-m", "mika", "-C", args[0], "up", "-d"], capture_output=True, text=True,
                      timeout=60, env={**os.environ, **args[1]}, cwd="C:\\\\")
answer = [done.returncode, done.stdout, done.stderr]
"""
    exit_code, out, err = stack.agent.call(code, to_windows(stack.folder), stack.environ())
    assert exit_code == 0, err
    assert "ready after" in out


def test_what_a_process_waits_for_and_what_ends_the_stack(project: Make):
    toml = r"""
[process.reads]
stdin = "open"
ready = "exec:python check.py"
[process.migrate]
restart = "never"
[process.tests]
ends = true
needs = ["migrate", "reads"]
"""
    stack = project(
        scripts={
            "reads": "import pathlib, sys; pathlib.Path('started').touch(); sys.stdin.read()\n",
            "migrate": "import pathlib, time; time.sleep(1); pathlib.Path('migrated').touch()\n",
            "tests": "import pathlib, sys; sys.exit(5 if pathlib.Path('migrated').exists() else 6)\n",
            "check": "import pathlib, sys; sys.exit(not pathlib.Path('started').exists())\n",
        },
        procfile="reads: python reads.py\nmigrate: python migrate.py\ntests: python tests.py\n",
        toml=toml,
    )
    up = stack.error("up", code=5)
    assert "tests failed: exit code 5" in up.out


def test_a_pattern_that_takes_too_long_for_a_line_holds_nothing_up(project: Make):
    says = "import time\nprint('a' * 45 + 'c', flush=True)\ntime.sleep(1)\nprint('aab', flush=True)\ntime.sleep(600)\n"
    stack = project(scripts={"says": says}, toml="[process.says]\nready = 'log:(a+)+b'\n")
    up = stack.ok("up", "-d")
    assert "ready: aab" in up.out


def test_a_program_that_leaves_its_work_to_another_one_is_told(project: Make):
    daemon = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    stack = project(scripts={"daemon": daemon}, toml="[process.daemon]\nmax_restarts = 1\n")
    assert stack.mika("up", "-d").code in (0, 1), "it counts as ready until it ends"
    poll_until(lambda: stack.events("gave_up", "daemon"), PATIENCE, "daemon has given up")
    told = "its first process exited (code 0) and left 1 more running, which were stopped"
    assert told in stack.events("gave_up", "daemon")[0]["reason"]
