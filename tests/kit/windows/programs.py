"""Small Python programs for the processes of a test on Windows."""

from __future__ import annotations

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
# Says something whenever the file `say` appears.
TALKING = """
import os, time
print("here", flush=True)
while True:
    time.sleep(0.1)
    if os.path.exists("say"):
        os.remove("say")
        print("said", flush=True)
"""
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
