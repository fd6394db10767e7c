"""`mika describe`: everything about one process, from the process itself."""

from __future__ import annotations

import os
import re
import signal

from tests.kit.programs import SLEEP


def test_all_about_a_process(project):
    this = project(
        scripts={"web": f"print('hello', flush=True)\n{SLEEP}", "job": "print(1)\n"},
        toml='[process.web.env]\nCOLOUR = "blue"\n[process.job]\nrestart = "never"\n',
    )
    this.write(".env", "MY_TOKEN=tell-nobody\nADDRESS=http://me:tell-nobody@127.0.0.1/\n")
    this.up()
    pid = this.pid("web")
    text = this.ok("describe", "web").out
    assert re.search(rf"^pid +{pid}$", text, re.MULTILINE)
    assert "web.py" in text
    assert str(this.folder) in text
    assert "COLOUR=blue  (mika.toml" in text
    assert re.search(r"^ready when +none$", text, re.MULTILINE)
    assert "MY_TOKEN=********  (.env:1)" in text
    assert "tell-nobody" not in text
    assert f"started, pid {pid}" in text

    os.kill(pid, signal.SIGTERM)
    this.wait_replaced("web", pid)
    (found,) = this.ok("describe", "web", "--json").json["units"]
    assert [event["kind"] for event in found["history"]] == ["started", "exited", "started"]
    assert found["running"]["env"]["MY_TOKEN"] == {"value": "********", "origin": ".env:1"}
    assert found["pid"] != pid
    assert "exited, exit code 0" in this.ok("describe", "job").out
    error = this.error("describe", "wbe", code=2).err
    assert "did you mean 'web'?" in error

    this.ok("down")
    text = this.ok("describe", "web").out
    assert "no stack is running here" in text
    assert "exited" in text
