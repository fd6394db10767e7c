from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from mika.errors import UsageError
from mika.procfile.command import Command, build

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="runs /bin/sh")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with programs of both systems in `bin`, and one of each in `tools`."""
    for name in (
        "bin/prog",
        "bin/python",
        "bin/prog.exe",
        "bin/npm.cmd",
        "bin/app.py",
        "tools/run",
        "tools/run.exe",
        "bin/my prog",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"#!/bin/sh\n")
        path.chmod(0o755)
    (tmp_path / "tools/plain").write_text("echo hi\n")
    (tmp_path / "tools/plain").chmod(0o755)
    (tmp_path / "tools/data").write_text("x")
    (tmp_path / "start.ps1").write_text("x")
    (tmp_path / "venv" / "Scripts").mkdir(parents=True)
    (tmp_path / "venv" / "Scripts" / "python.exe").touch()
    return tmp_path


def make(command: str, folder: Path, platform: str, **env: str) -> Command:
    env = {"PATH": str(folder / "bin"), "PATHEXT": ".EXE;.CMD;.PY", **env}
    return build(command, env, folder, platform, where="Procfile:3")


VARIABLES = {"API_PORT": "8000", "OPTS": "-a  -b", "EMPTY": "", "SPACED": "a b", "LEAD": " x ", "PROG": "prog"}


@posix_only
@pytest.mark.parametrize(
    ("command", "argv", "extra"),
    [
        ("prog --port $API_PORT", ["prog", "--port", "8000"], {}),
        ("prog --port=${API_PORT}/x", ["prog", "--port=8000/x"], {}),
        ("prog 'a $API_PORT' \"b $API_PORT\"", ["prog", "a $API_PORT", "b 8000"], {}),
        ('prog \\$API_PORT a\\ b "q\\"\\n"', ["prog", "$API_PORT", "a b", 'q"\\n'], {}),
        ("prog $OPTS", ["prog", "-a", "-b"], {}),
        ('prog "$OPTS"', ["prog", "-a  -b"], {}),
        ("prog $EMPTY \"$EMPTY\" ''", ["prog", "", ""], {}),
        ("prog a${LEAD}b", ["prog", "a", "x", "b"], {}),
        ("prog ${NOPE:-7} ${API_PORT:-7} ${EMPTY:-7}", ["prog", "7", "8000", "7"], {}),
        ("prog # a comment; with | more", ["prog"], {}),
        ("prog a#b", ["prog", "a#b"], {}),
        ("prog 'a|b' \"c;d\" e\\&f", ["prog", "a|b", "c;d", "e&f"], {}),
        ('A=1 B="x y" C=$SPACED prog $API_PORT', ["prog", "8000"], {"A": "1", "B": "x y", "C": "a b"}),
        ("A=1 B=$A prog", ["prog"], {"A": "1", "B": "1"}),
        ("prog A=1", ["prog", "A=1"], {}),
        ("exec prog x", ["prog", "x"], {}),
        ("$PROG x", ["prog", "x"], {}),
        ("'my prog' 1", ["my prog", "1"], {}),
        ("prog 100% {a,b} a$ $/ x~y a=b", ["prog", "100%", "{a,b}", "a$", "$/", "x~y", "a=b"], {}),
        ("./tools/run x", ["../tools/run", "x"], {}),
        ("prog 你好 'é'", ["prog", "你好", "é"], {}),
    ],
)
def test_posix_without_a_shell(folder: Path, command: str, argv: list[str], extra: dict[str, str]) -> None:
    found = make(command, folder, "linux", **VARIABLES)
    assert (list(found.line[1:]), found.env, found.behind_shell) == (argv[1:], extra, False)
    assert found.line[0] == str((folder / "bin" / argv[0]).resolve())


@posix_only
@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("prog > out.log 2>&1", "exec prog > out.log 2>&1"),
        ("A=1 prog >> out.log", "exec env A=1 prog >> out.log"),
        ("A=$SPACED prog >> out.log", "A=$SPACED prog >> out.log"),
        ("2>err.log prog", "2>err.log exec prog"),
        ("prog *.py", "exec prog *.py"),
        ("prog ~/x", "exec prog ~/x"),
        ("prog $$ $1", "exec prog $$ $1"),
        ("cd tools && prog x", "cd tools && exec prog x"),
        ("cd tools; A=1 prog x", "cd tools; exec env A=1 prog x"),
        ("prog a || prog b", "prog a || exec prog b"),
        ("prog a && cd x", "prog a && cd x"),
        ("prog a && exec prog b", "prog a && exec prog b"),
        ("prog | prog", "prog | prog"),
        ("prog &", "prog &"),
        ("prog & wait", "prog & wait"),
        ("trap 'x' EXIT; prog", "trap 'x' EXIT; prog"),
        ("while true; do prog; done", "while true; do prog; done"),
        ("if true; then prog; fi", "if true; then prog; fi"),
        ("! prog", "! prog"),
        ("(prog)", "(prog)"),
        ("prog $(date)", "prog $(date)"),
        ("prog `date`", "prog `date`"),
        ('prog "$(echo "it\'s")"', 'prog "$(echo "it\'s")"'),
        ("prog ${API_PORT%0}", "prog ${API_PORT%0}"),
        ("exec -a x prog", "exec -a x prog"),
        (". ./env.sh", ". ./env.sh"),
    ],
)
def test_posix_with_a_shell(folder: Path, command: str, text: str) -> None:
    found = make(command, folder, "linux", **VARIABLES)
    assert found == Command(("/bin/sh", "-c", text), behind_shell=True)


@posix_only
def test_the_real_shell_agrees(folder: Path) -> None:
    """The words of each plain command are those that /bin/sh makes of it."""
    show = folder / "bin" / "show"
    show.write_text('#!/bin/sh\nfor a in "$@"; do printf \'<%s>\' "$a"; done\nprintf \'[%s]\' "$A"\n')
    show.chmod(0o755)
    env = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", **VARIABLES}
    for command in [
        'show $OPTS"$OPTS" a$LEAD"b"$LEAD $EMPTY \'\' ""$EMPTY',
        "A=$SPACED show \\a\\'b\"c\\d\\\\\" 'x\\y' ${NOPE:-n} x=$API_PORT # end",
        "show a$ \"$\" $. $/ {} {a,b} a~ % ^ ! @ + , - 'a'\\''b' \\\\",
        "show a\\",
        "A=1 show $API_PORT$API_PORT",
        "cd tools && show 1 2>&1",
        "A='x y' show *.nothing > /dev/stdout",
    ]:
        found = build(command, env, folder, "linux")
        ours = subprocess.run(found.line, env=env | found.env, cwd=folder, capture_output=True, check=True, timeout=20)
        theirs = subprocess.run(
            ["/bin/sh", "-c", command], env=env, cwd=folder, capture_output=True, check=True, timeout=20
        )
        assert ours.stdout == theirs.stdout, command
        assert ours.stdout


@posix_only
@pytest.mark.parametrize("command", ["$PY -c $CODE", "cd tools && $PY -c $CODE", "A=1 $PY -c $CODE 2>&1"])
def test_the_pid_is_the_programs_own(folder: Path, command: str) -> None:
    env = {"PATH": "/usr/bin:/bin", "PY": sys.executable, "CODE": "print(__import__('os').getpid())"}
    found = build(command, env, folder)
    with subprocess.Popen(found.line, env=env | found.env, cwd=folder, stdout=subprocess.PIPE) as process:
        output, _ = process.communicate(timeout=20)
    assert int(output) == process.pid


@posix_only
def test_a_script_without_a_shebang_runs(folder: Path) -> None:
    found = make("tools/plain x", folder, "linux")
    assert found.line == ("/bin/sh", str(folder / "tools/plain"), "x")


@posix_only
@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("prog $API_PROT", "$API_PROT is not set; did you mean API_PORT?; set it in .env or in the environment"),
        ("prog $API_PROT > x", "$API_PROT is not set"),
        ("A=$QQ prog", "$QQ is not set; set it"),
        ("prgo x", "the program 'prgo' is not on PATH; check its spelling, and whether mika uses the environment"),
        ("prgo x > y", "the program 'prgo' is not on PATH"),
        ("PATH=/nowhere prog", "the program 'prog' is not on PATH"),
        ("./nope", "the program './nope' does not exist in "),
        ("tools/data", "'tools/data' is not executable; run: chmod +x tools/data"),
        ("tools", "the program 'tools' is not on PATH"),
        ("python3", "the program 'python3' is not on PATH; write 'python'"),
        ("prog 'a", "the quote ' at column 6 of the command is never closed"),
        ('prog "a > b', 'the quote " at column 6 of the command is never closed'),
        ("$EMPTY", "is empty once its variables"),
        ("A=1", "has no command"),
        ("# x", "has no command"),
        ("x" * 5000, "the program 'xxx"),
    ],
)
def test_posix_errors(folder: Path, command: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(command, folder, "linux", **VARIABLES)
    assert caught.value.message.startswith(f"Procfile:3: {message}")


@pytest.mark.parametrize(
    ("command", "argv", "extra"),
    [
        (r'.\tools\run.exe "a b"', ["../tools/run.exe", "a b"], {}),
        (r".\tools\run C:\new\table", ["../tools/run.exe", r"C:\new\table"], {}),
        ("prog --port $API_PORT ${API_PORT}", ["prog.exe", "--port", "8000", "8000"], {}),
        ("prog $api_port %API_PORT% %NOPE% a%20b", ["prog.exe", "8000", "8000", "%NOPE%", "a%20b"], {}),
        (r'prog "a\"b" "c\\" d\"e f\\g', ["prog.exe", 'a"b', "c\\", 'd"e', r"f\\g"], {}),
        (r'prog "x""y" "" a"b c"d', ["prog.exe", 'x"y', "", "ab cd"], {}),
        ("prog 'a $API_PORT' it's", ["prog.exe", "a $API_PORT", "it's"], {}),
        ('prog "a & b" "$OPTS" $OPTS', ["prog.exe", "a & b", "-a  -b", "-a", "-b"], {}),
        ("A=1 prog ; # x", ["prog.exe", ";"], {"A": "1"}),
        ("exec prog", ["prog.exe"], {}),
        (r"prog \\server\share$\x $", ["prog.exe", r"\\server\share$\x", "$"], {}),
    ],
)
def test_windows_without_a_shell(folder: Path, command: str, argv: list[str], extra: dict[str, str]) -> None:
    found = make(command, folder, "win32", **VARIABLES)
    assert (list(found.line[1:]), found.env, found.behind_shell) == (argv[1:], extra, False)
    assert found.line[0] == str((folder / "bin" / argv[0]).resolve())


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("prog a & prog $API_PORT # x", "prog a & prog 8000 "),
        ("A=1 prog > out.log", "prog > out.log"),
        ("prog ^& x", "prog ^& x"),
        ('ECHO %PATH% "q"', 'ECHO %PATH% "q"'),
        ("npm run ${X:-dev}", '"{bin}npm.cmd" run dev'),
        ("npm", '"{bin}npm.cmd"'),
        ("npm run 'a b' 'c' 'd $NOPE' $API_PORT", '"{bin}npm.cmd" run "a b" c "d $NOPE" 8000'),
        ("echo 'a & b' # x", 'echo "a & b" '),
        ("./tools/go.cmd a/b && ../x/y.cmd | cd/d c/d", r".\tools\go.cmd a/b && ..\x\y.cmd | cd/d c/d"),
        (r"venv/Scripts/activate & prog", r"venv\Scripts\activate & prog"),
        ("app a", '"{bin}app.py" a'),
    ],
)
def test_windows_with_a_shell(folder: Path, command: str, text: str) -> None:
    found = make(command, folder, "win32", COMSPEC=r"C:\Windows\cmd.exe", **VARIABLES)
    text = text.replace("{bin}", str(folder / "bin" / "x")[:-1])
    assert found.behind_shell
    assert found.line == rf'"C:\Windows\cmd.exe" /d /s /c "{text}"'
    assert found.env == ({"A": "1"} if command.startswith("A=1") else {})


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ('prog "a', 'the quote " at column 6 of the command is never closed'),
        ("prog $API_PROT", "$API_PROT is not set; did you mean API_PORT?"),
        ("prog ${A%x}", "${… is shell syntax, which Windows does not have"),
        ("prog $(date)", "$(… is shell syntax, which Windows does not have"),
        (r".\nope.exe", r"the program '.\nope.exe' does not exist in "),
        ("nope", "the program 'nope' is not on PATH"),
        (
            "start.ps1",
            "Windows does not run 'start.ps1' by itself; write 'powershell -ExecutionPolicy",
        ),
        ("tools/data x", "Windows does not run 'tools/data' by itself; write the program that does"),
        (
            "venv/bin/python3 x.py",
            r"'venv/bin/python3' is 'venv\Scripts\python' on Windows; write that",
        ),
        ("source venv/Scripts/activate && prog", "'source' is not known to cmd.exe; leave it out"),
        ("export A=1 && prog", "'export' is not known to cmd.exe; write NAME=value before the program"),
        ("prog $env:API_PORT", "$env:NAME is known to PowerShell only; write $NAME or %NAME%"),
    ],
)
def test_windows_errors(folder: Path, command: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(command, folder, "win32", **VARIABLES)
    assert caught.value.message.startswith(f"Procfile:3: {message}")


def test_cmd_cannot_work_in_a_network_folder() -> None:
    """It would run the command in the folder of Windows, and only say so in its output."""
    share = "\\\\server\\share"
    with pytest.raises(UsageError) as caught:
        build("echo x", {}, Path(f"{share}\\shop"), "win32")
    assert caught.value.message.startswith(f"Procfile: needs cmd.exe, which cannot work in {share}\\shop; ")
    assert f'`net use N: "{share}' in caught.value.message
