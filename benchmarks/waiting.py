"""How OpenMP's threads should wait: training and transcription, on a quiet and on a busy machine.

    python benchmarks/waiting.py [--seconds 6] [--repeats 3]

libgomp's threads spin at a barrier for some milliseconds before they sleep. Beside a busy process a
spinning thread keeps a core from the one it waits for. Each row is a setting of the environment,
each figure hours of audio an hour: the best and the median of processes that took turns.
"""

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

SETTINGS = {
    "torch's default": {},
    "OMP_WAIT_POLICY=passive": {"OMP_WAIT_POLICY": "passive"},
    "GOMP_SPINCOUNT=100": {"GOMP_SPINCOUNT": "100"},
    "GOMP_SPINCOUNT=300": {"GOMP_SPINCOUNT": "300"},
    "GOMP_SPINCOUNT=500": {"GOMP_SPINCOUNT": "500"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "GOMP_SPINCOUNT=100000": {"GOMP_SPINCOUNT": "100000"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
CONTROLLED = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")
NUM_UTTERANCES, UTTERANCE_S, TEXT = 24, 2.5, "turn the lights on in the kitchen"


def work(seconds: float) -> None:
    """Train and transcribe for some seconds each; print the hours of audio an hour of both."""
    import torch

    from asr.acoustic.model import build_model
    from asr.cli.assembly import build_tokenizer
    from asr.cli.hydra_config import build, compose_config
    from asr.cli.texts import settle_texts
    from asr.data.loading import Batch
    from asr.training.step import Stepper

    torch.manual_seed(1)
    config, _ = settle_texts(compose_config("quickstart", []))
    model = build_model(config, build_tokenizer(config))
    optimizer = build(config, "optimizer")(model.network.parameters())
    loss = build(config, "loss")
    stepper = Stepper(model, optimizer, augment=None, loss=loss, precision="float32", grad_clip=5.0)
    size = int(UTTERANCE_S * model.sample_rate)
    targets = torch.tensor([model.tokenizer.encode(TEXT)] * NUM_UTTERANCES)
    batch = Batch(
        [str(n) for n in range(NUM_UTTERANCES)],
        [TEXT] * NUM_UTTERANCES,
        0.1 * torch.randn(NUM_UTTERANCES, size),
        torch.full((NUM_UTTERANCES,), size),
        targets,
        torch.full((NUM_UTTERANCES,), targets.shape[1]),
    )
    train = measure(lambda: stepper(batch, 1e-4, 0), seconds)
    transcribe = measure(
        lambda: model.log_probs(batch.waveforms, batch.waveform_lengths), seconds / 2
    )
    print(train, transcribe)


def measure(run, seconds: float) -> float:  # noqa: ANN001
    """Hours of audio an hour."""
    for _ in range(3):
        run()
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        run()
        count += 1
    return count * NUM_UTTERANCES * UTTERANCE_S / (time.perf_counter() - started)


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Keep one core busy with another process."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def run_child(setting: dict[str, str], seconds: float) -> tuple[float, float]:
    environment = {k: v for k, v in os.environ.items() if k not in CONTROLLED} | setting
    words = [sys.executable, __file__, "--work", "--seconds", str(seconds)]
    output = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    train, transcribe = map(float, output.stdout.split()[-2:])
    return train, transcribe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.seconds)
        return
    rows: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for _ in range(args.repeats):
        for state, background in (("quiet", contextlib.nullcontext), ("busy", busy_core)):
            for name, setting in SETTINGS.items():
                with background():
                    found = run_child(setting, args.seconds)
                rows.setdefault((state, name), []).append(found)
    print(f"{os.cpu_count()} cores; hours of audio an hour, best (median) of {args.repeats}")
    print(f"{'':<26}{'training':^34}{'log-probabilities':^34}")
    print(f"{'':<26}{'quiet':^17}{'busy':^17}{'quiet':^17}{'busy':^17}")
    for name in SETTINGS:
        cells = []
        for which in (0, 1):
            for state in ("quiet", "busy"):
                values = [found[which] for found in rows[state, name]]
                cells.append(f"{max(values):7.0f} ({statistics.median(values):.0f})")
        print(f"{name:<26}" + "".join(f"{cell:^17}" for cell in cells))


if __name__ == "__main__":
    main()
