"""Programs in Go: which server they connect to, which command makes the worker, which queue it polls."""

from __future__ import annotations

import pytest

from tests.kit.sources import HERE, only, proposed

GO_MOD = "module example.com/shop\n\ngo 1.24\n\nrequire go.temporal.io/sdk v1.37.0\n"
MAIN = """package main
import (
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"example.com/shop/app"
)
func main() {
	BEFORE
	c, err := client.Dial(OPTIONS)
	w := worker.New(c, "q", worker.Options{})
}
"""
APP = 'package app\nimport "go.temporal.io/sdk/client"\nfunc Options() client.Options {\n\tBODY\n}\n'
HOST = "client.Options{HostPort: host}"
COMPOSE = "temporal:7233"


def connecting(options: str, before: str = "", **others: str) -> dict[str, str]:
    main = MAIN.replace("OPTIONS", options).replace("BEFORE", before)
    return {"go.mod": GO_MOD, "worker/main.go": main, **{f"{name}/{name}.go": text for name, text in others.items()}}


@pytest.mark.parametrize("default", [COMPOSE, "localhost:7233"])
@pytest.mark.parametrize(
    ("options", "before", "app"),
    [
        ('client.Options{HostPort: getEnv("T_URL", "DEFAULT")}', "", ""),
        ('client.Options{HostPort: app.GetEnv("T_URL", "DEFAULT"), Namespace: "n"}', "", ""),
        (HOST, 'host := os.Getenv("T_URL")\n\tif host == "" {\n\t\thost = "DEFAULT"\n\t}', ""),
        ("app.Options()", "", 'return client.Options{HostPort: getEnv("T_URL", "DEFAULT")}'),
        ("app.Options()", "", 'a := GetEnv("T_URL", "DEFAULT")\n\treturn client.Options{HostPort: a}'),
        (HOST, 'host := flag.String("host", getEnv("T_URL", "DEFAULT"), "")', ""),
        (
            'client.Options{HostPort: c.String("host")}',
            'f := &cli.StringFlag{Name: "host", EnvVars: []string{"T_URL"}, Value: "DEFAULT"}',
            "",
        ),
    ],
)
def test_a_variable_that_gives_the_address(tmp_path, options, before, app, default):
    sources = connecting(options, before, app=APP.replace("BODY", app))
    found = proposed(tmp_path, {path: text.replace("DEFAULT", default) for path, text in sources.items()})
    assert only(found).env == {"T_URL": HERE}
    place = "app/app.go" if app else "worker/main.go"
    note = f"{place} connects to {COMPOSE}, a name that exists only inside compose: T_URL is localhost:7233 instead"
    assert (note in found.notes) == (default == COMPOSE)


def test_a_variable_without_a_default(tmp_path):
    found = proposed(tmp_path, connecting('client.Options{HostPort: os.Getenv("T_URL")}'))
    assert only(found).env == {"T_URL": HERE}


def test_an_address_that_a_helper_has(tmp_path):
    app = APP.replace("BODY", f'return client.Options{{HostPort: "{COMPOSE}"}}')
    notes = proposed(tmp_path, connecting("app.Options()", app=app)).notes
    assert f"app/app.go connects to {COMPOSE}, a name that exists only inside compose: change it" in notes


@pytest.mark.parametrize("default", [COMPOSE, "localhost:7244", "localhost:7233"])
@pytest.mark.parametrize(
    ("before", "expression"),
    [
        ('address := flag.String("host", "DEFAULT", "where it is")', "*address"),
        ('var a string\n\tflag.StringVar(&a, "host", "DEFAULT", "where it is")', "a"),
        ('cmd.Flags().StringVarP(&cfg.address, "host", "a", "DEFAULT", "where it is")', "cfg.address"),
        ('f := &cli.StringFlag{Name: "host", Value: "DEFAULT"}', 'c.String("host")'),
    ],
)
def test_an_option_that_gives_the_address(tmp_path, before, expression, default):
    sources = connecting(f"client.Options{{HostPort: {expression}}}", before.replace("DEFAULT", default))
    found = proposed(tmp_path, sources)
    note = (
        f"worker/main.go connects to {default}, which only an option of its command can change: add"
        f" `--host {HERE}` to it"
    )
    assert (note in found.notes) == (default != "localhost:7233")
    assert (only(found).env, "TEMPORAL_PORT" in found.settings) == ({}, False)


def test_a_program_is_told_what_it_imports_alone(tmp_path):
    main = MAIN.replace("BEFORE", "").replace('\t"example.com/shop/app"\n', "")
    server = main.replace('\tw := worker.New(c, "q", worker.Options{})\n', '\thttp.ListenAndServe(":9000", nil)\n')
    server = server.replace("import (", 'import (\n\t"net/http"')
    sources = {
        "go.mod": GO_MOD,
        "worker/main.go": main.replace("OPTIONS", 'client.Options{HostPort: os.Getenv("WORKER_URL")}'),
        "server/main.go": server.replace("OPTIONS", 'client.Options{HostPort: os.Getenv("SERVER_URL")}'),
        "start/main.go": server.replace(
            "OPTIONS", f'client.Options{{HostPort: getEnv("START_URL", "{COMPOSE}")}}'
        ).replace("9000", "80"),
    }
    found = proposed(tmp_path, sources)
    assert [one.env for one in found.processes] == [{"WORKER_URL": HERE}, {"SERVER_URL": HERE}]
    assert f"start/main.go connects to {COMPOSE}, a name that exists only inside compose: set START_URL" in found.notes


def test_a_client_that_another_module_makes(tmp_path):
    sources = connecting(
        "app.Options()", app=APP.replace("BODY", 'return client.Options{HostPort: os.Getenv("T_URL")}')
    )
    core = {"core/go.mod": GO_MOD.replace("shop", "core"), "core/app/app.go": sources.pop("app/app.go")}
    sources["worker/main.go"] = sources["worker/main.go"].replace("shop/app", "core/app")
    assert only(proposed(tmp_path, {**sources, **core})).env == {"T_URL": HERE}


LOADED = """package config

const DefaultAddress = "DEFAULT"

func Load() (*Config, error) {
	cfg := &Config{
		HTTP:     HTTP{Address: valueOr("HTTP_ADDRESS", ":8080")},
		TemporalHost: valueOr("T_URL", "DEFAULT"), // of the cluster
		Temporal: &Temporal{
			Address: valueOr("T_URL", "DEFAULT"),
			Queue:   valueOr("T_QUEUE", "orders"),
		},
	}
	if asked := os.Getenv("T_URL"); asked != "" {
		cfg.Temporal.HostPort = asked
	}
	return cfg, nil
}

func Server() string {
	if v := os.Getenv("T_URL"); v != "" {
		return v
	}
	return DefaultAddress
}
"""


@pytest.mark.parametrize("default", [COMPOSE, "localhost:7233"])
@pytest.mark.parametrize("expression", ["cfg.TemporalHost", "cfg.Temporal.Address", "config.Server()"])
def test_a_field_that_the_program_fills_itself(tmp_path, expression, default):
    sources = connecting(f"client.Options{{HostPort: {expression}}}")
    found = proposed(tmp_path, {**sources, "config/config.go": LOADED.replace("DEFAULT", default)})
    assert only(found).env == {"T_URL": HERE}
    note = (
        f"worker/main.go connects to {COMPOSE}, a name that exists only inside compose: T_URL is localhost:7233 instead"
    )
    assert (note in found.notes) == (default == COMPOSE)


def test_a_field_that_a_helper_gets(tmp_path):
    helper = "package app\nfunc New(c Config) client.Options { return client.Options{HostPort: c.HostPort} }\n"
    sources = connecting("app.New(app.Config{HostPort: cfg.TemporalHost})", app=helper)
    helped = sources["app/app.go"].replace("func", 'import "go.temporal.io/sdk/client"\nfunc', 1)
    found = proposed(
        tmp_path, {**sources, "app/app.go": helped, "config/config.go": LOADED.replace("DEFAULT", COMPOSE)}
    )
    assert only(found).env == {"T_URL": HERE}


def test_a_field_of_something_else_is_not_told(tmp_path):
    """What other structs have under the same name says nothing, nor does an address that no variable changes."""
    other = LOADED.replace("Temporal: &Temporal", "Database: &Database")
    other += 'var http = HTTP{Bind: getEnv("HTTP_BIND", "0.0.0.0:8080")}\n'
    for number, expression in enumerate(["cfg.Temporal.Address", "cfg.Temporal.Bind", "cfg.Unknown"]):
        sources = connecting(f"client.Options{{HostPort: {expression}}}")
        found = proposed(tmp_path / str(number), {**sources, "config/config.go": other})
        assert (only(found).env, found.notes) == ({}, ())
