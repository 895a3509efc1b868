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
    const Slot& slot = best_slot();
    std::int32_t last_homophone = 0;
    if (language_->alphabet().has_phones()) {
        const std::vector<Ending> ways = endings(slot);
        const auto best =
            std::max_element(ways.begin(), ways.end(),
                             [](const Ending& a, const Ending& b) { return a.score < b.score; });
        if (best != ways.end()) last_homophone = best->homophone;
    }
    PartialResult result{describe(slot, last_homophone), 0};
    result.best.score = slot.rank();
    bool open = false;
    for (std::size_t i = 0; i < num_shared; ++i) {
        const Token& token = language_->alphabet()[result.best.emissions[i].token];
        if (token.closes_word && open) ++result.num_stable_words;
        open = token.closes_word ? !token.body.empty() : open || !token.body.empty();
    }
    return result;
}

std::vector<BeamSearch::Ending> BeamSearch::endings(const Slot& slot) const {
    if (language_->is_empty()) return {{slot.total, 0.0, &slot, 0}};
    std::vector<Ending> found;
    const TextState& open = tree_.text(slot.node);
    for (std::int32_t i = 0; i < language_->num_homophones(open); ++i) {
        const auto text = language_->finish(open, tree_.memo(), i);
        if (!text) continue;
        const double score = slot.total + language_->bonus(*text);
        if (score >= kLogZero) found.push_back({score, text->lm_score, &slot, i});
    }
    return found;
}

std::vector<Hypothesis> BeamSearch::whole_hypotheses() const {
    std::vector<Ending> wholes;
    for (const auto& slot : beam_) {
        for (const Ending& ending : endings(slot)) wholes.push_back(ending);
    }
    std::stable_sort(wholes.begin(), wholes.end(),
                     [](const Ending& a, const Ending& b) { return a.score > b.score; });
    std::vector<Hypothesis> best;
    std::unordered_set<std::string> texts;
    for (const auto& whole : wholes) {
        if (best.size() == static_cast<std::size_t>(options_.n_best)) break;
        Hypothesis hypothesis = describe(*whole.slot, whole.homophone);
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
    Hypothesis hypothesis = describe(best_slot(), 0);
    auto& emissions = hypothesis.emissions;
    while (!emissions.empty() && !language_->alphabet()[emissions.back().token].closes_word) {
        emissions.pop_back();
    }
    std::int32_t last_homophone = 0;
    if (!emissions.empty()) {
        last_homophone = language_->alphabet()[emissions.back().token].homophone;
        emissions.pop_back();
    }
    hypothesis.words = split_words(language_->alphabet(), emissions);
    language_->spell_out(hypothesis.words, emissions, last_homophone);
    hypothesis.text = join_words(hypothesis.words);
    hypothesis.score = kLogZero;
    hypothesis.bound_hit = true;
    return hypothesis;
}

Hypothesis BeamSearch::describe(const Slot& slot, std::int32_t last_homophone) const {
    Hypothesis hypothesis;
    hypothesis.emissions = spikes_.path(slot.best().last_spike);
    hypothesis.words = split_words(language_->alphabet(), hypothesis.emissions);
    language_->spell_out(hypothesis.words, hypothesis.emissions, last_homophone);
    hypothesis.text = join_words(hypothesis.words);
    hypothesis.acoustic_score = slot.total;
    return hypothesis;
}

}  // namespace asr
