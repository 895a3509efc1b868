// The words that may be said, each with its spellings.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ngram.hpp"
#include "word_table.hpp"

namespace asr {

class Lexicon {
  public:
    // Pairs (word, spelling). `lm` gives the words their probabilities when there is one. Throws
    // std::invalid_argument when a word or spelling is empty, or two words share a spelling.
    Lexicon(const std::vector<std::pair<std::string, std::string>>& entries, const NGramModel* lm);

    const WordTable& spellings() const { return table_; }
    const std::string& text(WordId word) const { return words_[word].text; }
    WordId lm_word(WordId word) const { return words_[word].lm_word; }

  private:
    struct Word {
        std::string text;
        WordId lm_word;
    };

    std::vector<Word> words_;
    std::vector<WordTable::Slot> slots_;
    WordTable table_;
};

}  // namespace asr
