"""Texts that can be said in another language, on their way to the screen."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mika.errors import MikaError, describe
from mika.reason import Reason
from mika.wording import Text, _, joined, packed, received, unpacked

_CHINESE = {
    "{name} exited: {reason}": "{name} 已退出：{reason}",
    "exit code {code}": "退出码 {code}",
    "; then ": "；然后",
}


def _zh(text: str) -> str:
    return text.translated(lambda template: _CHINESE.get(template, template)) if isinstance(text, Text) else text


_EXITED = _("{name} exited: {reason}", name="worker", reason=_("exit code {code}", code=3))


def test_a_text_is_its_english() -> None:
    assert _EXITED == "worker exited: exit code 3"
    assert json.dumps([_EXITED]) == '["worker exited: exit code 3"]'
    assert f"{_EXITED}." == "worker exited: exit code 3."


def test_a_text_within_a_text_is_translated_too() -> None:
    assert _zh(_EXITED) == "worker 已退出：退出码 3"


def test_parts_stay_translatable() -> None:
    assert _zh(joined("; ", [_EXITED, "{as it is}"])) == "worker 已退出：退出码 3; {as it is}"
    assert (
        _zh(joined(_("; then "), [_EXITED, "x", _EXITED]))
        == "worker 已退出：退出码 3；然后x；然后worker 已退出：退出码 3"
    )
    assert joined(_("; then "), []) == ""
    assert _zh("1. " + _EXITED + _("; then ") + "x") == "1. worker 已退出：退出码 3；然后x"
    assert isinstance(str(Reason(_EXITED, _("restart it"))), Text)
    assert describe(MikaError(_EXITED)) is _EXITED


def test_an_error_keeps_the_text_that_it_was_made_with() -> None:
    error = ValueError(_EXITED)
    assert _zh(_("{name} exited: {reason}", name="web", reason=error)) == "web 已退出：worker 已退出：退出码 3"
    assert describe(error) is _EXITED


def test_a_copy_is_still_a_text() -> None:
    assert _zh(copy.deepcopy(_EXITED)) == _zh(_EXITED)


_words = st.text("a{}!:中\n", max_size=6)  # of all characters, they take seconds to make
_plain = _words | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_texts = st.recursive(
    st.builds(Text, _words.filter(bool), _words.filter(bool), st.just({})),
    lambda inner: st.builds(
        lambda value: Text(f"<{value}>", "<{value}>", {"value": value}),
        inner | _plain,
    ),
    max_leaves=3,
)
_json = st.recursive(
    _texts | _plain | st.none() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(_words, inner),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.dictionaries(_words, _json))
def test_texts_survive_json_between_two_mikas(value: dict[str, object]) -> None:
    arrived = unpacked(json.loads(json.dumps(packed(value))))
    assert arrived == value
    assert _all_texts(arrived) == _all_texts(value)


def _all_texts(value: object) -> list[tuple[str, str]]:
    match value:
        case Text():
            return [(value, value.template), *_all_texts(value.values)]
        case dict():
            return [text for part in value.values() for text in _all_texts(part)]
        case list():
            return [text for part in value for text in _all_texts(part)]
    return []


def _received(answer: dict[str, object]) -> dict[str, object]:
    return received(json.loads(json.dumps(answer)))


def test_what_another_program_has_packed_is_received() -> None:
    capital = Text("Exit code 3", "exit code {code}", {"code": 3})
    answer = packed({"code": "x", "error": {"detail": _("{name} exited: {reason}", name="web", reason=capital)}})
    found = _received(answer)
    assert found["error"] == {"detail": "web exited: Exit code 3"}
    assert _zh(found["error"]["detail"]) == "web 已退出：退出码 3"


@pytest.mark.parametrize(
    "texts",
    [
        None,
        7,
        "detail",
        [7],
        [["detail", "exit code {code}", {"code": 3}]],
        [[["detail"], "exit code {code}", {"code": 4}]],
        [[["detail"], "exit code {code}", {}]],
        [[["detail"], "exit code {code}", []]],
        [[["detail"], "exit code {code", {"code": 3}]],
        [[["detail"], "exit code {code.__class__}", {"code": 3}]],
        [[["detail"], "exit code {code:<999999999}", {"code": 3}]],
        [[["detail"], "exit {what}", {"what": ["code 3", "code {code}", {"code": 4}]}]],
        [[["detail"], "{detail}", {"detail": ["exit code 3", "exit {code}", {"code": "code 4"}]}]],
        [[["nowhere"], "exit code {code}", {"code": 3}]],
        [[["number"], "exit code {code}", {"code": 3}]],
        [[[], "exit code {code}", {"code": 3}]],
    ],
)
def test_what_does_not_say_the_same_in_english_is_not_received(texts: object) -> None:
    answer = {"detail": "exit code 3", "number": 3, "texts": texts}
    found = _received(answer)
    assert found == answer
    assert not isinstance(found["detail"], Text) or _zh(found["detail"]) == "退出码 3"
