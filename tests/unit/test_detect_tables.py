"""Task queues that stand in a table of the project: those of a loop, and that which a key chooses."""

from __future__ import annotations

import pytest

from tests.kit.sources import only, proposed, worker

CLASS = "class Spec(NamedTuple):\n    name: str\n    flows: list = []\n    queue: str = 'orders'\n"
CALLED = f"{CLASS}SPECS = [Spec('a'), Spec(name='b', queue='mail')]\n"
TABLES = "SPECS = {'a': {'queue': 'orders'}, 'b': {'queue': 'mail', 'flows': []}}\n"
COMPOSE = """services:
  first: {build: ., command: python worker.py, environment: {KIND: a}}
  second: {build: ., command: python worker.py, environment: {KIND: b}}
"""


def looping(queue: str, table: str, loop: str, imports: str = "") -> str:
    return worker("TASK_QUEUE", f"{imports}\n{table}").replace(
        "    await Worker(client, task_queue=TASK_QUEUE, workflows=[]).run()",
        f"    {loop}\n        await Worker(client, task_queue={queue}, workflows=[]).run()",
    )


@pytest.mark.parametrize(
    ("queue", "table", "loop"),
    [
        ("spec.queue", CALLED, "for spec in SPECS:"),
        ("spec['queue']", TABLES, "for spec in SPECS.values():"),
        ("spec.get('queue')", TABLES, "for _name, spec in SPECS.items():"),
        ("own", "SPECS = [('orders', A), ('mail', B)]\n", "for own, flows in SPECS:"),
        ("own", "SPECS = [(A, 'orders'), (B, 'mail')]\n", "for flows, own in SPECS:"),
        ("own", "SPECS = {'a': 'orders', 'b': 'mail'}\n", "for _key, own in SPECS.items():"),
        ("one.QUEUE", "from flows import First, Second\n", "for one in (First, Second):"),
        ("one.QUEUE", "import first, second\n", "for one in (first, second):"),
    ],
)
def test_the_queues_of_a_loop(tmp_path, queue, table, loop):
    files = {
        "flows.py": "class First:\n    QUEUE = 'orders'\nclass Second:\n    QUEUE = 'mail'\n",
        "first.py": "QUEUE = 'orders'\n",
        "second.py": "QUEUE = 'mail'\n",
        "other.py": "queue = 'another'\n",
    }
    found = proposed(tmp_path, {"worker.py": looping(queue, table, loop), **files})
    assert (only(found).queues, found.questions) == (("orders", "mail"), ())


@pytest.mark.parametrize("place", ["worker.py", "specs.py"])
def test_a_loop_through_the_table_of_another_file(tmp_path, place):
    imports = "" if place == "worker.py" else "from specs import SPECS"
    source = looping("spec.queue", CALLED if place == "worker.py" else "", "for spec in SPECS:", imports)
    assert only(proposed(tmp_path, {"specs.py": CALLED, "worker.py": source})).queues == ("orders", "mail")


@pytest.mark.parametrize("loop", ["for spec in SPECS:\n        if not spec.on: continue", "for spec in load():"])
def test_a_loop_that_may_leave_out_some_is_asked_for(tmp_path, loop):
    assert proposed(tmp_path, {"worker.py": looping("spec.queue", CALLED.replace("'orders'", "None"), loop)}).questions


CHOSEN = [
    ("**SPECS[kind]", TABLES.replace("queue", "task_queue")),
    ("**spec", TABLES.replace("queue", "task_queue")),
    ("task_queue=spec['queue']", TABLES),
    ("task_queue=SPECS[kind]['queue']", TABLES),
    ("task_queue=SPECS.get(kind)", "SPECS = {'a': 'orders', 'b': 'mail'}\n"),
    ("task_queue=spec.queue", f"{CLASS}SPECS = {{'a': Spec('x'), 'b': Spec('y', [], 'mail')}}\n"),
]


def choosing(given: str, table: str, kind: str) -> str:
    source = worker("Q", f"import os, sys\n{table}").replace("task_queue=Q", given)
    return source.replace("    client =", f"    kind = {kind}\n    spec = SPECS[kind]\n    client =")


@pytest.mark.parametrize(("given", "table"), CHOSEN)
def test_a_key_of_a_table_that_is_known(tmp_path, given, table):
    source = choosing(given, table, 'os.getenv("KIND", "a")')
    assert only(proposed(tmp_path / "a", {"worker.py": source})).queues == ("orders",)
    assert only(proposed(tmp_path / "b", {"worker.py": source}, KIND="b")).queues == ("mail",)


@pytest.mark.parametrize(("given", "table"), CHOSEN)
def test_a_key_of_a_table_that_nobody_knows_is_asked_for(tmp_path, given, table):
    found = proposed(tmp_path, {"worker.py": choosing(given, table, "sys.argv[1]"), "other.py": "queue = 'another'\n"})
    assert found.questions
    assert only(found).env == {}


@pytest.mark.parametrize(("given", "table"), CHOSEN)
def test_a_service_of_compose_says_which_key(tmp_path, given, table):
    source = choosing(given, table, 'os.environ["KIND"]')
    found = proposed(tmp_path, {"worker.py": source, "compose.yml": COMPOSE})
    assert [(one.name, one.queues, one.env) for one in found.processes] == [
        ("first", ("orders",), {"KIND": "a"}),
        ("second", ("mail",), {"KIND": "b"}),
    ]


@pytest.mark.parametrize("program", ["python worker.py", "uv run work"])
def test_a_makefile_says_which_key(tmp_path, program):
    source = choosing("task_queue=spec['queue']", TABLES, "sys.argv[1]")
    manifest = '[build-system]\n[project]\nname = "x"\n[project.scripts]\nwork = "worker:main"\n'
    text = f"one:\n\t{program} a\ntwo:\n\t{program} b\n"
    found = proposed(tmp_path, {"worker.py": source, "Makefile": text, "pyproject.toml": manifest})
    assert [(one.command, one.queues) for one in found.processes] == [
        ("python worker.py a", ("orders",)),
        ("python worker.py b", ("mail",)),
    ]


WORDS = "os.getenv('TASK_QUEUES', 'orders, mail').split(',')"
SETTINGS = """class Settings(BaseSettings):
    task_queues: str = "orders,mail"
    @property
    def queue_list(self) -> list[str]:
        return [each.strip() for each in self.task_queues.split(",") if each.strip()]
settings = Settings()
"""


@pytest.mark.parametrize(
    ("queue", "table", "loop"),
    [
        ("own.strip()", f"QUEUES = {WORDS}\n", "for own in QUEUES:"),
        ("own", "", f"for own in {WORDS}:"),
        ("own", f"QUEUES = [each.strip() for each in {WORDS}]\n", "for own in QUEUES:"),
        ("own", "from flows import settings\n", "for own in settings.queue_list:"),
        ("own", "from flows import queues\n", "for own in queues():"),
        ("own", "from flows import Config\nconfig = Config.from_env()\n", "for own in config.queue_names:"),
    ],
)
def test_queues_with_commas_between_them(tmp_path, queue, table, loop):
    made = f"class Config:\n    def from_env(cls):\n        return cls(queue_names=[q for q in {WORDS}])\n"
    flows = f"{SETTINGS}{made}def queues():\n    return {WORDS}\n"
    process = only(proposed(tmp_path, {"worker.py": looping(queue, table, loop), "flows.py": flows}))
    assert (process.queues, process.ready) == (("orders", "mail"), "worker:orders/workflow, worker:mail/workflow")


def test_queues_with_commas_in_an_example_of_an_env(tmp_path):
    source = looping("own", "", "for own in os.environ['TASK_QUEUES'].split(','):")
    process = only(proposed(tmp_path, {"worker.py": source, ".env.example": "TASK_QUEUES=orders,mail\n"}))
    assert (process.queues, process.env) == (("orders", "mail"), {"TASK_QUEUES": "orders,mail"})


def test_other_words_of_a_text_are_no_queues(tmp_path):
    assert proposed(tmp_path, {"worker.py": looping("own", "", "for own in 'a/b'.split('/'):")}).questions


def test_two_services_of_one_command_are_asked_for_by_their_names(tmp_path):
    sources = {"worker.py": worker("named(os.environ['KIND'])"), "compose.yml": COMPOSE}
    assert [question.text for question in proposed(tmp_path, sources).questions] == [
        "which task queue does first (`python worker.py`) poll?",
        "which task queue does second (`python worker.py`) poll?",
    ]


def naming(template: str, *calls: str) -> str:
    run = f"async def run(client, name, other):\n    await Worker(client, task_queue={template}, workflows=[]).run()\n"
    made = "    await Worker(client, task_queue=X, workflows=[]).run()"
    return worker("X", run).replace(made, "\n".join(f"    await run(client, {call})" for call in calls))


@pytest.mark.parametrize(
    ("source", "queues"),
    [
        (naming('f"{name}-queue"', "'a', 1", "'b', 1"), ("a-queue", "b-queue")),
        (looping('f"{own}-queue"', "KINDS = ['a', 'b']\n", "for own in KINDS:"), ("a-queue", "b-queue")),
        (naming('f"{name}-queue"', "'a', 1", "load(), 1"), ("a-queue",)),
        (naming('f"{name}-{other}"', "'a', 'c'", "'b', 'd'"), ()),
    ],
)
def test_queues_that_are_partly_passed(tmp_path, source, queues):
    found = proposed(tmp_path, {"worker.py": source})
    assert bool(found.questions) is not bool(queues)
    assert not queues or only(found).queues == queues
