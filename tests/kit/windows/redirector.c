/* What Scripts\python.exe of a virtual environment does: https://github.com/python/cpython/blob/3.11/PC/launcher.c with
   VENV_REDIRECT. The Python that it starts is BASE_PYTHON in its environment, and not that of pyvenv.cfg. */
#include <windows.h>
#include <stdio.h>
#include <wchar.h>

static BOOL WINAPI ignore(DWORD event) { return TRUE; }

int wmain(int argc, wchar_t **argv) {
    wchar_t self[MAX_PATH], base[MAX_PATH], line[32768];
    GetModuleFileNameW(NULL, self, MAX_PATH);
    GetEnvironmentVariableW(L"BASE_PYTHON", base, MAX_PATH);
    SetEnvironmentVariableW(L"__PYVENV_LAUNCHER__", self);
    wchar_t *args = GetCommandLineW();
    if (*args == L'"') { args = wcschr(args + 1, L'"') + 1; } else { while (*args && *args != L' ') args++; }
    swprintf(line, 32768, L"\"%ls\"%ls", base, args);
    HANDLE job = CreateJobObjectW(NULL, NULL);
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION info;
    DWORD size;
    QueryInformationJobObject(job, JobObjectExtendedLimitInformation, &info, sizeof info, &size);
    info.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    SetInformationJobObject(job, JobObjectExtendedLimitInformation, &info, sizeof info);
    STARTUPINFOW si; PROCESS_INFORMATION pi;
    memset(&si, 0, sizeof si); GetStartupInfoW(&si); si.cb = sizeof si;
    SetConsoleCtrlHandler(ignore, TRUE);
    if (!CreateProcessW(NULL, line, NULL, NULL, TRUE, 0, NULL, NULL, &si, &pi)) return 101;
    AssignProcessToJobObject(job, pi.hProcess);
    CloseHandle(pi.hThread);
    WaitForSingleObject(pi.hProcess, INFINITE);
    DWORD code; GetExitCodeProcess(pi.hProcess, &code);
    return code;
}
