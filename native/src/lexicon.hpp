// The words that may be said, each with its spellings.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "ngram.hpp"
#include "word_table.hpp"

namespace asr {

// Homophones, words that share a spelling, have the numbers from that of their first one on.
class Lexicon {
  public:
    // Pairs (word, spelling). `lm` gives the words their probabilities when there is one. Throws
    // std::invalid_argument when a word or spelling is empty, or two words share a spelling where
    // homophones are not allowed.
    Lexicon(const std::vector<std::pair<std::string, std::string>>& entries, const NGramModel* lm,
            bool allow_homophones);

    const WordTable& spellings() const { return table_; }
    const std::string& text(WordId word) const { return words_[word].text; }
    WordId lm_word(WordId word) const { return words_[word].lm_word; }
    // Of a spelling's first word: itself and those spelled as it is, >= 1.
    std::int32_t num_homophones(WordId first) const { return words_[first].num_homophones; }
    std::int32_t most_homophones() const { return most_homophones_; }

  private:
    struct Word {
        std::string text;
        WordId lm_word;
        std::int32_t num_homophones = 1;
    };

    std::vector<Word> words_;
    std::vector<WordTable::Slot> slots_;
    WordTable table_;
    std::int32_t most_homophones_ = 1;
};

}  // namespace asr
