"""The type of decoded JSON."""

from __future__ import annotations

from typing import Any

Json = Any
"""A decoded JSON value that another process wrote, perhaps of another version. Whoever reads it checks it."""
