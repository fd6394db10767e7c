"""What the texts of a project say, and what they do not."""

from __future__ import annotations

from mika.detect.written import procfile

from tests.kit.sources import API, proposed


def test_what_mika_has_written_is_not_what_the_project_says(tmp_path):
    app = {"a/app/main.py": API, "a/requirements.txt": "", "b/app/main.py": API, "b/requirements.txt": ""}
    before = proposed(tmp_path, app)
    text = procfile(before).replace("$API_PORT", "4000")
    assert proposed(tmp_path, {"Procfile": text}) == before
    own = text.partition("\n")[2]
    assert proposed(tmp_path, {"Procfile": own}) != before, "somebody else has"
