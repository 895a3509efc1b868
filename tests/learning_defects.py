"""Defects of networks, of training and of starting from another model."""

from defect import Defect

NETWORK_TESTS = (
    "models/test_attention.py",
    "models/test_convolutions.py",
    "models/test_networks.py",
)

LEARNING_DEFECTS = (
    Defect(
        "network: shortcuts that add nothing",
        "asr/models/deepspeech2.py",
        "x = x + y if self.shortcuts and depth > 1 else y",
        "x = y",
        ("models/test_deepspeech2.py",),
    ),
    Defect(
        "network: attention sees what stands in the padding",
        "asr/models/attention.py",
        "scores.masked_fill(~speech, -math.inf)",
        "scores",
        NETWORK_TESTS,
    ),
    Defect(
        "network: attention takes the future for the past",
        "asr/models/attention.py",
        "torch.arange(frames - 1, -frames, -1,",
        "torch.arange(1 - frames, frames, 1,",
        NETWORK_TESTS,
    ),
    Defect(
        "network: padding leaks through separable convolutions",
        "asr/models/quartznet.py",
        "self.norm(self.linear(x).masked_fill(~mask, 0.0), mask)",
        "self.norm(self.linear(x), torch.ones_like(mask))",
        NETWORK_TESTS,
    ),
    Defect(
        "network: a mean over cells counts padding",
        "asr/models/convolutions.py",
        "        mean = mean / share.clamp_min(torch.finfo(x.dtype).tiny)\n",
        "",
        NETWORK_TESTS,
    ),
    Defect(
        "network: a stride is left out of the receptive field",
        "asr/models/receptive_field.py",
        "        step *= window.stride\n",
        "",
        NETWORK_TESTS,
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
        "objective = (objective + share.extra.sum()) * (",
        "objective = objective * (",
        ("training/test_spelling.py",),
    ),
    Defect(
        "heads: padding is pooled",
        "asr/models/clip_network.py",
        "    x = x.masked_fill(~mask, 0.0)\n    if not len(x):",
        "    if not len(x):",
        ("training/test_heads.py",),
    ),
    Defect(
        "heads: a reversed gradient is not reversed",
        "asr/training/heads.py",
        "x = 2 * x.detach() - x",
        "x = 1 * x",
        ("training/test_heads.py",),
    ),
    Defect(
        "training: known tokens get the rows of others",
        "asr/training/initialisation.py",
        "theirs[:, list(shared.values())].to(ours)",
        "theirs[:, list(shared)].to(ours)",
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
    Defect(
        "training: a rehearsal leaves its statistics behind",
        "asr/training/rehearsal.py",
        "                buffer.copy_(value)",
        "                pass",
        ("training/test_rehearsal.py",),
    ),
    Defect(
        "sweep: a trial in flight is left lying",
        "asr/cli/sweep.py",
        "        for attempt in found.study.running():",
        "        for attempt in list[Attempt]():",
        ("cli/test_sweep.py",),
    ),
)
