"""Defects of `asr explain`."""

from defect import Defect

EXPLAIN_DEFECTS = (
    Defect(
        "explain: a word has the frames of the text's first labels",
        "asr/explain/score.py",
        "gamma[:, list(places)]",
        "gamma[:, : len(places)]",
        ("explain/test_score.py",),
    ),
    Defect(
        "explain: the second of equal words is the first",
        "asr/explain/subject.py",
        "[numbers[occurrence - 1]]",
        "[numbers[0]]",
        ("explain/test_subject.py",),
    ),
    Defect(
        "explain: the path of integrated gradients is summed from its left ends",
        "asr/explain/gradients.py",
        "+ 0.5) / steps",
        "+ 0.0) / steps",
        ("explain/test_gradients.py",),
    ),
    Defect(
        "explain: guided backpropagation passes a rectifier at its ceiling",
        "asr/explain/rectifiers.py",
        "(x > 0) & (x < ceiling)",
        "x > 0",
        ("explain/test_rectifiers.py",),
    ),
    Defect(
        "explain: Grad-CAM weighs the maps before their rectifier",
        "asr/explain/class_activation.py",
        "            return Target(last, output, rectified=True)",
        "            return Target(last, own, rectified=True)",
        ("explain/test_class_activation.py",),
    ),
    Defect(
        "explain: what a map says against a word makes a frame salient",
        "asr/explain/methods.py",
        "self.values if self.method.signed else np.abs(self.values)",
        "np.abs(self.values)",
        ("explain/test_checks.py",),
    ),
    Defect(
        "explain: frames that are taken out become zero",
        "asr/explain/deletion.py",
        "torch.where(gone, baseline, features)",
        "torch.where(gone, torch.zeros_like(features), features)",
        ("explain/test_checks.py",),
    ),
    Defect(
        "explain: random weights are those that were learnt",
        "asr/explain/randomisation.py",
        "parameter.mean() + parameter.std(correction=0) * noise",
        "parameter + 0.0 * noise",
        ("explain/test_checks.py",),
    ),
    Defect(
        "explain: the update gate of a GRU works the other way round",
        "asr/explain/gates.py",
        "torch.lerp(torch.tanh(of_input[2] + reset * of_state[2]), hidden, update)",
        "torch.lerp(hidden, torch.tanh(of_input[2] + reset * of_state[2]), update)",
        ("explain/test_gates.py",),
    ),
    Defect(
        "explain: filters stand in their own order beside sorted centres",
        "asr/explain/filters.py",
        "(magnitudes / largest)[order]",
        "(magnitudes / largest)",
        ("explain/test_layers.py",),
    ),
)
