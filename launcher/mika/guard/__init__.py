"""The guard: a small process that owns one service's process tree and its log file.

The supervisor starts one guard for each service (`mika.supervisor.guard`), and the guard starts the service. They send
each other dictionaries, one per line (`lean.py`). The supervisor writes to the guard's standard input: first a
specification (command, environment, log directory, grace period), then requests (`stop`, `kill`). The guard writes
events to its standard output: `started` or `failed`, `log_error` and `log_ok`, `exited` when the service's first
process exits, and `gone` when no process of the tree is left. The service's output never passes through the supervisor:
the guard writes it to log segments (`segments.py`), and readers follow these files.

What happens when a part is killed:

- The service: the guard kills what is left of its tree and reports the exit code.
- The supervisor: the guard sees the end of its standard input. It waits for `linger` seconds, then stops the service
  with its normal grace period. It writes the log until the last process is gone.
- The guard: the service dies with it, by PR_SET_PDEATHSIG on Linux and by a Job Object on Windows. The supervisor kills
  the descendants (`supervisor/belongings.py` knows which processes these are). macOS has no such mechanism: there the
  supervisor also kills the service itself.
- Guard and supervisor at once: the next `up`, `down` or `status`, or `doctor --fix`, kills the leftovers
  (`supervisor/sweep.py`).

The code in this package uses only the standard library, and little of it, because every service pays for each import.
`child.py` is the entry point; `_posix.py` and `_windows.py` own the tree.
"""
