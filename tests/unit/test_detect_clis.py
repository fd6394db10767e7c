"""A worker that a command of a program makes, with click or typer."""

from __future__ import annotations

import pytest

from tests.kit.sources import API, only, proposed

MAKER = """
from temporalio.client import Client
from temporalio.worker import Worker
async def run_worker():
    client = await Client.connect("localhost:7233")
    await Worker(client, task_queue="q", workflows=[]).run()
"""
RUN = "    from jobs import run_worker\n    asyncio.run(run_worker())\n"
TYPER = f"""import asyncio, typer
app = typer.Typer()
@app.command()
def show(): pass
@app.command()
def worker():
{RUN}"""
CLICK = f"""import asyncio, click
@click.group()
def main(): pass
@main.group()
def worker(): pass
@worker.command(name="run")
@click.option("--debug", is_flag=True)
def worker_run(debug):
{RUN}
@worker.command()
def restart(): pass
"""
SUB = f"""import asyncio, typer
app = typer.Typer()
jobs = typer.Typer()
app.add_typer(jobs, name="jobs")
@jobs.command("go")
def worker():
{RUN}
@jobs.command()
def stop(): pass
"""
ONE = f"import asyncio, typer\napp = typer.Typer()\n@app.command()\ndef begin():\n{RUN}"
ADDED = f"""import asyncio, click
@click.command("work")
def work_cmd():
{RUN}
@click.group()
def main(): pass
main.add_command(work_cmd)
"""
SCRIPT = '[build-system]\n[project]\nname = "x"\n[project.scripts]\nshop = "shop.cli:{}"\n'
MAIN = "if __name__ == '__main__':\n    {}()\n"


@pytest.mark.parametrize(
    ("source", "root", "words"),
    [
        (TYPER, "app", " worker"),
        (CLICK, "main", " worker run"),
        (SUB, "app", " jobs go"),
        (ONE, "app", ""),
        (ADDED, "main", " work"),
    ],
)
def test_the_command_that_makes_the_worker(tmp_path, source, root, words):
    source = source.replace("from jobs import", "from shop.jobs import")
    files = {"shop/__init__.py": "", "shop/jobs.py": MAKER, "pyproject.toml": SCRIPT.format(root)}
    installed = only(proposed(tmp_path / "a", {**files, "shop/cli.py": source}))
    assert (installed.command, installed.queues) == (f"shop{words}", ("q",))
    run = only(proposed(tmp_path / "b", {**files, "shop/cli.py": source + MAIN.format(root)}))
    assert run.command == f"python -m shop.cli{words}"


@pytest.mark.parametrize(
    "source",
    [
        TYPER.replace("def worker():", "def worker(queue: str):"),
        TYPER.replace("def worker():", "def worker(queue: str = typer.Argument(...)):"),
        CLICK.replace("@click.option(", '@click.argument("queue")\n@click.option('),
        CLICK.replace("is_flag=True", "required=True"),
        TYPER.replace("asyncio.run(run_worker())", "pass"),
        TYPER.replace("def worker", "def worker_cmd"),
        TYPER.replace("def show(): pass", f"def show():\n{RUN}").replace("def worker", "def other"),
    ],
)
def test_a_command_that_is_not_certain(tmp_path, source):
    found = proposed(tmp_path, {"cli.py": source + MAIN.format("app"), "jobs.py": MAKER})
    assert not found.processes
    assert found.notes == ("jobs.py makes a worker, but nothing here starts it as a program",)


@pytest.mark.parametrize(("script", "is_run"), [("bin/shop", True), ("Scripts/shop.exe", True), ("bin/other", False)])
def test_a_program_that_is_installed_without_a_build_system(tmp_path, script, is_run):
    manifest = SCRIPT.format("app").replace("[build-system]\n", "")
    files = {"shop/__init__.py": "", "shop/jobs.py": MAKER, "pyproject.toml": manifest, f".venv/{script}": ""}
    source = TYPER.replace("from jobs import", "from shop.jobs import")
    found = proposed(tmp_path, {**files, ".venv/pyvenv.cfg": "", "shop/cli.py": source})
    assert [process.command for process in found.processes] == (["shop worker"] if is_run else [])


def test_another_command_may_serve_a_web_app(tmp_path):
    serve = "import uvicorn\n@app.command()\ndef api():\n    uvicorn.run('web:app', port=8000)\n"
    files = {"web.py": API, "jobs.py": MAKER, "cli.py": TYPER + serve + MAIN.format("app")}
    web, work = proposed(tmp_path, files).processes
    assert web.command.startswith("python -m uvicorn web:app ")
    assert (work.command, len(work.why)) == ("python cli.py worker", 1)


SCRIPTS = """
import asyncio, uvicorn
from shop.jobs import run_worker
def api(): uvicorn.run("shop.web:app", port=8090)
def work(): asyncio.run(run_worker())
"""


@pytest.mark.parametrize(("script", "also"), [("shop-work", ""), ("shop-worker", 'every = "shop.cli:work"\n')])
def test_several_programs_that_are_installed_for_one_module(tmp_path, script, also):
    manifest = SCRIPT.replace('shop = "shop.cli:{}"', f'api = "shop.cli:api"\n{also}{script} = "shop.cli:work"')
    files = {"shop/__init__.py": "", "shop/jobs.py": MAKER, "shop/web.py": API, "pyproject.toml": manifest}
    web, work = proposed(tmp_path, {**files, "shop/cli.py": SCRIPTS}).processes
    assert web.command.startswith("python -m uvicorn shop.web:app ")
    assert (work.command, work.queues, len(work.why)) == (script, ("q",), 1)
