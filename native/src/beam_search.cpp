#include "beam_search.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace asr {

namespace {

template <class T>
T& at(std::vector<T>& items, std::int32_t index) {
    return items[static_cast<std::size_t>(index)];
}
template <class T>
const T& at(const std::vector<T>& items, std::int32_t index) {
    return items[static_cast<std::size_t>(index)];
}
template <class T>
std::int32_t count(const std::vector<T>& items) {
    return static_cast<std::int32_t>(items.size());
}

}  // namespace

BeamSearch::BeamSearch(std::shared_ptr<const Language> language, const BeamOptions& options)
    : language_(std::move(language)), options_(options) {
    start();
}

void BeamSearch::start() {
    nodes_.clear();
    spikes_.clear();
    beam_.clear();
    frame_ = 0;
    nodes_.push_back({kNone, kNone, kNone, kNone, 0, language_->start()});
    Slot root{};
    root.label = kLogZero;
    root.best_blank.log_prob = 0.0;
    root.parent = root.token = kNone;
    beam_.push_back(root);
}

template <class Float>
void BeamSearch::push(const Frames<Float>& frames) {
    for (std::int32_t t = 0; t < frames.num_frames; ++t) advance(frames, t);
}

template <class Float>
void BeamSearch::advance(const Frames<Float>& frames, std::int32_t row_index) {
    const Float* row = frames.row(row_index);
    choose_tokens(row, checked_row_max(frames, row_index));
    link_active_children();
    stay(row);
    extend(row);
    select();
    rebuild(row);
    ++frame_;
}

template <class Float>
void BeamSearch::choose_tokens(const Float* row, double row_max) {
    const std::int32_t blank = language_->alphabet().blank();
    const double threshold = std::min(options_.token_min_logp, row_max);
    tokens_.clear();
    for (std::int32_t c = 0; c < language_->alphabet().size(); ++c) {
        if (row[c] >= threshold && c != blank && row[c] > kLogZero) tokens_.push_back(c);
    }
    std::sort(tokens_.begin(), tokens_.end(), [row](std::int32_t a, std::int32_t b) {
        return row[a] != row[b] ? row[a] > row[b] : a < b;
    });
}

// Chains the prefixes in the beam that extend another one in the beam by one token.
void BeamSearch::link_active_children() {
    for (auto& slot : beam_) slot.first_active_child = kNone;
    for (std::int32_t i = 0; i < count(beam_); ++i) {
        Slot& slot = at(beam_, i);
        const std::int32_t parent = slot.parent == kNone ? kNone : at(nodes_, slot.parent).slot;
        if (parent == kNone) continue;
        slot.next_active_child = at(beam_, parent).first_active_child;
        at(beam_, parent).first_active_child = i;
    }
}

// Carries every prefix over one frame: a blank, or its last token once more, or its last token for
// the first time after its parent.
template <class Float>
void BeamSearch::stay(const Float* row) {
    const double log_blank = row[language_->alphabet().blank()];
    staying_.clear();
    candidates_.clear();
    for (std::int32_t i = 0; i < count(beam_); ++i) {
        const Slot& before = at(beam_, i);
        Slot slot = before;
        slot.blank = before.total + log_blank;
        slot.best_blank = before.best();
        slot.best_blank.log_prob += log_blank;
        if (slot.token != kNone) {
            const double log_token = row[slot.token];
            slot.label = before.label + log_token;
            slot.best_label.log_prob += log_token;
            const std::int32_t spike = slot.best_label.last_spike;
            if (spike != kNone && log_token > at(spikes_, spike).emission.log_prob) {
                slot.best_label.last_spike =
                    add_spike(at(spikes_, spike).previous, slot.token, log_token);
            }
            enter_from_parent(slot, before, row);
        }
        slot.total = log_add(slot.blank, slot.label);
        slot.rank = slot.total + slot.bonus;
        staying_.push_back(slot);
        if (slot.total > kLogZero) candidates_.push_back({slot.rank, 0.0, kNone, i});
    }
}

template <class Float>
void BeamSearch::enter_from_parent(Slot& slot, const Slot& before, const Float* row) {
    const std::int32_t parent_slot = at(nodes_, before.parent).slot;
    if (parent_slot == kNone) return;
    const Slot& parent = at(beam_, parent_slot);
    const double log_token = row[slot.token];
    const bool repeats = parent.token == slot.token;  // then only a blank separates the two
    slot.label = log_add(slot.label, (repeats ? parent.blank : parent.total) + log_token);
    const BestPath& path = repeats ? parent.best_blank : parent.best();
    if (path.log_prob + log_token > slot.best_label.log_prob) {
        slot.best_label = {path.log_prob + log_token,
                           add_spike(path.last_spike, slot.token, log_token)};
    }
}

bool BeamSearch::is_active_child(const Slot& slot, std::int32_t token) const {
    for (std::int32_t child = slot.first_active_child; child != kNone;
         child = at(beam_, child).next_active_child) {
        if (at(beam_, child).token == token) return true;
    }
    return false;
}

// Proposes prefixes that are not in the beam yet.
template <class Float>
void BeamSearch::extend(const Float* row) {
    double best_rank = kLogZero;
    for (const auto& candidate : candidates_) best_rank = std::max(best_rank, candidate.rank);
    const bool scores_text = language_->scores_text();
    for (std::int32_t i = 0; i < count(beam_); ++i) {
        const Slot& slot = at(beam_, i);
        for (const std::int32_t token : tokens_) {
            const double label = (token == slot.token ? slot.blank : slot.total) + row[token];
            double rank = label + slot.bonus;
            // The tokens come in order, and only text scores can lift a later one again.
            const bool hopeless = !(rank >= best_rank + options_.beam_prune_logp);
            if (!scores_text && hopeless && token != slot.token) break;
            if (!(label > kLogZero) || is_active_child(slot, token)) continue;
            if (scores_text) {
                const TextState& text = at(nodes_, slot.node).text;
                rank = label + language_->bonus(language_->extend(text, token));
            }
            if (!(rank >= best_rank + options_.beam_prune_logp)) continue;
            best_rank = std::max(best_rank, rank);
            candidates_.push_back({rank, label, i, token});
        }
    }
}

// Keeps the beam_width best candidates, of those only what is close enough to the best.
void BeamSearch::select() {
    const auto better = [](const Candidate& a, const Candidate& b) { return a.rank > b.rank; };
    if (count(candidates_) > options_.beam_width) {
        const auto end = candidates_.begin() + options_.beam_width;
        std::nth_element(candidates_.begin(), end, candidates_.end(), better);
        candidates_.erase(end, candidates_.end());
    }
    double best_rank = kLogZero;
    for (const auto& candidate : candidates_) best_rank = std::max(best_rank, candidate.rank);
    const double threshold = best_rank + options_.beam_prune_logp;
    const auto is_far = [threshold](const Candidate& c) { return !(c.rank >= threshold); };
    candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(), is_far),
                      candidates_.end());
}

template <class Float>
void BeamSearch::rebuild(const Float* row) {
    next_.clear();
    for (const auto& candidate : candidates_) {
        next_.push_back(candidate.from == kNone ? at(staying_, candidate.token)
                                                : new_slot(candidate, row));
    }
    for (const auto& slot : beam_) at(nodes_, slot.node).slot = kNone;
    beam_.swap(next_);
    for (std::int32_t i = 0; i < count(beam_); ++i) at(nodes_, at(beam_, i).node).slot = i;
}

std::int32_t BeamSearch::child_node(std::int32_t node, std::int32_t token) {
    for (std::int32_t child = at(nodes_, node).first_child; child != kNone;
         child = at(nodes_, child).next_sibling) {
        if (at(nodes_, child).token == token) return child;
    }
    const std::int32_t child = count(nodes_);
    const TextState text = language_->extend(at(nodes_, node).text, token);
    nodes_.push_back({node, token, kNone, at(nodes_, node).first_child, kNone, text});
    at(nodes_, node).first_child = child;
    return child;
}

std::int32_t BeamSearch::add_spike(std::int32_t previous, std::int32_t token, double log_prob) {
    spikes_.push_back({previous, {token, frame_, static_cast<float>(log_prob)}});
    return count(spikes_) - 1;
}

template <class Float>
BeamSearch::Slot BeamSearch::new_slot(const Candidate& candidate, const Float* row) {
    const Slot& from = at(beam_, candidate.from);
    const BestPath& path = candidate.token == from.token ? from.best_blank : from.best();
    const double log_token = row[candidate.token];
    Slot slot{};
    slot.blank = kLogZero;
    slot.label = slot.total = candidate.label;
    slot.node = child_node(from.node, candidate.token);
    slot.bonus = language_->bonus(at(nodes_, slot.node).text);
    slot.rank = candidate.rank;
    slot.best_label = {path.log_prob + log_token,
                       add_spike(path.last_spike, candidate.token, log_token)};
    slot.parent = from.node;
    slot.token = candidate.token;
    return slot;
}

std::vector<Hypothesis> BeamSearch::hypotheses() const {
    struct Final {
        double score;
        std::int32_t slot;
        TextState text;
    };
    std::vector<Final> finals;
    for (std::int32_t i = 0; i < count(beam_); ++i) {
        const TextState text = language_->finish(at(nodes_, at(beam_, i).node).text);
        finals.push_back({at(beam_, i).total + language_->bonus(text), i, text});
    }
    std::stable_sort(finals.begin(), finals.end(),
                     [](const Final& a, const Final& b) { return a.score > b.score; });
    std::vector<Hypothesis> best;
    std::unordered_set<std::string> texts;
    for (const auto& final : finals) {
        if (count(best) == options_.n_best) break;
        Hypothesis hypothesis = describe(at(beam_, final.slot), final.text, final.score);
        if (texts.insert(hypothesis.text).second) best.push_back(std::move(hypothesis));
    }
    if (best.empty()) best.push_back(impossible_hypothesis());
    return best;
}

Hypothesis BeamSearch::describe(const Slot& slot, const TextState& text, double score) const {
    Hypothesis hypothesis;
    for (std::int32_t spike = slot.best().last_spike; spike != kNone;
         spike = at(spikes_, spike).previous) {
        hypothesis.emissions.push_back(at(spikes_, spike).emission);
    }
    std::reverse(hypothesis.emissions.begin(), hypothesis.emissions.end());
    hypothesis.words = split_words(language_->alphabet(), hypothesis.emissions);
    hypothesis.text = join_words(hypothesis.words);
    hypothesis.score = score;
    hypothesis.acoustic_score = slot.total;
    hypothesis.lm_score = text.lm_score;
    return hypothesis;
}

template void BeamSearch::push(const Frames<float>&);
template void BeamSearch::push(const Frames<double>&);

}  // namespace asr
