import io
import itertools
import json
import sys

import jiwer
import matplotlib.image
import numpy as np
import pytest
from noisy_words import TOKENS, make_emissions, write_bigram

from asr.decoding import BeamSearchDecoder, GreedyDecoder, NGramLM
from asr.evaluation.metrics import ErrorRate, character_error_rate, word_error_rate
from asr.tuning.report import format_best, format_report, judge
from asr.tuning.search import Trial, check_space, choose, decode_texts, read_trials, tune
from asr.tuning.space import OPTIONS, Range, read_space
from asr.tuning.surface import draw_surface

RANGES = {
    "lm_alpha": {"low": 0.0, "high": 2.5, "step": 0.5},
    "lm_beta": {"low": -2.0, "high": 6.0, "step": 1.0},
}
SPACE = read_space(["lm_alpha", "lm_beta"], RANGES)
FINE = read_space(
    ["lm_alpha", "lm_beta"],
    {"lm_alpha": {"low": 0.0, "high": 2.5}, "lm_beta": {"low": -2.0, "high": 6.0, "step": 0.1}},
)
START = {"lm_alpha": 0.5, "lm_beta": 1.0}


@pytest.fixture(scope="module")
def emissions():
    return make_emissions()


@pytest.fixture(scope="module")
def make_decoder(tmp_path_factory):
    lm = NGramLM(write_bigram(tmp_path_factory.mktemp("lm") / "lm.arpa"))
    # Unknown words cost nothing: there the weights have the most to do.
    fixed = {"beam_width": 8, "lm": lm, "unk_score": 0.0, "num_threads": 1}
    return lambda options: BeamSearchDecoder(TOKENS, **fixed | options)


@pytest.fixture(scope="module")
def grid(emissions, make_decoder):
    """Word error rate at every point of SPACE, utterance by utterance, counted by jiwer."""
    rates = {}
    for alpha, beta in itertools.product(np.arange(6) * 0.5, np.arange(9) - 2.0):
        decoder = make_decoder({"lm_alpha": float(alpha), "lm_beta": float(beta)})
        texts = [decoder(rows)[0][0].text for rows in emissions.log_probs]
        rates[float(alpha), float(beta)] = jiwer.wer(emissions.references, texts)
    return rates


def search(emissions, make_decoder, space=SPACE, num_trials=54, seed=1, **options):
    return tune(emissions, make_decoder, space, START, num_trials=num_trials, seed=seed, **options)


def tried(trials):
    """What a search did, without how long it took."""
    return [(t.number, t.options, t.errors) for t in trials]


def test_small_space_is_searched_whole_and_equals_brute_force(emissions, make_decoder, grid):
    trials = search(emissions, make_decoder)

    found = {tuple(t.options.values()): t.errors.rate for t in trials}
    assert len(trials) == len(grid) == 54  # trial 0 lies in the space
    assert found == pytest.approx(grid, abs=1e-12)
    best = choose(trials, SPACE).best
    assert best.errors.rate == pytest.approx(min(grid.values()))
    assert min(grid.values()) < trials[0].errors.rate / 2 < max(grid.values()) / 8


@pytest.mark.parametrize("seed", [1, 2])
def test_search_finds_the_optimum_without_trying_all(emissions, make_decoder, grid, seed):
    trials = search(emissions, make_decoder, num_trials=40, seed=seed)

    assert len(trials) == 41
    assert min(t.errors.rate for t in trials) == pytest.approx(min(grid.values()))
    for trial in trials:
        assert trial.errors.rate == pytest.approx(grid[tuple(trial.options.values())])


def test_points_depend_on_the_seed_and_on_nothing_else(emissions, make_decoder):
    first, again, other = (search(emissions, make_decoder, FINE, 14, seed) for seed in (1, 1, 2))

    assert tried(first) == tried(again)
    assert len({tuple(t.options.values()) for t in first}) == 15
    assert [t.options for t in first[1:]] != [t.options for t in other[1:]]
    assert first[0].options == START
    assert all(0 <= t.options["lm_alpha"] <= 2.5 and -2 <= t.options["lm_beta"] <= 6 for t in first)
    assert all(round(t.options["lm_beta"], 1) == t.options["lm_beta"] for t in first)


@pytest.mark.parametrize("done", [0, 1, 4, 13, 21])
def test_search_resumed_after_any_trial_equals_an_uninterrupted_one(
    emissions, make_decoder, tmp_path, done
):
    whole = search(emissions, make_decoder, FINE, 20, journal=tmp_path / "whole.jsonl")
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    # The kill came while the next line was written.
    cut.write_bytes(b"".join(lines[:done]) + b'{"number": 7, "opt')

    resumed = search(emissions, make_decoder, FINE, 20, journal=cut)

    assert tried(resumed) == tried(whole)
    assert [json.loads(line)["options"] for line in cut.read_bytes().splitlines()] == [
        t.options for t in whole
    ]


def test_more_trials_go_on_from_fewer(emissions, make_decoder, tmp_path):
    search(emissions, make_decoder, FINE, 8, journal=tmp_path / "trials.jsonl")
    more = search(emissions, make_decoder, FINE, 16, journal=tmp_path / "trials.jsonl")

    assert tried(more) == tried(search(emissions, make_decoder, FINE, 16))


def test_search_extended_over_the_whole_space_tries_what_is_left(emissions, make_decoder, tmp_path):
    journal = tmp_path / "trials.jsonl"
    first = search(emissions, make_decoder, num_trials=10, journal=journal)
    trials = search(emissions, make_decoder, num_trials=200, journal=journal)

    points = [tuple(t.options.values()) for t in trials]
    assert tried(trials[:11]) == tried(first)
    assert len(set(points)) == 54
    assert len(set(points[11:])) == len(points[11:])


def test_a_point_is_decoded_once(emissions, make_decoder):
    calls = []

    def counting(options):
        calls.append(tuple(options.values()))
        return make_decoder(options)

    space = read_space(["lm_beta"], {"lm_beta": {"low": 0.0, "high": 100.0, "step": 5.0}})
    trials = tune(emissions, counting, space, {"lm_beta": 5.0}, num_trials=20, seed=1)

    assert len(trials) == 21
    assert len(set(calls)) == len(calls) == len({t.options["lm_beta"] for t in trials}) < 21


def test_start_may_lie_outside_the_space(emissions, make_decoder):
    start = {"lm_alpha": 0.123, "lm_beta": -5.0}

    trials = tune(emissions, make_decoder, SPACE, start, num_trials=12, seed=1)

    assert trials[0].options == start
    assert len(trials) == 13
    assert draw_surface(trials, trials[0], SPACE, "").startswith(b"\x89PNG")


def test_infinite_start_survives_the_journal(emissions, make_decoder, tmp_path):
    space = read_space(
        ["token_min_logp"], {"token_min_logp": {"low": -12.0, "high": -4.0, "step": 4.0}}
    )
    arguments = (emissions, make_decoder, space, {"token_min_logp": -np.inf})
    journal = tmp_path / "trials.jsonl"

    first = tune(*arguments, num_trials=1, seed=1, journal=journal)
    trials = tune(*arguments, num_trials=3, seed=1, journal=journal)

    assert "Infinity" not in journal.read_text()
    assert tried(trials[:2]) == tried(first)
    values = [t.options["token_min_logp"] for t in trials]
    assert values[0] == -np.inf
    assert sorted(values[1:]) == [-12.0, -8.0, -4.0]
    assert choose(trials, space).best in trials


def test_decode_texts_does_not_depend_on_batches(emissions, make_decoder, monkeypatch):
    decoder = make_decoder(START)
    alone = [decoder(rows)[0][0].text for rows in emissions.log_probs]

    assert decode_texts(emissions, decoder) == alone
    batches = list(emissions.batches(max_values=1000))
    assert len(batches) > 5
    assert sorted(i for batch in batches for i in batch.indices) == list(range(30))
    assert all(batch.log_probs.size <= 1000 for batch in batches)


def trial(number, errors, **options):
    wer = ErrorRate(errors / 100, 0, 0, errors, 100, 0.0, 1.0)
    return Trial(number, options, wer, 0.1)


def test_ties_go_to_the_middle_of_the_plateau():
    trials = [trial(i, 5 if i in (2, 3, 4, 9) else 8, lm_beta=float(i)) for i in range(10)]
    space = {"lm_beta": Range(0.0, 10.0)}

    best, plateau = choose(trials, space)

    assert best.number == 3  # 9 is a spike of its own, and the others outvote it
    assert [t.number for t in plateau] == [2, 3, 4, 9]


def test_a_point_tried_often_has_one_vote():
    trials = [trial(i, 5, lm_beta=b) for i, b in enumerate([0.0, 0.0, 0.0, 0.0, 4.0, 5.0, 6.0], 1)]

    assert choose(trials, {"lm_beta": Range(0.0, 10.0)}).best.options == {"lm_beta": 4.0}


def test_ties_with_the_options_before_change_nothing():
    trials = [trial(i, 5, lm_beta=b) for i, b in enumerate([0.0, 4.0, 5.0, 6.0])]

    assert choose(trials, {"lm_beta": Range(0.0, 10.0)}).best.number == 0


def test_places_in_a_range():
    assert [Range(1, 100, log=True).place(v) for v in (1, 10, 100)] == pytest.approx([0, 0.5, 1])
    assert [Range(1, 101).place(v) for v in (1, 51, 101)] == [0.0, 0.5, 1.0]
    assert [Range(1, 101, log=True).place(v) for v in (-np.inf, 0, 1e9)] == [0.0, 0.0, 1.0]


BAD_RANGES = [
    ({"low": 1.0}, "space.lm_beta must have low, high and if wanted step or log"),
    ({"low": 1.0, "high": 2.0, "stop": 1.0}, "must have low, high"),
    (None, "must have low, high"),
    ({"low": 2.0, "high": 1.0}, "space.lm_beta: low must be < high, got 2.0 and 1.0"),
    ({"low": "a", "high": 1.0}, "space.lm_beta.low must be a number, got 'a'"),
    ({"low": 0.0, "high": float("inf")}, "space.lm_beta.high must be a number, got inf"),
    ({"low": 0.0, "high": 1.0, "step": 0.3}, "step must be > 0 and divide high - low = 1.0"),
    ({"low": 0.0, "high": 1.0, "step": 0.0}, "step must be > 0"),
    ({"low": 0.0, "high": 1.0, "log": True}, "with log, low must be > 0 and step absent"),
    ({"low": 1.0, "high": 2.0, "log": True, "step": 1.0}, "with log, low must be > 0"),
    ({"low": 1.0, "high": 2.0, "log": "yes"}, "space.lm_beta.log must be true or false"),
]


@pytest.mark.parametrize(("given", "message"), BAD_RANGES)
def test_bad_range_is_refused(given, message):
    with pytest.raises(ValueError, match="space") as caught:
        read_space(["lm_beta"], {"lm_beta": given})

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "search must be a list of options"),
        ("lm_alpha", "search must be a list of options"),
        (["lm_alpha", "lm_alpha"], "search must name an option once"),
        (["alpha"], "got 'alpha'"),
    ],
)
def test_bad_search_is_refused(names, message):
    with pytest.raises(ValueError, match="search") as caught:
        read_space(names, RANGES)

    assert message in str(caught.value)


def test_whole_numbers_are_asked_for_whole_numbers(emissions, make_decoder):
    with pytest.raises(
        ValueError, match=r"space\.beam_width\.low must be a whole number, got 2\.5"
    ):
        read_space(["beam_width"], {"beam_width": {"low": 2.5, "high": 8}})
    space = read_space(["beam_width"], {"beam_width": {"low": 1, "high": 64, "log": True}})
    lm = make_decoder(START).lm

    trials = tune(
        emissions,
        lambda options: BeamSearchDecoder(TOKENS, lm=lm, num_threads=1, **options),
        space,
        {"beam_width": 4},
        num_trials=12,
        seed=1,
    )

    widths = [t.options["beam_width"] for t in trials]
    assert all(type(width) is int and 1 <= width <= 64 for width in widths)
    assert len(set(widths)) > 4


@pytest.mark.parametrize(
    ("name", "given", "rule"),
    [
        ("lm_alpha", {"low": -1.0, "high": 1.0}, "lm_alpha must be >= 0, got -1.0"),
        ("beam_prune_logp", {"low": -1.0, "high": 1.0}, "beam_prune_logp must be <= 0, got 1.0"),
    ],
)
def test_check_space_says_what_the_decoder_refuses(make_decoder, name, given, rule):
    with pytest.raises(ValueError, match="space: the decoder refuses an end of a range") as caught:
        check_space(read_space([name], {name: given}), make_decoder)

    assert rule in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"num_trials": 0}, "num_trials must be >= 1, got 0"), ({"seed": -1}, "seed must be >= 0")],
)
def test_bad_arguments_are_refused(emissions, make_decoder, arguments, message):
    with pytest.raises(ValueError, match=message):
        search(emissions, make_decoder, **arguments)


def _without_numbers(line):
    """The line with each of its parts in turn replaced by what is none."""
    record = json.loads(line)
    for key in ("options", "errors"):
        for value in ([], "x", 3, None, {}, dict.fromkeys(record[key], "x")):
            yield json.dumps(record | {key: value}) + "\n"
    for key in ("number", "decode_s"):
        for value in ([], "x", {}):
            yield json.dumps(record | {key: value}) + "\n"


def test_damaged_journal_is_refused_with_its_line(emissions, make_decoder, tmp_path):
    journal = tmp_path / "trials.jsonl"
    search(emissions, make_decoder, FINE, 3, journal=journal)
    lines = journal.read_text().splitlines(keepends=True)

    hostile = [f"{'[' * 100_000}\n", "[]\n", "3\n", *_without_numbers(lines[1])]
    for damaged in ("{}\n", "x\n", lines[0], *hostile):
        journal.write_text(lines[0] + damaged + lines[2])
        with pytest.raises(ValueError, match=r"trials\.jsonl:2: not a trial"):
            read_trials(journal, FINE)


def test_missing_optuna_is_one_line(emissions, make_decoder, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)

    with pytest.raises(ModuleNotFoundError, match=r"pip install 'ctc-asr\[tune\]'"):
        search(emissions, make_decoder, FINE, 3)


def test_characters_are_counted_where_they_are_asked_for(emissions, make_decoder):
    trials = search(emissions, make_decoder, num_trials=1, metric="cer")

    texts = decode_texts(emissions, make_decoder(trials[0].options))
    assert trials[0].errors == character_error_rate(emissions.references, texts)
    assert "CER %" in format_report(judge(emissions, make_decoder, trials, SPACE, "cer"), SPACE, "")


def test_report_compares_with_greedy_and_with_before(emissions, make_decoder):
    trials = search(emissions, make_decoder)

    outcome = judge(emissions, make_decoder, trials, SPACE)
    report = format_report(outcome, SPACE, "a set")

    best = outcome.choice.best
    greedy = word_error_rate(emissions.references, decode_texts(emissions, GreedyDecoder(TOKENS)))
    assert outcome.greedy == greedy
    assert outcome.from_greedy.difference == pytest.approx(best.errors.rate - greedy.rate)
    assert outcome.from_start.difference == pytest.approx(best.errors.rate - trials[0].errors.rate)
    assert outcome.from_start.high < 0
    assert f"best (trial {best.number})" in report
    assert f"{100 * best.errors.rate:.2f}" in report
    assert "lm_alpha=1 lm_beta=4" in report
    assert "no other point makes as few" in report
    assert "widen" not in report
    assert "  lm_alpha: 1.0" in format_best(outcome, ["decoder=beam"], None)


def test_report_warns_of_the_ends_of_ranges(emissions, make_decoder):
    space = read_space(["lm_beta"], {"lm_beta": {"low": 0.0, "high": 3.0, "step": 1.0}})
    trials = tune(emissions, make_decoder, space, {"lm_beta": 1.0}, num_trials=4, seed=1)

    report = format_report(judge(emissions, make_decoder, trials, space), space, "")

    assert "range: lm_beta=3 is at an end of space.lm_beta: widen it" in report


def pixels(png):
    return matplotlib.image.imread(io.BytesIO(png), format="png")  # (height, width, 4)


def test_picture_shows_the_surface(emissions, make_decoder):
    trials = search(emissions, make_decoder)
    flat = [t._replace(errors=trials[0].errors) for t in trials]
    best = choose(trials, SPACE).best

    valley = draw_surface(trials, best, SPACE, "a set")

    # The map fills a third of the picture.
    changed = pixels(valley) != pixels(draw_surface(flat, best, SPACE, "a set"))
    assert changed.any(axis=2).mean() > 0.2
    assert valley == draw_surface(trials, best, SPACE, "a set")
    assert valley != draw_surface(trials, trials[7], SPACE, "a set")


@pytest.mark.parametrize("names", [["lm_beta"], ["lm_beta", "beam_width"], list(OPTIONS)])
def test_picture_of_any_number_of_options(names, rng):
    ranges = {
        name: Range(1, 64, log=True) if name == "beam_width" else Range(0.0, 1.0) for name in names
    }
    trials = [
        trial(n, int(rng.integers(3, 30)), **{k: r.low + 0.1 * n for k, r in ranges.items()})
        for n in range(6)  # all on one line: nothing to interpolate
    ]

    picture = pixels(draw_surface(trials, trials[2], ranges, "title"))

    columns = len(names) + (2 if len(names) > 1 else 0)
    assert picture.shape[1] / picture.shape[0] == pytest.approx(3.4 * max(columns, 2) / 4, rel=0.01)
