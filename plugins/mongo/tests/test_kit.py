"""MongoDB passes the public kit, through the protocol of a real server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from holdfast_testkit import ConversationsTests, TrackerStoreTests

pytestmark = pytest.mark.server("mongo")


class TestMongo(TrackerStoreTests, ConversationsTests):
    @pytest.fixture
    def section(self, mongo_url: str, database: str) -> Mapping[str, Any]:
        return {"type": "mongod", "url": mongo_url, "db": database}
