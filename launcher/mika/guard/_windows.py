"""The guard on Windows: it has its own console, without a window, and two nested Job Objects.

The supervisor starts the guard with CREATE_NO_WINDOW, so a Ctrl-C event sent to this console reaches the guard and its
service, and nothing else. The outer job contains the guard itself and dies with it. The inner job contains the
service's tree, so the guard can count and kill the tree and still live to report it.
"""

from __future__ import annotations

import ctypes
import msvcrt
import os
import queue
import subprocess
import sys
import threading
import time
from ctypes import wintypes

from mika.guard.child import (
    DRAIN_SECONDS,
    GIVE_UP_SECONDS,
    READ_SIZE,
    Log,
    RequestReader,
    check_cwd,
    emit,
    hold_lock,
    start_error,
)
from mika.guard.lean import suppress

TYPE_CHECKING = False  # importing `typing` is too expensive here: see child.py
if TYPE_CHECKING:
    from typing import Any, BinaryIO

if sys.platform != "win32":
    raise ImportError("mika.guard._windows works only on Windows")

# learn.microsoft.com/windows/win32/procthread/process-creation-flags
CREATE_SUSPENDED = 0x4
# learn.microsoft.com/windows/win32/api/winnt/ns-winnt-jobobject_basic_limit_information
JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE = 0x2000
# learn.microsoft.com/windows/win32/api/winnt/ne-winnt-jobobjectinfoclass
JOB_OBJECT_BASIC_ACCOUNTING_INFORMATION = 1
JOB_OBJECT_EXTENDED_LIMIT_INFORMATION = 9
# learn.microsoft.com/windows/console/generateconsolectrlevent
CTRL_C_EVENT = 0
CTRL_BREAK_EVENT = 1
KILLED_CODE = 1  # exit code of killed processes, the same as after "End task" in the Task Manager
_POLL = 0.02  # s, while the tree is stopping: a job reports only to a completion port that it is empty


class _BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = (
        ("PerProcessUserTimeLimit", wintypes.LARGE_INTEGER),
        ("PerJobUserTimeLimit", wintypes.LARGE_INTEGER),
        ("LimitFlags", wintypes.DWORD),
        ("MinimumWorkingSetSize", ctypes.c_size_t),
        ("MaximumWorkingSetSize", ctypes.c_size_t),
        ("ActiveProcessLimit", wintypes.DWORD),
        ("Affinity", ctypes.c_size_t),
        ("PriorityClass", wintypes.DWORD),
        ("SchedulingClass", wintypes.DWORD),
    )


class _ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("BasicLimitInformation", _BasicLimits),
        ("IoInfo", ctypes.c_ulonglong * 6),
        ("ProcessMemoryLimit", ctypes.c_size_t),
        ("JobMemoryLimit", ctypes.c_size_t),
        ("PeakProcessMemoryUsed", ctypes.c_size_t),
        ("PeakJobMemoryUsed", ctypes.c_size_t),
    )


class _Accounting(ctypes.Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION."""

    _fields_ = (
        ("TotalUserTime", wintypes.LARGE_INTEGER),
        ("TotalKernelTime", wintypes.LARGE_INTEGER),
        ("ThisPeriodTotalUserTime", wintypes.LARGE_INTEGER),
        ("ThisPeriodTotalKernelTime", wintypes.LARGE_INTEGER),
        ("TotalPageFaultCount", wintypes.DWORD),
        ("TotalProcesses", wintypes.DWORD),
        ("ActiveProcesses", wintypes.DWORD),
        ("TotalTerminatedProcesses", wintypes.DWORD),
    )


_kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
_HANDLER = ctypes.WINFUNCTYPE(wintypes.BOOL, wintypes.DWORD)
for _function, _result, _arguments in (
    (_kernel32.CreateJobObjectW, wintypes.HANDLE, (ctypes.c_void_p, wintypes.LPCWSTR)),
    (
        _kernel32.SetInformationJobObject,
        wintypes.BOOL,
        (wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD),
    ),
    (
        _kernel32.QueryInformationJobObject,
        wintypes.BOOL,
        (wintypes.HANDLE, ctypes.c_int, ctypes.c_void_p, wintypes.DWORD, ctypes.c_void_p),
    ),
    (_kernel32.AssignProcessToJobObject, wintypes.BOOL, (wintypes.HANDLE, wintypes.HANDLE)),
    (_kernel32.TerminateJobObject, wintypes.BOOL, (wintypes.HANDLE, wintypes.UINT)),
    (_kernel32.GetCurrentProcess, wintypes.HANDLE, ()),
    (_kernel32.SetConsoleCtrlHandler, wintypes.BOOL, (ctypes.c_void_p, wintypes.BOOL)),
    (_kernel32.GenerateConsoleCtrlEvent, wintypes.BOOL, (wintypes.DWORD, wintypes.DWORD)),
):
    _function.restype, _function.argtypes = _result, _arguments
# subprocess closes the thread handle, and no documented call resumes a process without it. psutil uses this one, too.
_resume_process = ctypes.WinDLL("ntdll").NtResumeProcess
_resume_process.restype, _resume_process.argtypes = ctypes.c_long, (wintypes.HANDLE,)


# The guard itself receives the Ctrl-C event that it sends to its console; returning TRUE means "handled".
_ignore_ctrl_event = _HANDLER(lambda _event: True)


def run(spec: dict[str, Any], requests: RequestReader) -> None:
    """Start the service, run until its whole tree is gone, report it and exit. Raises StartError or OSError."""
    lock = hold_lock(spec["lock"], _try_lock)
    check_cwd(spec["cwd"])
    # A process started in a new process group ignores Ctrl-C, and the service would inherit that from the guard.
    _kernel32.SetConsoleCtrlHandler(None, False)
    _kernel32.SetConsoleCtrlHandler(_ignore_ctrl_event, True)
    guard_job = _Job()
    guard_job.add(_kernel32.GetCurrentProcess())
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    tree = _Tree(spec, inbox)
    for request in spec["requests"]:
        inbox.put(request)
    threading.Thread(target=_read_requests, args=(requests, inbox, spec), daemon=True).start()
    while not tree.gone:
        with suppress(queue.Empty):
            tree.handle(inbox.get(timeout=tree.wait_seconds()))
        tree.advance()
    tree.drain()
    emit("gone", survivors=[])
    if lock:
        lock.close()
    os._exit(0)  # a normal exit would hang on the thread that is blocked in a read of standard input


def _read_requests(requests: RequestReader, inbox: queue.SimpleQueue[dict[str, Any]], spec: dict[str, Any]) -> None:
    with suppress(OSError):
        while data := os.read(0, READ_SIZE):
            for request in requests.feed(data):
                inbox.put(request)
    time.sleep(spec["linger"])  # standard input is closed: the supervisor has died
    inbox.put({"op": "stop", "grace": spec["grace"]})


class _Job:
    """A Job Object. Closing its last handle, which only this object holds, kills all processes in it."""

    def __init__(self) -> None:
        self._handle = _kernel32.CreateJobObjectW(None, None)
        limits = _ExtendedLimits()
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
        if not self._handle or not _kernel32.SetInformationJobObject(
            self._handle, JOB_OBJECT_EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
        ):
            raise ctypes.WinError(ctypes.get_last_error())

    def add(self, process: int) -> None:
        if not _kernel32.AssignProcessToJobObject(self._handle, process):
            raise ctypes.WinError(ctypes.get_last_error())

    def count_processes(self) -> int:
        info = _Accounting()
        if not _kernel32.QueryInformationJobObject(
            self._handle, JOB_OBJECT_BASIC_ACCOUNTING_INFORMATION, ctypes.byref(info), ctypes.sizeof(info), None
        ):
            raise ctypes.WinError(ctypes.get_last_error())
        return int(info.ActiveProcesses)

    def kill(self) -> None:
        _kernel32.TerminateJobObject(self._handle, KILLED_CODE)


class _Tree:
    """All processes of the service, from its start until the last one is gone."""

    def __init__(self, spec: dict[str, Any], inbox: queue.SimpleQueue[dict[str, Any]]) -> None:
        self.gone = False
        self._log = Log(spec)
        self._ctrl_event = CTRL_BREAK_EVENT if spec["stop_signal"] == "SIGBREAK" else CTRL_C_EVENT
        self._kill_at = self._give_up_at = float("inf")  # time.monotonic()
        self._leader_exited = False
        self._job = _Job()
        output, self._leader = _spawn(spec, self._job)
        # What a shell and its programs read. A command line in one piece is for cmd.exe (`mika.procfile.command`).
        self._input = self._leader.stdin if isinstance(spec["command"], str) else None
        emit("started", pid=self._leader.pid)
        self._copier = threading.Thread(target=self._copy_output, args=(output,), daemon=True)
        self._copier.start()
        threading.Thread(target=self._wait_for_leader, args=(inbox,), daemon=True).start()

    def handle(self, request: dict[str, Any]) -> None:
        if request["op"] == "stop":
            is_first = self._kill_at == float("inf")
            self._kill_at = min(self._kill_at, time.monotonic() + request["grace"])
            if is_first:
                _kernel32.GenerateConsoleCtrlEvent(self._ctrl_event, 0)
        elif request["op"] == "kill":
            self._kill_at = 0.0
        elif request["op"] == "exited":  # from `_wait_for_leader`
            self._leader_exited = True
            is_stopping = self._kill_at != float("inf")
            left_behind = 0 if is_stopping else self._job.count_processes()
            emit("exited", code=self._leader.returncode, left_behind=left_behind)
            if not is_stopping:  # it was not asked to stop: kill everything that it started
                self._kill_at = 0.0

    def advance(self) -> None:
        """Take the actions whose time has come."""
        if self._leader_exited and not self._job.count_processes():
            self.gone = True
            return
        now = time.monotonic()
        if self._kill_at != float("inf") and self._input is not None and self._job.count_processes() == 1:
            # After Ctrl-C, cmd.exe asks whether to end the batch file (`npm.cmd`), and waits for an answer.
            self._input.close()
            self._input = None
        if now >= self._kill_at:
            self._give_up_at = min(self._give_up_at, now + GIVE_UP_SECONDS)
            self._job.kill()
            self.gone = now >= self._give_up_at

    def wait_seconds(self) -> float | None:
        return None if self._kill_at == float("inf") else _POLL

    def drain(self) -> None:
        """Wait until the rest of the output is in the log, for at most DRAIN_SECONDS."""
        self._copier.join(DRAIN_SECONDS)

    def _copy_output(self, output: int) -> None:
        with suppress(OSError):
            while data := os.read(output, READ_SIZE):
                self._log.write(data)

    def _wait_for_leader(self, inbox: queue.SimpleQueue[dict[str, Any]]) -> None:
        self._leader.wait()
        inbox.put({"op": "exited"})


def _try_lock(file: BinaryIO) -> None:
    file.seek(0)
    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)


def _spawn(spec: dict[str, Any], job: _Job) -> tuple[int, subprocess.Popen[bytes]]:
    """Start the service inside `job`. Returns the read end of its output and the process; raises StartError."""
    env: dict[str, str] = spec["env"]
    command: str | list[str] = spec["command"]
    program = _first_word(command) if isinstance(command, str) else command[0]
    executable = _find_executable(program, spec["cwd"], env)
    if executable is None:
        raise start_error(program, FileNotFoundError())
    output, service_output = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            executable=executable,
            cwd=spec["cwd"],
            env=env,
            # The pipe of `open` stays open, and nothing is ever written into it.
            stdin=subprocess.PIPE if spec["stdin"] == "open" else subprocess.DEVNULL,
            stdout=service_output,
            stderr=service_output,  # one pipe for both keeps the order of the bytes
            creationflags=CREATE_SUSPENDED,  # so that it cannot start a child before it is in the job
        )
    except (OSError, ValueError) as error:
        raise start_error(program, error) from error
    finally:
        os.close(service_output)
    handle = int(vars(process)["_handle"])  # subprocess has no public name for it
    job.add(handle)
    _resume_process(handle)
    return output, process


def _first_word(command: str) -> str:
    """The program in a command line, parsed as CreateProcess does."""
    text = command.lstrip()
    if text.startswith('"'):
        return text[1:].partition('"')[0]
    return (text.split(None, 1) or [""])[0]


def _find_executable(program: str, cwd: str, env: dict[str, str]) -> str | None:
    """Look the program up in the service's own PATH. None when it is not there.

    CreateProcess itself would first look in the folder of the guard's interpreter: `python` would be the base
    installation instead of the service's virtual environment.
    """
    variables = {key.upper(): value for key, value in env.items()}
    extensions = variables.get("PATHEXT", ".COM;.EXE;.BAT;.CMD").lower().split(";")
    names = [program + extension for extension in extensions]
    if any(program.lower().endswith(extension) for extension in extensions if extension):
        names.insert(0, program)
    folders = [""] if os.path.dirname(program) else variables.get("PATH", "").split(";")  # noqa: PTH120 - see segments.py
    for folder in folders:
        for name in names:
            path = os.path.join(cwd, folder.strip('"'), name)  # noqa: PTH118 - see segments.py
            if os.path.isfile(path):  # noqa: PTH113 - see segments.py
                return path
    return None
