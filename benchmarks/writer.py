"""A service that writes what a file holds, as fast as it can, once it is told to: `writer.py FOLDER NAME`."""

# Without pathlib, which would double the time that this needs to start.
# ruff: noqa: PTH105, PTH110, PTH123

import os
import signal
import sys
import time

folder, name = sys.argv[1:]
# A traceback at the end would stand in the log that is compared.
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: os._exit(0))
CHUNK = 8192  # what Python's own buffer hands to a pipe at a time

with open(f"{folder}/{name}.input", "rb", buffering=0) as file:
    open(f"{folder}/{name}.there", "wb").close()
    while not os.path.exists(f"{folder}/go"):
        time.sleep(0.002)
    began = time.monotonic()
    while data := file.read(CHUNK):
        while data:
            data = data[os.write(1, data) :]
    ended = time.monotonic()
with open(f"{folder}/{name}.new", "w") as file:
    file.write(f"{began} {ended}")
os.replace(f"{folder}/{name}.new", f"{folder}/{name}.done")
while True:  # some tools stop everything as soon as one service ends
    time.sleep(60)
