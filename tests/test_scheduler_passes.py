from __future__ import annotations

import threading

import pytest
from myosweep.scheduler_passes import one_pass_at_a_time
from snakemake.scheduling.job_scheduler import JobScheduler


def test_however_often_it_is_asked_for_one_pass_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    # The name is Snakemake's; where it goes, so must what replaces it.
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", JobScheduler._schedule_reevalutation)
    one_pass_at_a_time()

    class Scheduler:
        _open_jobs = threading.Semaphore(0)
        ask = JobScheduler._schedule_reevalutation

    scheduler = Scheduler()
    for _ in range(5):
        scheduler.ask(0.05)
    assert scheduler._open_jobs.acquire(timeout=30)
    assert not scheduler._open_jobs.acquire(timeout=0.2)
    scheduler.ask(0.0)
    assert scheduler._open_jobs.acquire(timeout=30)
