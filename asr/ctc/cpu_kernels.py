"""CTC on the CPU: the alpha-beta recursion, its gradient and the best path, compiled by Numba.

Every compiled function is here, because Numba's cache notices edits of this file only.

Notation (Graves et al. 2006, "Connectionist Temporal Classification", equations in brackets).
A target of S labels is cut into S + 1 *pairs*: pair u holds the blank before label u, and label u
itself; pair S holds the last blank and no label. With p_t(k) the probability of class k at frame t
and skip(u) = 1 where label u differs from label u - 1 (else 0), the forward variables are

    blank_t(u) = (blank_{t-1}(u) + label_{t-1}(u-1)) p_t(blank)                               [6, 7]
    label_t(u) = (label_{t-1}(u) + blank_{t-1}(u) + skip(u) label_{t-1}(u-1)) p_t(label u)    [6, 7]

from blank_{-1}(0) = 1 [5]. The backward variables used here leave out the emission at t (Graves
multiplies it in [9-11] and divides it out in [14]); with q = backward times emission,

    blank'_t(u) = q_{t+1}(blank u) + q_{t+1}(label u)                                       [10, 11]
    label'_t(u) = q_{t+1}(label u) + q_{t+1}(blank u+1) + skip(u+1) q_{t+1}(label u+1)      [10, 11]

so that occupancy_t(s) = alpha_t(s) beta'_t(s) / p(target) [14] needs no division by an emission
and sums to 1 over s at every t. The gradient of -ln p(target) with respect to ln p_t(k) is minus
the occupancy of class k [15]; through a softmax it is p_t(k) minus that [16].

Range. The recursions run in the linear domain on float64 mantissas with *block exponents*: pair u
stands for mantissa * 2**exponent[u], and exponents are renewed every BLOCK frames, so that frames
between are additions and multiplications only. The neighbour's mantissa enters pair u multiplied
by 2**(exponent[u-1] - exponent[u]), which the renewal holds at or below 2**SLOPE. Over a block a
mantissa therefore grows by at most 2**(BLOCK * SLOPE) times 3**BLOCK, 2**957, and a path that
matters shrinks by at most STEEP**BLOCK, 2**-924: both are within float64, 2**+-1022. Where an
emission is steeper the utterance is computed by the *exact* functions below, in which every single
state has its own exponent. The same happens where the occupancies of some frame do not sum to 1,
which is what anything lost to underflow leads to.

Occupancies are computed with a gradient, and without one where they are needed as that check: where
some state's mantissa at a renewal is positive but below FAINT / e**BLOCK, e the least emission that
is not 0. Otherwise every state keeps at least FAINT until the next renewal, by staying alone, while
what underflows on its way into it is below 2**-60 of that and has the same future: nothing that is
lost counts.
"""

# Numba infers the types of what it compiles, and every further function costs compilation.
# ruff: noqa: ANN001, ANN201, ANN202, C901, PLR0915

import math
import platform

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from asr.ctc.compilation import helper as _helper
from asr.ctc.compilation import kernel as _kernel
from asr.ctc.compilation import loop as _loop

BLOCK = 8  # frames between two renewals of the exponents
SLOPE = 118  # greatest exponent[u-1] - exponent[u]: above -log2(STEEP), what a label may cost
FAINT = 2.0**-962  # 2**60 times float64's least normal number
STEEP = np.float32(1e-35)  # least emission beside the frame's greatest; ** BLOCK must be normal
SUM_TOLERANCE = 1e-5  # of the occupancies of a frame: what the loss promises
PATH_SEGMENT = 32  # frames of a best path that are followed back at once; even
SEGMENT_BYTES = 700_000  # of forward variables kept at once: what fits a core's L2 beside the rest


_LOG2E = 1.0 / math.log(2.0)
_LN2 = math.log(2.0)
_IS_X86 = platform.machine() in ("x86_64", "AMD64")
_TABLE_PAD = 16  # entries of the emission table are padded to whole vectors of float32
# 2**f on [-1/2, 1/2] by a polynomial through the Chebyshev nodes: degree 6 is right to 5e-9.
_EXP2 = tuple(
    np.float32(c)
    for c in np.polynomial.chebyshev.Chebyshev.interpolate(np.exp2, 6, domain=[-0.5, 0.5])
    .convert(kind=np.polynomial.Polynomial)
    .coef
)
_C0, _C1, _C2, _C3, _C4, _C5, _C6 = _EXP2
_LOG2E_HIGH = np.float32(_LOG2E)
_LOG2E_LOW = np.float32(_LOG2E - float(_LOG2E_HIGH))
# 2**-126 is float32's least normal number; a rounding below it would be flushed to 0, which
# means impossible rather than steep.
_LEAST = np.float32(-125.0 * _LN2)
_MINUS_INF = np.float32(-np.inf)
_HALF = np.float32(0.5)
_ZERO32 = np.float32(0.0)
_ONE = np.uint64(
    1
)  # uint64 with a plain 1 would be float64; signed indices cost a wrap-around test
_NIL = np.uint64(0)
_KEY_INF = np.int32(0x7F800000)  # bits of +inf
_KEY_MASK = np.int32(0x7FFFFFFF)
_KEY_MINUS_INF = np.int32(~0x7F800000)  # order-preserving image of -inf
_NO_EXPONENT = -(1 << 40)  # the exponent of an exact zero: below any other


@_helper
def _key(value):
    """Integer image of a float32 that keeps the order; integer maxima vectorise, float's do not."""
    bits = np.float32(value).view(np.int32)
    return np.int32(bits ^ ((bits >> np.int32(31)) & _KEY_MASK))


@_helper
def _unkey(key):
    """Inverse of `_key`, which is its own inverse."""
    return np.int32(key ^ ((key >> np.int32(31)) & _KEY_MASK)).view(np.float32)


@_helper(fastmath={"contract"})
def _exp(x):
    """exp(x) in float32 for x <= 0, to 1e-7; at least 2**-125, but 0 for -inf. NaN stays NaN."""
    y = _LEAST if x < _LEAST else x
    n = np.floor(y * _LOG2E_HIGH + _HALF)
    f = (y * _LOG2E_HIGH - n) + y * _LOG2E_LOW  # the first by a fused multiply-add, hence exact
    p = _C0 + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * (_C5 + f * _C6)))))
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return _ZERO32 if x == _MINUS_INF else p * power


@_helper
def _pow2(k):
    """2**k in float64 for k <= 1023; 0 below -1022."""
    k = max(np.int64(k), np.int64(-1023))
    return np.int64((k + 1023) << 52).view(np.float64)


@_helper
def _exponent(m):
    """Floor of log2 of a positive float64; -1023 for 0."""
    return np.int64(np.float64(m).view(np.uint64) >> np.uint64(52)) - 1023


@intrinsic
def _load(typingctx, array, place):
    """Return what stands at a place of a contiguous array, counted flat, by a plain load.

    Loads that LLVM sees as such become gather instructions, which on many machines are slower.
    """

    def codegen(context, builder, signature, args):
        source = context.make_array(signature.args[0])(context, builder, args[0])
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        return builder.load_atomic(builder.gep(source.data, [args[1]]), "unordered", size)

    return array.dtype(array, place), codegen


@_loop
def _row_maximum(x, base, num_classes):
    """Greatest of a row; NaN with the sign bit clear counts as greater than +inf."""
    greatest = np.int32(-0x80000000)
    for c in range(num_classes):
        key = _key(x[base + c])
        greatest = key if key > greatest else greatest  # `max` would be of int64
    return _unkey(greatest)


@_helper
def _holds_nan(x, base, num_classes):
    """Whether a row holds NaN of either sign."""
    found = np.int32(0)
    for c in range(num_classes):
        bits = np.int32(np.float32(x[base + c]).view(np.int32) & _KEY_MASK)
        found = bits if bits > found else found
    return found > _KEY_INF


@_loop(fastmath={"contract", "reassoc", "nsz"})
def _exp_row(x, base, greatest, exps, num_classes):
    """exps[c] = exp(x[c] - greatest). Returns their sum."""
    total = _ZERO32
    for c in range(num_classes):
        p = _exp(x[base + c] - greatest)
        exps[c] = p
        total += p
    return total


@_loop
def _scale_row(exps, factor, grad, grad_base, num_classes):
    """grad[c] = factor * exps[c]."""
    for c in range(num_classes):
        grad[grad_base + c] = exps[c] * factor


@_loop
def _copy_row(x, base, stride, row, num_classes):
    """Bring a row whose classes are apart together."""
    for c in range(num_classes):
        row[c] = x[base + c * stride]


@_loop
def _fill_table(exps, used, table, t, least, num_used):
    """Emissions at frame t of the classes the utterance uses, from those of all classes.

    `least` keeps, for each class, the bits less one of its least positive emission: bits of
    positive floats keep their order, and zero's less one are the greatest.
    """
    for k in range(num_used):
        p = exps[used[k]]
        table[t, k] = p
        bits = np.uint32(np.float32(p).view(np.uint32) - np.uint32(1))
        least[k] = bits if bits < least[k] else least[k]


@_loop
def _gather(table, t, symbol, y, i, lo, hi):
    """Emissions of the labels at frame t: y[i, u] = table[t, symbol[u]]."""
    row = t * np.uint64(table.shape[1])
    for u in range(lo, hi):
        y[i, u] = _load(table, row + symbol[u])


@_loop(fastmath={"contract"})
def _forward_step(blank0, label0, blank, label, y, ratio, skip_ratio, i, lo, hi, p_blank):
    """Equations 6 and 7 from row i - 1 of (blank0, label0) to row i of (blank, label).

    They are the same arrays under two names, and distinct in the sense of `compilation`.
    """
    yb = np.float64(p_blank)
    for u in range(lo, hi):
        left = label0[i - _ONE, u - _ONE]
        blank[i, u] = (blank0[i - _ONE, u] + ratio[u] * left) * yb
        stay = label0[i - _ONE, u] + blank0[i - _ONE, u]
        label[i, u] = (stay + skip_ratio[u] * left) * np.float64(y[i, u])


@_loop
def _renew(blank, label, i, exponent, shift, lo, hi, forward, faint):
    """Renew the exponents of the pairs lo..hi-1 of row i, so that mantissas are below 2.

    A pair's exponent is that of its larger mantissa, but at least its predecessor's less SLOPE;
    `shift` is scratch. Returns whether a mantissa that is not 0 became less than `faint`.
    """
    for u in range(lo, hi):
        own = _exponent(max(blank[i, u], label[i, u]))
        shift[u] = exponent[u] + own if own > -1023 else np.int64(_NO_EXPONENT)
    if forward:
        envelope = shift[lo]
        for u in range(lo, hi):
            envelope = max(envelope - SLOPE, shift[u])
            shift[u] = envelope
    else:
        envelope = shift[hi - _ONE]
        for k in range(hi - lo):
            u = hi - _ONE - k
            envelope = max(envelope - SLOPE, shift[u])
            shift[u] = envelope
    found = np.int64(0)
    for u in range(lo, hi):
        factor = _pow2(min(exponent[u] - shift[u], np.int64(1023)))
        exponent[u] = shift[u]
        b, own = blank[i, u], label[i, u]
        blank[i, u] = b * factor
        label[i, u] = own * factor
        found |= np.int64((b > 0.0) & (b * factor < faint))
        found |= np.int64((own > 0.0) & (own * factor < faint))
    return found != 0


@_loop
def _set_ratios(exponent, neighbour, skip, ratio, skip_ratio, lo, hi):
    """What the neighbour's mantissa is multiplied by to enter pair u; `neighbour` is 0 or 2.

    The predecessor of pair u is u - 1 forward (neighbour = 0) and u + 1 backward (2).
    """
    shift = neighbour >> _ONE
    for u in range(lo, hi):
        power = _pow2(min(exponent[u + neighbour - _ONE] - exponent[u], np.int64(1023)))
        ratio[u] = power
        skip_ratio[u] = power * skip[u + shift]


@_loop
def _set_scale(exponent_a, i, exponent_b, exponent_z, inverse_z, scale, lo, hi):
    """2**(exponents of alpha and beta' less that of z) / z: occupancies from mantissas [14]."""
    for u in range(lo, hi):
        power = min(np.int64(exponent_a[i, u]) + exponent_b[u] - exponent_z, np.int64(1023))
        scale[u] = _pow2(power) * inverse_z


@_loop(fastmath={"contract", "reassoc", "nsz"})
def _backward_step(
    q_blank, q_label, blank, label, y, ratio, skip_ratio, scale, gamma, i, lo, hi, p_blank
):
    """Equations 10, 11 and 14 at one frame: q of frame t + 1 becomes q of frame t, in place.

    Writes the occupancies of the labels to `gamma`. Returns (occupancy of all blanks, of all
    labels).
    """
    yb = np.float64(p_blank)
    of_blanks = 0.0
    of_labels = 0.0
    for u in range(lo, hi):
        beta_blank = q_blank[_NIL, u] + q_label[_NIL, u]
        beta_label = (
            q_label[_NIL, u]
            + ratio[u] * q_blank[_NIL, u + _ONE]
            + skip_ratio[u] * q_label[_NIL, u + _ONE]
        )
        of_blanks += (blank[i, u] * scale[u]) * beta_blank  # in this order: within float64
        occupancy = (label[i, u] * scale[u]) * beta_label
        of_labels += occupancy
        gamma[u] = np.float32(occupancy)
        q_blank[_NIL, u] = beta_blank * yb
        q_label[_NIL, u] = beta_label * np.float64(y[i, u])
    return of_blanks, of_labels


@_loop
def _scatter(gamma, symbol, occupancy, lo, hi):
    """Add the occupancies of a frame's labels by class."""
    for u in range(lo, hi):
        occupancy[symbol[u]] += gamma[u]


@_helper
def _first_pair(t, num_frames, num_labels):
    """Index of the first pair at frame t from which the end can still be reached."""
    return np.uint64(max(0, num_labels - (num_frames - t)) + 1)


@_helper
def _end_pair(t, num_labels):
    """One past the index of the last pair that frame t can have reached."""
    return np.uint64(min(t + 1, num_labels + 1) + 1)


@_helper
def _prepare_utterance(labels, start, num_labels, blank, slot, used, symbol, skip):
    """Map the utterance's labels to a table of the classes it uses: blank first, no other twice.

    Fills used (class of a table entry), symbol (entry of label u, at index u + 1) and skip.
    Returns the number of entries, padded to whole vectors.
    """
    used[0] = blank
    num_used = 1
    previous = np.int64(blank)
    for u in range(num_labels):
        label = labels[start + u]
        if slot[label] < 0:
            slot[label] = num_used
            used[num_used] = label
            num_used += 1
        symbol[u + 1] = slot[label]
        skip[u + 1] = 0.0 if u == 0 or label == previous else 1.0
        previous = label
    for k in range(1, num_used):
        slot[used[k]] = -1  # as it was found
    padded = (num_used + _TABLE_PAD - 1) // _TABLE_PAD * _TABLE_PAD
    for k in range(num_used, padded):
        used[k] = blank
    symbol[0] = symbol[num_labels + 1] = symbol[num_labels + 2] = padded  # the entry that is 0
    skip[0] = skip[num_labels + 1] = skip[num_labels + 2] = skip[num_labels + 3] = 0.0
    return padded


@_helper
def _measure_frames(x, base, strides, size, from_logits, alphabet, emissions, out):
    """Emissions of every frame; the part of the gradient from before the occupancies are known.

    That is the softmax [16], or 0 where x are log-probabilities [15].

    Returns (ln of what emissions are relative to, summed over frames; the least emission, without
    those that are 0; 0 where a frame holds NaN).
    """
    num_frames, _, num_classes = size
    used, table, _, _, num_used = alphabet
    row, exps, least = emissions
    grad, grad_base, grad_strides, weight, _ = out
    apart = strides[2] != _ONE
    source = row if apart else x
    has_grad = grad.size > 0
    for k in range(num_used):
        least[k] = np.uint32(0xFFFFFFFF)
    log_sum, product = 0.0, 1.0
    ill = False
    for t in range(num_frames):
        at = np.uint64(base + t * strides[0])
        if apart:
            _copy_row(x, at, strides[2], row, num_classes)
            at = _NIL
        greatest = _row_maximum(source, at, num_classes)
        grad_at = np.uint64(grad_base + t * grad_strides[0])
        if from_logits:
            total = _exp_row(source, at, greatest, exps, num_classes)
            if has_grad:  # now, while the row is in the cache
                _scale_row(exps, np.float32(weight / total), grad, grad_at, num_classes)
            product *= np.float64(total)
            if t % BLOCK == BLOCK - 1:  # at most num_classes ** BLOCK
                log_sum -= math.log(product)
                product = 1.0
        else:
            ill |= _holds_nan(source, at, num_classes)
            log_sum += np.float64(greatest)
            for k in range(num_used):
                exps[used[k]] = _exp(source[at + used[k]] - greatest)
            if has_grad:
                for c in range(num_classes):
                    grad[grad_at + c] = _ZERO32
        _fill_table(exps, used, table, np.uint64(t), least, num_used)
        table[t, num_used] = _ZERO32
    log_sum -= math.log(product)
    bits = np.uint32(0xFFFFFFFF)
    for k in range(num_used):
        bits = min(bits, least[k])
    steepest = np.uint32(bits + np.uint32(1)).view(np.float32)
    if ill:
        steepest = _ZERO32
    return log_sum, steepest


@_helper
def _forward_frames(t0, t1, size, alphabet, rows, state, faint):
    """Forward variables of frames t0..t1-1 into rows 1.., from row 0.

    Returns whether a mantissa fell below `faint`.
    """
    num_frames, num_labels, _ = size
    _, table, symbol, skip, _ = alphabet
    blank, label, y, exponents = rows
    exponent, ratio, skip_ratio, shift = state
    doubtful = False
    for t in range(t0, t1):
        i = np.uint64(t - t0 + 1)
        lo, hi = _first_pair(t, num_frames, num_labels), _end_pair(t, num_labels)
        _gather(table, np.uint64(t), symbol, y, i, lo, hi)
        _forward_step(blank, label, blank, label, y, ratio, skip_ratio, i, lo, hi, table[t, 0])
        blank[i, hi] = 0.0
        label[i, hi] = 0.0
        label[i, lo - _ONE] = 0.0
        if t % BLOCK == 0:
            end = np.uint64(min(np.int64(hi) + BLOCK, num_labels + 2))
            for u in range(hi, end):
                blank[i, u] = 0.0
                label[i, u] = 0.0
            doubtful |= _renew(blank, label, i, exponent, shift, lo, end, True, faint)
            _set_ratios(exponent, _NIL, skip, ratio, skip_ratio, lo, end)
            ratio[lo] = 0.0
            skip_ratio[lo] = 0.0
            block = np.uint64((t - t0) // BLOCK)
            for u in range(lo, end):
                exponents[block, u] = np.int32(exponent[u])
    return doubtful


@_helper
def _backward_frames(t0, t1, size, alphabet, rows, q_state, z_state, out):
    """Occupancies of frames t1-1..t0, from q of frame t1; the gradient is less by them.

    Returns whether the occupancies of every frame sum to 1.
    """
    num_frames, num_labels, _ = size
    used, table, symbol, skip, num_used = alphabet
    blank, label, y, exponents = rows
    q_blank, q_label, exponent, ratio, skip_ratio, shift, scale, gamma, occupancy = q_state
    exponent_z, inverse_z = z_state
    grad, grad_base, grad_strides, weight, posterior = out
    has_grad, has_posterior = grad.size > 0, posterior.size > 0
    exact = True
    for t in range(t1 - 1, t0 - 1, -1):
        i = np.uint64(t - t0 + 1)
        lo, hi = _first_pair(t, num_frames, num_labels), _end_pair(t, num_labels)
        if t == t1 - 1 or t % BLOCK == BLOCK - 1:
            first = np.uint64(max(1, np.int64(lo) - BLOCK))
            block = np.uint64((t - t0) // BLOCK)
            _set_scale(exponents, block, exponent, exponent_z, inverse_z, scale, first, hi)
        of_blanks, of_labels = _backward_step(
            q_blank, q_label, blank, label, y, ratio, skip_ratio, scale, gamma, i, lo, hi,
            table[t, 0],
        )  # fmt: skip
        total = of_blanks + of_labels
        exact &= abs(total - 1.0) < SUM_TOLERANCE  # False for NaN too
        factor = np.float32(1.0 / total)
        if has_grad:
            for k in range(num_used):
                occupancy[k] = _ZERO32
            _scatter(gamma, symbol, occupancy, lo, hi)
            occupancy[0] += np.float32(of_blanks)
            grad_at = np.uint64(grad_base + t * grad_strides[0])
            factor = np.float32(factor * weight)
            for k in range(num_used):
                grad[grad_at + used[k]] -= factor * occupancy[k]
        elif has_posterior:
            for u in range(lo, min(hi, np.uint64(num_labels + 1))):
                posterior[t, u - _ONE] = gamma[u] * factor
        if t % BLOCK == 0:
            first = np.uint64(max(1, np.int64(lo) - BLOCK))
            _renew(q_blank, q_label, _NIL, exponent, shift, first, hi, False, 0.0)
            _set_ratios(exponent, np.uint64(2), skip, ratio, skip_ratio, first, hi)
            ratio[hi - _ONE] = 0.0
            skip_ratio[hi - _ONE] = 0.0
    return exact


@_helper
def _fit(x, base, strides, size, from_logits, alphabet, scratch, out):
    """One utterance with block exponents. Returns (whether it could, -ln p(target))."""
    num_frames, num_labels, _ = size
    rows, state, q_state, emissions, kept, kept_exponent, segment = scratch
    blank, label = rows[0], rows[1]
    exponent, ratio, skip_ratio, _ = state
    skip = alphabet[3]
    width = num_labels + 3
    log_sum, steepest = _measure_frames(
        x, base, strides, size, from_logits, alphabet, emissions, out
    )
    if steepest < STEEP:
        return False, np.nan
    faint = FAINT / np.float64(steepest) ** BLOCK
    for u in range(width):
        blank[0, u] = label[0, u] = 0.0
        exponent[u] = 0
        ratio[u] = 1.0
        skip_ratio[u] = skip[u]
    blank[0, 1] = 1.0
    num_segments = (num_frames + segment - 1) // segment
    backward = out[0].size > 0 or out[4].size > 0
    exact = True
    z_state = np.int64(0), 0.0
    log_p = 0.0
    # Segments forward, keeping what each starts from; then backward, all but the last recomputed.
    step = -1
    while step + 1 < num_segments or (backward and step + 1 < 2 * num_segments - 1):
        step += 1
        onward = step < num_segments
        s = step if onward else 2 * num_segments - 2 - step
        t0, t1 = s * segment, min(num_frames, (s + 1) * segment)
        if onward:
            for u in range(width):
                if s > 0:
                    blank[0, u] = blank[segment, u]
                    label[0, u] = label[segment, u]
                kept[s, 0, u], kept[s, 1, u] = blank[0, u], label[0, u]
                kept[s, 2, u], kept[s, 3, u] = ratio[u], skip_ratio[u]
                kept_exponent[s, u] = exponent[u]
        else:
            for u in range(width):
                blank[0, u], label[0, u] = kept[s, 0, u], kept[s, 1, u]
                ratio[u], skip_ratio[u] = kept[s, 2, u], kept[s, 3, u]
                exponent[u] = kept_exponent[s, u]
        doubtful = _forward_frames(t0, t1, size, alphabet, rows, state, faint)
        backward |= doubtful
        if s == num_segments - 1:
            last = t1 - t0
            z = blank[last, num_labels + 1] + ratio[num_labels + 1] * label[last, num_labels]
            if not (z > 0.0 and z < np.inf):
                return False, np.nan
            z_state = exponent[num_labels + 1], 1.0 / z
            log_p = log_sum + math.log(z) + exponent[num_labels + 1] * _LN2
            _start_backward(q_state, skip, num_labels)
        if backward and s + step >= 2 * num_segments - 2:
            exact &= _backward_frames(t0, t1, size, alphabet, rows, q_state, z_state, out)
    return exact, -log_p


@_helper
def _start_backward(q_state, skip, num_labels):
    """Set q of the frame after the last: the last blank alone, so that both last states end [9]."""
    q_blank, q_label, exponent, ratio, skip_ratio, _, _, _, _ = q_state
    for u in range(num_labels + 3):
        q_blank[0, u] = q_label[0, u] = 0.0
        exponent[u] = 0
        ratio[u] = 1.0
        skip_ratio[u] = skip[u + 1]
    q_blank[0, num_labels + 1] = 1.0


@_helper
def _normalised(m, e):
    """The number m * 2**e with its mantissa in [1, 2), or the exact zero."""
    if m == 0.0:
        return 0.0, np.int64(_NO_EXPONENT)
    k = _exponent(m)
    return m * _pow2(-k), e + k


@_helper
def _sum3(m1, e1, m2, e2, m3, e3):
    """Sum of three numbers m * 2**e, normalised."""
    e = max(e1, e2, e3 if m3 > 0.0 else np.int64(_NO_EXPONENT))
    return _normalised(
        m1 * _pow2(e1 - e) + m2 * _pow2(e2 - e) + m3 * _pow2(min(e3 - e, np.int64(0))), e
    )


@_helper
def _fill_exact_table(x, base, stride, used, table, table_exponent, num_used):
    """Emissions of the used classes as mantissas and exponents, relative to the greatest.

    Returns ln of the greatest.
    """
    top = -np.inf
    for k in range(num_used):
        top = max(top, np.float64(x[base + used[k] * stride]))
    for k in range(num_used):
        value = np.float64(x[base + used[k] * stride])
        if value == -np.inf:
            table[k], table_exponent[k] = 0.0, _NO_EXPONENT
        else:
            n = np.int64(math.floor((value - top) * _LOG2E))
            m = math.exp((value - top) - n * _LN2)
            table[k], table_exponent[k] = _normalised(m, n)
    return top


@_helper
def _measure_exactly(x, base, strides, size, softmax):
    """Greatest logit and sum of exponentials of every frame. Returns their log-sum, NaN if ill."""
    num_frames, _, num_classes = size
    row_max, row_sum, from_logits = softmax
    total = 0.0
    for t in range(num_frames):
        offset = base + t * strides[0]
        greatest = -np.inf
        for c in range(num_classes):
            value = np.float64(x[offset + c * strides[2]])
            if not value < np.inf:
                return np.nan
            greatest = max(greatest, value)
        if from_logits:
            if greatest == -np.inf:
                return np.nan
            s = 0.0
            for c in range(num_classes):
                s += math.exp(np.float64(x[offset + c * strides[2]]) - greatest)
            row_max[t], row_sum[t] = greatest, s
            total += greatest + math.log(s)
    return total


@_helper
def _forward_exactly(x, base, strides, t0, t1, size, alphabet, rows):
    """As `_forward_frames`, each state with its own exponent. Returns the sum of the maxima."""
    num_labels = size[1]
    used, table, table_exponent, symbol, skip, num_used = alphabet
    bm, be, lm, le, ym, ye = rows
    maxima = 0.0
    for t in range(t0, t1):
        i = t - t0 + 1
        offset = np.uint64(base + t * strides[0])
        top = _fill_exact_table(x, offset, strides[2], used, table, table_exponent, num_used)
        maxima += top
        for u in range(num_labels + 2):
            ym[i, u], ye[i, u] = table[symbol[u]], table_exponent[symbol[u]]
        ym[i, 0], ye[i, 0] = table[0], table_exponent[0]  # of the blank
        for u in range(1, num_labels + 2):
            m, e = _sum3(
                bm[i - 1, u],
                be[i - 1, u],
                lm[i - 1, u - 1],
                le[i - 1, u - 1],
                0.0,
                np.int64(_NO_EXPONENT),
            )
            bm[i, u], be[i, u] = _normalised(m * ym[i, 0], e + ye[i, 0])
            m, e = _sum3(
                lm[i - 1, u], le[i - 1, u], bm[i - 1, u], be[i - 1, u],
                lm[i - 1, u - 1] * skip[u], le[i - 1, u - 1],
            )  # fmt: skip
            lm[i, u], le[i, u] = _normalised(m * ym[i, u], e + ye[i, u])
        lm[i, 0], le[i, 0] = 0.0, _NO_EXPONENT
    return maxima


@_helper
def _backward_exactly(
    x, base, strides, t0, t1, size, alphabet, rows, q_rows, z_state, softmax, occupancy, out
):
    """As `_backward_frames`, each state with its own exponent."""
    num_labels, num_classes = size[1], size[2]
    used, _, _, symbol, skip, num_used = alphabet
    bm, be, lm, le, ym, ye = rows
    qbm, qbe, qlm, qle = q_rows
    zm, ze = z_state
    row_max, row_sum, from_logits = softmax
    grad, grad_base, grad_strides, weight, posterior = out
    for t in range(t1 - 1, t0 - 1, -1):
        i = t - t0 + 1
        for k in range(num_used):
            occupancy[k] = 0.0
        for u in range(1, num_labels + 2):
            m, e = _sum3(qbm[u], qbe[u], qlm[u], qle[u], 0.0, np.int64(_NO_EXPONENT))
            occupancy[0] += bm[i, u] * m / zm * _pow2(be[i, u] + e - ze)
            m_label, e_label = _sum3(
                qlm[u], qle[u], qbm[u + 1], qbe[u + 1], qlm[u + 1] * skip[u + 1], qle[u + 1]
            )
            qbm[u], qbe[u] = _normalised(m * ym[i, 0], e + ye[i, 0])
            if u <= num_labels:
                gamma = lm[i, u] * m_label / zm * _pow2(le[i, u] + e_label - ze)
                occupancy[symbol[u]] += gamma
                if posterior.size:
                    posterior[t, u - 1] = gamma
            qlm[u], qle[u] = _normalised(m_label * ym[i, u], e_label + ye[i, u])
        if grad.size == 0:
            continue
        offset = grad_base + t * grad_strides[0]
        for c in range(num_classes):
            grad[offset + c] = 0.0
        if from_logits:
            source = base + t * strides[0]
            for c in range(num_classes):
                value = np.float64(x[source + c * strides[2]])
                grad[offset + c] = weight * math.exp(value - row_max[t]) / row_sum[t]
        for k in range(num_used):
            grad[offset + used[k]] -= weight * occupancy[k]


@_helper
def _fit_exactly(x, base, strides, size, alphabet, from_logits, out):
    """One utterance, each state with its own exponent: no underflow, any logits, slower.

    Returns -ln p(target): inf where no alignment has a positive probability, NaN where a frame
    holds NaN or +inf (or no finite logit). The gradient is then left for the caller to fill.
    """
    num_frames, num_labels, _ = size
    used, symbol, skip, num_used = alphabet
    width = num_labels + 3
    softmax = np.empty(num_frames), np.empty(num_frames), from_logits
    log_sum = _measure_exactly(x, base, strides, size, softmax)
    if np.isnan(log_sum):
        return np.nan
    segment = max(1, min(num_frames, SEGMENT_BYTES // (48 * width)))
    num_segments = (num_frames + segment - 1) // segment
    exact_alphabet = (
        used, np.zeros(num_used + 1), np.full(num_used + 1, _NO_EXPONENT), symbol, skip, num_used,
    )  # fmt: skip
    m_rows = np.zeros((3, segment + 1, width))
    e_rows = np.full((3, segment + 1, width), _NO_EXPONENT)
    rows = m_rows[0], e_rows[0], m_rows[1], e_rows[1], m_rows[2], e_rows[2]
    m_rows[0, 0, 1], e_rows[0, 0, 1] = 1.0, 0
    kept_m = np.empty((num_segments, 2, width))
    kept_e = np.empty((num_segments, 2, width), np.int64)
    log_p = -log_sum
    for s in range(num_segments):
        if s > 0:
            m_rows[:2, 0], e_rows[:2, 0] = m_rows[:2, segment], e_rows[:2, segment]
        kept_m[s], kept_e[s] = m_rows[:2, 0], e_rows[:2, 0]
        log_p += _forward_exactly(
            x, base, strides, s * segment, min(num_frames, (s + 1) * segment), size,
            exact_alphabet, rows,
        )  # fmt: skip
    i, u = num_frames - (num_segments - 1) * segment, num_labels + 1
    nothing = np.int64(_NO_EXPONENT)
    zm, ze = _sum3(
        m_rows[0, i, u], e_rows[0, i, u], m_rows[1, i, u - 1], e_rows[1, i, u - 1], 0.0, nothing
    )
    if zm == 0.0:
        return np.inf
    log_p += math.log(zm) + ze * _LN2
    if out[0].size == 0 and out[4].size == 0:
        return -log_p
    q_m = np.zeros((2, width))
    q_e = np.full((2, width), _NO_EXPONENT)
    q_m[0, u], q_e[0, u] = 1.0, 0
    occupancy = np.zeros(num_used + 1)
    for s in range(num_segments - 1, -1, -1):
        t0, t1 = s * segment, min(num_frames, (s + 1) * segment)
        if s < num_segments - 1:
            m_rows[:2, 0], e_rows[:2, 0] = kept_m[s], kept_e[s]
            _forward_exactly(x, base, strides, t0, t1, size, exact_alphabet, rows)
        _backward_exactly(
            x, base, strides, t0, t1, size, exact_alphabet, rows,
            (q_m[0], q_e[0], q_m[1], q_e[1]), (zm, ze), softmax, occupancy, out,
        )  # fmt: skip
    return -log_p


@intrinsic
def _take_next(typingctx, counter):
    """Atomically add 1 to counter[0] and return what it was: threads share a queue by it."""

    def codegen(context, builder, signature, args):
        array = context.make_array(signature.args[0])(context, builder, args[0])
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", array.data, one, "monotonic")

    return types.int64(counter), codegen


@intrinsic
def _flush_to_zero(typingctx):
    """Make this thread treat subnormal floats as 0; return the mode it had.

    Vanishing paths decay through the subnormals, where a multiplication costs a hundred times more;
    on trained models that is most of the time. Machines other than x86 do not have the cost.
    """

    def codegen(context, builder, signature, args):
        i32 = ir.IntType(32)
        if not _IS_X86:
            return ir.Constant(i32, 0)
        place = builder.alloca(i32)
        pointer = builder.bitcast(place, ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [pointer.type])
        read = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.stmxcsr")
        write = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.ldmxcsr")
        builder.call(read, [pointer])
        mode = builder.load(place)
        builder.store(builder.or_(mode, ir.Constant(i32, 0x8040)), place)  # FTZ | DAZ
        builder.call(write, [pointer])
        return mode

    return types.uint32(), codegen


@intrinsic
def _restore_mode(typingctx, mode):
    """Undo `_flush_to_zero`."""

    def codegen(context, builder, signature, args):
        if _IS_X86:
            place = builder.alloca(ir.IntType(32))
            builder.store(args[0], place)
            pointer = builder.bitcast(place, ir.IntType(8).as_pointer())
            kind = ir.FunctionType(ir.VoidType(), [pointer.type])
            write = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.ldmxcsr")
            builder.call(write, [pointer])
        return context.get_dummy_value()

    return types.void(mode), codegen


@_helper
def _fill_grad(grad, base, strides, t0, t1, num_classes, value):
    for t in range(t0, t1):
        offset = np.uint64(base + t * strides[0])
        for c in range(np.uint64(num_classes)):
            grad[offset + c] = value


@_helper
def _make_scratch(max_frames, max_labels, num_classes):
    """What one thread needs, whatever the number of utterances."""
    width = max_labels + 4
    segment = max(1, SEGMENT_BYTES // (20 * width * BLOCK)) * BLOCK
    segment = max(BLOCK, min(segment, (max_frames + BLOCK - 1) // BLOCK * BLOCK))
    num_segments = (max_frames + segment - 1) // segment
    entries = _table_entries(max_labels, num_classes)
    rows = (
        np.empty((segment + 1, width)), np.empty((segment + 1, width)),
        np.empty((segment + 1, width), np.float32), np.empty((segment // BLOCK, width), np.int32),
    )  # fmt: skip
    state = (np.empty(width, np.int64), np.empty(width), np.empty(width), np.empty(width, np.int64))
    q_state = (
        np.empty((1, width)), np.empty((1, width)), np.empty(width, np.int64), np.empty(width),
        np.empty(width), np.empty(width, np.int64), np.empty(width), np.empty(width, np.float32),
        np.empty(entries, np.float32),
    )  # fmt: skip
    emissions = (
        np.empty(num_classes, np.float32), np.empty(num_classes, np.float32),
        np.empty(entries, np.uint32),
    )  # fmt: skip
    kept = np.empty((num_segments, 4, width))
    kept_exponent = np.empty((num_segments, width), np.int64)
    alphabet = (
        np.empty(entries, np.uint64), np.empty((max_frames, entries), np.float32),
        np.empty(width, np.uint64), np.empty(width),
    )  # fmt: skip
    return (rows, state, q_state, emissions, kept, kept_exponent, segment), alphabet


@_helper
def _table_entries(max_labels, num_classes):
    """Length of the emission table: the blank, the labels, padding, and an entry of 0."""
    classes = min(num_classes, max_labels + 1)
    return (classes + _TABLE_PAD - 1) // _TABLE_PAD * _TABLE_PAD + 1


@_helper
def _least_frames(labels, start, num_labels):
    """Frames the target needs: one a label and one a repeat."""
    least = num_labels
    for place in range(start + 1, start + num_labels):
        least += labels[place] == labels[place - 1]
    return least


@_kernel
def holds_only_labels(labels, starts, lengths, num_classes, blank):
    """Whether every utterance's labels are classes and none is the blank."""
    for n in range(len(starts)):
        for place in range(starts[n], starts[n] + lengths[n]):
            label = labels[place]
            if label < 0 or label >= num_classes or label == blank:
                return False
    return True


@_kernel
def find_unnormalised_row(x, strides, input_lengths, num_classes, num_rows, tolerance):
    """Place (n, t) of a row whose probabilities do not sum to 1, or (-1, -1).

    Looks at num_rows rows of each utterance, evenly spaced. Rows that hold NaN, or nothing but
    -inf, are for others to judge.
    """
    row, exps = np.empty(num_classes, np.float32), np.empty(num_classes, np.float32)
    for n in range(len(input_lengths)):
        num_frames = input_lengths[n]
        for k in range(min(num_frames, num_rows)):
            t = k * num_frames // min(num_frames, num_rows)
            base = np.uint64(n * strides[1] + t * strides[0])
            _copy_row(x, base, strides[2], row, num_classes)
            greatest = _row_maximum(row, _NIL, num_classes)
            if np.isnan(greatest) or greatest == _MINUS_INF:
                continue
            total = math.exp(greatest) * _exp_row(row, _NIL, greatest, exps, num_classes)
            if not abs(total - 1.0) <= tolerance:
                return n, t
    return -1, -1


@_kernel
def fit_utterances(
    counter, order, x, strides, grad, grad_strides, posterior, labels, starts, input_lengths,
    target_lengths, weights, blank, num_classes, from_logits, losses, failed,
):  # fmt: skip
    """Losses of the utterances order[counter[0]:], one by one; several threads may share them.

    Args:
        counter: (1,) int64, next place in `order`; advanced atomically.
        order: int64 utterances, the dearest first.
        x: float32 logits or log-probabilities as one flat array.
        strides: (3,) uint64 of T, N and C in x.
        grad: flat, or empty when no gradient is wanted; its class stride is 1.
        posterior: (N, T, S) float32 occupancies of labels, or (1, 0, 0). Not together with grad.
        labels: flat int64; utterance n has target_lengths[n] of them from starts[n].
        weights: (N,) factors of the utterances' gradients.
        losses: (N,) float64, written; inf where the target is too long for its frames.
        failed: (N,) bool, written: left to `fit_utterances_exactly`.
    """
    with_flush_to_zero = _flush_to_zero()
    longest, most = 1, 0
    for n in order:
        longest = max(longest, input_lengths[n])
        most = max(most, target_lengths[n])
    scratch, alphabet = _make_scratch(longest, most, num_classes)
    used, table, symbol, skip = alphabet
    slot = np.full(num_classes, -1, np.int32)
    while True:
        place = _take_next(counter)
        if place >= len(order):
            break
        n = order[place]
        num_frames, num_labels = input_lengths[n], target_lengths[n]
        size = num_frames, num_labels, np.uint64(num_classes)
        padded = _prepare_utterance(labels, starts[n], num_labels, blank, slot, used, symbol, skip)
        if num_frames < _least_frames(labels, starts[n], num_labels):
            losses[n] = np.inf
        elif num_frames == 0:
            losses[n] = 0.0  # the empty path spells the empty target
        else:
            out = (
                grad, n * grad_strides[1], grad_strides, weights[n],
                posterior[min(n, len(posterior) - 1)],
            )  # fmt: skip
            exact, losses[n] = _fit(
                x, n * strides[1], strides, size, from_logits,
                (used, table, symbol, skip, padded), scratch, out,
            )  # fmt: skip
            failed[n] = not exact
    _restore_mode(with_flush_to_zero)


@_kernel
def fit_utterances_exactly(
    counter, order, x, strides, grad, grad_strides, posterior, labels, starts, input_lengths,
    target_lengths, weights, blank, num_classes, from_logits, losses,
):  # fmt: skip
    """As `fit_utterances`, without underflow for any input, in float32 or float64; slower.

    losses: inf where no alignment has a positive probability, NaN where a frame holds NaN or +inf.
    """
    most = 0
    for n in order:
        most = max(most, target_lengths[n])
    entries = _table_entries(most, num_classes)
    used, symbol = np.empty(entries, np.uint64), np.empty(most + 4, np.uint64)
    skip, slot = np.empty(most + 4), np.full(num_classes, -1, np.int32)
    while True:
        place = _take_next(counter)
        if place >= len(order):
            break
        n = order[place]
        num_frames, num_labels = input_lengths[n], target_lengths[n]
        size = num_frames, num_labels, num_classes
        padded = _prepare_utterance(labels, starts[n], num_labels, blank, slot, used, symbol, skip)
        if num_frames < _least_frames(labels, starts[n], num_labels):
            losses[n] = np.inf
        elif num_frames == 0:
            losses[n] = 0.0
        else:
            out = (
                grad, n * grad_strides[1], grad_strides, weights[n],
                posterior[min(n, len(posterior) - 1)],
            )  # fmt: skip
            losses[n] = _fit_exactly(
                x, n * strides[1], strides, size, (used, symbol, skip, padded), from_logits, out
            )


@_kernel
def finish_gradients(grad, grad_strides, input_lengths, padded_frames, num_classes, losses, zero):
    """Write 0 beyond an utterance's frames, and NaN throughout where its loss is not finite.

    With `zero`, an infinite loss becomes 0 with gradient 0.
    """
    for n in range(len(losses)):
        base = n * grad_strides[1]
        num_frames = input_lengths[n]
        impossible = losses[n] == np.inf
        if grad.size:
            _fill_grad(grad, base, grad_strides, num_frames, padded_frames, num_classes, 0.0)
            if impossible or np.isnan(losses[n]):
                value = 0.0 if impossible and zero else np.nan
                _fill_grad(grad, base, grad_strides, 0, num_frames, num_classes, value)
        if impossible and zero:
            losses[n] = 0.0


@_helper
def _look_up(x, offset, places, y, lo, hi):
    """y[u] = x[offset + places[u]]. Not a `_loop`: vectors of gathered elements are slower."""
    for u in range(lo, hi):
        y[u] = x[offset + places[u]]


@_loop
def _viterbi_step(blank0, label0, blank, label, y, no_skip, i, j, lo, hi, y_blank):
    """Equations 6 and 7 with maxima for sums, from row i to row j; no_skip is 0 or -inf."""
    for u in range(lo, hi):
        left = label0[i, u - _ONE]
        own = blank0[i, u]
        stay = label0[i, u]
        blank[j, u] = (left if left > own else own) + y_blank
        best = own if own > stay else stay
        skipped = left + no_skip[u]
        label[j, u] = (skipped if skipped > best else best) + y[u]


@_helper
def _viterbi_frames(x, base, stride, t0, t1, size, rows, num_rows, lowest, highest):
    """Scores of the best paths to the states of frames t0..t1-1, frame t in row t + 1 - t0.

    Row numbers count modulo num_rows, and begin from row 0. Of pairs in lowest + (t - t0)..highest
    alone: what can lead to pair `highest` at frame t1 - 1.
    """
    num_frames, num_labels = size
    blank, label, y, no_skip, places = rows
    low = y.dtype.type(-np.inf)
    i = _NIL
    for t in range(t0, t1):
        j = i + _ONE if i + _ONE < num_rows else _NIL
        lo = np.uint64(max(np.int64(_first_pair(t, num_frames, num_labels)), lowest + t - t0))
        hi = np.uint64(min(np.int64(_end_pair(t, num_labels)), highest + 1))
        offset = np.uint64(base + t * stride)
        _look_up(x, offset, places, y, lo, hi)
        y[num_labels + 1] = low
        y_blank = x[offset + places[0]]
        _viterbi_step(blank, label, blank, label, y, no_skip, i, j, lo, hi, y_blank)
        blank[j, hi] = label[j, hi] = label[j, lo - _ONE] = low
        i = j


@_helper
def _align(x, base, strides, size, labels, start, blank_class, rows, kept, path, score):
    """Best path of one utterance: classes to `path`, their log-probabilities to `score`.

    No decision is stored: going back, those of a segment of frames are made once more from its
    scores, which are computed again, for the few pairs that can lead to where the path goes on.

    Returns its log-probability.
    """
    num_frames, num_labels = size
    blank, label, y, no_skip, places = rows
    low = y.dtype.type(-np.inf)
    for u in range(num_labels + 3):
        blank[0, u] = label[0, u] = blank[1, u] = label[1, u] = no_skip[u] = low
        places[u] = np.uint64(blank_class) * strides[2]
    blank[0, 1] = 0.0
    for u in range(num_labels):
        places[u + 1] = np.uint64(labels[start + u]) * strides[2]
        if u > 0 and labels[start + u] != labels[start + u - 1]:
            no_skip[u + 1] = 0.0
    num_segments = (num_frames + PATH_SEGMENT - 1) // PATH_SEGMENT
    for s in range(num_segments):
        for u in range(num_labels + 3):
            kept[s, 0, u], kept[s, 1, u] = blank[0, u], label[0, u]
        t0, t1 = s * PATH_SEGMENT, min(num_frames, (s + 1) * PATH_SEGMENT)
        _viterbi_frames(
            x, base, strides[0], t0, t1, size, rows, np.uint64(2), -num_frames, num_labels + 1
        )
    last, u = num_frames % 2, num_labels + 1  # PATH_SEGMENT is even
    on_label = label[last, u - 1] > blank[last, u]
    total = label[last, u - 1] if on_label else blank[last, u]
    if not total > low:
        return total  # NaN or impossible: there is no path to follow
    u -= on_label
    for s in range(num_segments - 1, -1, -1):
        t0, t1 = s * PATH_SEGMENT, min(num_frames, (s + 1) * PATH_SEGMENT)
        for v in range(num_labels + 3):
            blank[0, v], label[0, v] = kept[s, 0, v], kept[s, 1, v]
        _viterbi_frames(
            x, base, strides[0], t0, t1, size, rows, np.uint64(PATH_SEGMENT + 1),
            u - (t1 - 1 - t0), u,
        )  # fmt: skip
        for t in range(t1 - 1, t0 - 1, -1):
            k = np.uint64(labels[start + u - 1] if on_label else blank_class)
            path[t] = k
            score[t] = x[np.uint64(base + t * strides[0]) + k * strides[2]]
            i = t - t0  # the row of the frame before; on a tie the path stays
            left, own, stay = label[i, u - 1], blank[i, u], label[i, u]
            if not on_label:
                on_label = left > own
                u -= on_label
            elif left + no_skip[u] > max(own, stay):
                u -= 1
            else:
                on_label = not own > stay
    return total


@_kernel
def align_utterances(
    counter, order, x, strides, labels, starts, input_lengths, target_lengths, blank, paths,
    scores, totals,
):  # fmt: skip
    """Best paths of the utterances order[counter[0]:]; arguments as `fit_utterances`.

    Writes paths (N, T), scores (N, T) and totals (N,): -inf where the target is impossible.
    """
    longest, most = 0, 0
    for n in range(len(order)):
        longest = max(longest, input_lengths[n])
        most = max(most, target_lengths[n])
    width = most + 3
    rows = (
        np.empty((PATH_SEGMENT + 1, width), x.dtype), np.empty((PATH_SEGMENT + 1, width), x.dtype),
        np.empty(width, x.dtype), np.empty(width, x.dtype), np.empty(width, np.uint64),
    )  # fmt: skip
    kept = np.empty(((longest + PATH_SEGMENT - 1) // PATH_SEGMENT, 2, width), x.dtype)
    while True:
        place = _take_next(counter)
        if place >= len(order):
            return
        n = order[place]
        size = input_lengths[n], target_lengths[n]
        if size[0] < _least_frames(labels, starts[n], size[1]):
            totals[n] = -np.inf
        else:
            totals[n] = _align(
                x, n * strides[1], strides, size, labels, starts[n], blank, rows, kept, paths[n],
                scores[n],
            )  # fmt: skip
