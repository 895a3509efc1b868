#include "lexicon.hpp"

#include <stdexcept>

namespace asr {

Lexicon::Lexicon(const std::vector<std::pair<std::string, std::string>>& entries,
                 const NGramModel* lm) {
    WordTableBuilder builder;
    for (const auto& [text, spelling] : entries) {
        if (text.empty() || spelling.empty()) {
            throw std::invalid_argument("lexicon must not hold an empty word or spelling");
        }
        const auto word = static_cast<WordId>(words_.size());
        const WordId lm_word = lm != nullptr ? lm->find(text) : 0;
        words_.push_back({text, lm_word});
        const float log_prob = lm != nullptr ? lm->unigram(lm_word) : 0.0F;
        const WordId other = builder.add(spelling, word, log_prob);
        if (other != kNoWord && words_[other].text != text) {
            throw std::invalid_argument("lexicon must give each spelling one word, but '" +
                                        spelling + "' spells '" + words_[other].text + "' and '" +
                                        text + "'");
        }
    }
    slots_ = builder.take();
    table_ = WordTable(ArrayView(slots_));
}

}  // namespace asr
