"""One server and a cluster of three pass the public kit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from holdfast_testkit import ConversationsTests, TrackerStoreTests


@pytest.mark.server("redis")
class TestRedis(TrackerStoreTests, ConversationsTests):
    @pytest.fixture
    def section(
        self, redis_section: Mapping[str, Any], fresh: Callable[[Mapping[str, Any]], dict[str, Any]]
    ) -> Mapping[str, Any]:
        return fresh(redis_section)


@pytest.mark.server("redis")
class TestRedisCluster(TrackerStoreTests, ConversationsTests):
    @pytest.fixture
    def section(
        self, cluster_section: Mapping[str, Any], fresh: Callable[[Mapping[str, Any]], dict[str, Any]]
    ) -> Mapping[str, Any]:
        return fresh(cluster_section)
