// What is known about the text of a prefix: its words, their language model score, the open word.
#pragma once

#include <cstdint>
#include <memory>

#include "alphabet.hpp"
#include "ngram.hpp"

namespace asr {

// The text side of one prefix. A function of the prefix's tokens alone, so it is made once, when
// the prefix is, and never changes.
struct TextState {
    std::uint64_t word_hash = kEmptyWordHash;  // of the open word's bytes
    double lm_score = 0.0;                     // ln P of the closed words
    NodeId lm_state = 0;                       // after the closed words
    std::int32_t num_words = 0;                // closed words
    bool word_open = false;                    // the open word has at least one byte
};

// Scores text with a word n-gram model; with none every bonus is 0.
class Language {
  public:
    Language(std::shared_ptr<const Alphabet> alphabet, std::shared_ptr<const NGramModel> lm,
             double lm_alpha, double lm_beta);

    TextState start() const;
    TextState extend(const TextState& state, std::int32_t token) const;
    // The last word needs no separator to count; </s> follows it.
    TextState finish(const TextState& state) const;

    // lm_alpha * ln P(words) + lm_beta * |words|, over the closed words.
    double bonus(const TextState& state) const {
        return lm_alpha_ * state.lm_score + lm_beta_ * state.num_words;
    }
    bool scores_text() const { return lm_ != nullptr; }
    const Alphabet& alphabet() const { return *alphabet_; }

  private:
    void close_word(TextState& state) const;

    std::shared_ptr<const Alphabet> alphabet_;
    std::shared_ptr<const NGramModel> lm_;
    double lm_alpha_;
    double lm_beta_;
};

}  // namespace asr
