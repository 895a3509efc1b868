"""Defects of networks, of training and of starting from another model."""

from defect import Defect

LEARNING_DEFECTS = (
    Defect(
        "network: shortcuts that add nothing",
        "asr/models/deepspeech2.py",
        "x = x + y if self.shortcuts and depth > 1 else y",
        "x = y",
        ("models/test_deepspeech2.py",),
    ),
    Defect(
        "cells: the output gate sees the cell before",
        "asr/models/lstm_kernels.py",
        "o = _sigmoid(gates[3 * size + j] + peepholes[2, j] * c)",
        "o = _sigmoid(gates[3 * size + j] + peepholes[2, j] * before[j])",
        ("models/test_cells.py",),
    ),
    Defect(
        "cells: no gradient through the peephole of the forget gate",
        "asr/models/lstm_kernels.py",
        "peepholes[0, j] * delta_i + peepholes[1, j] * delta_f",
        "peepholes[0, j] * delta_i",
        ("models/test_cells.py",),
    ),
    Defect(
        "training: the loss of letters is left out",
        "asr/training/step.py",
        "((losses.sum() + extra.sum()) * scale).backward()",
        "(losses.sum() * scale).backward()",
        ("training/test_spelling.py",),
    ),
    Defect(
        "training: known tokens get the rows of others",
        "asr/training/initialisation.py",
        "theirs[:, [places[tokens[row]] for row in rows]].to(ours)",
        "theirs[:, rows].to(ours)",
        ("training/test_initialisation.py",),
    ),
    Defect(
        "training: frozen layers measure batches",
        "asr/training/step.py",
        "            module.eval()",
        "            module.train()",
        ("training/test_initialisation.py",),
    ),
)
