#include "greedy.hpp"

#include "log_math.hpp"

namespace asr {

template <class Float>
Hypothesis decode_greedy(const Alphabet& alphabet, const Frames<Float>& frames) {
    Hypothesis hypothesis;
    hypothesis.emissions.reserve(static_cast<std::size_t>(frames.num_frames) / 2);
    std::int32_t previous = alphabet.blank();
    for (std::int32_t t = 0; t < frames.num_frames; ++t) {
        const Float best = checked_row_max(frames, t);
        const Float* row = frames.row(t);
        std::int32_t token = 0;
        while (row[token] != best) ++token;
        hypothesis.acoustic_score += best;
        if (token != alphabet.blank()) {
            const auto log_prob = static_cast<float>(best);
            if (token != previous) {
                hypothesis.emissions.push_back({token, t, log_prob});
            } else if (log_prob > hypothesis.emissions.back().log_prob) {
                hypothesis.emissions.back() = {token, t, log_prob};
            }
        }
        previous = token;
    }
    if (hypothesis.acoustic_score == kLogZero) return impossible_hypothesis();
    hypothesis.score = hypothesis.acoustic_score;
    hypothesis.words = split_words(alphabet, hypothesis.emissions);
    hypothesis.text = join_words(hypothesis.words);
    return hypothesis;
}

template Hypothesis decode_greedy(const Alphabet&, const Frames<float>&);
template Hypothesis decode_greedy(const Alphabet&, const Frames<double>&);

}  // namespace asr
