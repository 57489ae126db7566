"""Snakemake's scheduler, kept from planning more often than is of use.

Each of its passes asks for another one a second later, whoever asked for it, and each job that ends asks for
one more: after some hundred jobs passes follow one another without a pause, and a quarter of a processor does
nothing else (Snakemake 9.27.1, a study of 50 legs).
"""

from __future__ import annotations

import threading
from typing import Any


def one_pass_at_a_time() -> None:
    """Let no pass be asked for while another one that was asked for is yet to come; for the whole process.

    Where Snakemake asks in another way nothing is changed.
    """
    try:
        from snakemake.scheduling.job_scheduler import JobScheduler
    except ImportError:
        return
    scheduler: Any = JobScheduler
    if not hasattr(scheduler, "_schedule_reevalutation"):
        return

    def ask(self: Any, delay: float) -> None:
        if getattr(self, "_asked", False):
            return
        self._asked = True

        def release() -> None:
            self._asked = False
            self._open_jobs.release()

        timer = threading.Timer(delay, release)
        # A run that has ended does not wait for it.
        timer.daemon = True
        timer.start()

    scheduler._schedule_reevalutation = ask
