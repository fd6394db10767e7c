"""The app for uvicorn: `uvicorn src.api.main:app`."""

from __future__ import annotations

from src.api.app import create_app
from src.config import load_settings_or_exit
from src.logging_setup import configure_logging

configure_logging()
app = create_app(load_settings_or_exit())
