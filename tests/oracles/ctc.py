"""CTC twice over, slowly: by every path, and by the textbook recursion in float64 logarithms."""

import itertools

import numpy as np


def collapse(path, blank=0):
    """The labelling a path spells: repeats merged, then blanks dropped."""
    return tuple(k for k, _ in itertools.groupby(path) if k != blank)


def paths_of(target, num_frames, num_classes, blank=0):
    """Every path of num_frames classes that spells target."""
    target = tuple(target)
    every = itertools.product(range(num_classes), repeat=num_frames)
    return [path for path in every if collapse(path, blank) == target]


def enumerate_loss(log_probs, target, blank=0):
    """-ln of the summed probability of every path that spells target; log_probs (T, C)."""
    num_frames, num_classes = log_probs.shape
    total = sum(
        np.exp(sum(log_probs[t, k] for t, k in enumerate(path)))
        for path in paths_of(target, num_frames, num_classes, blank)
    )
    return -np.log(total) if total > 0 else np.inf


def enumerate_best_path(log_probs, target, blank=0):
    """The most probable path that spells target."""
    num_frames, num_classes = log_probs.shape
    return max(
        paths_of(target, num_frames, num_classes, blank),
        key=lambda path: sum(log_probs[t, k] for t, k in enumerate(path)),
    )


def extend(target, blank=0):
    """Blanks before, between and after the labels (Graves et al. 2006, section 4.1)."""
    states = [blank]
    for label in target:
        states += [int(label), blank]
    return states


def forward_backward(log_probs, target, blank=0):
    """Loss, occupancies of the classes (T, C) and of the labels (T, S), in float64.

    Equations 6 to 11 and 14 of Graves et al. 2006, one state at a time, in logarithms.
    """
    log_probs = np.asarray(log_probs, np.float64)
    num_frames, num_classes = log_probs.shape
    states = extend(target, blank)
    num_states = len(states)

    def may_skip(s):
        return s >= 2 and states[s] != blank and states[s] != states[s - 2]

    alpha = np.full((num_frames, num_states), -np.inf)
    alpha[0, :2] = [log_probs[0, k] for k in states[:2]]
    for t in range(1, num_frames):
        for s in range(num_states):
            sources = [s, s - 1] if s >= 1 else [s]
            if may_skip(s):
                sources.append(s - 2)
            alpha[t, s] = log_sum([alpha[t - 1, r] for r in sources]) + log_probs[t, states[s]]
    beta = np.full((num_frames, num_states), -np.inf)  # without the emission at t
    beta[-1, -2:] = 0.0
    for t in range(num_frames - 2, -1, -1):
        for s in range(num_states):
            targets = [r for r in (s, s + 1) if r < num_states]
            if s + 2 < num_states and may_skip(s + 2):
                targets.append(s + 2)
            beta[t, s] = log_sum([beta[t + 1, r] + log_probs[t + 1, states[r]] for r in targets])
    log_p = log_sum(alpha[-1, -2:])
    by_state = np.exp(alpha + beta - log_p) if log_p > -np.inf else np.full(alpha.shape, np.nan)
    by_class = np.zeros((num_frames, num_classes))
    for s, k in enumerate(states):
        by_class[:, k] += by_state[:, s]
    return -log_p, by_class, by_state[:, 1::2]


def log_sum(values):
    """ln of the sum of exponentials; -inf for none."""
    top = max(values)
    return top + np.log(sum(np.exp(v - top) for v in values)) if top > -np.inf else -np.inf


def log_softmax(logits):
    """Natural logs of the softmax along the last axis, in float64."""
    logits = np.asarray(logits, np.float64)
    top = logits.max(-1, keepdims=True)
    return logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))


def viterbi(log_probs, target, blank=0):
    """The most probable path, one state at a time in float64."""
    log_probs = np.asarray(log_probs, np.float64)
    states = extend(target, blank)
    best = {s: (log_probs[0, states[s]], [s]) for s in range(min(2, len(states)))}
    for t in range(1, len(log_probs)):
        renewed = {}
        for s, k in enumerate(states):
            sources = [s, s - 1]
            if k != blank and s >= 2 and k != states[s - 2]:
                sources.append(s - 2)
            found = [best[r] for r in sources if r in best]
            if found:
                score, path = max(found, key=lambda entry: entry[0])
                renewed[s] = (score + log_probs[t, k], [*path, s])
        best = renewed
    ends = [best[s] for s in (len(states) - 2, len(states) - 1) if s in best]
    return [states[s] for s in max(ends, key=lambda entry: entry[0])[1]]
