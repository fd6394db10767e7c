"""The namespace of Temporal that the source names, where no variable of mika's decides it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mika.detect import passed
from mika.detect.fields import dotted
from mika.detect.languages import Texts, without_comments
from mika.detect.sources import Sources

_DEFAULT, _OURS = "default", "TEMPORAL_NAMESPACE"
_CONNECTS = re.compile(
    r"\b(?:client\.Options\s*\{|(?:new\s+Client|Worker\.create|TemporalClientConnectOptions)\s*\(|WorkflowClientOptions\b)"
)
_NAMED = re.compile(r"""\b(?:[Nn]amespace\s*[:=]\s*|setNamespace\(\s*)["']([\w.-]{1,200})["']""")


def found(sources: Sources, texts: Texts) -> Iterator[tuple[str, str]]:
    """Each client: the path of its file, and the namespace that is fixed there; `default` where none is named."""
    for module in sources.entries:
        for call in module.calls:
            if module.source_of(dotted(call.func)).endswith("Client.connect"):
                given = module.keyword(call, "namespace")
                value = passed.certain(sources, given, module)
                if given is None:
                    yield module.path, _DEFAULT
                elif value.text and value.variable != _OURS:
                    yield module.path, value.text
    for _language, path in texts.users():
        text = without_comments(texts.text(path)) if "emporal" in texts.text(path) else ""
        if _CONNECTS.search(text):
            yield from ((path, name) for name in dict.fromkeys(_NAMED.findall(text)))
