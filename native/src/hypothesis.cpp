#include "hypothesis.hpp"

#include <algorithm>
#include <cmath>

#include "log_math.hpp"

namespace asr {

std::vector<Word> split_words(const Alphabet& alphabet, const std::vector<Emission>& emissions) {
    std::vector<Word> words;
    words.reserve(emissions.size() / 4 + 1);
    bool open = false;
    double log_confidence = 0.0;
    const auto close = [&] {
        if (open) words.back().confidence = std::exp(std::min(0.0, log_confidence));
        open = false;
        log_confidence = 0.0;
    };
    for (const auto& emission : emissions) {
        const Token& token = alphabet[emission.token];
        if (token.closes_word) close();
        if (token.body.empty()) continue;
        if (!open) words.push_back({"", emission.frame, 0, 0.0});
        open = true;
        Word& word = words.back();
        word.text += token.body;
        word.end_frame = emission.frame + 1;
        log_confidence += emission.log_prob;
    }
    close();
    return words;
}

std::string join_words(const std::vector<Word>& words) {
    std::string text;
    for (const auto& word : words) {
        if (!text.empty()) text += ' ';
        text += word.text;
    }
    return text;
}

Hypothesis impossible_hypothesis() {
    Hypothesis hypothesis;
    hypothesis.score = hypothesis.acoustic_score = kLogZero;
    return hypothesis;
}

}  // namespace asr
