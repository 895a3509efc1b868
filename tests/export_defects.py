"""Defects of exported models and of what runs them."""

from defect import Defect

EXPORT_DEFECTS = (
    Defect(
        "export: the gate lets every graph through",
        "asr/export/parity.py",
        "    if not deviation.largest <= TOLERANCE:",
        "    if False:",
        ("export/test_exporter.py",),
    ),
    Defect(
        "runtime: samples outside a recording are its last one",
        "asr/runtime/statics.py",
        "np.minimum(position, 2 * len(waveform) - 1 - position)",
        "np.minimum(position, len(waveform) - 1)",
        ("runtime/test_statics.py",),
    ),
)
