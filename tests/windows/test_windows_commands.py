"""Small stacks without Temporal: the command line, the console, the Procfile and the file watch of Windows."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable

import pytest

from tests.kit.machine import poll_until
from tests.kit.windows.project import PATIENCE, WinProject
from tests.kit.windows.python import kill_tree, to_windows

pytestmark = pytest.mark.timeout(180)

Make = Callable[..., WinProject]

# Prints what a console of code page 936 has and what it lacks, and in GBK itself; ends well at Ctrl-C.
SERVICE = """
import os, sys, time
print("up ✓ 你好 🙂", flush=True)
os.write(1, "GBK 你好\\r\\n".encode("gbk"))
try:
    time.sleep(600)
except KeyboardInterrupt:
    print("clean", flush=True)
"""

# A console without a window, with two processes: this one, which presses the keys, and the command. Linux says when.
CONSOLE = """
import ctypes, json, os, subprocess, sys, time
from pathlib import Path

if sys.argv[1] != "inside":
    sys.exit(subprocess.call([sys.executable, __file__, "inside", *sys.argv[1:]],
                             creationflags=subprocess.CREATE_NO_WINDOW))
_, _, output, *command = sys.argv
kernel32 = ctypes.WinDLL("kernel32")
survive = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(lambda event: 1)
kernel32.SetConsoleCtrlHandler(None, False)
kernel32.SetConsoleCtrlHandler(survive, True)
kernel32.SetConsoleCP(936)
kernel32.SetConsoleOutputCP(936)
pipe = subprocess.PIPE if output == "pipe" else None
process = subprocess.Popen(command, stdout=pipe, stderr=pipe and subprocess.STDOUT)
press, ended = Path("press"), Path("ended")
while process.poll() is None:
    if press.exists():
        press.unlink()
        kernel32.GenerateConsoleCtrlEvent(0, 0)
    time.sleep(0.05)
text = process.stdout.read().decode("utf-8", "replace") if pipe else ""
Path("ended.new").write_text(json.dumps([process.returncode, text]))
os.replace("ended.new", ended)
"""

ARGUMENTS = "import sys, pathlib; print(ascii(sys.argv[1:]), ascii(pathlib.Path.cwd().name), flush=True)\n"


# Wine passes no Ctrl-Break on. This is what Windows does to the process that gets one, with nobody pressing it.
BREAK = """
import pathlib, signal, sys, threading, time
def wait():
    while not pathlib.Path("break").exists():
        time.sleep(0.05)
    signal.raise_signal(signal.SIGBREAK)
threading.Thread(target=wait, daemon=True).start()
from mika.cli.main import main
main()
"""


@pytest.mark.parametrize(("key", "output"), [("Ctrl-C", "console"), ("Ctrl-C", "pipe"), ("Ctrl-Break", "pipe")])
def test_keys_stop_a_foreground_up_gracefully(project: Make, key: str, output: str):
    stack = project(scripts={"web": SERVICE, "console": CONSOLE, "brk": BREAK}, procfile="web: python web.py\n")
    ended = stack.folder / "ended"
    mika = ["brk.py"] if key == "Ctrl-Break" else ["-m", "mika"]
    python = stack.agent.call("import sys\nanswer = sys.executable")
    process = stack.windows.popen(["console.py", output, python, *mika, "up"], cwd=stack.folder, env=stack.environ())
    try:
        stack.wait_ready(PATIENCE)
        poll_until(lambda: "GBK" in stack.log("web"), PATIENCE, "the output of web")
        stack.write("break" if key == "Ctrl-Break" else "press", "0")
        poll_until(ended.exists, PATIENCE, "the end of `mika up`")
    finally:
        kill_tree(process)
        assert process.stdout is not None
        process.stdout.close()
    code, text = json.loads(ended.read_text(encoding="utf-8"))
    assert code == 130, text
    assert stack.log("web").endswith("clean\r\n")
    stack.assert_gone(10)
    if output == "pipe":
        assert "ready after" in text
        assert "web | up ? ?? ?" in text, "a western Windows has none of these characters"
        assert "web | clean" in text
        assert "stopping (Ctrl-C again forces it)" in text


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
    plain = stack.ok("logs").out
    assert plain == "up ? 你好 ?\nGBK 你好\n"
    assert stack.mika("logs", env={"NO_COLOR": "1", "FORCE_COLOR": "1"}).out == plain
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
    assert "set API_PORT to another port" in told


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


def test_a_program_that_leaves_its_work_to_another_one_is_told(project: Make):
    daemon = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    stack = project(scripts={"daemon": daemon}, toml="[process.daemon]\nmax_restarts = 1\n")
    up = stack.error("up", "-d", code=1)
    assert "its first process exited (code 0) and left 1 more running, which were stopped" in up.out
