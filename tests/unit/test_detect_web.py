"""The web apps in other languages than Python: the lines that would run them, and their ports."""

from __future__ import annotations

import json

import pytest

from tests.kit.machine import cpu_limit
from tests.kit.sources import proposed

GO_MOD = "module example.com/shop\n\nrequire go.temporal.io/sdk v1.37.0\n"
IMPORTS = 'package main\nimport (\n\t"net/http"\n\t{}\n)\n'
NET = IMPORTS.format("") + 'func main() { http.ListenAndServe(":8091", nil) }\n'


def express(**scripts: str) -> str:
    return json.dumps({"scripts": scripts, "dependencies": {"express": "5"}})


@pytest.mark.parametrize(
    ("scripts", "script"),
    [
        ({"dev": "nodemon src/app.ts", "start": "ts-node src/app.ts"}, "start"),
        ({"dev": "ts-node-dev --respawn src/app.ts", "start": "node dist/app.js"}, "start"),
        ({"dev": "tsx watch src/app.ts", "start:prod": "NODE_ENV=production node dist/app"}, "start:prod"),
        ({"dev": "node --watch src/app.ts", "serve": "tsx src/app.ts", "start": "tsx src/seed.ts"}, "serve"),
        ({"dev": "nest start --watch", "start": "nest start"}, "start"),
        ({"dev": "nodemon src/app.ts", "start": "node src/seed.ts"}, "dev"),
        ({"dev": "nodemon src/app.ts", "lint": "eslint src/app.ts"}, "dev"),
        ({"dev": "nodemon src/app.ts", "start": "concurrently 'tsx src/app.ts' 'tsx src/worker.ts'"}, "dev"),
        ({"dev": "tsx src/app.ts", "start": "node dist/app.js"}, "dev"),
    ],
)
def test_a_web_app_of_node_is_not_run_behind_a_watcher(tmp_path, scripts, script):
    sources = {"package.json": express(**scripts), "src/app.ts": "", "src/seed.ts": ""}
    (note,) = proposed(tmp_path, sources).notes
    assert note.startswith("the Express app of package.json: left out; to run it, add `web: npm run ")
    assert f"`web: npm run {script}`" in note


@pytest.mark.parametrize(
    ("scripts", "is_said"), [({"build": "tsc"}, True), ({"build": "tsc", "prestart": "tsc"}, False)]
)
def test_what_has_to_be_built_before_is_said(tmp_path, scripts, is_said):
    sources = {"package.json": express(start="node dist/app.js", **scripts), "src/app.ts": "app.listen(3000)"}
    (web,) = proposed(tmp_path, sources).processes
    assert [*web.why] == ["package.json: Express, on port 3000", *["it runs what `npm run build` makes"] * is_said]
    del sources["src/app.ts"]
    (note,) = proposed(tmp_path / "unknown", sources).notes
    assert note.endswith(" (it runs what `npm run build` makes)") == is_said


@pytest.mark.parametrize(
    ("path", "package", "settings", "command"),
    [
        ("src/app.ts", "ts-node", "{}", "npx ts-node src/app.ts"),
        ("src/app.ts", "tsx", "{}", "npx tsx src/app.ts"),
        ("src/app.ts", "typescript", "{}", "npm run start"),
        ("src/app.js", "tsx", "{}", "npm run start"),
        ("src/app.ts", "tsx", '{"compilerOptions": {"paths": {"@/*": ["./src/*"]}}}', "npm run start"),
    ],
)
@pytest.mark.parametrize("folder", ["", "api/"])
def test_what_would_have_to_be_built_runs_as_it_is_where_the_project_has_a_runner(
    tmp_path, path, package, settings, command, folder
):
    manifest = json.loads(express(start="node dist/app.js", build="tsc"))
    manifest["devDependencies"] = {package: "1"}
    files = {"package.json": json.dumps(manifest), path: "app.listen(3000)", "tsconfig.json": settings}
    (web,) = proposed(tmp_path, {f"{folder}{name}": text for name, text in files.items()}).processes
    if folder and command.startswith("npm "):
        command = "npm --prefix api run start"
    assert web.command == command
    assert web.cwd == (folder.rstrip("/") if command.startswith("npx ") else "")
    assert (len(web.why) == 1) == command.startswith("npx ")


@pytest.mark.parametrize(
    ("source", "port"),
    [
        ("app.listen(3000, () => {});", 3000),
        ("const port = 3000;\napp.listen(port, () => {});", 3000),
        ("const port: number = 3000\nhttp.createServer(app).listen(port)", 3000),
        ("app.listen({ port: 3000, host: '::' });", 3000),
        ("const port = 3000;\nawait app.listen({ port });", 3000),
        ("app.listen('3000'); // app.listen(4000)", 3000),
        ("const PORT = process.env.PORT || 3000;\napp.listen(PORT);", (3000, "PORT")),
        ("await app.listen(process.env.API_PORT ?? 3000);", (3000, "API_PORT")),
        ("const port = Number(process.env.PORT) || 3000;\napp.listen(port);", (3000, "PORT")),
        ("app.listen(parseInt(process.env['PORT'] || '3000', 10));", (3000, "PORT")),
        ("app.listen(+(process.env.PORT || 3000));", (3000, "PORT")),
        ("app.listen(process.env.GIVEN || 3000);", (4000, "GIVEN")),
        ("serve({ fetch: app.fetch, port: 3000 }, (info) => {});", 3000),
        ("serve({ fetch: app.fetch, port: Number(process.env.PORT) || 3000 });", (3000, "PORT")),
        ("app.listen(process.env.PORT);", None),
        ("app.listen(config.port);", None),
        ("app.listen(3000 + id);", None),
        ("app.listen(99999);", None),
        ("app.listen(3000); admin.listen(3001);", None),
        ("let port = 3000;\nport = 3001;\napp.listen(port);", None),
        ("const a = () => { const port = 1000; };\nconst port = 3000;\napp.listen(port);", None),
        ("const { port } = config;\napp.listen(port);", None),
        ("import { port } from './config';\napp.listen(port);", None),
    ],
)
def test_the_port_of_a_web_app_of_node(tmp_path, source, port):
    sources = {"package.json": express(start="tsx src/app.ts"), "src/app.ts": source, "src/config.ts": "port: 7"}
    found = proposed(tmp_path, sources, GIVEN="4000")
    if port is None:
        (note,) = found.notes
        assert note.endswith("to run it, add `web: npm run start` to the Procfile")
        return
    (web,) = found.processes
    number, variable = port if isinstance(port, tuple) else (port, "")
    assert (web.name, web.command, web.ready) == ("web", "npm run start", f"tcp:{number}")
    assert web.env == ({variable: str(number)} if variable else {})
    assert web.watch == ("**/*.ts",)


@pytest.mark.parametrize(
    ("scripts", "command"),
    [
        ({"dev:api": "tsx watch src/app.ts", "start:api": "tsx src/app.ts", "dev": "concurrently a b"}, "start:api"),
        ({"start": "tsx src/worker.ts", "server": "tsx src/app.ts"}, "server"),
        ({"worker": "tsx src/worker.ts", "api:start": "tsx src/app.ts"}, "api:start"),
    ],
)
def test_the_server_has_a_script_beside_that_of_the_worker(tmp_path, scripts, command):
    manifest = json.loads(express(**scripts))
    manifest["dependencies"] |= {"@temporalio/worker": "1"}
    worker = "const worker = await Worker.create({ taskQueue: 'orders' });"
    sources = {"package.json": json.dumps(manifest), "src/app.ts": "app.listen(3000);", "src/worker.ts": worker}
    found = {process.ready: process.command for process in proposed(tmp_path, sources).processes}
    assert found["tcp:3000"] == f"npm run {command}"
    assert len(found) == 2


def test_a_port_that_a_script_gives(tmp_path):
    sources = {"package.json": express(start="PORT=4000 tsx app.ts"), "app.ts": "app.listen(process.env.PORT || 3000)"}
    found = proposed(tmp_path, sources)
    assert not found.processes
    assert "tcp:" not in found.notes[0]


@pytest.mark.parametrize(
    ("config", "port", "env"),
    [
        ("export const config = { web: { port: 4000 } };", 4000, {}),
        ("export const config = { web: { port: Number(process.env.PORT ?? 4000) } };", 4000, {"PORT": "4000"}),
        ("export const config = { web: { port: parseInt(process.env.PORT || '4000', 10) } };", 4000, {"PORT": "4000"}),
        ("export const config = { web: { port: load() } };", 0, {}),
    ],
)
def test_a_port_of_node_that_another_file_has(tmp_path, config, port, env):
    app = "import { config } from './config';\napp.listen(config.web.port, () => console.log(config.web.port));"
    found = proposed(tmp_path, {"package.json": express(start="tsx app.ts"), "app.ts": app, "config.ts": config})
    assert [(process.ready, process.env) for process in found.processes] == ([(f"tcp:{port}", env)] if port else [])


@pytest.mark.parametrize(
    ("package", "source", "kind", "port"),
    [
        ("", 'http.ListenAndServe(":8091", nil)', "net/http", 8091),
        ("", 's := &http.Server{\n\tAddr: "localhost:8091",\n}\ns.ListenAndServe()', "net/http", 8091),
        ("", "http.ListenAndServe(addr, nil)\nvar addr = os.Getenv(x)", "net/http", None),
        ("", 'http.ListenAndServe(":8091", nil)\nhttp.ListenAndServe(":8092", nil)', "net/http", None),
        ('"github.com/go-chi/chi/v5"', 'addr := ":8080"\nhttp.ListenAndServe(addr, r)', "chi", 8080),
        ('"github.com/labstack/echo/v4"', 'e.Logger.Fatal(e.Start(":1323"))', "Echo", 1323),
        ('"github.com/gofiber/fiber/v2"', 'const Port = ":3000"\napp.Listen(Port)', "Fiber", 3000),
        ('"github.com/gin-gonic/gin"', 'r.Run("0.0.0.0:8080")', "Gin", 8080),
        ('"github.com/gin-gonic/gin"', "r := gin.Default()\nr.Run()", "Gin", (8080, "PORT")),
        ('"github.com/gin-gonic/gin"', "r := setUp()\ncommand.Run()\nr.Run(port())", "Gin", None),
    ],
)
def test_a_web_app_in_go(tmp_path, package, source, kind, port):
    text = IMPORTS.format(package) + f"func main() {{\n{source}\n}}\n"
    found = proposed(tmp_path, {"go.mod": GO_MOD, "cmd/api/main.go": text})
    if port is None:
        line = "`api: go run ./cmd/api` to the Procfile"
        assert found.notes == (f"the {kind} app of cmd/api/main.go: left out; to run it, add {line}",)
        return
    (api,) = found.processes
    number, variable = port if isinstance(port, tuple) else (port, "")
    assert (api.name, api.command, api.ready) == ("api", "go run ./cmd/api", f"tcp:{number}")
    assert api.env == ({variable: str(number)} if variable else {})
    assert api.why == (f"cmd/api/main.go: {kind}, on port {number}",)
    assert api.watch == ("**/*.go",)


def test_a_port_that_only_root_may_open(tmp_path):
    found = proposed(tmp_path, {"go.mod": GO_MOD, "cmd/api/main.go": NET.replace("8091", "80")})
    assert not found.processes
    (note,) = found.notes
    assert note.endswith('and to mika.toml, below `[process.api]`, `ready = "tcp:80"`')


def test_a_second_app_at_the_same_port(tmp_path):
    sources = {"go.mod": GO_MOD, "cmd/api/main.go": NET, "cmd/old/main.go": NET}
    found = proposed(tmp_path, sources)
    assert [process.name for process in found.processes] == ["api"]
    assert "`old: go run ./cmd/old`" in found.notes[0]


def test_a_web_app_in_go_that_is_in_a_module_and_package_of_its_own(tmp_path):
    main = 'package main\nimport "example.com/shop/internal/api"\nfunc main() { api.Serve() }\n'
    served = 'package api\nimport "net/http"\nfunc Serve() { http.ListenAndServe(":8091", nil) }\n'
    sources = {"go.mod": "module x\n", "back/go.mod": GO_MOD, "back/internal/api/a.go": served, "back/main.go": main}
    (back,) = proposed(tmp_path, sources).processes
    assert (back.name, back.command, back.cwd, back.ready) == ("back", "go run .", "back", "tcp:8091")
    assert back.watch == ("back/**/*.go",)


def test_a_web_app_in_go_whose_server_is_in_the_package_of_the_module_itself(tmp_path):
    main = 'package main\nimport "example.com/shop"\nfunc main() { shop.Serve() }\n'
    served = 'package shop\nimport "net/http"\nfunc Serve() { http.ListenAndServe(":8091", nil) }\n'
    sources = {
        "go.mod": GO_MOD,
        "serve.go": served,
        "cmd/shop/main.go": main,
        "cmd/seed/main.go": main.replace("Serve", "Seed"),
    }
    (shop,) = proposed(tmp_path, sources).processes
    assert (shop.name, shop.command) == ("shop", "go run ./cmd/shop")


@pytest.mark.parametrize(
    "sources",
    [
        {"main.go": "package main\nfunc main() {}\n"},
        {"main.go": NET.replace("ListenAndServe", "Get")},
        {"api/api.go": NET.replace("package main", "package api")},
        {"main_test.go": NET},
        {"main.go": NET.replace('"net/http"', '"net/http"\n\t_ "net/http/pprof"')},
        {"main.go": NET, "work.go": 'package main\nfunc x() { w := worker.New(c, "q", worker.Options{}) }\n'},
    ],
)
def test_a_program_in_go_that_is_no_web_app_or_has_a_worker(tmp_path, sources):
    found = proposed(tmp_path, {"go.mod": GO_MOD, **sources})
    assert all(process.queues for process in found.processes)
    assert not [note for note in found.notes if " app of " in note]


def test_two_apps_of_one_name(tmp_path):
    vite = '{"scripts": {"dev": "vite"}, "devDependencies": {"vite": "5"}}'
    sources = {"go.mod": GO_MOD, "api/main.go": NET, "a/web/package.json": vite, "b/web/package.json": vite}
    found = proposed(tmp_path, sources)
    names = [note.split("`")[1].partition(":")[0] for note in found.notes]
    assert [*names, *(process.name for process in found.processes)] == ["web", "web-js", "api"]


@pytest.mark.parametrize("filler", [" ", "a", "\n", "(", "/*", "PORT ", "const port:", "http.Server{", '"x" ', "A= "])
def test_texts_that_never_end_cost_little(tmp_path, filler):
    most = 190_000 // len(filler)
    starts = {
        "package.json": express(dev="nodemon app.ts", start="node app.ts"),
        "app.ts": "app.listen(port);\nconst port:",
        "b/package.json": express(dev="nodemon", start="FILLER"),
        "go.mod": "module x\n",
        "a/main.go": NET.replace('":8091"', "addr") + "addr ",
        "b/main.go": NET + "\nhttp.Server{",
    }
    sources = {
        path: text.replace("FILLER", json.dumps(filler * 5000)[1:-1]) + (filler * most if ".json" not in path else "")
        for path, text in starts.items()
    }
    with cpu_limit(5):
        proposed(tmp_path, sources)


SERVING = "func serve() { http.ListenAndServe(ADDRESS, nil) }\n"
COMMANDS = """package main
import (
	"net/http"
	"os"
)
func main() {
	switch os.Args[1] {
	case "api":
		serve()
	case "worker":
		work()
	case "migrate":
		migrate()
	}
}
"""
WORK = 'package main\nfunc work() { w := worker.New(c, "q", worker.Options{}) }\nfunc migrate() {}\n'


def test_a_command_in_go_that_serves_beside_the_one_that_makes_the_worker(tmp_path):
    main = COMMANDS + SERVING.replace("ADDRESS", '":8091"')
    worker, api = proposed(tmp_path, {"go.mod": GO_MOD, "main.go": main, "work.go": WORK}).processes
    assert (worker.name, worker.command) == ("worker", "go run . worker")
    assert (api.name, api.command, api.ready) == ("api", "go run . api", "tcp:8091")


def test_a_program_in_go_whose_command_serves_is_not_run_without_it(tmp_path):
    main = COMMANDS + SERVING.replace("ADDRESS", '":8091"')
    (api,) = proposed(
        tmp_path, {"go.mod": GO_MOD, "main.go": main, "work.go": WORK.replace("worker.New", "f")}
    ).processes
    assert (api.name, api.command) == ("api", "go run . api")


def test_a_mode_in_go_that_serves_beside_the_one_that_makes_the_worker(tmp_path):
    main = COMMANDS.replace("os.Args[1]", 'os.Getenv("MODE")').replace('"api"', '"api", ""') + SERVING.replace(
        "ADDRESS", '":8091"'
    )
    worker, api = proposed(tmp_path, {"go.mod": GO_MOD, "main.go": main, "work.go": WORK}).processes
    assert (worker.command, api.command, api.name) == ("MODE=worker go run .", "MODE=api go run .", "api")


def test_a_command_in_go_that_serves_beside_its_worker_is_no_process_of_its_own(tmp_path):
    serves = WORK.replace("{ w", '{ go http.ListenAndServe(":9", nil); w').replace(
        "main\n", 'main\nimport "net/http"\n', 1
    )
    (worker,) = proposed(tmp_path, {"go.mod": GO_MOD, "main.go": COMMANDS, "work.go": serves}).processes
    assert worker.command == "go run . worker"


@pytest.mark.parametrize(
    ("expression", "before", "port", "env"),
    [
        ('":" + getenv("PORT", "8091")', "", 8091, {"PORT": "8091"}),
        (
            '":" + port',
            'port := os.Getenv("PORT")\n\tif port == "" {\n\t\tport = "8091"\n\t}\n',
            8091,
            {"PORT": "8091"},
        ),
        ('fmt.Sprintf(":%d", cfg.Port)', "cfg := Load()\n", 8091, {"PORT": "8091"}),
        ('getenv("ADDRESS", "0.0.0.0:8091")', "", 8091, {}),
        ('":" + os.Getenv("PORT")', "", None, {}),
    ],
)
def test_the_port_of_a_web_app_in_go_that_a_variable_decides(tmp_path, expression, before, port, env):
    config = 'type Config struct {\n\tPort int `env:"PORT" envDefault:"8091"`\n}\nfunc Load() Config { return c }\n'
    main = IMPORTS.format("") + f"func main() {{\n\t{before}\thttp.ListenAndServe({expression}, nil)\n}}\n{config}"
    found = proposed(tmp_path, {"go.mod": GO_MOD, "api/main.go": main})
    assert [(process.ready, process.env) for process in found.processes] == ([(f"tcp:{port}", env)] if port else [])
