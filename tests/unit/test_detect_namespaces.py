"""The namespace that a project's clients use."""

from __future__ import annotations

import pytest

from tests.kit.sources import proposed, worker

GO = 'package main\nimport "go.temporal.io/sdk/client"\nfunc main() {{ client.Dial(client.Options{{{}}}) }}\n'
GO_MOD = "module x\n\nrequire go.temporal.io/sdk v1.37.0\n"
TS = "import {{ Client }} from '@temporalio/client';\nconst c = new Client({{ connection, {} }});\n"
NODE = '{"dependencies": {"@temporalio/client": "1"}}'


def of_python(namespace: str, before: str = "") -> dict[str, str]:
    return {"worker.py": worker('"q"', before).replace('7233"', f'7233"{namespace}')}


@pytest.mark.parametrize(
    "sources",
    [
        of_python(', namespace="shop"'),
        of_python(", namespace=NS", 'NS = os.getenv("SHOP_NAMESPACE", "shop")'),
        {"go.mod": GO_MOD, "main.go": GO.format('Namespace: "shop"')},
        {"package.json": NODE, "a.ts": TS.format("namespace: 'shop'")},
    ],
)
def test_the_only_namespace_is_the_one_that_mika_makes_and_asks_in(tmp_path, sources):
    guess = proposed(tmp_path, sources).settings["TEMPORAL_NAMESPACE"]
    assert guess.value == "shop"
    assert guess.why.endswith(" uses this namespace")
    assert "TEMPORAL_NAMESPACE" not in proposed(tmp_path, sources, TEMPORAL_NAMESPACE="mine").settings


@pytest.mark.parametrize(
    "sources",
    [
        of_python(""),
        of_python(', namespace="default"'),
        of_python(', namespace=os.getenv("TEMPORAL_NAMESPACE", "shop")'),
        of_python(", namespace=NS"),
        {"go.mod": GO_MOD, "main.go": GO.format("Namespace: namespace")},
    ],
)
def test_a_namespace_that_is_mikas_or_not_known(tmp_path, sources):
    found = proposed(tmp_path, sources)
    assert "TEMPORAL_NAMESPACE" not in found.settings
    assert not [note for note in found.notes if "namespace" in note]


def test_a_second_namespace_is_named(tmp_path):
    found = proposed(tmp_path, {**of_python(""), "b/worker.py": of_python(', namespace="shop"')["worker.py"]})
    assert "TEMPORAL_NAMESPACE" not in found.settings
    note = (
        "b/worker.py uses the namespace shop, which mika makes if mika.toml has it:"
        ' `namespaces = ["shop"]` under `[temporal]`'
    )
    assert note in found.notes
