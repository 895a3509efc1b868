"""How kernels are compiled by Numba and kept on disk.

Numba's cache notices edits of a kernel's own file only, hence not of this one: after a change here
empty the cache, or touch the files of kernels.
"""

# Numba infers the types of what it compiles.
# ruff: noqa: ANN001, ANN201, ANN202, ANN204

from contextlib import suppress
from functools import partial

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.compiler import Compiler, Flags


class _DistinctArrays(Compiler):
    """Compile a function whose arrays never share an element that it writes.

    Without that promise its loops begin with a test of every array against every other, which for
    short targets costs more than the loop.
    """

    def __init__(self, typingctx, targetctx, library, args, return_type, flags: Flags, locals):
        flags = flags.copy()
        flags.noalias = True
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)


# Without wrappers for calls from Python, which nobody makes, compilation takes half the time.
# A division by 0 gives inf, which the checks find, instead of raising.
helper = partial(njit, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)
loop = partial(helper, pipeline_class=_DistinctArrays, forceinline=True)


class _Cache(FunctionCache):
    """Numba's cache of compiled functions, which a full disk does not stop."""

    def save_overload(self, sig, data):
        with suppress(OSError):
            super().save_overload(sig, data)


def kernel(function):
    """Compile for calls from Python; keep the result on disk where there is a place to write."""
    compiled = njit(nogil=True, error_model="numpy")(function)
    with suppress(RuntimeError):  # Numba finds no folder: a read-only installation and home
        compiled._cache = _Cache(function)
    return compiled
