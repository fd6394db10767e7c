"""Which program in Go makes a worker, with which of its commands, and for which queue."""

from __future__ import annotations

import pytest

from tests.kit.machine import cpu_limit
from tests.kit.sources import only, proposed

GO_MOD = "module example.com/shop\n\ngo 1.24\n\nrequire go.temporal.io/sdk v1.37.0\n"
RUN = 'func runWorker() error {\n\tw := worker.New(c, "q", worker.Options{})\n\treturn w.Run(worker.InterruptCh())\n}\n'
START = "func startWorkflow() error {\n\treturn nil\n}\n"
MAIN = "package main\n\nfunc main() {\n\tBODY\n}\n\n" + RUN + START
COBRA = """package cmd

import "github.com/spf13/cobra"

const workerCmdName = "worker"

var rootCmd = &cobra.Command{Use: "shop"}

var startCmd = &cobra.Command{
	Use: "start",
	Run: func(cmd *cobra.Command, args []string) { startWorkflow() },
}

func newWorkerCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   workerCmdName,
		Short: "Serves.",
		RunE: func(cmd *cobra.Command, args []string) error {
			w := worker.New(c, "q", worker.Options{})
			return w.Run(worker.InterruptCh())
		},
	}
	return cmd
}

func Execute() { rootCmd.Execute() }

func init() { ADDED }
"""
ADDED = "rootCmd.AddCommand(startCmd, newWorkerCmd())"
NESTED = """tasks := &cobra.Command{Use: "tasks"}
	tasks.AddCommand(newWorkerCmd())
	rootCmd.AddCommand(tasks)"""
WITH_COBRA = 'package main\nimport "example.com/shop/cmd"\nfunc main() { cmd.Execute() }\n'
ARGUMENTS = """command := os.Args[1]
	switch command {
	case "start", "worker":
		err = runWorker()
	case "run", "workflow":
		err = startWorkflow()
	}"""
URFAVE = """app := &cli.App{
		Name: "shop",
		Commands: []*cli.Command{
			{Name: "begin", Action: func(c *cli.Context) error { return startWorkflow() }},
			{Name: "serve", Usage: "serves, for ever", Action: runWorker},
		},
	}
	app.Run(os.Args)"""
URFAVE_3 = """cmd := &cli.Command{Name: "shop", Commands: []*cli.Command{
		{Name: "tasks", Commands: []*cli.Command{serveCmd()}},
	}}
	cmd.Run(ctx, os.Args)
}
func serveCmd() *cli.Command {
	return &cli.Command{Name: "serve", Action: runWorker}"""
FLAG = 'workerMode := flag.Bool("worker", false, "")\n\tflag.Parse()\n\tif *workerMode {\n\t\trunWorker()\n\t} else '
MODE = """mode := flag.String("mode", "api", "")
	switch *mode {
	case "api":
		serve()
	case "jobs":
		runWorker()
	}"""
IS_FIRST = 'if os.Args[1] == "start" {\n\t\tstartWorkflow()\n\t\treturn\n\t}\n\trunWorker()'
PASSED = "command(os.Args[1])\n}\nfunc command(name string) {\n" + ARGUMENTS.partition("\n")[2].replace(
    "command", "name"
)
DIRECT = ARGUMENTS.replace("command := os.Args[1]", "").replace("switch command", "switch os.Args[1]")
STARTS = FLAG.replace("runWorker", "startWorkflow") + "{\n\t\trunWorker()\n\t}"
HIDDEN = ARGUMENTS.replace("runWorker()", "hidden()")


OF_ENV = MODE.replace('flag.String("mode", "api", "")', 'os.Getenv("MODE")').replace("*mode", "mode")
CONFIG = 'type Config struct {\n\tMode string `env:"APP_MODE" envDefault:"api"`\n}\n'
IF_MODE = 'if SUBJECT == "jobs" {\n\t\trunWorker()\n\t\treturn\n\t}\n\tserve()'


@pytest.mark.parametrize(
    ("body", "command"),
    [
        (OF_ENV, "MODE=jobs go run ."),
        (OF_ENV.replace("switch mode", 'switch mode := os.Getenv("MODE"); mode'), "MODE=jobs go run ."),
        (IF_MODE.replace("SUBJECT", 'os.Getenv("MODE")'), "MODE=jobs go run ."),
        (OF_ENV.replace('os.Getenv("MODE")', 'getEnv("MODE", "api")'), "MODE=jobs go run ."),
        ("cfg := Load()\n\t" + IF_MODE.replace("SUBJECT", "cfg.Mode"), "APP_MODE=jobs go run ."),
        (ARGUMENTS, "go run . worker"),
        (ARGUMENTS.replace('"start", "worker"', '"start"'), "go run . start"),
        (DIRECT, "go run . worker"),
        ('if len(os.Args) > 1 && os.Args[1] == "work" {\n\t\trunWorker()\n\t\treturn\n\t}\n\tserve()', "go run . work"),
        (IS_FIRST, "go run ."),
        ('switch os.Args[1] {\n\tcase "start":\n\t\tstartWorkflow()\n\tdefault:\n\t\trunWorker()\n\t}', "go run ."),
        (PASSED, "go run . worker"),
        (URFAVE, "go run . serve"),
        (URFAVE_3, "go run . tasks serve"),
        (FLAG + "{\n\t\tstartWorkflow()\n\t}", "go run . -worker"),
        (STARTS.replace("*worker", "!*worker"), "go run . -worker"),
        (STARTS, "go run ."),
        (MODE, "go run . -mode=jobs"),
        ("runWorker()", "go run ."),
    ],
)
def test_the_command_that_makes_the_worker(tmp_path, body, command):
    config = f"package main\n{CONFIG}func Load() Config {{ return c }}\n"
    found = only(proposed(tmp_path, {"go.mod": GO_MOD, "main.go": MAIN.replace("BODY", body), "config.go": config}))
    assert (found.command, found.queues) == (command, ("q",))


KONG = """package main

type WorkCmd struct{}

func (w *WorkCmd) Run(g *Globals) error { return runWorker() }

type ServeCmd struct{}

func (s *ServeCmd) Run() error { return startWorkflow() }

var cli struct {
	WorkAll WorkCmd  `cmd:"" help:"Works."TAG`
	Serve   ServeCmd `cmd:"" help:"Serves."`
}

func main() { kong.Parse(&cli).Run(&cli) }

"""


@pytest.mark.parametrize(("tag", "word"), [("", "work-all"), (' name:"tasks"', "tasks")])
def test_a_command_of_kong(tmp_path, tag, word):
    main = KONG.replace("TAG", tag) + RUN + START
    assert only(proposed(tmp_path, {"go.mod": GO_MOD, "main.go": main})).command == f"go run . {word}"


def test_a_worker_whose_level_of_logging_is_set_is_no_command(tmp_path):
    body = 'if os.Getenv("LOG") == "debug" {\n\t\tverbose()\n\t}\n\trunWorker()'
    assert only(proposed(tmp_path, {"go.mod": GO_MOD, "main.go": MAIN.replace("BODY", body)})).command == "go run ."


@pytest.mark.parametrize(
    ("cobra", "command"),
    [
        (COBRA.replace("ADDED", ADDED), "go run . worker"),
        (COBRA.replace("ADDED", NESTED), "go run . tasks worker"),
        ("package cmd\nvar rootCmd = newWorkerCmd()\n" + COBRA[COBRA.index("func newWorkerCmd") :], "go run ."),
    ],
)
def test_the_command_of_cobra_that_makes_the_worker(tmp_path, cobra, command):
    sources = {"go.mod": GO_MOD, "main.go": WITH_COBRA, "cmd/root.go": cobra, "cmd/start.go": f"package cmd\n{START}"}
    assert only(proposed(tmp_path, sources)).command == command


BOTH = 'switch os.Args[1] {\n\tcase "all":\n\t\tserve()\n\t\trunWorker()\n\tcase "jobs":\n\t\trunWorker()\n\t}'


@pytest.mark.parametrize(
    ("body", "texts", "command"),
    [
        (BOTH, {"Makefile": "worker:\n\tgo run ./cmd/shop jobs\n"}, "go run ./cmd/shop jobs"),
        (BOTH, {"README.md": "\ngo run cmd/shop/main.go jobs --loud  # it\n"}, "go run ./cmd/shop jobs --loud"),
        (BOTH, {"cmd/README.md": "`go run -ldflags='-s -w' ./shop/... all`"}, "go run ./cmd/shop all"),
        (ARGUMENTS, {"README.md": "`go run ./cmd/shop run`, `go run ./cmd/shop start`"}, "go run ./cmd/shop start"),
        (ARGUMENTS, {"README.md": "`go run ./cmd/shop run`"}, "go run ./cmd/shop worker"),
        (HIDDEN, {"README.md": "`go run ./cmd/shop start`"}, "go run ./cmd/shop start"),
        ("runWorker()", {"Makefile": "\tgo run ./cmd/shop -q orders\n"}, "go run ./cmd/shop -q orders"),
        ("runWorker()", {"Makefile": "\tgo run ./cmd/shop -q $(q)\n"}, "go run ./cmd/shop"),
        ("runWorker()", {"README.md": "go run ./cmd/shop to start the worker\n"}, "go run ./cmd/shop"),
    ],
)
def test_what_is_documented_decides_between_commands(tmp_path, body, texts, command):
    sources = {"go.mod": GO_MOD, "cmd/shop/main.go": MAIN.replace("BODY", body), **texts}
    assert only(proposed(tmp_path, sources)).command == command


@pytest.mark.parametrize(
    ("body", "names", "texts"),
    [
        (BOTH, "all, jobs", {}),
        (BOTH, "all, jobs", {"Makefile": "a:\n\tgo run . all\nb:\n\tgo run . jobs\n"}),
        (HIDDEN, "worker, run", {}),
    ],
)
def test_a_command_that_is_not_known_is_said(tmp_path, body, names, texts):
    found = proposed(tmp_path, {"go.mod": GO_MOD, "main.go": MAIN.replace("BODY", body), **texts})
    assert (found.processes, found.questions) == ((), ())
    note = (
        "main.go makes a worker, but it is not known which command of main.go starts it (NAMES): add the right one to"
    )
    assert f"{note.replace('NAMES', names)} `go run .`" in found.notes


HELPER = """package wk
import "go.temporal.io/sdk/worker"
func RunWorker(c client.Client, name, queue string) {
	w := worker.New(c, queue, worker.Options{})
}
"""
CALLS = 'package main\nimport (\n\t"example.com/shop/wk"\n)\nfunc main() {\n\twk.RunWorker(c, "n", QUEUE)\n}\n'


@pytest.mark.parametrize(
    ("queue", "others", "expected"),
    [
        ('"literal"', {}, ("literal",)),
        ("queue", {"cmd/b/b.go": 'package main\nconst queue = "constant"'}, ("constant",)),
        ("config.Queue", {"config/a.go": 'package config\nconst Queue = "theirs"'}, ("theirs",)),
        ("given()", {}, ()),
        ('"a")\n\twk.RunWorker(d, "m", "b"', {}, ("a", "b")),
    ],
)
def test_a_queue_that_a_helper_is_given(tmp_path, queue, others, expected):
    main = CALLS.replace('"example.com/shop/wk"', '"example.com/shop/wk"\n\t"example.com/shop/config"')
    wrong = {"wk/x.go": 'package wk\nvar queue = "another"', "a/a.go": 'package a\nconst Queue = "wrong"'}
    sources = {"go.mod": GO_MOD, "wk/wk.go": HELPER, "cmd/b/main.go": main.replace("QUEUE", queue), **wrong, **others}
    found = only(proposed(tmp_path, sources))
    assert (found.command, found.queues) == ("go run ./cmd/b", expected or ("QUEUE",))


def test_each_program_gives_a_helper_its_own_queue(tmp_path):
    programs = {f"cmd/{name}/main.go": CALLS.replace("QUEUE", f'"{name}"') for name in ("email", "billing")}
    found = proposed(tmp_path, {"go.mod": GO_MOD, "wk/wk.go": HELPER, **programs})
    assert {(one.command, one.queues) for one in found.processes} == {
        ("go run ./cmd/email", ("email",)),
        ("go run ./cmd/billing", ("billing",)),
    }


def test_a_method_of_a_type_that_makes_the_worker(tmp_path):
    helper = HELPER.replace(
        "func RunWorker(", "type Server struct{}\nfunc New() *Server { return nil }\nfunc (s *Server) Run("
    )
    main = CALLS.replace("wk.RunWorker(", "wk.New().Run(").replace("QUEUE", '"q"')
    api = 'package main\nimport "example.com/shop/wk"\nfunc main() {\n\trouter.Run(wk.Address)\n}\n'
    sources = {"go.mod": GO_MOD, "wk/wk.go": helper, "cmd/b/main.go": main, "cmd/api/main.go": api}
    found = only(proposed(tmp_path, sources))
    assert (found.command, found.queues) == ("go run ./cmd/b", ("q",))


def test_a_method_of_a_field_that_makes_the_worker(tmp_path):
    helper = HELPER.replace("func RunWorker(", "type Server struct{}\nfunc (s *Server) Run(")
    main = CALLS.replace("func main() {", "type app struct {\n\tinner wk.Server\n}\nfunc main() {\n\tvar a app")
    sources = {"go.mod": GO_MOD, "wk/wk.go": helper, "cmd/b/main.go": main.replace("wk.RunWorker(", "a.inner.Run(")}
    found = only(proposed(tmp_path, {path: text.replace("QUEUE", '"q"') for path, text in sources.items()}))
    assert (found.command, found.queues) == ("go run ./cmd/b", ("q",))


def test_a_worker_of_another_module_of_the_workspace(tmp_path):
    sources = {
        "go.work": "go 1.24\nuse ./core\nuse ./orders\n",
        "core/go.mod": GO_MOD.replace("example.com/shop", "example.com/core"),
        "core/wk/wk.go": HELPER,
        "orders/go.mod": GO_MOD.replace("example.com/shop", "example.com/orders"),
        "orders/cmd/worker/main.go": CALLS.replace("shop", "core").replace("QUEUE", "Queue"),
        "orders/cmd/worker/names.go": 'package main\nconst Queue = "orders"',
    }
    found = proposed(tmp_path, sources)
    process = only(found)
    assert (process.command, process.cwd, process.queues) == ("go run ./cmd/worker", "orders", ("orders",))
    assert (process.watch, found.notes) == (("orders/**/*.go", "core/**/*.go"), ())


@pytest.mark.parametrize(
    "filler", ["{", "(", "if ", "switch ", "case ", "a.b(", "\nfunc a(", "&cobra.Command{", "cli.App{"]
)
def test_a_source_that_never_ends_costs_little(tmp_path, filler):
    text = MAIN.replace("BODY", ARGUMENTS) + filler * (150_000 // len(filler))
    with cpu_limit(5):
        proposed(tmp_path, {"go.mod": GO_MOD, "main.go": text})


SERVES = 'package main\nimport "net/http"\nfunc main() {\n\thttp.ListenAndServe(":PORT", nil)\n}\n'


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["cmd/server"], ["server"]),
        (["a/cmd/server", "b/cmd/server"], ["a", "b"]),
        (["services/a/cmd/server", "services/b/server", "services/c/cmd/api"], ["a", "b", "api"]),
    ],
)
def test_the_names_of_servers(tmp_path, folders, names):
    sources = {f"{path}/main.go": SERVES.replace("PORT", str(9000 + at)) for at, path in enumerate(folders)}
    found = proposed(tmp_path, {"go.mod": GO_MOD, **sources})
    assert sorted(process.name for process in found.processes) == sorted(names)


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["cmd/worker"], ["worker"]),
        (["cmd/worker", "cmd/other"], ["worker", "other"]),
        (["services/a/cmd/worker", "services/b/cmd/worker"], ["a", "b"]),
        (["services/a/cmd/temporal_worker", "services/b/cmd/temporal_worker"], ["a", "b"]),
        (["cmd/worker", "cmd/app"], ["worker", "worker-2"]),
    ],
)
def test_the_names_of_workers(tmp_path, folders, names):
    sources = {
        f"{path}/main.go": MAIN.replace("BODY", "runWorker()").replace('"q"', f'"q{at}"')
        for at, path in enumerate(folders)
    }
    found = proposed(tmp_path, {"go.mod": GO_MOD, **sources})
    assert sorted(process.name for process in found.processes) == sorted(names)


def test_a_server_that_imports_a_worker_without_making_it(tmp_path):
    api = SERVES.replace("PORT", "9000").replace(
        'import "net/http"', 'import (\n\t"net/http"\n\t"example.com/shop/wk"\n)'
    )
    sources = {
        "go.mod": GO_MOD,
        "wk/wk.go": HELPER + "const Queue = 1\n",
        "cmd/b/main.go": CALLS.replace("QUEUE", '"q"'),
    }
    using = {"cmd/api/main.go": api.replace("main() {", "main() {\n\tstart(wk.Queue)")}
    assert {one.name: one.ready for one in proposed(tmp_path / "1", {**sources, **using}).processes} == {
        "worker": "worker:q",
        "api": "tcp:9000",
    }
    making = {"cmd/api/main.go": api.replace("main() {", 'main() {\n\twk.RunWorker(c, "n", "r")')}
    found = proposed(tmp_path / "2", {**sources, **making})
    assert {one.command: one.ready for one in found.processes} == {
        "go run ./cmd/b": "worker:q",
        "go run ./cmd/api": "worker:r",
    }


TWO = """switch os.Args[1] {
	case "email-worker":
		runEmail()
	case "billing":
		runBilling()
	}"""


@pytest.mark.parametrize("is_apart", [False, True])
@pytest.mark.parametrize(
    ("text", "billing"), [("", "go run . billing"), ("`go run . billing --loud`", "go run . billing --loud")]
)
def test_commands_that_make_workers_of_their_own(tmp_path, is_apart, text, billing):
    email, other = (RUN.replace("runWorker", name).replace('"q"', f'"{name}"') for name in ("runEmail", "runBilling"))
    main = MAIN.replace("BODY", TWO).replace(RUN, "")
    sources = {"a.go": f"package main\n{email}", "b.go": f"package main\n{other}"}
    sources = sources if is_apart else {"a.go": f"package main\n{email}\n{other}"}
    found = proposed(tmp_path, {"go.mod": GO_MOD, "main.go": main, "README.md": text, **sources})
    assert {(one.name, one.command, one.queues) for one in found.processes} == {
        ("email-worker", "go run . email-worker", ("runEmail",)),
        ("billing", billing, ("runBilling",)),
    }


def test_what_is_watched_are_all_modules_that_a_program_imports(tmp_path):
    shared = 'package shared\nconst Queue = "q"\nfunc Port() string { return "" }\n'
    main = 'package main\nimport "x.dev/shared"\nfunc main() {\n\tBODY\n}\n'
    api = main.replace("BODY", 'http.ListenAndServe(":8091", shared.Port())').replace(
        "import", 'import "net/http"\nimport'
    )
    sources = {
        "go.work": "use (\n\t./work\n\t./shared\n\t./api\n)\n",
        "shared/go.mod": "module x.dev/shared\n",
        "shared/shared.go": shared,
        "other/go.mod": "module x.dev/other\n",
        "other/other.go": "package other\n",
        "work/go.mod": "module x.dev/work\nrequire go.temporal.io/sdk v1.37.0\n",
        "work/main.go": main.replace("BODY", "w := worker.New(c, shared.Queue, worker.Options{})"),
        "api/go.mod": "module x.dev/api\nrequire go.temporal.io/sdk v1.37.0\n",
        "api/main.go": api,
    }
    worker, web = proposed(tmp_path, sources).processes
    assert worker.watch == ("work/**/*.go", "shared/**/*.go")
    assert web.watch == ("api/**/*.go", "shared/**/*.go")
