"""CTC on a GPU: the alpha-beta recursion and its gradient in three launches, by numba-cuda.

Notation and pairs are those of `cpu_kernels`: pair u holds the blank before label u and label u
itself, pair S the last blank alone.

Time. The backward variables times the emission of their own frame are the forward variables of the
utterance read from its end, so that one recursion serves both directions: of the two warps of an
utterance one reads its frames, labels and blanks in order, the other reversed. They meet in the
middle. Until then each stores, for its half of the frames, every state's sum *before* the emission
is multiplied in; from then on each multiplies its own state, emission included, by what the other
stored for that frame. That is occupancy times p(target), whose sum over the states of any frame is
p(target) [Graves et al. 2006, equation 14]. An utterance takes T steps instead of 2 T, and for the
loss alone T / 2.

Range. Every state is a number m * RADIX**k of its own: m in float64 within [2**-120, 2**120), k an
int32. A step costs some selects and multiplications, and neither exponentials nor logarithms; no
logits lead to underflow, so that there is no second, careful method that somebody would have to
choose while the GPU works. A term whose k is 2 below another's is less than 2**-240 of it (a
double has 53 bits) and counts as 0, as does any path of probability below RADIX**LOWEST, which is
exp(-8.9e10). Emissions and what directions leave for each other are stored in the precision of the
gradient: 2**+-120 times a sum of three is within float32.

Order. Nothing is added up atomically: an occupancy belongs to one lane, and occupancies of equal
labels are added from the first to the last. The same input gives the same bits.

Layout. A lane owns `pairs` neighbouring pairs, and warps of 32 lanes read and write the k-th pairs
of all lanes side by side: pair u is at *slot* (u % pairs) * 32 + u // pairs of a row of 32 * pairs.
"""

# Numba infers types.
# ruff: noqa: ANN001, ANN201, ANN202, C901, PLR0915

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import cuda, float64, int32, uint32

WARP = 32
ROW_WARPS = 4  # warps of a block in the kernels whose warps have a row (t, n) each
_ALL_LANES = 0xFFFFFFFF
_NO_SLOT = 0xFFFFFFFF
_LOG_RADIX = 240.0 * math.log(2.0)
_UP, _DOWN = 2.0**240, 2.0**-240  # RADIX and its inverse
_LARGE, _SMALL = 2.0**120, 2.0**-120
LOWEST = -(2**29)  # k of an exact 0, and the least of any number: the sum of three fits an int32
_LEAST_LOG_PROB = LOWEST * _LOG_RADIX
# Larger log-probabilities are taken for +inf: with this, k overflows at 35,000 frames at the least.
_GREATEST_LOG_PROB = 1e7


class Numbers(NamedTuple):
    """Arrays of a lane: number i is m[i] * RADIX**k[i]."""

    m: Any
    k: Any


class States(NamedTuple):
    """A number for the blank and the label of each of a lane's pairs."""

    blanks: Numbers
    labels: Numbers


class Places(NamedTuple):
    """Slots of a lane's pairs, _NO_SLOT beyond the target."""

    blanks: Any
    labels: Any
    emissions: Any  # those of the labels, and of the blank last
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
def _slot(u, pairs):
    """Place of pair u in a row."""
    return (u % pairs) * WARP + u // pairs


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
def _number_of_log(log_prob):
    """exp(log_prob) as a number m * RADIX**k."""
    if log_prob < _LEAST_LOG_PROB:
        return 0.0, np.int32(LOWEST)
    k = math.floor(log_prob / _LOG_RADIX + 0.5)
    return math.exp(log_prob - k * _LOG_RADIX), np.int32(k)


@cuda.jit(device=True)
def _log(m, k):
    """Natural logarithm of m * RADIX**k."""
    return math.log(m) + k * _LOG_RADIX if m > 0.0 else -math.inf


@cuda.jit(device=True)
def _link_label(u, n, labels, start, num_labels, first_of_class, next_equal, pairs, lane):
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
        slot = _slot(u, pairs)
        next_equal[n, slot] = _slot(nearest, pairs) if nearest < num_labels else -1
        if not preceded:
            first_of_class[n, label] = slot


@cuda.jit
def prepare(
    x, strides, labels, starts, input_lengths, target_lengths, blank, from_logits, pairs,
    normalisers, mantissas, exponents, first_of_class, next_equal,
):  # fmt: skip
    """Emissions of every frame's labels and blank, and links between equal labels; a warp a row.

    Args:
        x: flat logits or log-probabilities; class c of frame t of utterance n is at
            strides[0] * t + strides[1] * n + strides[2] * c.
        strides: three integers.
        labels: flat int64; utterance n has target_lengths[n] of them from starts[n].
        blank: class of the blank.
        pairs: pairs a lane; 32 * pairs > S for every utterance that is possible.
        normalisers: (N, T) float64, written: what to subtract from x for ln p; NaN for ill frames.
        mantissas, exponents: (N, T, 32 * pairs), written: emissions of the labels by slot, and of
            the blank in the slot of pair S.
        first_of_class: (N, C) int32, -1 throughout; written: slot of a class's first label.
        next_equal: (N, 32 * pairs) int32, written: slot of the next equal label, or -1.
    """
    num_utterances, num_classes = first_of_class.shape
    max_frames, width = normalisers.shape[1], WARP * pairs
    lane = cuda.threadIdx.x % WARP
    row = cuda.blockIdx.x * ROW_WARPS + cuda.threadIdx.x // WARP
    t, n = row // num_utterances, row % num_utterances
    if t >= max_frames or t >= input_lengths[n]:
        return
    start, num_labels = starts[n], target_lengths[n]
    at = t * strides[0] + n * strides[1]
    normaliser = _row_normaliser(x, at, strides[2], num_classes, from_logits, lane)
    if lane == 0:
        normalisers[n, t] = normaliser
    fits = 0 <= num_labels < width and 0 <= start <= labels.size - num_labels
    if not fits or math.isnan(normaliser):
        return
    for u in range(lane, num_labels + 1, WARP):
        label = labels[start + u] if u < num_labels else blank
        if 0 <= label < num_classes:
            log_prob = np.float64(x[at + label * strides[2]]) - normaliser
            slot = _slot(u, pairs)
            mantissas[n, t, slot], exponents[n, t, slot] = _number_of_log(log_prob)
    if t < num_labels and 0 <= labels[start + t] < num_classes:
        _link_label(t, n, labels, start, num_labels, first_of_class, next_equal, pairs, lane)


@cuda.jit(device=True)
def _verdict(
    labels, start, num_labels, capacity, num_classes, blank, normalisers, n, num_frames, lane
):  # fmt: skip
    """Loss of an utterance that needs no recursion: NaN, inf or 0; else 1."""
    if not (0 <= num_frames <= normalisers.shape[1] and 0 <= num_labels <= capacity):
        return math.nan
    if not 0 <= start <= len(labels) - num_labels:
        return math.nan
    wrong, repeats, ill = 0, 0, 0
    for u in range(lane, num_labels, WARP):
        label = labels[start + u]
        if label < 0 or label >= num_classes or label == blank:
            wrong = 1
        if u > 0 and label == labels[start + u - 1]:
            repeats += 1
    for t in range(lane, num_frames, WARP):
        if math.isnan(normalisers[n, t]):
            ill = 1
    if _warp_max(wrong):
        return math.nan
    if num_frames < num_labels + _warp_sum(repeats):
        return math.inf
    if _warp_max(ill):
        return math.nan
    return 0.0 if num_frames == 0 else 1.0


@cuda.jit(device=True)
def _place_pairs(places, labels, start, num_labels, lane, reverse):
    """Note where the lane's pairs are, whose u counts from the target's end if reversed."""
    pairs = len(places.blanks)
    for i in range(pairs):
        u = lane * pairs + i
        own_blank = num_labels - u if reverse else u
        own_label = num_labels - 1 - u if reverse else u
        before = own_label + 1 if reverse else own_label - 1
        places.blanks[i] = _slot(own_blank, pairs) if u <= num_labels else _NO_SLOT
        places.labels[i] = _slot(own_label, pairs) if u < num_labels else _NO_SLOT
        places.emissions[i] = places.labels[i]
        skips = 0 < u < num_labels and labels[start + own_label] != labels[start + before]
        places.may_skip[i] = skips
    places.emissions[pairs] = _slot(num_labels, pairs)


@cuda.jit(device=True)
def _clear(numbers):
    for i in range(len(numbers.m)):
        numbers.m[i], numbers.k[i] = 0.0, LOWEST


@cuda.jit(device=True)
def _copy(numbers, source):
    for i in range(len(numbers.m)):
        numbers.m[i], numbers.k[i] = source.m[i], source.k[i]


@cuda.jit(device=True)
def _read(numbers, mantissas, exponents, n, t, slots):
    """Read a row at the lane's slots."""
    _clear(numbers)
    for i in range(len(slots)):
        if slots[i] != _NO_SLOT:
            numbers.m[i] = mantissas[n, t, slots[i]]
            numbers.k[i] = exponents[n, t, slots[i]]


@cuda.jit(device=True)
def _write(numbers, mantissas, exponents, n, t, slots):
    """Write a row at the lane's slots."""
    for i in range(len(slots)):
        if slots[i] != _NO_SLOT:
            mantissas[n, t, slots[i]] = numbers.m[i]
            exponents[n, t, slots[i]] = numbers.k[i]


@cuda.jit(device=True)
def _sum_predecessors(sums, states, may_skip, lane):
    """Equations 6 and 7 without the emission; the sums are not normalised."""
    (blank_m, blank_k), (label_m, label_k) = states
    pairs = len(may_skip)
    from_m = cuda.shfl_up_sync(_ALL_LANES, label_m[pairs - 1], 1)
    from_k = cuda.shfl_up_sync(_ALL_LANES, label_k[pairs - 1], 1)
    if lane == 0:
        from_m, from_k = 0.0, np.int32(LOWEST)
    for i in range(pairs):
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
def _emit(states, sums, emissions):
    """Multiply the emissions in."""
    pairs = len(sums.blanks.m)
    y_m, y_k = emissions.m[pairs], emissions.k[pairs]
    for i in range(pairs):
        states.blanks.m[i], states.blanks.k[i] = _normalised(
            sums.blanks.m[i] * y_m, np.int32(sums.blanks.k[i] + y_k)
        )
        states.labels.m[i], states.labels.k[i] = _normalised(
            sums.labels.m[i] * emissions.m[i], np.int32(sums.labels.k[i] + emissions.k[i])
        )


@cuda.jit(device=True)
def _add_products(m, k, ours, theirs):
    """The sum so far, and the products of what two directions have for the lane's pairs."""
    for i in range(len(ours.m)):
        product_m, product_k = _normalised(
            ours.m[i] * theirs.m[i], np.int32(ours.k[i] + theirs.k[i])
        )
        m, k = _add(m, k, product_m, product_k)
    return m, k


@cuda.jit(device=True)
def _write_occupancies(of_labels, of_blanks, n, t, states, others, slots, total_k, inverse, lane):
    """Write the products of two directions over p(target), 1 / inverse * RADIX**total_k."""
    of_blank = 0.0
    for i in range(len(slots)):
        product = states.blanks.m[i] * others.blanks.m[i]
        k = np.int32(states.blanks.k[i] + others.blanks.k[i])
        of_blank += product * inverse * _power(k - total_k)
        if slots[i] != _NO_SLOT:
            product = states.labels.m[i] * others.labels.m[i]
            k = np.int32(states.labels.k[i] + others.labels.k[i])
            of_labels[n, t, slots[i]] = product * inverse * _power(k - total_k)
    of_blanks[n, t, np.uint32(lane)] = of_blank


@cache
def make_fit(pairs):
    """Compile the recursion for targets of less than 32 * `pairs` labels.

    The number is known to the compiler, so that a lane's states are in registers: its arrays are
    never addressed, once all loops over pairs are unrolled.
    """
    slots = pairs + 1  # of the emissions: one more, for the blank

    @cuda.jit
    def fit(
        labels, starts, input_lengths, target_lengths, capacity, num_classes, blank,
        normalisers, mantissas, exponents, wants_occupancies, stored, stored_exponents,
        of_labels, of_blanks, losses,
    ):  # fmt: skip
        """Losses and, if wanted, occupancies; a block of two warps an utterance.

        Args:
            labels .. blank, normalisers, mantissas, exponents: as `prepare`.
            capacity: greatest target length that the labels have room for.
            stored, stored_exponents: (2, N, T, 32 * pairs) scratch: sums of blanks and of labels;
                of one frame for T where no occupancies are wanted.
            of_labels: (N, T, 32 * pairs), written if wanted: occupancies of the labels by slot.
            of_blanks: (N, T, 32), written if wanted: occupancies of each lane's blanks.
            losses: (N,) float64, written: -ln p(target); inf where that is 0; NaN where a frame is
                ill, or a label or a length out of range.
        """
        if cuda.blockIdx.x >= len(losses):
            return
        n = np.uint64(cuda.blockIdx.x)  # unsigned: a signed index costs a test for being negative
        lane = cuda.threadIdx.x % WARP
        reverse = cuda.threadIdx.x // WARP
        num_frames, num_labels, start = input_lengths[n], target_lengths[n], starts[n]
        loss = _verdict(
            labels, start, num_labels, capacity, num_classes, blank, normalisers, n, num_frames,
            lane,
        )  # fmt: skip
        if loss != 1.0:
            if cuda.threadIdx.x == 0:
                losses[n] = loss
            return

        places = Places(
            cuda.local.array(pairs, uint32), cuda.local.array(pairs, uint32),
            cuda.local.array(slots, uint32), cuda.local.array(pairs, int32),
        )  # fmt: skip
        states = States(
            Numbers(cuda.local.array(pairs, float64), cuda.local.array(pairs, int32)),
            Numbers(cuda.local.array(pairs, float64), cuda.local.array(pairs, int32)),
        )
        sums = States(
            Numbers(cuda.local.array(pairs, float64), cuda.local.array(pairs, int32)),
            Numbers(cuda.local.array(pairs, float64), cuda.local.array(pairs, int32)),
        )
        others = States(
            Numbers(cuda.local.array(pairs, float64), cuda.local.array(pairs, int32)),
            Numbers(cuda.local.array(pairs, float64), cuda.local.array(pairs, int32)),
        )
        emissions = Numbers(cuda.local.array(slots, float64), cuda.local.array(slots, int32))
        next_emissions = Numbers(cuda.local.array(slots, float64), cuda.local.array(slots, int32))
        _place_pairs(places, labels, start, num_labels, lane, reverse)
        _clear(states.blanks)
        _clear(states.labels)
        if lane == 0:  # before the first frame
            states.blanks.m[0], states.blanks.k[0] = 1.0, 0
        t = np.uint64(num_frames - 1 if reverse else 0)
        _read(next_emissions, mantissas, exponents, n, t, places.emissions)
        own_half = num_frames // 2 if reverse else num_frames - num_frames // 2
        # The loss alone is known where the reversed warp meets the other, after one step.
        last_step = num_frames if wants_occupancies else own_half + reverse
        last_stored = own_half - 1 if not reverse else -1
        total_k, inverse = np.int32(LOWEST), 0.0
        for half in range(2):
            if half == 1:
                cuda.syncthreads()
            for step in range(half * own_half, last_step if half else own_half):
                t = np.uint64(num_frames - 1 - step if reverse else step)
                kept = t if wants_occupancies else np.uint64(0)
                # Loads come first, so that what they wait for passes during the arithmetic.
                _copy(emissions, next_emissions)
                if step + 1 < num_frames:
                    after = np.uint64(num_frames - 2 - step if reverse else step + 1)
                    _read(next_emissions, mantissas, exponents, n, after, places.emissions)
                if half == 1:
                    _read(others.blanks, stored[0], stored_exponents[0], n, kept, places.blanks)
                    _read(others.labels, stored[1], stored_exponents[1], n, kept, places.labels)
                _sum_predecessors(sums, states, places.may_skip, lane)
                if half == 0 and (wants_occupancies or step == last_stored):
                    _write(sums.blanks, stored[0], stored_exponents[0], n, kept, places.blanks)
                    _write(sums.labels, stored[1], stored_exponents[1], n, kept, places.labels)
                _emit(states, sums, emissions)
                if half == 1 and step == own_half:
                    m, k = _add_products(0.0, np.int32(LOWEST), states.blanks, others.blanks)
                    m, k = _add_products(m, k, states.labels, others.labels)
                    total_m, total_k = _sum_over_warp(m, k)
                    inverse = 1.0 / total_m if total_m > 0.0 else 0.0
                    if reverse and lane == 0:
                        losses[n] = -_log(total_m, total_k)
                if half == 1 and wants_occupancies:
                    _write_occupancies(
                        of_labels, of_blanks, n, t, states, others, places.labels, total_k,
                        inverse, lane,
                    )  # fmt: skip

    return fit


@cuda.jit
def write_gradients(
    x, strides, input_lengths, target_lengths, blank, from_logits, divide, zero_infinity,
    normalisers, first_of_class, next_equal, of_labels, of_blanks, losses, grad, grad_strides,
):  # fmt: skip
    """Gradient with respect to x: softmax, if x holds logits, less occupancies; a warp a row.

    Args:
        x .. from_logits: as `prepare`.
        divide: whether by N max(S, 1), for the mean over utterances of their losses by length.
        zero_infinity: whether an infinite loss has gradient 0 rather than NaN.
        normalisers .. of_blanks: what `prepare` and `fit` wrote.
        losses: (N,) of `fit`.
        grad, grad_strides: flat, written; 0 beyond an utterance's frames.
    """
    num_utterances, num_classes = first_of_class.shape
    max_frames = normalisers.shape[1]
    lane = cuda.threadIdx.x % WARP
    row = cuda.blockIdx.x * ROW_WARPS + cuda.threadIdx.x // WARP
    t, n = row // num_utterances, row % num_utterances
    if t >= max_frames:
        return
    at = t * grad_strides[0] + n * grad_strides[1]
    loss, num_frames = losses[n], input_lengths[n]
    if not 0 <= num_frames <= max_frames:
        num_frames = max_frames  # of an utterance whose loss is NaN
    if t >= num_frames or not math.isfinite(loss):
        value = 0.0 if t >= num_frames or (zero_infinity and loss == math.inf) else math.nan
        for c in range(lane, num_classes, WARP):
            grad[at + c * grad_strides[2]] = value
        return
    weight = 1.0
    if divide:
        weight = 1.0 / (max(target_lengths[n], 1) * num_utterances)
    of_blank = _warp_sum(of_blanks[n, t, lane])
    source = t * strides[0] + n * strides[1]
    for c in range(lane, num_classes, WARP):
        occupancy = of_blank if c == blank else grad.dtype.type(0.0)
        slot = first_of_class[n, c]
        while slot >= 0:
            occupancy += of_labels[n, t, slot]
            slot = next_equal[n, slot]
        value = -occupancy
        if from_logits:
            value += math.exp(grad.dtype.type(x[source + c * strides[2]] - normalisers[n, t]))
        grad[at + c * grad_strides[2]] = weight * value
