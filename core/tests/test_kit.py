"""What core itself offers passes the public kit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from holdfast_testkit import ConversationsTests, TrackerStoreTests


class TestMemory(TrackerStoreTests, ConversationsTests):
    shared: ClassVar[bool] = False

    @pytest.fixture
    def section(self) -> Mapping[str, Any]:
        return {"type": "memory"}
