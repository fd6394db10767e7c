"""Replay new workflow code against the histories of runs that began with the old code, before it replaces the old.

`hook/` runs inside the worker's own program. The other modules start that program for a few seconds, watch it, and
judge what it reports. See docs/editing.md.
"""
