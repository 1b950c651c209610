"""What was read last, kept for a while: neighbours in the order share row groups and windows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable


class Recent[Key: Hashable, Value]:
    """At most `most` values, those that were asked for last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key, read: Callable[[], Value]) -> Value:
        """The value of a key, from `read` where it is not kept; room is made before it reads, so that there are
        never more in memory."""
        if key not in self._values:
            while len(self._values) >= self._most:
                self._values.popitem(last=False)
            self._values[key] = read()
        self._values.move_to_end(key)
        return self._values[key]
