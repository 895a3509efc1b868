// What every decoder returns for one utterance.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "alphabet.hpp"

namespace asr {

// One emitted token: its class and the frame of its run with the highest probability.
struct Emission {
    std::int32_t token;
    std::int32_t frame;
    float log_prob;  // of the token at that frame
};

struct Word {
    std::string text;
    std::int32_t start_frame;  // of the first token's spike
    std::int32_t end_frame;    // one past the last token's spike
    double confidence;         // in [0, 1]
};

struct Hypothesis {
    std::string text;  // the words joined by one space
    std::vector<Emission> emissions;
    std::vector<Word> words;
    double score = 0.0;  // what is ranked
    double acoustic_score =
        0.0;                 // ln P(labelling), summed over alignments; greedy: of one alignment
    double lm_score = 0.0;   // ln P(words), not weighted
    bool bound_hit = false;  // the search stopped before it could prove this the best
};

// Splits emissions into words at tokens that close one.
std::vector<Word> split_words(const Alphabet& alphabet, const std::vector<Emission>& emissions);

std::string join_words(const std::vector<Word>& words);

// The result when no labelling has a positive probability: empty, with score -inf.
Hypothesis impossible_hypothesis();

}  // namespace asr
