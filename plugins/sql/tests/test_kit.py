"""SQLite passes the public kit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from holdfast_testkit import ConversationsTests, TrackerStoreTests


class TestSQLite(TrackerStoreTests, ConversationsTests):
    @pytest.fixture
    def section(self, tmp_path: Path) -> Mapping[str, Any]:
        return {"type": "SQL", "db": str(tmp_path / "conversations.db")}
