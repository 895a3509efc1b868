#include "language.hpp"

#include <utility>

namespace asr {

Language::Language(std::shared_ptr<const Alphabet> alphabet, std::shared_ptr<const NGramModel> lm,
                   double lm_alpha, double lm_beta)
    : alphabet_(std::move(alphabet)), lm_(std::move(lm)), lm_alpha_(lm_alpha), lm_beta_(lm_beta) {}

TextState Language::start() const {
    TextState state;
    if (lm_) state.lm_state = lm_->sentence_start();
    return state;
}

void Language::close_word(TextState& state) const {
    if (!state.word_open) return;
    const auto [log_prob, next] = lm_->score(state.lm_state, lm_->find(state.word_hash));
    state.lm_score += log_prob;
    state.lm_state = next;
    state.num_words += 1;
    state.word_hash = kEmptyWordHash;
    state.word_open = false;
}

TextState Language::extend(const TextState& state, std::int32_t id) const {
    TextState next = state;
    if (!lm_) return next;
    const Token& token = (*alphabet_)[id];
    if (token.closes_word) close_word(next);
    if (!token.body.empty()) {
        next.word_hash = extend_hash(next.word_hash, token.body);
        next.word_open = true;
    }
    return next;
}

TextState Language::finish(const TextState& state) const {
    TextState last = state;
    if (!lm_) return last;
    close_word(last);
    last.lm_score += lm_->score_end(last.lm_state);
    return last;
}

}  // namespace asr
