"""Programs in Go whose settings a library reads: by the tags of a struct, or viper."""

from __future__ import annotations

import pytest

from tests.kit.sources import HERE, only, proposed

GO_MOD = "module example.com/shop\n\ngo 1.24\n\nrequire go.temporal.io/sdk v1.37.0\n"
MAIN = """package main

import (
	"example.com/shop/config"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

func main() {
	cfg, err := config.Load()
	c, err := client.Dial(client.Options{HostPort: ADDRESS})
	w := worker.New(c, QUEUE, worker.Options{})
}
"""
CONFIG = """package config

IMPORT

type Config struct {
	HTTP     HTTP
	BODY
}

type HTTP struct {
	Address string `env:"HTTP_ADDRESS" envDefault:":8080"`
}

LOAD
"""
LOAD = "func Load() (*Config, error) { return parsed() }"
NESTED = """Temporal Temporal PREFIX
}

type Temporal struct {
	Address string ADDRESS
	Queue   string QUEUE"""
VIPER = """func Load() (*Config, error) {
	v := viper.New()
	DEFAULTS
	v.SetEnvPrefix("shop")
	v.SetEnvKeyReplacer(strings.NewReplacer(".", "_", "-", "_"))
	v.AutomaticEnv()
	err := v.ReadInConfig()
	return unmarshalled(v)
}"""
DEFAULTS = 'v.SetDefault("temporal.host-port", "localhost:7233")\n\tv.SetDefault("temporal.queue", "orders")'


def sources(body: str, load: str = LOAD, imported: str = "", **given: str) -> dict[str, str]:
    main = MAIN
    for name, value in ({"ADDRESS": "cfg.Temporal.Address", "QUEUE": "cfg.Temporal.Queue"} | given).items():
        main = main.replace(name, value)
    config = CONFIG.replace("BODY", body).replace("LOAD", load).replace("IMPORT", imported)
    return {"go.mod": GO_MOD, "cmd/worker/main.go": main, "config/config.go": config}


def nested(prefix: str, address: str, queue: str) -> str:
    return NESTED.replace("PREFIX", prefix).replace("ADDRESS", address).replace("QUEUE", queue)


@pytest.mark.parametrize(
    "body",
    [
        nested('`envPrefix:"T_"`', '`env:"URL" envDefault:"localhost:7233"`', '`env:"Q" envDefault:"orders"`'),
        nested('`env-prefix:"T_"`', '`env:"URL" env-default:"localhost:7233"`', '`env-default:"orders" env:"Q"`'),
        nested('`env:", prefix=T_"`', '`env:"URL, default=localhost:7233"`', '`env:"Q,default=orders"`'),
        nested("", '`envconfig:"T_URL" default:"localhost:7233"`', '`envconfig:"Q" default:"orders"`'),
        nested("", '`env:"T_URL,required"`', '`env:"Q" envDefault:"orders"` // of orders'),
    ],
)  # fmt: skip
def test_the_tags_of_a_struct(tmp_path, body):
    process = only(proposed(tmp_path, sources(body)))
    assert (process.ready, process.env) == ("worker:orders", {"T_URL": HERE})


def test_a_struct_inside_another_one(tmp_path):
    queue = 'Queue string `env:"Q" envDefault:"orders"`'
    inline = f'Temporal struct {{\n\t\tAddress string `env:"URL"`\n\t\t{queue}\n\t}} `envPrefix:"T_"`'
    process = only(proposed(tmp_path, sources(inline)))
    assert (process.ready, process.env) == ("worker:orders", {"T_URL": HERE})


def test_a_setting_in_env_counts_more_than_its_default(tmp_path):
    body = nested("", '`env:"T_URL"`', '`env:"Q" envDefault:"orders"`')
    assert only(proposed(tmp_path, sources(body), Q="others")).ready == "worker:others"


@pytest.mark.parametrize("written", ["", "temporal:\n  queue: written\n"])
def test_what_viper_unmarshals(tmp_path, written):
    body = nested("", '`mapstructure:"host-port"`', "")
    load = VIPER.replace("DEFAULTS", f'{DEFAULTS}\n\tv.SetConfigName("config")\n\tv.AddConfigPath("./conf")')
    found = sources(body, load, 'import "github.com/spf13/viper"') | ({"conf/config.yaml": written} if written else {})
    process = only(proposed(tmp_path, found))
    assert (process.ready, process.env) == (
        f"worker:{'written' if written else 'orders'}",
        {"SHOP_TEMPORAL_HOST_PORT": HERE},
    )


def test_what_viper_is_asked_for(tmp_path):
    load = VIPER.replace("DEFAULTS", 'v.BindEnv("address", "T_URL")\n\tv.SetDefault("queue", "orders")')
    given = {"ADDRESS": 'viper.GetString("address")', "QUEUE": 'viper.GetString("queue")'}
    process = only(proposed(tmp_path, sources("", load, 'import "github.com/spf13/viper"', **given)))
    assert (process.ready, process.env) == ("worker:orders", {"T_URL": HERE})


def test_a_field_of_something_else_is_not_taken(tmp_path):
    """`cfg.HTTP.Address` is no `Address` of Temporal, and what only a file beside the program says is not known."""
    found = proposed(tmp_path, sources("", QUEUE="options.Address", ADDRESS='"localhost:7233"'))
    assert [question.key for question in found.questions] == ["queue.worker"]
    unsure = VIPER.replace("DEFAULTS", 'v.SetDefault("temporal.queue", "orders")').replace("v.AutomaticEnv()", "")
    body = nested("", "", "")
    found = proposed(tmp_path, sources(body, unsure, 'import "github.com/spf13/viper"'))
    assert [question.key for question in found.questions] == ["queue.worker"]


def test_what_viper_reads_of_a_file_of_another_kind_is_not_guessed(tmp_path):
    load = VIPER.replace("DEFAULTS", f'{DEFAULTS}\n\tv.SetConfigName("config")\n\tv.AddConfigPath(".")')
    files = sources(nested("", '`mapstructure:"host-port"`', ""), load, 'import "github.com/spf13/viper"')
    found = proposed(tmp_path, files | {"config.toml": '[temporal]\nqueue = "other"\n'})
    assert [question.key for question in found.questions] == ["queue.worker"]
