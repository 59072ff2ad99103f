"""DynamoDB passes the public kit."""

from __future__ import annotations

import pytest

from holdfast_testkit import ConversationsTests, TrackerStoreTests


@pytest.mark.server("dynamo")
class TestDynamo(TrackerStoreTests, ConversationsTests):
    """`section` comes from conftest.py: a table for each test."""

    @pytest.fixture
    def section(self, section):
        return section
