// What a beam search has found, as hypotheses.
#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>

#include "beam_search.hpp"

namespace asr {

const BeamSearch::Slot& BeamSearch::best_slot() const {
    return *std::max_element(beam_.begin(), beam_.end(),
                             [](const Slot& a, const Slot& b) { return a.rank() < b.rank(); });
}

PartialResult BeamSearch::partial() const {
    if (beam_.empty()) return {impossible_hypothesis(), 0};
    std::vector<std::int32_t> nodes;
    for (const auto& slot : beam_) nodes.push_back(slot.node);
    const std::size_t num_shared =
        spikes_.settled().size() + tree_.tokens_of(tree_.common_ancestor(nodes)).size();
    PartialResult result{describe(best_slot()), 0};
    result.best.score = best_slot().rank();
    bool open = false;
    for (std::size_t i = 0; i < num_shared; ++i) {
        const Token& token = language_->alphabet()[result.best.emissions[i].token];
        if (token.closes_word && open) ++result.num_stable_words;
        open = token.closes_word ? !token.body.empty() : open || !token.body.empty();
    }
    return result;
}

std::vector<Hypothesis> BeamSearch::whole_hypotheses() const {
    struct Whole {
        double score;
        double lm_score;
        const Slot* slot;
    };
    std::vector<Whole> wholes;
    for (const auto& slot : beam_) {
        if (language_->is_empty()) {
            wholes.push_back({slot.total, 0.0, &slot});
        } else if (const auto text = language_->finish(tree_.text(slot.node), tree_.memo())) {
            const double score = slot.total + language_->bonus(*text);
            if (score >= kLogZero) wholes.push_back({score, text->lm_score, &slot});
        }
    }
    std::stable_sort(wholes.begin(), wholes.end(),
                     [](const Whole& a, const Whole& b) { return a.score > b.score; });
    std::vector<Hypothesis> best;
    std::unordered_set<std::string> texts;
    for (const auto& whole : wholes) {
        if (best.size() == static_cast<std::size_t>(options_.n_best)) break;
        Hypothesis hypothesis = describe(*whole.slot);
        hypothesis.score = whole.score;
        hypothesis.lm_score = whole.lm_score;
        if (texts.insert(hypothesis.text).second) best.push_back(std::move(hypothesis));
    }
    return best;
}

std::vector<Hypothesis> BeamSearch::hypotheses() const {
    std::vector<Hypothesis> best = whole_hypotheses();
    if (best.empty() && beam_.empty()) best.push_back(impossible_hypothesis());
    if (best.empty()) best.push_back(cut_to_whole_words());
    return best;
}

Hypothesis BeamSearch::cut_to_whole_words() const {
    Hypothesis hypothesis = describe(best_slot());
    auto& emissions = hypothesis.emissions;
    while (!emissions.empty() && !language_->alphabet()[emissions.back().token].closes_word) {
        emissions.pop_back();
    }
    if (!emissions.empty()) emissions.pop_back();
    hypothesis.words = split_words(language_->alphabet(), emissions);
    language_->spell_out(hypothesis.words);
    hypothesis.text = join_words(hypothesis.words);
    hypothesis.score = kLogZero;
    hypothesis.bound_hit = true;
    return hypothesis;
}

Hypothesis BeamSearch::describe(const Slot& slot) const {
    Hypothesis hypothesis;
    hypothesis.emissions = spikes_.path(slot.best().last_spike);
    hypothesis.words = split_words(language_->alphabet(), hypothesis.emissions);
    language_->spell_out(hypothesis.words);
    hypothesis.text = join_words(hypothesis.words);
    hypothesis.acoustic_score = slot.total;
    return hypothesis;
}

}  // namespace asr
