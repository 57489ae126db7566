import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myosweep.metrics.statistics import agreement, true_volume_interval


def test_by_hand():
    found = agreement([11, 22, 30, 43], [10, 20, 30, 40])
    assert found.n == 4
    assert found.bias == pytest.approx(1.5)
    sd = math.sqrt(((1 - 1.5) ** 2 + (2 - 1.5) ** 2 + 1.5**2 + 1.5**2) / 3)
    assert found.sd == pytest.approx(sd)
    # 3.1824: the 97.5 % point of Student's distribution of 3 degrees of freedom, from the tables.
    assert found.high == pytest.approx(1.5 + 3.1824 * sd * math.sqrt(1.25), abs=1e-3)
    assert found.low == pytest.approx(3 - found.high)
    assert found.mean_absolute == pytest.approx(1.5)
    assert found.r == pytest.approx(np.corrcoef([11, 22, 30, 43], [10, 20, 30, 40])[0, 1])


def test_many_pairs_give_the_classical_limits():
    rng = np.random.default_rng(0)
    reference = rng.uniform(50, 150, 20000)
    found = agreement(reference + rng.normal(3, 2, reference.size), reference)
    assert (found.low, found.high) == (pytest.approx(3 - 3.92, abs=0.1), pytest.approx(3 + 3.92, abs=0.1))


def test_relative_differences_and_pairs_left_out():
    found = agreement([110, 90, 5, math.nan], [100, 100, 0, 100], relative=True)
    assert (found.n, found.bias, found.mean_absolute) == (2, 0, 10)


def test_too_few_pairs():
    assert math.isnan(agreement([], []).bias)
    one = agreement([2], [1])
    assert one.bias == 1
    assert math.isnan(one.sd)
    assert math.isnan(one.r)
    assert math.isnan(agreement([2, 3, 4], [1, 1, 1]).r)
    assert true_volume_interval(100, agreement([1, 2], [1, 1.9], relative=True)) is None


@given(st.integers(3, 8), st.floats(0.01, 0.08), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_interval_inverts_the_limits(n, spread, seed):
    rng = np.random.default_rng(seed)
    reference = rng.uniform(100, 300, n)
    agreed = agreement(reference * (0.9 + spread * rng.standard_normal(n)), reference, relative=True)
    interval = true_volume_interval(200, agreed)
    if interval is None:
        assert agreed.low <= -100
        return
    low, high = interval
    assert low * (1 + agreed.high / 100) == pytest.approx(200)
    assert high * (1 + agreed.low / 100) == pytest.approx(200)


def test_the_interval_holds_the_truth_19_times_in_20():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(600):
        truth = rng.uniform(100, 300, 6)
        measured = truth * (1 - 0.05 + 0.04 * rng.standard_normal(6))
        low, high = true_volume_interval(measured[0], agreement(measured[1:], truth[1:], relative=True))
        hits += low <= truth[0] <= high
    # Binomial: sd of the share is 0.9 %; three of them.
    assert hits / 600 == pytest.approx(0.95, abs=0.027)


def test_no_upper_bound_where_the_scatter_is_too_large():
    assert true_volume_interval(100, agreement([10, 100, 200], [100, 100, 100], relative=True)) is None
