#include "lexicon.hpp"

#include <algorithm>
#include <stdexcept>
#include <unordered_map>

namespace asr {

namespace {

struct Spelling {
    std::string text;
    std::vector<std::string> words;
};

// Spellings with their words, each once, in the order of the entries.
std::vector<Spelling> group_by_spelling(
    const std::vector<std::pair<std::string, std::string>>& entries) {
    std::vector<Spelling> spellings;
    std::unordered_map<std::string, std::size_t> places;
    for (const auto& [word, text] : entries) {
        if (word.empty() || text.empty()) {
            throw std::invalid_argument("lexicon must not hold an empty word or spelling");
        }
        const auto [place, is_new] = places.emplace(text, spellings.size());
        if (is_new) spellings.push_back({text, {}});
        std::vector<std::string>& words = spellings[place->second].words;
        if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
    }
    return spellings;
}

}  // namespace

Lexicon::Lexicon(const std::vector<std::pair<std::string, std::string>>& entries,
                 const NGramModel* lm, bool allow_homophones) {
    WordTableBuilder builder;
    for (const auto& [spelling, words] : group_by_spelling(entries)) {
        if (words.size() > 1 && !allow_homophones) {
            throw std::invalid_argument("lexicon must give each spelling one word, but '" +
                                        spelling + "' spells '" + words[0] + "' and '" + words[1] +
                                        "'");
        }
        const auto first = static_cast<WordId>(words_.size());
        for (const auto& text : words) {
            const WordId lm_word = lm != nullptr ? lm->find(text) : 0;
            words_.push_back({text, lm_word});
            builder.add(spelling, first, lm != nullptr ? lm->unigram(lm_word) : 0.0F);
        }
        words_[first].num_homophones = static_cast<std::int32_t>(words.size());
        most_homophones_ = std::max(most_homophones_, words_[first].num_homophones);
    }
    slots_ = builder.take();
    table_ = WordTable(ArrayView(slots_));
}

}  // namespace asr
