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
        "training: the loss of letters is left out",
        "asr/training/step.py",
        "objective = (objective + extra.sum()) * (",
        "objective = objective * (",
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
    Defect(
        "training: noise stays on the weights",
        "asr/training/regularization.py",
        "                    weight.copy_(value)",
        "                    value.copy_(weight)",
        ("training/test_regularization.py",),
    ),
    Defect(
        "training: gradients that accumulate are averaged over the last batch alone",
        "asr/training/step.py",
        "moment.seeds, max(1.0, num_all))",
        "moment.seeds, max(1.0, len(batches[-1].ids)))",
        ("training/test_choices.py",),
    ),
)
