#include "greedy.hpp"

#include "log_math.hpp"

namespace asr {

template <class Float>
Hypothesis decode_greedy(const Alphabet& alphabet, const Frames<Float>& frames) {
    Hypothesis hypothesis;
    // Written without branches, which nothing could predict: the last emission is in place
    // num_emissions, place 0 is none, and what is no spike is written where the next one goes.
    std::vector<Emission> emissions(static_cast<std::size_t>(frames.num_frames) + 2);
    std::size_t num_emissions = 0;
    std::int32_t previous = alphabet.blank();
    for (std::int32_t t = 0; t < frames.num_frames; ++t) {
        const Float best = checked_row_max(frames, t);
        const std::int32_t token = first_equal(frames.row(t), frames.num_classes, best);
        const auto log_prob = static_cast<float>(best);
        const bool is_token = token != alphabet.blank();
        const bool is_new = is_token & (token != previous);
        num_emissions += is_new;
        const bool is_spike = is_new | (is_token & (log_prob > emissions[num_emissions].log_prob));
        emissions[num_emissions + !is_spike] = {token, t, log_prob};
        hypothesis.acoustic_score += best;
        previous = token;
    }
    if (hypothesis.acoustic_score == kLogZero) return impossible_hypothesis();
    const auto first = emissions.begin() + 1;
    hypothesis.emissions.assign(first, first + static_cast<std::ptrdiff_t>(num_emissions));
    hypothesis.score = hypothesis.acoustic_score;
    hypothesis.words = split_words(alphabet, hypothesis.emissions);
    hypothesis.text = join_words(hypothesis.words);
    return hypothesis;
}

template Hypothesis decode_greedy(const Alphabet&, const Frames<float>&);
template Hypothesis decode_greedy(const Alphabet&, const Frames<double>&);

}  // namespace asr
