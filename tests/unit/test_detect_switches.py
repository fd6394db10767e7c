"""A worker or a client that the code has only where a variable turns it on."""

from __future__ import annotations

import pytest

from tests.kit.sources import only, proposed, worker

SETTINGS = "class S(BaseSettings):\n    TEMPORAL_ENABLED: bool = False\n    TEMPORAL_TLS_ENABLED: bool = False\n"
APP = """
import os
from fastapi import FastAPI
from jobs import main
from conf import *
async def lifespan(app):
    if {}:
        await main()
    if settings.TEMPORAL_TLS_ENABLED or settings.TEMPORAL_ENABLED is None:
        pass
    yield
app = FastAPI(lifespan=lifespan)
"""


def app(condition: str, conf: str = "") -> dict[str, str]:
    jobs = worker('"q"').partition('if __name__ == "__main__":')[0]
    return {
        "main.py": APP.replace("import *", "import settings, WITH_WORKER, is_on").format(condition),
        "jobs.py": jobs,
        "conf.py": f"import os\n{SETTINGS}settings = S()\n{conf}\n",
    }


@pytest.mark.parametrize(
    ("condition", "conf"),
    [
        ("settings.TEMPORAL_ENABLED", ""),
        ("settings.TEMPORAL_ENABLED and app", ""),
        ("not settings.TEMPORAL_ENABLED", ""),
        ('os.getenv("TEMPORAL_ENABLED")', ""),
        ('os.getenv("TEMPORAL_ENABLED", "false").strip().lower() == "true"', ""),
        ('os.environ.get("TEMPORAL_ENABLED", "0") in ("1", "true")', ""),
        ("WITH_WORKER", 'WITH_WORKER = os.getenv("TEMPORAL_ENABLED", "no").lower() in {"yes", "true"}'),
        ("WITH_WORKER", 'WITH_WORKER = env.bool("TEMPORAL_ENABLED", default=False)'),
        ("WITH_WORKER", 'WITH_WORKER = config("TEMPORAL_ENABLED", default=False, cast=bool)'),
        ("WITH_WORKER", 'WITH_WORKER = strtobool(os.getenv("TEMPORAL_ENABLED", "false"))'),
    ],
)
def test_what_is_off_by_default_is_turned_on(tmp_path, condition, conf):
    found = proposed(tmp_path, app(condition, conf))
    assert only(found).env["TEMPORAL_ENABLED"] == "true"
    assert "TEMPORAL_TLS_ENABLED" not in only(found).env
    assert found.notes == ("TEMPORAL_ENABLED is off by default in main.py: it is set to true",)
    assert "TEMPORAL_ENABLED" not in only(proposed(tmp_path, app(condition, conf), TEMPORAL_ENABLED="0")).env


@pytest.mark.parametrize(
    "condition",
    [
        'os.getenv("TEMPORAL_ENABLED", "true") == "true"',
        'env.bool("TEMPORAL_ENABLED", default=True)',
        'os.getenv("DISABLE_TEMPORAL_WORKER")',
        'os.getenv("TEMPORAL_METRICS_ENABLED")',
        'os.getenv("NO_WORKER_ENABLED")',
    ],
)
def test_what_is_on_or_something_else_is_left_alone(tmp_path, condition):
    found = proposed(tmp_path, app(condition) | {"conf.py": "settings = WITH_WORKER = is_on = None\n"})
    assert only(found).env == {}
    assert not found.notes


def test_the_value_that_a_program_compares_with(tmp_path):
    own = worker('"q"').replace("async def main(", 'if os.getenv("RUN_WORKER") == "1":\n    pass\nasync def main(')
    assert only(proposed(tmp_path, {"worker.py": own})).env == {"RUN_WORKER": "1"}


def test_a_worker_that_has_a_program_of_its_own_is_not_started_in_the_app_too(tmp_path):
    found = proposed(
        tmp_path, app('os.getenv("RUN_WORKER")') | {"worker.py": "import asyncio, jobs\nasyncio.run(jobs.main())"}
    )
    assert {process.name: dict(process.env) for process in found.processes} == {"web": {}, "worker": {}}
    assert only(proposed(tmp_path / "alone", app('os.getenv("RUN_WORKER")'))).env == {"RUN_WORKER": "true"}
