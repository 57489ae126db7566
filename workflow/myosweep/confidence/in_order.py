"""Work for many images on several threads, with results in order and few of them waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import local
from typing import TypeVar

from myosweep.confidence.dissection import Memory

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(work: Callable[[Item, Memory], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """Yield the work's results in the items' order; each thread has arrays of its own.

    Items are taken in this thread, as not all readers bear more than one, and only a few before their turn:
    however many images there are, no more than 2 of them per thread are held.
    """
    own = local()

    def one(item: Item) -> Result:
        if not hasattr(own, "memory"):
            own.memory = Memory()
        return work(item, own.memory)

    if threads <= 1:
        yield from map(one, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(one, item))
                if len(waiting) >= 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
