"""What a task queue or an address is worth that stands behind functions, parameters, loops and settings."""

from __future__ import annotations

import pytest

from tests.kit.sources import HERE, only, proposed, worker

MAIN = 'if __name__ == "__main__":\n    asyncio.run(main())'


def polled(queue: str, source: str, *, main: str = MAIN) -> str:
    """A worker of that queue, with other code before it, and another program at the end."""
    own = worker(queue).replace('queue="from-a-default"', "queue=None")
    return own.replace("async def main(", f"{source}\nasync def main(").replace(MAIN, main)


FROM_ENV = """
@dataclass(frozen=True)
class Config:
    address: str = "localhost:7233"
    queue: str = "by-default"
    @classmethod
    def from_env(cls):
        return cls(address=os.getenv("ADDRESS", "localhost:7233"), queue=os.getenv("QUEUE", "by-default"))
config = Config.from_env()
"""
CLASS = """
class Own:
    def __init__(self, queue="by-default"):
        self.queue = queue
    async def run(self):
        await Worker(None, task_queue=self.queue, workflows=[]).run()
"""
TABLE = "field(default_factory=lambda: {'main': 'orders', 'x': 'y'})"
FACTORY = 'field(default_factory=lambda: os.getenv("QUEUE", "by-default"))'


@pytest.mark.parametrize(
    ("queue", "source", "main"),
    [
        ("config.queue", FROM_ENV, MAIN),
        ("config.queue", f"@dataclass\nclass Config:\n    queue: str = {FACTORY}\nconfig = Config()", MAIN),
        ("get_queue()", 'def get_queue():\n    """Doc."""\n    return os.getenv("QUEUE", "by-default")', MAIN),
        ("queue", 'queue = os.getenv("QUEUE", "by-default").strip()', MAIN),
        ('(os.getenv("QUEUE") or "by-default").strip()', "", MAIN),
        ("queue", 'def get(): return os.getenv("QUEUE", "by-default")\nqueue = get()', MAIN),
        ("queue", "", 'if __name__ == "__main__":\n    asyncio.run(main(queue=os.getenv("QUEUE", "by-default")))'),
        (
            "queue",
            "",
            'if __name__ == "__main__":\n    queue = os.environ["QUEUE"]\n    asyncio.run(main(queue=queue))',
        ),
        ("queue", "", 'if __name__ == "__main__":\n    asyncio.run(main(os.environ.get("QUEUE") or "by-default"))'),
        ("self.queue", CLASS, 'if __name__ == "__main__":\n    asyncio.run(Own(queue=os.environ["QUEUE"]).run())'),
    ],
)
def test_a_variable_comes_before_a_default(tmp_path, queue, source, main):
    found = proposed(tmp_path, {"worker.py": polled(queue, source, main=main)}, QUEUE="orders")
    assert only(found).queues == ("orders",)


def test_an_argument_of_somebody_elses_function_says_nothing_of_a_field(tmp_path):
    source = 'class Config:\n    queue = "orders"\nconfig = Config()\nrabbit.Connection(queue=os.getenv("RABBIT", "r"))'
    assert only(proposed(tmp_path, {"worker.py": polled("config.queue", source)})).queues == ("orders",)


@pytest.mark.parametrize(
    ("queue", "source", "main"),
    [
        ("args.queue", 'parser.add_argument("-q", "--queue", default="orders")', MAIN),
        ("args.task_queue", 'parser.add_argument("--task-queue", default="orders")', MAIN),
        ("args.queue", 'parser.add_argument("--to", dest="queue", default="orders")', MAIN),
        ("queue", '@click.option("--queue", default="orders")', MAIN.replace("main()", "main")),
        ("settings.queue", 'class S(BaseModel):\n    queue: str = Field("orders", description="x")', MAIN),
        ("Queue.ORDERS.value", 'class Queue(Enum):\n    ORDERS = "orders"', MAIN),
        ('QUEUES["orders"]', 'QUEUES = {"mail": "m", "orders": "orders"}', MAIN),
        ("queue", "", 'if __name__ == "__main__":\n    asyncio.run(main("orders"))'),
        ("queue", "", 'if __name__ == "__main__":\n    asyncio.run(main(queue="orders"))'),
        ("self.queue", CLASS, 'if __name__ == "__main__":\n    asyncio.run(Own("orders").run())'),
        ('options["queue"]', 'parser.add_argument("--queue", default="orders")', MAIN),
        (
            "settings.queue",
            'class S:\n    @property\n    def queue(self):\n        return f"{PRE}ers"\nPRE = "ord"',
            MAIN,
        ),
        ("QUEUE", "from constants import *\nfrom more import *", MAIN),
        ("settings.queues['main']", f"class S:\n    queues: dict = {TABLE}\nsettings = S()", MAIN),
        ("None, **options", 'options = {"task_queue": "orders"}', MAIN),
        ("None, **options", 'options = dict(task_queue="orders")', MAIN),
        ("None, **dict(task_queue='orders')", "", MAIN),
        ("queue", "", 'if __name__ == "__main__":\n    Process(target=main, args=("orders",)).start()'),
        ("queue", "", 'if __name__ == "__main__":\n    pool.submit(main, "orders")'),
        ("queue", "", 'if __name__ == "__main__":\n    run(partial(main, queue="orders"))'),
        (
            "queue",
            "async def begin(name):\n    await main(name)",
            'if __name__ == "__main__":\n    run(begin("orders"))',
        ),
    ],
)
def test_a_name_behind_an_option_a_table_or_a_parameter(tmp_path, queue, source, main):
    worker = polled(queue, source, main=main).replace("task_queue=None, **", "**")
    more = {"constants.py": "OTHER = 1\n", "more.py": 'queue = QUEUE = "orders"\n'}
    found = proposed(tmp_path, {"worker.py": worker, **more})
    assert (only(found).queues, found.questions) == (("orders",), ())


@pytest.mark.parametrize(
    "main",
    [
        "loop = asyncio.new_event_loop()\nloop.run_until_complete(main())",
        "asyncio.get_event_loop().run_until_complete(main())",
        "import uvloop\nuvloop.run(main())",
        "try:\n    asyncio.run(main())\nexcept KeyboardInterrupt:\n    pass",
        "with asyncio.Runner() as runner:\n    asyncio.run(main())",
    ],
)
def test_a_program_that_begins_without_asking_whether_it_is_one(tmp_path, main):
    found = proposed(tmp_path, {"worker.py": polled('"orders"', "", main=main)})
    assert (only(found).command, only(found).queues) == ("python worker.py", ("orders",))


DERIVED = """
class Own(Worker):
    def __init__(self, client, queue):
        super().__init__(client, task_queue=queue, workflows=[])
"""


def test_a_class_that_is_made_from_the_worker(tmp_path):
    source = polled("None", DERIVED).replace("Worker(client, task_queue=None, workflows=[])", 'Own(client, "orders")')
    assert only(proposed(tmp_path, {"worker.py": source})).queues == ("orders",)


KEEPING = """
from temporalio.worker import Worker as TemporalWorker
class Worker:
    def __init__(self, queue, workflows):
        self.queue = queue
    async def run(self):
        await TemporalWorker(None, task_queue=self.queue, workflows=[]).run()
"""


@pytest.mark.parametrize("queue", ['"orders"', 'queue="orders"'])
def test_a_class_of_the_project_that_makes_the_worker(tmp_path, queue):
    main = (
        f"import asyncio\nfrom lib import Worker\nif __name__ == '__main__':\n    asyncio.run(Worker({queue}).run())\n"
    )
    sources = {"lib/__init__.py": "from lib.own import Worker\n", "lib/own.py": KEEPING, "main.py": main}
    assert only(proposed(tmp_path, sources)).queues == ("orders",)


@pytest.mark.parametrize(
    ("queue", "source", "main"),
    [
        ("queue", "", 'if __name__ == "__main__":\n    asyncio.gather(main("orders"), main("mail"))'),
        ("one", 'QUEUES = ["orders", "mail"]\nfor one in QUEUES: pass', MAIN),
        ("one", 'for one in ("orders", "mail"): pass', MAIN),
        ("one", 'every = [Worker(None, task_queue=one) for one in {"orders": A, "mail": B}]', MAIN),
        ("one", 'QUEUES = {"orders": [A], "mail": [B]}\nfor one, flows in QUEUES.items(): pass', MAIN),
    ],
)
def test_several_queues_of_one_call(tmp_path, queue, source, main):
    assert only(proposed(tmp_path, {"worker.py": polled(queue, source, main=main)})).queues == ("orders", "mail")


def test_each_program_passes_its_own_queue(tmp_path):
    starts = "import asyncio\nfrom lib import main\nif __name__ == '__main__':\n    asyncio.run(main('{}'))\n"
    sources = {"lib.py": worker("queue").replace(MAIN, ""), "a.py": starts.format("a"), "b.py": starts.format("b")}
    found = proposed(tmp_path, sources)
    assert {process.command: process.queues for process in found.processes} == {
        "python a.py": ("a",),
        "python b.py": ("b",),
    }


CONNECTING = """
from temporalio.client import Client
async def connect(address="localhost:7244"):
    return await Client.connect(address)
"""
MANAGING = "from lib import connect\nasync def begin(address):\n    await connect(address=address)\n"


@pytest.mark.parametrize(
    ("passed", "port", "env"),
    [
        ("", "7244", {}),
        ('"localhost:7255"', "7255", {}),
        ('os.getenv("T_ADDRESS", "localhost:7255")', None, {"T_ADDRESS": HERE}),
        ("read_somewhere()", None, {}),
    ],
)
def test_an_address_that_is_passed_from_function_to_function(tmp_path, passed, port, env):
    called = f"begin({passed})" if passed else "connect()"
    imported = "from managing import begin" if passed else "from lib import connect"
    main = polled('"q"', f"import os\n{imported}").replace('Client.connect("localhost:7233")', called)
    found = proposed(tmp_path, {"lib.py": CONNECTING, "managing.py": MANAGING, "worker.py": main})
    assert getattr(found.settings.get("TEMPORAL_PORT"), "value", None) == port
    assert only(found).env == env


def test_the_default_of_a_parameter_does_not_count_where_something_unknown_is_passed(tmp_path):
    source = polled("queue", "", main='if __name__ == "__main__":\n    asyncio.run(main(read_somewhere()))')
    assert proposed(tmp_path, {"worker.py": source.replace("main():", 'main(queue="by-default"):')}).questions


NESTED = """
class Temporal(BaseModel):
    address: str = "localhost:7233"
    queue: str = "by-default"
class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_", env_nested_delimiter="__")
    temporal: Temporal = Temporal()
settings = Settings()
"""


@pytest.mark.parametrize("place", ["worker.py", "config.py"])
def test_settings_inside_settings(tmp_path, place):
    source = polled("settings.temporal.queue", NESTED if place == "worker.py" else "from config import settings")
    source = source.replace('connect("localhost:7233")', "connect(settings.temporal.address)")
    sources = {"worker.py": source, **({} if place == "worker.py" else {"config.py": NESTED})}
    found = only(proposed(tmp_path, sources, SHOP_TEMPORAL__QUEUE="orders"))
    assert found.queues == ("orders",)
    assert found.env == {"SHOP_TEMPORAL__ADDRESS": HERE}


# --- which program it is ----------------------------------------------------------------------------------------------

SCRIPT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
from shop.worker import main
if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize("main", [MAIN, ""], ids=["a program itself", "only imported"])
@pytest.mark.parametrize("place", ["scripts/run_worker.py", "tools/bin/run_worker.py"])
def test_a_script_beside_the_package_of_the_worker(tmp_path, place, main):
    sources = {"src/shop/__init__.py": "", "src/shop/worker.py": polled('"q"', "", main=main), place: SCRIPT}
    found = only(proposed(tmp_path, sources))
    assert found.command == ("python -m shop.worker" if main else f"python {place}")
    assert (found.env, found.queues) == ({"PYTHONPATH": "src"}, ("q",))


@pytest.mark.parametrize("argument", ['"-m", "app.worker"', '"app/worker.py"'])
def test_what_starts_the_worker_as_a_process_is_not_run_beside_it(tmp_path, argument):
    launcher = (
        f"import subprocess, sys\nif __name__ == '__main__':\n    subprocess.Popen([sys.executable, {argument}])\n"
    )
    sources = {"app/__init__.py": "", "app/worker.py": worker('"q"'), "start_workers.py": launcher}
    assert only(proposed(tmp_path, sources)).command == "python -m app.worker"


def test_a_worker_that_serves_the_app_of_another_file_by_a_function_there(tmp_path):
    api = (
        "import uvicorn\nfrom fastapi import FastAPI\napp = FastAPI()\n"
        "async def serve():\n    await uvicorn.Server(uvicorn.Config(app, port=8095)).serve()\n"
    )
    source = polled('"q"', "from api import serve\nasync def both(): await asyncio.gather(serve(), main())")
    found = only(
        proposed(tmp_path, {"api.py": api, "worker.py": source.replace("asyncio.run(main())", "asyncio.run(both())")})
    )
    assert found.command == "python worker.py"
    assert "it serves the web app of api.py, too" in found.why
