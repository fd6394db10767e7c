"""What is around the programs of a project: what is left to its user, where the server is, environments."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from mika.config.load import load
from mika.config.process_options import ProcessOptions
from mika.detect import written
from mika.detect.environments import Tooling, tooling
from mika.detect.files import Files
from mika.procfile import entries
from mika.stack import running

from tests.kit.sources import API, make, only, proposed, worker

# --- what is left to the user -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "others", "note"),
    [
        ("--env-file=.env", {}, "`npm run work` reads .env, which is not there: make it"),
        ("--env-file conf/a.env", {}, "`npm run work` reads conf/a.env, which is not there: make it"),
        (
            "--env-file=.env",
            {".env.example": "A=b"},
            "`npm run work` reads .env, which is not there: make it, as .env.example shows",
        ),
        ("--env-file=.env", {".env": ""}, ""),
        ("--env-file-if-exists=.env", {}, ""),
    ],
)
def test_a_file_of_settings_that_a_script_of_node_reads(tmp_path, option, others, note):
    package = {"scripts": {"work": f"tsx {option} work.ts"}, "dependencies": {"@temporalio/worker": "1"}}
    sources = {"package.json": json.dumps(package), "work.ts": "Worker.create({ taskQueue: 'q' })", **others}
    found = proposed(tmp_path, sources)
    assert only(found).command == "npm run work"
    assert [one for one in found.notes if "is not there" in one] == ([note] if note else [])


@pytest.mark.parametrize(
    ("path", "package", "others", "line"),
    [
        (
            "ui/package.json",
            '{"scripts": {"dev": "vite"}, "devDependencies": {"vite": "5"}}',
            {},
            "ui: npm --prefix ui run dev",
        ),
        (
            "package.json",
            '{"scripts": {"start": "x"}, "dependencies": {"react-scripts": "5"}}',
            {},
            "frontend: npm run start",
        ),
        (
            "apps/site/package.json",
            '{"scripts": {"dev": "next"}, "dependencies": {"next": "15"}}',
            {"pnpm-lock.yaml": ""},
            "site: pnpm --dir apps/site run dev",
        ),
        (
            "worker/package.json",
            '{"scripts": {"dev": "x"}, "dependencies": {"express": "5"}}',
            {"worker/yarn.lock": ""},
            "worker-js: yarn --cwd worker run dev",
        ),
    ],
)
def test_a_frontend_is_named_with_the_line_that_runs_it(tmp_path, path, package, others, line):
    found = proposed(tmp_path, {"worker.py": worker('"q"'), path: package, **others})
    assert only(found).name == "worker"
    assert f"add `{line}` to the Procfile" in found.notes[0]


@pytest.mark.parametrize(
    "package", ['{"devDependencies": {"vite": "5"}}', '{"scripts": {"dev": "x"}}', "[]", "", '{"scripts": 1}']
)
def test_what_is_no_frontend_is_not_named(tmp_path, package):
    assert proposed(tmp_path, {"worker.py": worker('"q"'), "package.json": package}).notes == ()


def test_keys_that_nobody_has_set_are_said_by_their_names(tmp_path):
    example = """
    # a comment = of words
    OPENAI_API_KEY=sk-1234
    export DB_PASSWORD="hunter2"
    LOG_LEVEL=info
    MODEL=
    URL=https://your-host/
    GIVEN_TOKEN=x
    IN_FILE_TOKEN=x
    #OTHER_TOKEN=x
    """
    sources = {
        "worker.py": worker('"q"'),
        "b/.env.example": example,
        "b/.env": "IN_FILE_TOKEN=secret",
        "b/package.json": "",
    }
    found = proposed(tmp_path, sources, GIVEN_TOKEN="secret")
    assert found.notes == (
        "b/.env.example has OPENAI_API_KEY, DB_PASSWORD, MODEL, URL, which are not set: add them to b/.env",
    )


REQUIRING = """
import os
MODEL = os.environ["MODEL"]
QUIET = os.environ.get("QUIET", "1")
os.environ["MADE"] = "1"
address = os.environ["TEMPORAL_ADDRESS"]
class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="APP_")
    database: str
    cache: str = "none"
    retries: int = Field(..., ge=1)
    region: str = Field(alias="REGION")
    name: str | None = Field(default=None)
"""


def test_keys_with_plain_values_that_the_code_needs(tmp_path):
    names = "MODEL QUIET MADE TEMPORAL_ADDRESS APP_DATABASE APP_CACHE APP_RETRIES REGION APP_NAME OTHER"
    sources = {
        "worker.py": worker('"q"', "from conf import settings"),
        "conf.py": REQUIRING,
        "tools/other.py": "import os\nos.environ['OTHER']\n",
        ".env.example": "".join(f"{name}=x1\n" for name in names.split()),
    }
    assert proposed(tmp_path, sources).notes == (
        ".env.example has MODEL, APP_DATABASE, APP_RETRIES, REGION, which are not set: add them to .env",
    )


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("KEY = os.environ['KEY']", ".env"),
        ("from dotenv import load_dotenv\nload_dotenv()", "back/.env"),
        ("import environ\nenv = environ.Env()", "back/.env"),
        ("from decouple import config", "back/.env"),
        ("class S(BaseSettings):\n    model_config = SettingsConfigDict(env_file='.env')", "back/.env"),
    ],
)
def test_the_file_for_a_key_is_one_that_is_read(tmp_path, source, file):
    """mika itself reads that of the project alone."""
    files = {"back/.env.example": "KEY=", "back/core/settings.py": source, "worker.py": worker('"q"')}
    (note,) = proposed(tmp_path, files).notes
    assert note == f"back/.env.example has KEY, which is not set: add it to {file}"
    assert bool(proposed(tmp_path, {**files, "back/.env": "KEY=x"}).notes) == (file == ".env")


def test_keys_that_a_readme_shows_as_an_env_file(tmp_path):
    readme = "```bash\nexport OTHER_TOKEN=x\n```\n\n```env\nADDRESS=localhost:7233\nJOB=your_job\nGIVEN_KEY=x\n```\n"
    found = proposed(tmp_path, {"worker.py": worker('"q"'), "README.md": readme}, GIVEN_KEY="secret")
    assert found.notes == ("README.md has JOB, which is not set: add it to .env",)


def test_a_worker_among_the_examples_is_not_started_and_said(tmp_path):
    library = {"api.py": API, "examples/one/worker.py": worker('"q"'), "examples/one/client.py": API}
    found = proposed(tmp_path, library)
    assert [process.name for process in found.processes] == ["web"]
    assert found.notes == ("examples/one/worker.py makes a worker: left out, as an example",)
    assert not proposed(tmp_path, {"worker.py": worker('"own"')}).notes, "there is a real one"


@pytest.mark.parametrize(("readme", "is_said"), [("", True), ("python manage.py migrate", False)])
def test_migrations_that_nothing_documents(tmp_path, readme, is_said):
    manage = "import sys\nfrom django.core.management import execute_from_command_line\n"
    sources = {"back/manage.py": manage, "back/shop/migrations/0001_initial.py": "", "README.md": readme}
    note = (
        "back/shop/migrations has migrations, and nothing here says when to run them: `python back/manage.py migrate`"
    )
    assert any(found.startswith(note) for found in proposed(tmp_path, sources).notes) == is_said


def test_a_web_app_of_node_is_named_with_a_script_that_runs_no_worker(tmp_path):
    scripts = '{"dev": "concurrently \\"npm run worker\\" \\"npm run server\\"", "server": "node server.js"}'
    package = f'{{"scripts": {scripts}, "dependencies": {{"express": "4"}}}}'
    found = proposed(tmp_path, {"worker.py": worker('"q"'), "package.json": package})
    assert "add `web: npm run server` to the Procfile" in found.notes[0]


# --- what is around them ----------------------------------------------------------------------------------------------


def test_where_the_server_is(tmp_path):
    fixed = proposed(tmp_path, {"worker.py": worker('"q"', address="localhost:7244")})
    assert fixed.settings["TEMPORAL_PORT"].value == "7244"
    compose = proposed(tmp_path, {"worker.py": worker('"q"', address="temporal:7233")})
    assert any("exists only inside compose" in note for note in compose.notes)
    source = worker('"q"').replace('"localhost:7233"', 'os.getenv("{}", "temporal:7233")')
    assert not proposed(tmp_path, {"worker.py": source.replace("{}", "TEMPORAL_ADDRESS")}).notes, "mika sets it"


def test_which_backend_is_left_to_auto_unless_it_would_start_a_temporal_that_nobody_uses(tmp_path):
    server = "services: {t: {image: temporalio/server}, api: {build: .}}\n"
    assert "MIKA_BACKEND" not in proposed(tmp_path, {"worker.py": worker('"q"'), "compose.yml": server}).settings
    (tmp_path / "worker.py").unlink()
    web = {"main.py": API}
    assert proposed(tmp_path, {**web, "compose.yml": server}).settings["MIKA_BACKEND"].value == "none"
    assert "MIKA_BACKEND" not in proposed(tmp_path, {**web, "compose.yml": "services: {d: {image: mongo}}\n"}).settings
    (tmp_path / "compose.yml").unlink()
    client = {"api/go.mod": "module x\nrequire go.temporal.io/sdk v1.37.0\n", "api/main.go": "package main\n"}
    assert proposed(tmp_path, {**web}).settings["MIKA_BACKEND"].value == "none"
    assert "MIKA_BACKEND" not in proposed(tmp_path, client).settings, "it has a client"
    (tmp_path / "api" / "go.mod").unlink()
    down = proposed(tmp_path, {**web, "deploy/compose.yml": "services: {}\n"})
    assert any("COMPOSE_FILE=deploy/compose.yml in .env" in note for note in down.notes)


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({"pyproject.toml": "[tool.poetry]\n"}, "poetry"),
        ({"uv.lock": "", "pyproject.toml": ""}, "uv"),
        ({"uv.lock": "", "pyproject.toml": "", "a/pyproject.toml": ""}, "uv"),
        ({"pyproject.toml": '[tool.uv.workspace]\nmembers = ["*"]', "a/pyproject.toml": "[tool.uv]"}, "uv"),
        ({"Pipfile": ""}, "pipenv"),
        ({"requirements.txt": ""}, "pip"),
        ({"pdm.lock": "", "pyproject.toml": ""}, "pdm"),
        ({"pyproject.toml": "[tool.pdm.scripts]\nwork = 'x'"}, "pdm"),
        ({"pyproject.toml": "[tool.pdm.version]\nsource = 'scm'"}, "pip"),
        ({"pyproject.toml": "[tool.rye]\nmanaged = true"}, "rye"),
        ({"pyproject.toml": "[tool.hatch.envs.default]\ndependencies = []"}, "hatch"),
        ({"pyproject.toml": "[tool.hatch.version]\npath = 'x'"}, "pip"),
        ({"pixi.toml": ""}, "pixi"),
        ({"pyproject.toml": "[tool.pixi.workspace]\nname = 'x'"}, "pixi"),
        ({"environment.yml": ""}, "conda"),
        ({"environment.yml": "", "requirements.txt": ""}, "pip"),
        ({"pyproject.toml": "not [toml"}, "pip"),
        ({}, ""),
    ],
)
def test_a_declared_environment(tmp_path, marks, expected):
    make(tmp_path, {"a/w.py": "", **marks})
    found = tooling(Files(tmp_path), "a/w.py")
    assert (found.tool, found.folder) == (expected, "")


def test_packages_that_only_a_readme_names(tmp_path):
    readme = "pip install -r requirements.txt\npip install --upgrade pip\n$ pip install temporalio==1.20 fastapi[all]\n"
    found = only(proposed(tmp_path, {"worker.py": worker('"q"'), "README.md": readme})).environment
    assert (found.tool, found.packages) == ("pip", "temporalio==1.20 fastapi[all]")


def test_how_a_declared_environment_is_made(tmp_path):
    make(tmp_path, {"a/requirements.txt": "", "b/pyproject.toml": "", "c/uv.lock": ""})
    files = Files(tmp_path)
    a, b, c = (tooling(files, f"{part}/x.py") for part in "abc")
    assert a.install("venv/bin/python -m pip install") == "`venv/bin/python -m pip install -r requirements.txt`"
    assert a.install().startswith("`python -m venv .venv`, then `.venv")
    assert b.install("pip install") == "`pip install -e .`"
    assert c.install("p") == "`uv sync`"


@pytest.mark.parametrize(
    ("tool", "commands"),
    [
        ("pdm", "`pdm install`"),
        ("rye", "`rye sync`"),
        ("hatch", "`hatch env create`, then `hatch run mika up`"),
        ("pixi", "`pixi install`, then `pixi run mika up`"),
        ("conda", "`conda env create -f environment.yml`, then `conda activate` with its name"),
    ],
)
def test_how_other_tools_make_an_environment(tool, commands):
    assert Tooling(tool).install() == commands


@pytest.mark.parametrize("tool", ["pixi", "conda"])
def test_an_environment_that_mika_does_not_look_for(tmp_path, tool):
    files = {"worker.py": worker('"q"'), {"pixi": "pixi.toml", "conda": "environment.yml"}[tool]: ""}
    (note,) = proposed(tmp_path, files).notes
    start = Tooling(tool).install()
    assert note == f"the environment is one of {tool}, and mika must be started in it: {start}"
    assert not proposed(tmp_path, files, CONDA_PREFIX="/opt/x").notes, "it is active"


def test_the_files_of_init_say_what_up_has_in_memory(tmp_path):
    sources = {"src/app/worker.py": worker('"q"', "from app import jobs"), "src/app/jobs.py": "", "web.py": API}
    found = proposed(tmp_path, sources)
    in_memory = written.configured(found, load(tmp_path, environ={}))
    make(tmp_path, {"Procfile": written.procfile(found), "mika.toml": written.mika_toml(found)})
    from_files = load(tmp_path, environ={})
    assert in_memory.processes == from_files.processes
    assert from_files.processes["worker"] == ProcessOptions(ready="worker:q/workflow", env={"PYTHONPATH": "src"})
    assert {name: setting.value for name, setting in in_memory.settings.items()} == {
        name: setting.value for name, setting in from_files.settings.items()
    }
    read = [(entry.name, entry.command) for entry in entries.read(tmp_path / "Procfile")]
    assert read == [(entry.name, entry.command) for entry in written.entries(found)]


def test_run_knows_the_only_queue_of_the_code_where_no_rule_names_one(tmp_path):
    """As with a worker inside a web app."""

    async def no_rule() -> tuple[str, ...]:
        return ()

    def known(**sources: str) -> str:
        make(tmp_path, {f"{name}.py": source for name, source in sources.items()})
        exam = SimpleNamespace(queues=no_rule, config=load(tmp_path, environ={}))
        return asyncio.run(running._only_queue(exam))

    assert known(worker=worker("sys.argv[1]")) == ""
    assert known(worker=worker('"q"')) == "q"
    assert known(other=worker('"other"')) == ""
