"""What the tests of all distributions share."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where every server must be present, a test that skips for want of one has failed."""
    report = yield
    needed = item.get_closest_marker("server")
    if needed and report.skipped and os.environ.get("HOLDFAST_REQUIRE_SERVERS") == "1":
        report.outcome = "failed"
        report.longrepr = f"HOLDFAST_REQUIRE_SERVERS=1, but {needed.args[0]} is missing: {report.longrepr}"
    return report
