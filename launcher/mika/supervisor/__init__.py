"""The supervisor: starts the units of a stack, watches them, restarts them, and stops them in order.

A unit (`unit.py`) describes one service or process: how to run it, how to probe it, what it needs. The `Supervisor`
(`supervisor.py`) owns one object for each unit: a `Managed` for a unit that it starts, an `External` for one that runs
elsewhere and is only watched. Everything runs in one event loop.

A `Managed` owns three things: the state of its policy, a handle on the running unit, and a watch.

- The policy (`policy.py`) is pure: it receives inputs (start, stop, became ready, exited) and returns actions (spawn,
  terminate, kill, wake). Only the policy decides about restarts.
- The handle is a `Guard` (`guard.py`) for a process, which `mika.guard` runs, or a backend's object for a container.
  It returns an `Exit` when no process of the unit is left.
- The watch (`watch.py`) climbs the readiness ladder and then checks the liveness of the unit.

Results flow upwards: handle and watch feed the policy, and after each change of a unit the `Supervisor` opens or closes
the gates of the units that need it, and derives the state of the stack. All changes are published on the event bus.
Views only listen there, so they cannot delay a restart.

When a process is killed, its guard reports the exit and the policy restarts it. When a guard is killed, its service
dies too, and the rest of the tree is killed before the restart. When the supervisor is killed, each guard stops its own
service. When a guard and the supervisor are killed together, the next `up`, `down` or `status`, or `doctor --fix`,
kills the leftovers (`sweep.py`). `belongings.py` recognizes them, with the help of what `record.py` wrote down.
"""
