"""The tests of the launcher that need no Linux, run by the pytest of Windows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kit.machine import ROOT
from tests.kit.windows.python import WinPython, to_windows

# Modules whose subject does not differ on Windows: no path, process, socket, console or encoding (a file is at most
# where the settings of a test stand). The hosted CI runs them on Windows all the same.
SAME_EVERYWHERE = (
    "bot",  # the bot's own; tests/windows runs the bot itself
    # The repository's own texts and sources
    "test_docs.py",
    "test_import_layers.py",
    "test_catalogues.py",
    "test_mcp_tools.py",
    "test_replay_edits.py",
    # Words and columns, made of data; tests/windows/test_windows_console.py looks at a screen
    "test_wording.py",
    "test_width.py",
    "test_colours.py",
    "test_pretty.py",
    "test_statusline.py",
    "test_table.py",
    "test_top_screen.py",
    "test_short_ids.py",
    "test_workflow_rows.py",
    "test_address.py",
    # What sources in other languages, and addresses in them, mean; test_detect.py and others read files there, too
    "test_detect_addresses.py",
    "test_detect_java.py",
    "test_detect_languages.py",
    "test_detect_node.py",
    "test_detect_servers.py",
    "test_detect_web.py",
    # Data in, data out: a state machine, a history, a status, limits, what an engine says
    "test_policy.py",
    "test_policy_any_order.py",
    "test_diagnosis.py",
    "test_diagnosis_children.py",
    "test_diagnosis_local.py",
    "test_diagnosis_timeline.py",
    "test_diagnosis_versions.py",
    "test_survey.py",
    "test_workflow_talking.py",
    "test_mongodb_protocol.py",
    "test_readiness_temporal.py",
    "test_status.py",
    "test_events.py",
    "test_skipping.py",
    "test_reset_points.py",
    "test_declared_words.py",
    "test_doctor_budgets.py",
    "test_doctor_docker.py",
    "test_doctor_states.py",
    "test_doctor_versions.py",
    "test_docker_credentials.py",
    "test_docker_explain.py",
    "test_docker_monitor.py",
    "test_docker_services.py",
    "test_docker_supervision.py",
    "test_following.py",
    "test_mentions.py",
    "test_replay_verdict.py",
    "test_services_beside.py",
    "test_tasks.py",
    "test_watch.py",
)

# Not under Wine, but on Windows itself, by the hosted CI.
LEFT_OUT = (
    # Wine needs a second to list a folder of 500 files, or a small one 100 times
    "test_every_byte_in_every_cut",
    "test_random_bytes_across_segments",
    "test_bound_on_disk_and_nothing_renamed",
    # A dozen processes that import all of mika; Windows adds two modules to what they are compared with
    "test_a_command_imports_nothing_heavy_that_it_does_not_use",
    # Of the kit alone
    "test_a_command_that_hangs_fails",
    # Wine does not know who listens
    "test_the_listener_on_a_port_is_named",
    "test_who_has_the_port",
    "test_where_a_process_is_connected_to",
    "test_the_stack_is_told_by_its_mark",
    "test_one_that_listens_at_all_addresses",
    "test_an_answer_of_somebody_else_says_whose_port_it_is",
    # Wine does not know the CPU time of another process
    "test_what_a_child_uses_counts",
    "test_children_that_have_ended_count_once",
    # psutil asks for the name of each open file in a thread, which it terminates after a moment. On a busy machine Wine
    # then waits for ever for a lock of that thread.
    "test_no_file_stays_open",
)


@pytest.mark.timeout(600)
def test_in_windows(windows: WinPython, tmp_path: Path):
    options = ["-q", "-p", "no:cacheprovider", "--basetemp", to_windows(tmp_path / "base")]
    options += [f"--ignore=tests/unit/{name}" for name in SAME_EVERYWHERE]
    options += ["-o", "addopts=-ra --strict-markers"]  # no xdist there
    options += ["-k", " and ".join(f"not {name}" for name in LEFT_OUT), "-m", "not alone"]
    paths = ["tests/unit", "tests/integration/test_guard_windows.py"]
    finished = windows.run(["-m", "pytest", *options, *paths], cwd=ROOT, timeout=570)
    assert finished.code == 0, finished.text
    passed = re.search(r"(\d+) passed", finished.text)
    assert passed, finished.text
    assert int(passed[1]) >= 500, finished.text
