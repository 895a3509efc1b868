"""numba-cuda's simulator of a GPU, completed: blocks of whole warps, whose lanes can shuffle.

The simulator runs a thread of Python for every thread of a block, and has no shuffles. Here every
one is a coroutine that runs until it meets the others of its warp or block, so that kernels run as
they are, in the same order every time; lanes that do not meet where a GPU wants them to are errors.
Import this in a process with NUMBA_ENABLE_CUDASIM=1, before any kernel.
"""

from greenlet import getcurrent, greenlet
from numba import cuda
from numba.cuda.simulator import api as cuda_api
from numba.cuda.simulator import kernel
from numba.cuda.simulator.kernelapi import Dim3, FakeCUDAModule

WARP = 32


class Lane(greenlet):
    """One thread of the GPU. `meeting` is whom it waits for: "warp" or "block"."""

    def __init__(self, block, index, function):
        super().__init__(function)
        self.blockIdx, self.threadIdx = block, Dim3(index, 0, 0)
        self.meeting = self.offered = self.peers = None

    def wait_for(self, meeting, value=None):
        self.meeting, self.offered = meeting, value
        self.parent.switch()


class Block:
    """Stands in for the simulator's BlockManager."""

    def __init__(self, function, grid_dim, block_dim, debug):
        assert block_dim[0] % WARP == 0
        assert block_dim[1:] == (1, 1)
        self.function, self.size = function, block_dim[0]

    def run(self, position, *arguments):
        block = Dim3(*position)
        lanes = [Lane(block, x, self.function) for x in range(self.size)]
        warps = [lanes[i : i + WARP] for i in range(0, self.size, WARP)]
        for lane in lanes:
            lane.switch(*arguments)
        while not all(lane.dead for lane in lanes):
            for warp in warps:
                self.run_warp(warp)
            # Those of a warp that have returned are not waited for at syncthreads.
            living = [lane for lane in lanes if not lane.dead]
            assert all(lane.meeting == "block" for lane in living), "a warp did not meet"
            for lane in living:
                lane.switch()

    def run_warp(self, warp):
        """Run a warp until its lanes wait for the block, or have returned."""

        def meets(lane):
            return lane.meeting == "warp" and not lane.dead

        while any(map(meets, warp)):
            assert all(map(meets, warp)), "a lane does not take part in a shuffle"
            offered = [lane.offered for lane in warp]
            for lane in warp:
                lane.peers = offered
                lane.switch()


def shuffle(value, source):
    """What the lane source(own index) offers."""
    lane = getcurrent()
    lane.wait_for("warp", value)
    return lane.peers[source(lane.threadIdx.x % WARP)]


def shfl_xor_sync(self, mask, value, lane_mask):
    return shuffle(value, lambda own: own ^ lane_mask)


def shfl_up_sync(self, mask, value, delta):
    """The value of the lane `delta` below; one's own where there is none."""
    return shuffle(value, lambda own: own - delta if own >= delta else own)


def install(module):
    """Complete the simulator, and let `module` call its device functions without a wrapper."""
    kernel.BlockManager = Block
    # Compiled kernels alone have registers to bound.
    cuda.jit = lambda signature, *, launch_bounds, cache: cuda_api.jit(signature)
    FakeCUDAModule.threadIdx = property(lambda self: getcurrent().threadIdx)
    FakeCUDAModule.blockIdx = property(lambda self: getcurrent().blockIdx)
    FakeCUDAModule.syncthreads = lambda self: getcurrent().wait_for("block")
    FakeCUDAModule.shfl_xor_sync = shfl_xor_sync
    FakeCUDAModule.shfl_up_sync = shfl_up_sync
    for name, function in list(vars(module).items()):
        if isinstance(function, kernel.FakeCUDAKernel) and function._device:
            setattr(module, name, function.fn)
