"""Each database passes the public kit, and PostgreSQL through each of its drivers."""

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


@pytest.mark.server("postgresql")
class TestPostgreSQL(TrackerStoreTests, ConversationsTests):
    @pytest.fixture
    def section(self, postgresql_section: Mapping[str, Any]) -> Mapping[str, Any]:
        return postgresql_section


@pytest.mark.server("postgresql")
class TestPostgreSQLThroughPsycopg2(TrackerStoreTests):
    @pytest.fixture
    def section(self, postgresql_section: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**postgresql_section, "driver": "psycopg2"}


@pytest.mark.server("mariadb")
class TestMariaDB(TrackerStoreTests, ConversationsTests):
    @pytest.fixture
    def section(self, mariadb_section: Mapping[str, Any]) -> Mapping[str, Any]:
        return mariadb_section
