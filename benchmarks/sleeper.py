"""A service that does nothing, and needs half a second to stop: `sleeper.py FOLDER NAME`."""

# Without pathlib, which would double the time that this needs to start.
# ruff: noqa: PTH105, PTH123

import os
import signal
import sys
import time

at = time.monotonic()  # first of all: this is the moment that is measured
folder, name = sys.argv[1:]
asked: list[bool] = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: asked.append(True))
with open(f"{folder}/{name}.new", "w") as file:
    file.write(f"{os.getpid()} {at}")
os.replace(f"{folder}/{name}.new", f"{folder}/{name}.life")
while not asked:
    signal.pause()
time.sleep(0.5)
