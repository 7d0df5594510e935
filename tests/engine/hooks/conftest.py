"""Fixtures of the hooks' tests."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _plain_config_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner writes its config five times; laying the text out takes a second each."""
    monkeypatch.setattr('yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True))
