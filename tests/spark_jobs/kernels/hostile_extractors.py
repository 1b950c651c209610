"""Extractors that misbehave as parsers in C do: without returning, and without Python being asked."""

import ctypes
import os
import re

kept = []


def misbehaving(page: str) -> str:
    if "HANG" in page:
        # PyDLL keeps the interpreter's lock, so that no thread and no signal handler of this process runs either.
        ctypes.PyDLL(None).sleep(600)
    if "CRASH" in page:
        os.abort()
    if "GREEDY" in page:
        return "x" * (1 << 36)
    if "GROW" in page:
        kept.append(b"x" * (200 << 20))
    if "RAISE" in page:
        raise ValueError("cannot make sense of this")
    if "PRINT" in page:
        print("noise on standard output")
    return re.sub("<[^>]*>", "", page)
