"""What `mika url` says of a name that nothing has."""

from __future__ import annotations

import pytest
from mika.errors import UsageError
from mika.stack.places import place
from mika.status import Phase, StackStatus, UnitStatus


def test_no_name_is_offered_twice() -> None:
    process = UnitStatus(name="api", role="process", type="api", phase=Phase.READY)
    status = StackStatus(state="ready", backend="none", supervisor_pid=1, uptime_s=1.0, processes=(process,))
    with pytest.raises(UsageError, match=r"\(there are: api, ui, docs\)"):
        place(status, "nope", lambda _url: None)
