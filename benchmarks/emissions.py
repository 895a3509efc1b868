"""Save a model's log-probabilities of a test set, for benchmarks/{decoding,confidence}.py.

    python benchmarks/emissions.py --checkpoint runs/speech_commands_letters_seed1/ckpt/best.ckpt \
        --data speech_commands -o commands.safetensors

The format is that of `asr tune log_probs=...`.
"""

import argparse
from pathlib import Path

from asr.acoustic.checkpoint import load_checkpoint
from asr.cli.assembly import open_test_set
from asr.cli.hydra_config import compose_config
from asr.tuning.emissions import compute_emissions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--data", required=True, help="a choice of conf/data")
    parser.add_argument("--root", type=Path, help="where it was prepared, if not where data/ says")
    parser.add_argument("--split", default="test")
    parser.add_argument("--dictionary", type=Path, help="texts are words, where tokens are phones")
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    words = [f"checkpoint={options.checkpoint}", f"data={options.data}"]
    words += [f"data.root={options.root.resolve()}"] if options.root else []
    if options.dictionary:
        words += ["decoder=beam", f"decoder.lexicon={options.dictionary}"]
    model = load_checkpoint(options.checkpoint)
    loader, _ = open_test_set(compose_config("decode", words), options.split, model)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    compute_emissions(model, loader, options.out, {})
    for unusable in loader.bad.skipped:
        print(f"left out: {unusable.id}: {unusable.reason}")


if __name__ == "__main__":
    main()
