"""What core itself offers passes the public kit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from holdfast_testkit import ConversationsTests, PersistorTests, TrackerStoreTests


class TestMemory(TrackerStoreTests, ConversationsTests):
    shared: ClassVar[bool] = False

    @pytest.fixture
    def section(self) -> Mapping[str, Any]:
        return {"type": "memory"}


class TestDisk(PersistorTests):
    @pytest.fixture
    def section(self, tmp_path: Path) -> Mapping[str, Any]:
        return {"type": "disk", "path": str(tmp_path / "storage")}
