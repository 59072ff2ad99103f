"""What `holdfast run` does once it is ready: look again, deploy what is new, survive every failure."""

from types import SimpleNamespace

import pytest

from holdfast import UnavailableError
from holdfast.commands.keeping import keep_newest

OLD, NEW = SimpleNamespace(digest="old"), SimpleNamespace(digest="new")


class Enough(BaseException):
    pass


def kept(looks, wait=10.0):
    """Run through what each look finds; gives the waits, what was deployed, and the failures."""
    waits, deployed, failed = [], [], []
    found = iter(looks)

    def deploy():
        outcome = next(found, None)
        if outcome is None:
            raise Enough
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with pytest.raises(Enough):
        keep_newest(
            OLD, deploy, wait, deployed.append, lambda error, after: failed.append((error, after)), sleep=waits.append
        )
    return waits, deployed, failed


def test_only_another_model_is_reported():
    _, deployed, failed = kept([OLD, NEW, NEW, OLD])
    assert deployed == [NEW, OLD]
    assert failed == []


def test_the_wait_varies_by_a_tenth():
    waits, _, _ = kept([OLD] * 200)
    assert 9 <= min(waits) < 9.5
    assert 10.5 < max(waits) <= 11


def test_failures_are_reported_and_waits_grow_until_it_works_again():
    errors = [UnavailableError("gone"), OSError(28, "No space left"), ZeroDivisionError()]
    waits, deployed, failed = kept([*errors, NEW, OLD])
    assert failed == list(zip(errors, [20, 40, 80], strict=True))
    for wait, around in zip(waits, [10, 20, 40, 80, 10, 10], strict=True):
        assert around * 0.9 <= wait <= around * 1.1
    assert deployed == [NEW, OLD]


def test_the_wait_has_an_end():
    waits, _, failed = kept([UnavailableError("gone")] * 100)
    assert max(waits) <= 3600 * 1.1
    assert failed[-1][1] == 3600
    assert kept([UnavailableError("gone")] * 3, wait=9000.0)[2][-1][1] == 9000


def test_zero_looks_never_again():
    waits, _, _ = kept([], wait=0.0)
    assert waits == [None]
