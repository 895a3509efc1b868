"""The defects that `break_the_suite.py` applies."""

from typing import NamedTuple


class Defect(NamedTuple):
    """One edit that must make a test fail: `old`, which its file holds once, becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]  # files or patterns below tests/


LOSS_TESTS = ("ctc/test_*.py",)
CUDA_TESTS = ("ctc/test_cuda.py",)
CONSTRAINT_TESTS = ("decoding/test_constraints.py", "decoding/test_rules_oracle.py")
DECODER_TESTS = ("decoding/test_oracle.py", "decoding/test_inputs.py", "decoding/test_pruning.py")
LANGUAGE_MODEL_TESTS = ("ngram/test_model.py",)
MODEL_TESTS = ("models/test_deepspeech2.py",)
RESUME_TESTS = ("training/test_training.py",)

DEFECTS = (
    Defect(
        "loss: sign of the gradient flipped",
        "asr/ctc/loss.py",
        "        return grad.to(log_probs.dtype), None",
        "        return -grad.to(log_probs.dtype), None",
        LOSS_TESTS,
    ),
    Defect(
        "loss: gradient 1 % too large",
        "asr/ctc/loss.py",
        "        return grad.to(log_probs.dtype), None",
        "        return 1.01 * grad.to(log_probs.dtype), None",
        LOSS_TESTS,
    ),
    Defect(
        "loss: no blank needed between equal labels",
        "asr/ctc/cpu_kernels.py",
        "        skip_ratio[u] = power * skip[u + shift]",
        "        skip_ratio[u] = power",
        LOSS_TESTS,
    ),
    Defect(
        "loss: mean over utterances without their lengths",
        "asr/ctc/loss.py",
        "    return 1.0 / (np.maximum(target_lengths, 1) * len(target_lengths))",
        "    return np.full(len(target_lengths), 1.0 / len(target_lengths))",
        LOSS_TESTS,
    ),
    Defect(
        "cuda: the two directions do not wait for each other",
        "asr/ctc/cuda_kernels.py",
        "            if half == 1:\n                cuda.syncthreads()",
        "            if half == 1:\n                pass",
        CUDA_TESTS,
    ),
    Defect(
        "cuda: only the first of equal labels counts",
        "asr/ctc/cuda_kernels.py",
        "                slot = links[own_links + num_classes + slot]",
        "                slot = -1",
        CUDA_TESTS,
    ),
    Defect(
        "greedy: equal tokens merge across a blank",
        "native/src/greedy.cpp",
        "        previous = token;",
        "        if (token != alphabet.blank()) previous = token;",
        DECODER_TESTS,
    ),
    Defect(
        "greedy: frames of one token are not merged",
        "native/src/greedy.cpp",
        "is_token & (token != previous)",
        "is_token",
        DECODER_TESTS,
    ),
    Defect(
        "prefix search: no blank needed between equal tokens",
        "native/src/prefix_search.cpp",
        "    const double from_label = token == last ? 0.0 : 1.0;",
        "    const double from_label = token == last ? 1.0 : 1.0;",
        DECODER_TESTS,
    ),
    Defect(
        "prefix search: a prefix may hold only one blank frame at its end",
        "native/src/prefix_search.cpp",
        "        const double before = in_blank + in_label;",
        "        const double before = in_label;",
        DECODER_TESTS,
    ),
    Defect(
        "beam search: a new prefix repeats its last token without a blank",
        "native/src/beam_search.cpp",
        "(token == slot.token ? slot.blank : slot.total) + log_token",
        "slot.total + log_token",
        DECODER_TESTS,
    ),
    Defect(
        "beam search: a prefix in the beam is entered without a blank",
        "native/src/beam_search.cpp",
        "(repeats ? parent.blank : parent.total) + log_token",
        "parent.total + log_token",
        DECODER_TESTS,
    ),
    Defect(
        "beam search: blank frames cost nothing",
        "native/src/beam_search.cpp",
        "        slot.blank = before.total + log_blank;",
        "        slot.blank = before.total;",
        DECODER_TESTS,
    ),
    Defect(
        "beam search: of equal futures the worst stays",
        "native/src/beam_search.cpp",
        "at(beam_, futures_[place]).rank() < slot.rank()",
        "at(beam_, futures_[place]).rank() > slot.rank()",
        DECODER_TESTS,
    ),
    Defect(
        "beam search: equal futures are merged in a beam with room for all",
        "native/src/beam_search.cpp",
        "if (is_full && options_.n_best == 1",
        "if (options_.n_best == 1",
        DECODER_TESTS,
    ),
    Defect(
        "beam search: no place for a whole text beside words that have begun",
        "native/src/beam_search.cpp",
        "    if (language_->is_constrained()) keep_a_whole_text();\n",
        "",
        CONSTRAINT_TESTS,
    ),
    Defect(
        "beam search: a token model scores separators that enclose no word",
        "native/src/language.cpp",
        "    if (token.body.empty()) return;\n",
        "",
        CONSTRAINT_TESTS,
    ),
    Defect(
        "decoders: logits pass for log-probabilities",
        "native/src/frames.hpp",
        "!good || largest > Float(kLargestLogProb)",
        "!good",
        DECODER_TESTS,
    ),
    Defect(
        "model: the first convolution sees what stands in the padding",
        "asr/models/deepspeech2.py",
        "        x = features.masked_fill(~mask, 0.0)[:, None]",
        "        x = features[:, None]",
        MODEL_TESTS,
    ),
    Defect(
        "model: no length mask at all inside the layers",
        "asr/features/front_end.py",
        "    return torch.arange(size, device=lengths.device) < lengths[:, None]",
        "    return torch.ones(len(lengths), size, dtype=torch.bool, device=lengths.device)",
        MODEL_TESTS,
    ),
    Defect(
        "model: the backward layer starts in the padding",
        "asr/models/blocks.py",
        "            order = reversal(lengths, len(x))[..., None]",
        "            order = reversal(torch.full_like(lengths, len(x)), len(x))[..., None]",
        MODEL_TESTS,
    ),
    Defect(
        "model: batch norm counts padding",
        "asr/models/blocks.py",
        "        count = (mask.sum() * (cells // mask.numel())).float()",
        "        count = torch.tensor(float(cells))",
        MODEL_TESTS,
    ),
    Defect(
        "resume: the optimizer is not restored",
        "asr/training/state.py",
        "    try:\n        restore_optimizer(optimizer, tensors)\n",
        "    try:\n",
        RESUME_TESTS,
    ),
    Defect(
        "resume: the epoch begins again at its first batch",
        "asr/training/state.py",
        "    return progress\n",
        "    progress.batch = 0\n    return progress\n",
        RESUME_TESTS,
    ),
    Defect(
        "corpora: a symbolic link may lead out of the folder",
        "asr/corpora/places.py",
        "    if not real.is_relative_to(_real_folder(root)):",
        "    if False:",
        ("corpora/test_hostile.py",),
    ),
    Defect(
        "corpora: a speaker may be in two splits",
        "asr/corpora/division.py",
        "            if len(by_key) >= needed:",
        "            if False:",
        ("corpora/test_division.py",),
    ),
    Defect(
        "data: the order of batches depends on the seed alone",
        "asr/data/loading.py",
        "    rng = np.random.default_rng((seed, epoch))",
        "    rng = np.random.default_rng((seed, 0))",
        ("data/test_loading.py",),
    ),
    Defect(
        "files: what was written never takes the place of the old file",
        "asr/files.py",
        "        os.replace(temporary, path)\n",
        "        pass\n",
        ("data/test_manifest.py",),
    ),
    Defect(
        "command line: a user's mistake ends with exit code 0",
        "asr/cli/__init__.py",
        "        print(format_error(args.command, error), file=sys.stderr)\n        return 2",
        "        return 0",
        ("cli/test_cli.py",),
    ),
    Defect(
        "resume: the weights are not restored",
        "asr/training/state.py",
        "    restore(model, tensors, path)\n",
        "",
        RESUME_TESTS,
    ),
    Defect(
        "evaluation: an empty reference is never wrong",
        "asr/evaluation/errors.py",
        'return float("inf") if self.num_errors else 0.0',
        "return 0.0",
        ("evaluation/test_*.py",),
    ),
    Defect(
        "evaluation: what could not be decoded is not counted",
        "asr/evaluation/results.py",
        "score(result, len(failures))",
        "score(result)",
        ("evaluation/test_scoring.py",),
    ),
    Defect(
        "evaluation: padding is put before the speech alone",
        "asr/evaluation/scoring.py",
        "lengths = batch.waveform_lengths + before + after",
        "lengths = batch.waveform_lengths + before",
        ("evaluation/test_scoring.py",),
    ),
    Defect(
        "acoustic: chunks keep a frame of their margin",
        "asr/acoustic/chunks.py",
        "    return rows[first : chunk.core_end // frame_samples].clone()",
        "    return rows[first : chunk.core_end // frame_samples + 1].clone()",
        ("acoustic/test_recordings.py",),
    ),
    Defect(
        "acoustic: long recordings of a batch are not cut",
        "asr/acoustic/model.py",
        "if max(lengths.tolist(), default=0) <= int(MAX_CHUNK_S * self.sample_rate):",
        "if True:",
        ("cli/test_decode.py",),
    ),
    Defect(
        "acoustic: a checkpoint's shapes are not compared",
        "asr/acoustic/checkpoint.py",
        "        if tensor.shape != tensors[name].shape:",
        "        if False:",
        ("acoustic/test_checkpoint.py",),
    ),
    Defect(
        "recognition: words are timed in samples of another rate",
        "asr/recognition/recognizer.py",
        "emitted.num_samples / self.sample_rate",
        "emitted.num_samples / 16000",
        ("recognition/test_recognizer.py",),
    ),
    Defect(
        "recognition: a broken file in a list ends it",
        "asr/acoustic/recordings.py",
        "            emitted.error = error\n",
        "            raise\n",
        ("recognition/test_recognizer.py",),
    ),
    Defect(
        "tuning: the worst trial is chosen",
        "asr/tuning/search.py",
        "    fewest = min(trial.wer.rate for trial in trials)",
        "    fewest = max(trial.wer.rate for trial in trials)",
        ("tuning/test_search.py",),
    ),
    Defect(
        "tuning: a resumed search proposes as at its beginning",
        "asr/tuning/search.py",
        "    for trial in trials:\n        proposer.tell(trial)\n",
        "",
        ("tuning/test_search.py",),
    ),
    Defect(
        "decode: results go over those of another checkpoint",
        "asr/cli/assembly.py",
        'return {"checkpoint": fingerprint_file(checkpoint), "asr": __version__}',
        'return {"asr": __version__}',
        ("cli/test_decode.py",),
    ),
    Defect(
        "evaluation: an empty reference is never wrong",
        "asr/evaluation/errors.py",
        'return float("inf") if self.num_errors else 0.0',
        "return 0.0",
        ("evaluation/test_*.py",),
    ),
    Defect(
        "evaluation: what could not be decoded is not counted",
        "asr/evaluation/results.py",
        "score(result, len(failures))",
        "score(result)",
        ("evaluation/test_scoring.py",),
    ),
    Defect(
        "evaluation: padding is put before the speech alone",
        "asr/evaluation/scoring.py",
        "lengths = batch.waveform_lengths + before + after",
        "lengths = batch.waveform_lengths + before",
        ("evaluation/test_scoring.py",),
    ),
    Defect(
        "acoustic: chunks keep a frame of their margin",
        "asr/acoustic/chunks.py",
        "    return rows[first : chunk.core_end // frame_samples].clone()",
        "    return rows[first : chunk.core_end // frame_samples + 1].clone()",
        ("acoustic/test_recordings.py",),
    ),
    Defect(
        "acoustic: long recordings of a batch are not cut",
        "asr/acoustic/model.py",
        "if max(lengths.tolist(), default=0) <= int(MAX_CHUNK_S * self.sample_rate):",
        "if True:",
        ("cli/test_decode.py",),
    ),
    Defect(
        "acoustic: a checkpoint's shapes are not compared",
        "asr/acoustic/checkpoint.py",
        "        if tensor.shape != tensors[name].shape:",
        "        if False:",
        ("acoustic/test_checkpoint.py",),
    ),
    Defect(
        "recognition: words are timed in samples of another rate",
        "asr/recognition/recognizer.py",
        "emitted.num_samples / self.sample_rate",
        "emitted.num_samples / 16000",
        ("recognition/test_recognizer.py",),
    ),
    Defect(
        "recognition: a broken file in a list ends it",
        "asr/acoustic/recordings.py",
        "            emitted.error = error\n",
        "            raise\n",
        ("recognition/test_recognizer.py",),
    ),
    Defect(
        "tuning: the worst trial is chosen",
        "asr/tuning/search.py",
        "    fewest = min(trial.wer.rate for trial in trials)",
        "    fewest = max(trial.wer.rate for trial in trials)",
        ("tuning/test_search.py",),
    ),
    Defect(
        "tuning: a resumed search proposes as at its beginning",
        "asr/tuning/search.py",
        "    for trial in trials:\n        proposer.tell(trial)\n",
        "",
        ("tuning/test_search.py",),
    ),
    Defect(
        "decode: results go over those of another checkpoint",
        "asr/cli/assembly.py",
        'return {"checkpoint": fingerprint_file(checkpoint), "asr": __version__}',
        'return {"asr": __version__}',
        ("cli/test_decode.py",),
    ),
)
