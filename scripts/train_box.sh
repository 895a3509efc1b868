#!/usr/bin/env bash
# scripts/train_box.sh SPEECH_COMMANDS AN4 SPEECHOCEAN762 LIBRISPEECH NOISE DICTIONARY    train the model in
# the box (docs/box.md)
#
# The first four are folders that `asr prepare` wrote, NOISE holds recorded noise, DICTIONARY is CMUdict. Works in
# data/box and runs/ of the folder it is called in; a second call goes on. About three hours of two cores.
set -euo pipefail

if [[ $# -ne 6 ]]; then
    echo "usage: scripts/train_box.sh SPEECH_COMMANDS AN4 SPEECHOCEAN762 LIBRISPEECH NOISE DICTIONARY" >&2
    exit 2
fi
root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
"$root/scripts/setup.sh" train synth tune
asr="$root/.venv/bin/asr"
box=("$root/.venv/bin/python" "$root/scripts/box.py")
heard=(--rooms 0.4 --noise "$5" --noise-share 0.4)

"${box[@]}" texts data/box
"$asr" prepare synth --text data/box/words.txt --hours 0.5 "${heard[@]}" --out data/box/words
"$asr" prepare synth --text data/box/phrases.txt --hours 1.5 "${heard[@]}" --out data/box/phrases
"${box[@]}" join data/box "$1" "$2" "$3" "$4"
# First the words of many people alone, then all of it, by letters and then by phones.
"$asr" train data=prepared data.root="$1" preset=auto run_dir=runs/box_words resume=auto
box_of() { "$asr" train experiment=box model=ds2_lstm features.normalize=utterance resume=auto "$@"; }
box_of init_from=runs/box_words/ckpt/best.ckpt tokenizer=char trainer.max_epochs=10 run_dir=runs/box_letters
box_of init_from=runs/box_letters/ckpt/best.ckpt tokenizer.dictionary="$6"
"${box[@]}" pack runs/box/ckpt/best.ckpt runs/box/box.ckpt
