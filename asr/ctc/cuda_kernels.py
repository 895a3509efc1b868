"""CTC on a GPU: the alpha-beta recursion and its gradient in three launches, by numba-cuda.

Notation and pairs are those of `cpu_kernels`: pair u holds the blank before label u and label u
itself, pair S the last blank alone.

Time. The backward variables times the emission of their own frame are the forward variables of the
utterance read from its end, so that one recursion serves both directions: of the two directions of
an utterance one reads its frames, labels and blanks in order, the other reversed. They meet in the
middle. Until then each stores, for its half of the frames, every label's sum *before* the emission
is multiplied in; from then on each multiplies its own state, emission included, by what the other
stored for that frame. That is occupancy times p(target), whose sum over the states of any frame is
p(target) [Graves et al. 2006, equation 14]; what the labels of a frame leave of 1 is the blanks'.
An utterance takes T steps instead of 2 T, and for the loss alone T / 2.

Range. Every state is a number m * RADIX**k of its own: m in float64 within [2**-120, 2**120), k an
int32. A step costs some selects and multiplications, and one exponential an emission, which waits
for no state; no logits lead to underflow, so that there is no second, careful method that somebody
would have to choose while the GPU works. A term whose k is 2 below another's is less than 2**-240
of it (a double has 53 bits) and counts as 0, as does any path of probability below RADIX**LOWEST,
which is exp(-8.9e10). What directions leave for each other is stored in the precision of the
gradient: 2**+-120 times a sum of three is within float32.

Order. Nothing is added up atomically: an occupancy belongs to one lane, and occupancies of equal
labels are added from the first to the last. The same input gives the same bits.

Layout. A lane owns `pairs` neighbouring pairs, and the `lanes` of a direction, 32 or several warps
of them, read and write their k-th pairs side by side: pair u is at *slot*
(u % pairs) * lanes + u // pairs of a row of lanes * pairs.

Arguments. Arrays arrive as pointers, which are integers to the host: a call with arrays would spend
more time on describing them than the GPU on the loss. Their sizes are those of the docstrings.
"""

# Numba infers types.
# ruff: noqa: ANN001, ANN201, ANN202, C901, PLR0915

import math
from functools import cache
from typing import Any, NamedTuple

# What makes `numba.cuda` numba-cuda, rather than numba's own of old, is a .pth file; those are read
# in a site's packages alone, not in what PYTHONPATH or `pip install --target` adds.
import _numba_cuda_redirector  # noqa: F401
import numpy as np
from numba import cuda
from numba.cuda import types
from numba.cuda.types import CPointer, UniTuple, boolean, float64, int32, int64, void

WARP = 32
ROW_WARPS = 4  # warps of a block in the kernels whose warps have a row (t, n) each
_ALL_LANES = 0xFFFFFFFF
_NO_SLOT = -1
_RADIX_BITS = 240.0  # of RADIX
_UP, _DOWN = 2.0**240, 2.0**-240  # RADIX and its inverse
_LARGE, _SMALL = 2.0**120, 2.0**-120
_LN_2 = math.log(2.0)
_BITS_A_NAT, _PER_RADIX = 1.0 / _LN_2, 1.0 / _RADIX_BITS  # a product is cheaper than a quotient
LOWEST = -(2**29)  # k of an exact 0, and the least of any number: the sum of three fits an int32
_LEAST_BITS = LOWEST * _RADIX_BITS
# Larger log-probabilities are taken for +inf: with this, k overflows at 35,000 frames at the least.
_GREATEST_LOG_PROB = 1e7

_TRIPLE = UniTuple(int64, 3)
_INTEGERS, _LINKS, _DOUBLES = CPointer(int64), CPointer(int32), CPointer(float64)
_BATCH = (_INTEGERS, int64, _INTEGERS, _INTEGERS, _INTEGERS, int64)


class Numbers(NamedTuple):
    """Arrays of a lane: number i is m[i] * RADIX**k[i]."""

    m: Any
    k: Any


class States(NamedTuple):
    """A number for the blank and the label of each of a lane's pairs."""

    blanks: Numbers
    labels: Numbers


class Places(NamedTuple):
    """Of a lane's pairs: slots, _NO_SLOT beyond the target."""

    labels: Any  # those of the labels, and last of all that of the blank's emission
    may_skip: Any  # whether the label before leads to a label without a blank between


@cuda.jit(device=True)
def _warp_sum(value):
    """Sum over the lanes, the same bits in each."""
    for step in range(5):
        value += cuda.shfl_xor_sync(_ALL_LANES, value, 1 << step)
    return value


@cuda.jit(device=True)
def _warp_max(value):
    """Greatest of the lanes."""
    for step in range(5):
        value = max(value, cuda.shfl_xor_sync(_ALL_LANES, value, 1 << step))
    return value


@cuda.jit(device=True)
def _scale(k, top):
    """RADIX**(k - top) for k <= top, as far as it matters."""
    return 1.0 if k == top else (_DOWN if np.int32(k + 1) == top else 0.0)


@cuda.jit(device=True)
def _power(k):
    """RADIX**k as a factor of an occupancy, which is at most 1 and of no account below RADIX**-1.

    Its other factors, two mantissas over a third, are within 2**+-362: k is 1, 0, -1 or does not
    matter.
    """
    return 1.0 if k == 0 else (_DOWN if k == -1 else (_UP if k == 1 else 0.0))


@cuda.jit(device=True)
def _normalised(m, k):
    """The number m * RADIX**k, m in [2**-240, 2**242] or 0, with m within [2**-120, 2**120)."""
    large, small = m >= _LARGE, m < _SMALL
    m *= _DOWN if large else (_UP if small else 1.0)
    k = np.int32(k + (1 if large else (-1 if small else 0)))
    nothing = (m == 0.0) | (k < LOWEST)
    m = 0.0 if nothing else m
    k = np.int32(LOWEST) if nothing else k
    return m, k


@cuda.jit(device=True)
def _add(m1, k1, m2, k2):
    """Sum of two normalised numbers, normalised."""
    top = max(k1, k2)
    return _normalised(m1 * _scale(k1, top) + m2 * _scale(k2, top), top)


@cuda.jit(device=True)
def _sum_over_warp(m, k):
    """Sum of the lanes' numbers, the same bits in each."""
    for step in range(5):
        other_m = cuda.shfl_xor_sync(_ALL_LANES, m, 1 << step)
        other_k = cuda.shfl_xor_sync(_ALL_LANES, k, 1 << step)
        m, k = _add(m, k, other_m, other_k)
    return m, k


@cuda.jit(device=True)
def _slot(u, lanes, pairs):
    """Place of pair u in a row."""
    return (u % pairs) * lanes + u // pairs


@cuda.jit(device=True)
def _row_normaliser(x, at, class_stride, num_classes, from_logits, lane):
    """What to subtract from a row for ln p: 0, or ln of the sum of exponentials; NaN if ill."""
    greatest = x[at]
    ill = 0
    for c in range(lane, num_classes, WARP):
        value = x[at + c * class_stride]
        if not value <= _GREATEST_LOG_PROB and not (from_logits and value < math.inf):
            ill = 1
        greatest = max(greatest, value)
    greatest = _warp_max(greatest)
    if _warp_max(ill) or (from_logits and greatest == -math.inf):
        return math.nan
    if not from_logits:
        return 0.0
    total = 0.0
    for c in range(lane, num_classes, WARP):
        total += math.exp(x[at + c * class_stride] - greatest)
    return greatest + math.log(_warp_sum(total))


@cuda.jit(device=True)
def _number_of_log(log_prob, real):
    """exp(log_prob) as a number m * RADIX**k, m as precise as `real`."""
    bits = log_prob * _BITS_A_NAT
    if not bits >= _LEAST_BITS:
        return 0.0, np.int32(LOWEST)
    k = math.floor(bits * _PER_RADIX + 0.5)
    bits -= k * _RADIX_BITS
    rounded = real(bits)
    return math.exp2(rounded) * (1.0 + _LN_2 * (bits - rounded)), np.int32(k)


@cuda.jit(device=True)
def _log(m, k):
    """Natural logarithm of m * RADIX**k."""
    return math.log(m) + k * (_RADIX_BITS * _LN_2) if m > 0.0 else -math.inf


@cuda.jit(device=True)
def _link_label(u, n, labels, start, num_labels, links, lanes, pairs, num_classes, lane):
    """Note the slot of the next label equal to label u, and of label u if it is the first."""
    label = labels[start + u]
    nearest = num_labels
    preceded = 0
    for v in range(lane, num_labels, WARP):
        if labels[start + v] == label:
            if v < u:
                preceded = 1
            elif v > u:
                nearest = min(nearest, v)
    nearest = -_warp_max(-nearest)
    preceded = _warp_max(preceded)
    if lane == 0:
        slot = _slot(u, lanes, pairs)
        own = n * (num_classes + lanes * pairs)
        if nearest < num_labels:
            links[own + num_classes + slot] = _slot(nearest, lanes, pairs)
        if not preceded:
            links[own + label] = slot


@cache
def make_prepare(dtype):
    """Compile the gathering of emissions, for x in "float32" or "float64"."""
    real = getattr(types, dtype)

    @cuda.jit(
        void(CPointer(real), _TRIPLE, boolean, *_BATCH, _TRIPLE, int64, int64, _DOUBLES,
             CPointer(real), _LINKS),
        cache=True, launch_bounds=ROW_WARPS * WARP,
    )  # fmt: skip
    def prepare(
        x, strides, from_logits, labels, num_labels_in_all, starts, input_lengths, target_lengths,
        blank, shape, lanes, pairs, normalisers, emissions, links,
    ):  # fmt: skip
        """Emissions of every frame's labels and blank, and links of equal labels; a warp a row.

        Args:
            x: logits or log-probabilities; class c of frame t of utterance n is at
                strides[0] * t + strides[1] * n + strides[2] * c.
            strides: three integers.
            from_logits: whether x has to be normalised.
            labels: `num_labels_in_all`; utterance n has target_lengths[n] of them from starts[n].
            starts, input_lengths, target_lengths: (N,).
            blank: class of the blank.
            shape: T, N, C.
            lanes, pairs: lanes * pairs > S for every utterance that is possible.
            normalisers: (N, T), written: what to subtract from x for ln p; NaN for ill frames.
            emissions: (N, T, lanes * pairs), written: x of the labels by slot, and of the blank in
                the slot of pair S.
            links: (N, C + lanes * pairs), -1 throughout; written: slot of a class's first label,
                and after them by slot that of the next equal label.
        """
        max_frames, num_utterances, num_classes = shape
        width = lanes * pairs
        lane = cuda.threadIdx.x % WARP
        row = int64(cuda.blockIdx.x) * ROW_WARPS + cuda.threadIdx.x // WARP
        t, n = row // num_utterances, row % num_utterances
        if t >= max_frames or t >= input_lengths[n]:
            return
        start, num_labels = starts[n], target_lengths[n]
        at = t * strides[0] + n * strides[1]
        normaliser = _row_normaliser(x, at, strides[2], num_classes, from_logits, lane)
        if lane == 0:
            normalisers[n * max_frames + t] = normaliser
        fits = 0 <= num_labels < width and 0 <= start <= num_labels_in_all - num_labels
        if not fits or math.isnan(normaliser):
            return
        row = (n * max_frames + t) * width
        for u in range(lane, num_labels + 1, WARP):
            label = labels[start + u] if u < num_labels else blank
            if 0 <= label < num_classes:
                emissions[row + _slot(u, lanes, pairs)] = x[at + label * strides[2]]
        if t < num_labels and 0 <= labels[start + t] < num_classes:
            _link_label(t, n, labels, start, num_labels, links, lanes, pairs, num_classes, lane)

    return prepare


@cuda.jit(device=True)
def _verdict(
    labels, num_labels_in_all, start, num_labels, capacity, shape, blank, normalisers, n,
    num_frames, lane,
):  # fmt: skip
    """Loss of an utterance that needs no recursion: NaN, inf or 0; else 1."""
    max_frames, _, num_classes = shape
    if not (0 <= num_frames <= max_frames and 0 <= num_labels <= capacity):
        return math.nan
    if not 0 <= start <= num_labels_in_all - num_labels:
        return math.nan
    wrong, repeats, ill = 0, 0, 0
    for u in range(lane, num_labels, WARP):
        label = labels[start + u]
        if label < 0 or label >= num_classes or label == blank:
            wrong = 1
        if u > 0 and label == labels[start + u - 1]:
            repeats += 1
    for t in range(lane, num_frames, WARP):
        if math.isnan(normalisers[n * max_frames + t]):
            ill = 1
    if _warp_max(wrong):
        return math.nan
    if num_frames < num_labels + _warp_sum(repeats):
        return math.inf
    if _warp_max(ill):
        return math.nan
    return 0.0 if num_frames == 0 else 1.0


@cuda.jit(device=True)
def _place_pairs(places, labels, start, num_labels, index, lanes, reverse):
    """Note where the pairs of lane `index` are; if reversed, its u counts from the end."""
    pairs = len(places.may_skip)
    for i in range(pairs):
        u = index * pairs + i
        own = num_labels - 1 - u if reverse else u
        before = own + 1 if reverse else own - 1
        places.labels[i] = _slot(own, lanes, pairs) if u < num_labels else _NO_SLOT
        skips = 0 < u < num_labels and labels[start + own] != labels[start + before]
        places.may_skip[i] = skips
    places.labels[pairs] = _slot(num_labels, lanes, pairs)


@cuda.jit(device=True)
def _read(values, memory, row, slots, absent):
    """Read a row at as many of the lane's slots as there are values."""
    for i in range(len(values)):
        values[i] = memory[row + slots[i]] if slots[i] != _NO_SLOT else absent


@cuda.jit(device=True)
def _write(values, memory, row, slots):
    """Write a row at the lane's slots."""
    for i in range(len(values)):
        if slots[i] != _NO_SLOT:
            memory[row + slots[i]] = values[i]


@cuda.jit(device=True)
def _copy(values, source):
    for i in range(len(values)):
        values[i] = source[i]


@cuda.jit(device=True)
def _sum_predecessors(sums, states, may_skip, from_m, from_k):
    """Equations 6 and 7 without the emission; the sums are not normalised.

    The label before the lane's first is from_m * RADIX**from_k.
    """
    (blank_m, blank_k), (label_m, label_k) = states
    for i in range(len(may_skip)):
        top = max(blank_k[i], from_k)
        own_blank = blank_m[i] * _scale(blank_k[i], top)
        sums.blanks.m[i] = own_blank + from_m * _scale(from_k, top)
        sums.blanks.k[i] = top
        top = max(blank_k[i], label_k[i])
        if may_skip[i]:
            top = max(top, from_k)
        total = label_m[i] * _scale(label_k[i], top) + blank_m[i] * _scale(blank_k[i], top)
        if may_skip[i]:
            total += from_m * _scale(from_k, top)
        sums.labels.m[i], sums.labels.k[i] = total, top
        from_m, from_k = label_m[i], label_k[i]


@cuda.jit(device=True)
def _emit(states, sums, emissions, normaliser, real):
    """Multiply the emissions in: of the labels, and last of all of the blank."""
    pairs = len(sums.blanks.m)
    y_m, y_k = _number_of_log(emissions[pairs] - normaliser, real)
    for i in range(pairs):
        states.blanks.m[i], states.blanks.k[i] = _normalised(
            sums.blanks.m[i] * y_m, np.int32(sums.blanks.k[i] + y_k)
        )
    for i in range(pairs):
        y_m, y_k = _number_of_log(emissions[i] - normaliser, real)
        states.labels.m[i], states.labels.k[i] = _normalised(
            sums.labels.m[i] * y_m, np.int32(sums.labels.k[i] + y_k)
        )


@cuda.jit(device=True)
def _add_products(m, k, ours, theirs):
    """The sum so far, and the products of what two directions have for the lane's labels."""
    for i in range(len(ours.m)):
        product_m, product_k = _normalised(
            ours.m[i] * theirs.m[i], np.int32(ours.k[i] + theirs.k[i])
        )
        m, k = _add(m, k, product_m, product_k)
    return m, k


@cuda.jit(device=True)
def _write_occupancies(memory, row, labels, others, slots, total_k, inverse):
    """Write the products of two directions over p(target), 1 / inverse * RADIX**total_k."""
    for i in range(len(labels.m)):
        if slots[i] != _NO_SLOT:
            k = np.int32(labels.k[i] + others.k[i])
            memory[row + slots[i]] = (
                labels.m[i] * others.m[i] * inverse * _power(np.int32(k - total_k))
            )


@cuda.jit(device=True)
def _leave_blanks(met, met_exponents, row, blanks, num_labels, index, lanes, reverse):
    """Write the blanks of lane `index` for the other direction."""
    pairs = len(blanks.m)
    for i in range(pairs):
        u = index * pairs + i
        if u <= num_labels:
            slot = row + _slot(num_labels - u if reverse else u, lanes, pairs)
            met[slot], met_exponents[slot] = blanks.m[i], blanks.k[i]


@cuda.jit(device=True)
def _add_blanks(m, k, blanks, met, met_exponents, row, num_labels, index, lanes, reverse):
    """The sum so far, and the products of the lane's blanks and what the other direction left."""
    pairs = len(blanks.m)
    for i in range(pairs):
        u = index * pairs + i
        if u <= num_labels:
            slot = row + _slot(num_labels - u if reverse else u, lanes, pairs)
            product_m, product_k = _normalised(
                blanks.m[i] * met[slot], np.int32(blanks.k[i] + met_exponents[slot])
            )
            m, k = _add(m, k, product_m, product_k)
    return m, k


@cuda.jit(device=True)
def _report(losses, results, n, loss, weight, zero_infinity):
    """Write a loss, and what becomes of it."""
    losses[n] = loss
    results[n] = 0.0 if zero_infinity and loss == math.inf else weight * loss


@cache
def make_fit(warps, pairs, dtype):
    """Compile the recursion for targets of less than 32 * `warps` * `pairs` labels.

    The numbers are known to the compiler, so that a lane's states are in registers: its arrays are
    never addressed, once all loops over pairs are unrolled.
    """
    real = getattr(types, dtype)
    lanes = WARP * warps
    width = lanes * pairs
    slots = pairs + 1  # of the emissions: one more, for the blank

    @cuda.jit(
        void(*_BATCH, _TRIPLE, int64, _DOUBLES, CPointer(real), boolean, CPointer(real), _LINKS,
             CPointer(real), _LINKS, boolean, boolean, _DOUBLES, _DOUBLES),
        cache=True, launch_bounds=2 * lanes,
    )  # fmt: skip
    def fit(
        labels, num_labels_in_all, starts, input_lengths, target_lengths, blank, shape, capacity,
        normalisers, emissions, wants_occupancies, stored, exponents, met, met_exponents, divide,
        zero_infinity, losses, results,
    ):  # fmt: skip
        """Losses and, if wanted, occupancies; a block of `warps` warps a direction an utterance.

        Args:
            labels .. shape, normalisers, emissions: as `prepare`.
            capacity: greatest target length that the labels have room for.
            wants_occupancies: whether to leave the labels' occupancies, by slot, in `stored`.
            stored, exponents: (N, T, width): sums of labels, in `stored` then their occupancies;
                of one frame for T where none are wanted.
            met, met_exponents: (N, 2, width) scratch: sums of blanks where directions meet.
            divide: whether results are over N max(S, 1), for the mean of losses by length.
            zero_infinity: whether an infinite loss gives a result of 0.
            losses: (N,), written: -ln p(target); inf where that is 0; NaN where a frame is ill, or
                a label or a length out of range.
            results: (N,), written: losses, divided and without infinities as wanted.
        """
        max_frames, num_utterances, _ = shape
        n = int64(cuda.blockIdx.x)
        if n >= num_utterances:
            return
        lane = int32(cuda.threadIdx.x % WARP)
        warp = int32(cuda.threadIdx.x // WARP)
        reverse = int32(warp >= warps)
        warp -= warps * reverse
        num_frames, num_labels, start = input_lengths[n], target_lengths[n], starts[n]
        weight = 1.0 / (max(num_labels, 1) * num_utterances) if divide else 1.0
        loss = _verdict(
            labels, num_labels_in_all, start, num_labels, capacity, shape, blank, normalisers, n,
            num_frames, lane,
        )  # fmt: skip
        if loss != 1.0:
            if cuda.threadIdx.x == 0:
                _report(losses, results, n, loss, weight, zero_infinity)
            return

        places = Places(cuda.local.array(slots, int32), cuda.local.array(pairs, int32))
        states = States(
            Numbers(cuda.local.array(pairs, float64), cuda.local.array(pairs, int32)),
            Numbers(cuda.local.array(pairs, float64), cuda.local.array(pairs, int32)),
        )
        sums = States(
            Numbers(cuda.local.array(pairs, float64), cuda.local.array(pairs, int32)),
            Numbers(cuda.local.array(pairs, float64), cuda.local.array(pairs, int32)),
        )
        others = Numbers(cuda.local.array(pairs, real), cuda.local.array(pairs, int32))
        raw = cuda.local.array(slots, real)
        next_raw = cuda.local.array(slots, real)
        last_m = cuda.shared.array((2, 2, warps), float64)  # labels at the right edge of warps
        last_k = cuda.shared.array((2, 2, warps), int32)
        part_m = cuda.shared.array((2, warps), float64)  # of p(target)
        part_k = cuda.shared.array((2, warps), int32)
        _place_pairs(places, labels, start, num_labels, warp * WARP + lane, lanes, reverse)
        for i in range(pairs):
            states.blanks.m[i], states.blanks.k[i] = 0.0, LOWEST
            states.labels.m[i], states.labels.k[i] = 0.0, LOWEST
        if warp == 0 and lane == 0:  # before the first frame
            states.blanks.m[0], states.blanks.k[0] = 1.0, 0
        # From here on 32 bits do for what counts frames.
        num_frames, frames = int32(num_frames), n * max_frames
        row = frames + (num_frames - 1 if reverse else 0)
        _read(next_raw, emissions, row * width, places.labels, -math.inf)
        next_normaliser = normalisers[row]
        # The middle frame is in the first half of the direction that reads in order.
        ticks = int32((num_frames + 1) >> 1)
        own_half = int32(num_frames - ticks) if reverse else ticks
        # The loss alone is known where the reversed direction meets the other, after one step.
        own_rest = int32(num_frames - own_half) if wants_occupancies else reverse
        total_k, inverse = np.int32(LOWEST), 0.0
        for half in range(2):
            if half == 1:
                cuda.syncthreads()
            for tick in range(ticks if half == 0 or wants_occupancies else int32(1)):
                step = int32(half * own_half + tick)
                active = tick < (own_rest if half else own_half)
                t = int32(num_frames - 1 - step) if reverse else step
                kept = (frames + t if wants_occupancies else n) * width
                if warps > 1:
                    if lane == WARP - 1:
                        last_m[tick & 1, reverse, warp] = states.labels.m[pairs - 1]
                        last_k[tick & 1, reverse, warp] = states.labels.k[pairs - 1]
                    cuda.syncthreads()
                if active:
                    # Loads come first, so that what they wait for passes during the arithmetic.
                    _copy(raw, next_raw)
                    normaliser = next_normaliser
                    if step + 1 < num_frames:
                        row = frames + (t - 1 if reverse else t + 1)
                        _read(next_raw, emissions, row * width, places.labels, -math.inf)
                        next_normaliser = normalisers[row]
                    if half == 1:
                        _read(others.m, stored, kept, places.labels, 0.0)
                        _read(others.k, exponents, kept, places.labels, LOWEST)
                    from_m = cuda.shfl_up_sync(_ALL_LANES, states.labels.m[pairs - 1], 1)
                    from_k = cuda.shfl_up_sync(_ALL_LANES, states.labels.k[pairs - 1], 1)
                    if lane == 0:
                        from_m, from_k = 0.0, np.int32(LOWEST)
                        if warps > 1 and warp > 0:
                            from_m = last_m[tick & 1, reverse, warp - 1]
                            from_k = last_k[tick & 1, reverse, warp - 1]
                    _sum_predecessors(sums, states, places.may_skip, from_m, from_k)
                    if half == 0 and (wants_occupancies or (tick == own_half - 1 and not reverse)):
                        _write(sums.labels.m, stored, kept, places.labels)
                        _write(sums.labels.k, exponents, kept, places.labels)
                    if half == 0 and tick == own_half - 1:
                        row = (2 * n + reverse) * width
                        _leave_blanks(
                            met, met_exponents, row, sums.blanks, num_labels,
                            warp * WARP + lane, lanes, reverse,
                        )  # fmt: skip
                    _emit(states, sums, raw, normaliser, real)
                if half == 1 and tick == 0:
                    total_m, total_k = 0.0, np.int32(LOWEST)
                    if active:
                        row = (2 * n + 1 - reverse) * width
                        total_m, total_k = _add_products(total_m, total_k, states.labels, others)
                        total_m, total_k = _add_blanks(
                            total_m, total_k, states.blanks, met, met_exponents, row, num_labels,
                            warp * WARP + lane, lanes, reverse,
                        )  # fmt: skip
                    total_m, total_k = _sum_over_warp(total_m, total_k)
                    if warps > 1:
                        if lane == 0:
                            part_m[reverse, warp], part_k[reverse, warp] = total_m, total_k
                        cuda.syncthreads()
                        total_m, total_k = part_m[reverse, 0], part_k[reverse, 0]
                        for w in range(1, warps):
                            total_m, total_k = _add(
                                total_m, total_k, part_m[reverse, w], part_k[reverse, w]
                            )
                    inverse = 1.0 / total_m if total_m > 0.0 else 0.0
                    if reverse and warp == 0 and lane == 0:
                        loss = -_log(total_m, total_k)
                        _report(losses, results, n, loss, weight, zero_infinity)
                if half == 1 and active and wants_occupancies:
                    _write_occupancies(
                        stored, kept, states.labels, others, places.labels, total_k, inverse
                    )

    return fit


@cuda.jit(device=True)
def _softmax(value, normaliser, from_logits, real):
    """Probability of a logit; 0 for what is a log-probability, which has no softmax."""
    return math.exp(real(value - normaliser)) if from_logits else real(0.0)


@cache
def make_write_gradients(dtype):
    """Compile the gradient with respect to x in "float32" or "float64"."""
    real = getattr(types, dtype)

    @cuda.jit(
        void(CPointer(real), _TRIPLE, boolean, _INTEGERS, _INTEGERS, int64, _TRIPLE, int64,
             _DOUBLES, CPointer(real), _LINKS, _DOUBLES, boolean, boolean, CPointer(real), int64,
             CPointer(real), _TRIPLE),
        cache=True, launch_bounds=ROW_WARPS * WARP,
    )  # fmt: skip
    def write_gradients(
        x, strides, from_logits, input_lengths, target_lengths, blank, shape, width, normalisers,
        occupancies, links, losses, divide, zero_infinity, factors, factor_stride, grad,
        grad_strides,
    ):  # fmt: skip
        """Softmax, if x holds logits, less occupancies, times what came back; a warp a row.

        Args:
            x .. shape, normalisers, links: as `prepare`.
            width: length of a row of `occupancies`.
            occupancies, losses: of `fit`.
            divide: whether by N max(S, 1), for the mean over utterances of their losses by length.
            zero_infinity: whether an infinite loss has gradient 0 rather than NaN.
            factors: that of utterance n is at factor_stride * n.
            grad, grad_strides: written, as x; 0 beyond an utterance's frames.
        """
        max_frames, num_utterances, num_classes = shape
        lane = cuda.threadIdx.x % WARP
        row = int64(cuda.blockIdx.x) * ROW_WARPS + cuda.threadIdx.x // WARP
        t, n = row // num_utterances, row % num_utterances
        if t >= max_frames:
            return
        at = t * grad_strides[0] + n * grad_strides[1]
        loss, num_frames = losses[n], input_lengths[n]
        if not 0 <= num_frames <= max_frames:
            num_frames = max_frames  # of an utterance whose loss is NaN
        if t >= num_frames or not math.isfinite(loss):
            nothing = t >= num_frames or (zero_infinity and loss == math.inf)
            for c in range(lane, num_classes, WARP):
                grad[at + c * grad_strides[2]] = real(0.0) if nothing else real(math.nan)
            return
        weight = factors[factor_stride * n]
        if divide:
            weight = real(weight / (max(target_lengths[n], 1) * num_utterances))
        source = t * strides[0] + n * strides[1]
        own_links = n * (num_classes + width)
        normaliser = normalisers[n * max_frames + t]
        row = (n * max_frames + t) * width
        of_labels = 0.0
        for c in range(lane, num_classes, WARP):
            occupancy = real(0.0)
            slot = links[own_links + c]
            while slot >= 0:
                occupancy += occupancies[row + slot]
                slot = links[own_links + num_classes + slot]
            of_labels += occupancy
            if c != blank:
                value = _softmax(x[source + c * strides[2]], normaliser, from_logits, real)
                grad[at + c * grad_strides[2]] = weight * (value - occupancy)
        of_labels = _warp_sum(of_labels)
        if lane == 0:
            of_blank = real(max(0.0, 1.0 - of_labels))
            value = _softmax(x[source + blank * strides[2]], normaliser, from_logits, real)
            grad[at + blank * grad_strides[2]] = weight * (value - of_blank)

    return write_gradients
