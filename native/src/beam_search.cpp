#include "beam_search.hpp"

#include <algorithm>
#include <functional>
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
    tree_.start(*language_);
    spikes_.start();
    beam_.clear();
    is_linked_ = false;
    frame_ = 0;
    garbage_limit_ = options_.garbage_limit;
    Slot root{};
    root.label = kLogZero;
    root.best_blank.log_prob = 0.0;
    root.token = kNone;
    root.is_whole = true;
    if (!language_->is_empty()) {
        root.bonus = language_->ranking_bonus(tree_.text(0));
        root.is_whole = language_->is_whole(tree_.text(0));
    }
    beam_.push_back(root);
}

template <class Float>
void BeamSearch::push(const Frames<Float>& frames) {
    for (std::int32_t t = 0; t < frames.num_frames; ++t) {
        const Float* row = frames.row(t);
        const double row_max = checked_row_max(frames, t);
        const double log_blank = row[language_->alphabet().blank()];
        if (log_blank >= options_.blank_skip_logp) {
            pass_blank(log_blank);
        } else {
            advance(row, row_max);
        }
        ++frame_;
        const std::int32_t interval = std::max(1, options_.max_delay / 4);
        if (options_.max_delay > 0 && frame_ % interval == 0) drop_late_rivals();
        if (tree_.size() + spikes_.size() > garbage_limit_) collect_garbage();
    }
}

// A frame that is taken to be surely blank: every prefix stays, none ends in its last token after
// it, none begins.
void BeamSearch::pass_blank(double log_blank) {
    for (auto& slot : beam_) {
        slot.blank = slot.total += log_blank;
        slot.label = kLogZero;
        slot.best_blank = slot.best();
        slot.best_blank.log_prob += log_blank;
        slot.best_label = {};
    }
}

template <class Float>
void BeamSearch::advance(const Float* row, double row_max) {
    choose_tokens(row, row_max);
    const bool may_extend = is_alive() && !(tokens_.empty() && closing_tokens_.empty());
    if (!is_linked_) link_active_children();
    candidates_.start(options_.beam_width, options_.beam_prune_logp);
    stay(row);
    if (may_extend) extend();
    candidates_.finish();
    if (language_->is_constrained()) keep_a_whole_text();
    if (!may_extend && candidates_.size() == beam_.size()) {
        beam_.swap(staying_);  // most frames are blank: the same prefixes in the same slots
    } else {
        rebuild(row);
    }
}

template <class Float>
void BeamSearch::choose_tokens(const Float* row, double row_max) {
    const Alphabet& alphabet = language_->alphabet();
    const auto threshold = static_cast<Float>(std::min(options_.token_min_logp, row_max));
    tokens_.clear();
    closing_tokens_.clear();
    for_each_at_least(row, alphabet.size(), threshold, [&](std::int32_t c) {
        if (c == alphabet.blank() || !(row[c] > kLogZero)) return;
        tokens_.push_back({c, row[c]});
    });
    keep_top_tokens();
    std::sort(tokens_.begin(), tokens_.end(), [](const TokenScore& a, const TokenScore& b) {
        return a.log_prob != b.log_prob ? a.log_prob > b.log_prob : a.token_class < b.token_class;
    });
    if (!language_->is_empty()) set_closing_tokens_apart();
}

// Phones are of both kinds.
void BeamSearch::set_closing_tokens_apart() {
    const Alphabet& alphabet = language_->alphabet();
    if (alphabet.has_phones()) {
        closing_tokens_ = tokens_;
        return;
    }
    const auto stays = [&](const TokenScore& t) { return !alphabet[t.token_class].closes_word; };
    const auto first = std::stable_partition(tokens_.begin(), tokens_.end(), stays);
    closing_tokens_.assign(first, tokens_.end());
    tokens_.erase(first, tokens_.end());
}

// Of equally probable tokens at the end all stay.
void BeamSearch::keep_top_tokens() {
    const auto top_n = static_cast<std::size_t>(options_.token_top_n);
    if (top_n == 0 || tokens_.size() <= top_n) return;
    token_log_probs_.clear();
    for (const auto& token : tokens_) token_log_probs_.push_back(token.log_prob);
    const auto last = token_log_probs_.begin() + static_cast<std::ptrdiff_t>(top_n - 1);
    std::nth_element(token_log_probs_.begin(), last, token_log_probs_.end(), std::greater<>());
    const auto is_worse = [least = *last](const TokenScore& t) { return t.log_prob < least; };
    tokens_.erase(std::remove_if(tokens_.begin(), tokens_.end(), is_worse), tokens_.end());
}

// Chains the prefixes in the beam that extend another one in the beam by one token.
void BeamSearch::link_active_children() {
    is_linked_ = true;
    for (auto& slot : beam_) slot.first_active_child = kNone;
    for (std::int32_t i = 0; i < count(beam_); ++i) {
        Slot& slot = at(beam_, i);
        const std::int32_t parent_node = tree_[slot.node].parent;
        slot.parent_slot = parent_node == kNone ? kNone : tree_[parent_node].slot;
        if (slot.parent_slot == kNone) continue;
        slot.next_active_child = at(beam_, slot.parent_slot).first_active_child;
        at(beam_, slot.parent_slot).first_active_child = i;
    }
}

// Carries every prefix over one frame: a blank, or its last token once more, or its last token for
// the first time after its parent.
template <class Float>
void BeamSearch::stay(const Float* row) {
    const double log_blank = row[language_->alphabet().blank()];
    staying_.resize(beam_.size());
    for (std::int32_t i = 0; i < count(beam_); ++i) {
        const Slot& before = at(beam_, i);
        Slot& slot = at(staying_, i);
        slot = before;
        slot.blank = before.total + log_blank;
        slot.best_blank = before.best();
        slot.best_blank.log_prob += log_blank;
        if (slot.token != kNone) repeat_token(slot, row[class_of(slot.token)]);
        slot.total = log_add(slot.blank, slot.label);
        if (slot.total > kLogZero) candidates_.add({slot.rank(), 0.0, kNone, i});
    }
    candidates_.raise_threshold();
}

// The part of a prefix's paths that ends in its last token, `log_token` in this frame.
void BeamSearch::repeat_token(Slot& slot, double log_token) {
    slot.label += log_token;
    slot.best_label.log_prob += log_token;
    if (slot.best_label.last_spike != kNone && log_token > slot.best_label.spike_log_prob) {
        // The same token, better placed.
        extend_path(slot.best_label, spikes_.previous(slot.best_label.last_spike), slot.token,
                    log_token);
    }
    if (slot.parent_slot == kNone) return;
    const Slot& parent = at(beam_, slot.parent_slot);
    const bool repeats = class_of(parent.token) == class_of(slot.token);  // a blank separates them
    slot.label = log_add(slot.label, (repeats ? parent.blank : parent.total) + log_token);
    const BestPath& path = repeats ? parent.best_blank : parent.best();
    if (path.log_prob + log_token > slot.best_label.log_prob) {
        slot.best_label.log_prob = path.log_prob + log_token;
        extend_path(slot.best_label, path.last_spike, slot.token, log_token);
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
void BeamSearch::extend() {
    for (std::int32_t i = 0; i < count(beam_); ++i) {
        const TextState* text = language_->is_empty() ? nullptr : &tree_.text(at(beam_, i).node);
        if (!tokens_.empty()) extend_slot(i, text, tokens_, 0);
        if (!closing_tokens_.empty()) extend_and_close(i);
    }
}

// The open word may be any of its homophones, by a token for each.
void BeamSearch::extend_and_close(std::int32_t slot_index) {
    const Alphabet& alphabet = language_->alphabet();
    const std::int32_t node = at(beam_, slot_index).node;
    const std::int32_t num_homophones = language_->num_homophones(tree_.text(node));
    for (std::int32_t homophone = 0; homophone < num_homophones; ++homophone) {
        const TextState* closed = tree_.closed_text(node, homophone);
        if (closed == nullptr) continue;
        const std::int32_t shift = alphabet.has_phones() ? alphabet.size() * (1 + homophone) : 0;
        extend_slot(slot_index, closed, closing_tokens_, shift);
    }
}

// `text` is what the tokens, which come best first, are appended to; nullptr without a language.
// `shift` leads from their classes to their numbers.
void BeamSearch::extend_slot(std::int32_t slot_index, const TextState* text,
                             const std::vector<TokenScore>& tokens, std::int32_t shift) {
    const Slot& slot = at(beam_, slot_index);
    const std::int32_t last_class = class_of(slot.token);
    double largest_bonus = 0.0;
    if (text != nullptr) {
        largest_bonus = language_->ranking_bonus(*text) + language_->largest_gain(*text);
    }
    for (const auto& [token_class, log_token] : tokens) {
        if (!(slot.total + log_token + largest_bonus >= candidates_.threshold())) return;
        const double label = (token_class == last_class ? slot.blank : slot.total) + log_token;
        if (!(label + largest_bonus >= candidates_.threshold()) || !(label > kLogZero)) continue;
        const std::int32_t token = token_class + shift;
        if (is_active_child(slot, token)) continue;
        double rank = label;
        if (text != nullptr) {
            const std::optional<TextState> extended = language_->append(*text, token, tree_.memo());
            if (!extended) continue;
            rank += language_->ranking_bonus(*extended);
        }
        candidates_.add({rank, label, slot_index, token});
    }
}

// Where lexicon or grammar forbid what the best prefixes are, in the middle of a word, a text that
// may end must not leave the beam: at the end there would be nothing to return. The best that there
// is gets a place of its own.
void BeamSearch::keep_a_whole_text() {
    const auto holds = [this](const Candidate& candidate) { return is_whole(candidate); };
    if (std::any_of(candidates_.begin(), candidates_.end(), holds)) return;
    std::int32_t best = kNone;
    for (std::int32_t i = 0; i < count(staying_); ++i) {
        const Slot& slot = at(staying_, i);
        if (!slot.is_whole || !(slot.total > kLogZero)) continue;
        if (best == kNone || slot.rank() > at(staying_, best).rank()) best = i;
    }
    if (best != kNone) candidates_.add_beyond({at(staying_, best).rank(), 0.0, kNone, best});
}

bool BeamSearch::is_whole(const Candidate& candidate) {
    if (candidate.from == kNone) return at(staying_, candidate.token).is_whole;
    const auto text = tree_.child_text(at(beam_, candidate.from).node, candidate.token);
    return text && language_->is_whole(*text);
}

template <class Float>
void BeamSearch::rebuild(const Float* row) {
    is_linked_ = false;
    next_.resize(candidates_.size());
    auto slot = next_.begin();
    for (const auto& candidate : candidates_) {
        if (candidate.from == kNone) {
            *slot++ = at(staying_, candidate.token);
        } else {
            fill_new_slot(*slot++, candidate, row[class_of(candidate.token)]);
        }
    }
    for (const auto& old : beam_) tree_[old.node].slot = kNone;
    beam_.swap(next_);
    for (std::int32_t i = 0; i < count(beam_); ++i) tree_[at(beam_, i).node].slot = i;
    const bool is_full = count(beam_) >= options_.beam_width;
    if (is_full && options_.n_best == 1 && !language_->is_empty()) drop_equal_futures();
}

// Of prefixes that end in the same token and whose texts gain the same whatever follows, the best
// will nearly always stay the best: its rivals win only where more of their mass is in paths that
// end in blank and the token comes again. Their places are better given to prefixes that differ in
// what matters, but for those whose paths still lead to longer prefixes in the beam. pyctcdecode's
// prune_history is alike.
void BeamSearch::drop_equal_futures() {
    link_active_children();
    std::size_t size = 64;
    while (size < 2 * beam_.size()) size *= 2;
    futures_.assign(size, kNone);  // open addressing: the best slot of each future, by its hash
    dropped_.assign(beam_.size(), false);
    for (std::int32_t i = 0; i < count(beam_); ++i) {
        const Slot& slot = at(beam_, i);
        const TextState& text = tree_.text(slot.node);
        const auto differs = [&](const Slot& other) {
            return class_of(other.token) != class_of(slot.token) ||
                   !text.has_future_of(tree_.text(other.node));
        };
        std::size_t place = text.future_hash() & (size - 1);
        while (futures_[place] != kNone && differs(at(beam_, futures_[place]))) {
            place = (place + 1) & (size - 1);
        }
        std::int32_t worse = i;
        if (futures_[place] == kNone || at(beam_, futures_[place]).rank() < slot.rank()) {
            std::swap(worse, futures_[place]);
        }
        if (worse == kNone || at(beam_, worse).first_active_child != kNone) continue;
        dropped_[static_cast<std::size_t>(worse)] = true;
    }
    erase_dropped();
}

void BeamSearch::erase_dropped() {
    is_linked_ = false;
    std::int32_t kept = 0;
    for (std::int32_t i = 0; i < count(beam_); ++i) {
        const bool drop = dropped_[static_cast<std::size_t>(i)];
        tree_[at(beam_, i).node].slot = drop ? kNone : kept;
        if (!drop) at(beam_, kept++) = at(beam_, i);
    }
    beam_.resize(static_cast<std::size_t>(kept));
}

void BeamSearch::fill_new_slot(Slot& slot, const Candidate& candidate, double log_token) {
    const Slot& from = at(beam_, candidate.from);
    const bool repeats = class_of(candidate.token) == class_of(from.token);
    const BestPath& path = repeats ? from.best_blank : from.best();
    slot.blank = kLogZero;
    slot.label = slot.total = candidate.label;
    slot.bonus = candidate.rank - candidate.label;
    slot.node = tree_.child(from.node, candidate.token);
    slot.is_whole = !language_->is_constrained() || language_->is_whole(tree_.text(slot.node));
    slot.token = candidate.token;
    slot.best_blank = {};
    slot.best_label.log_prob = path.log_prob + log_token;
    extend_path(slot.best_label, path.last_spike, slot.token, log_token);
}

// Ends `path` in the token's spike at this frame, after the spike `previous`.
void BeamSearch::extend_path(BestPath& path, std::int32_t previous, std::int32_t token,
                             double log_token) {
    path.spike_log_prob = static_cast<float>(log_token);
    path.last_spike = spikes_.add(previous, {token, frame_, path.spike_log_prob});
}

// Keeps those prefixes that share the tokens of the best one which are older than max_delay.
void BeamSearch::drop_late_rivals() {
    if (beam_.empty()) return;
    const Slot& best = best_slot();
    const std::int32_t newest_final = frame_ - 1 - options_.max_delay;
    std::int32_t node = best.node;
    for (std::int32_t spike = best.best().last_spike;
         spike != kNone && spikes_.frame(spike) > newest_final; spike = spikes_.previous(spike)) {
        node = tree_[node].parent;
    }
    dropped_.clear();
    for (const Slot& slot : beam_) {
        std::int32_t ancestor = slot.node;
        while (ancestor > node) ancestor = tree_[ancestor].parent;
        dropped_.push_back(ancestor != node);
    }
    erase_dropped();
}

void BeamSearch::collect_garbage() {
    std::vector<std::int32_t> heads;
    std::vector<std::int32_t> nodes;
    for (const auto& slot : beam_) {
        nodes.push_back(slot.node);
        for (const BestPath* path : {&slot.best_blank, &slot.best_label}) {
            if (path->log_prob > kLogZero) heads.push_back(path->last_spike);
        }
    }
    if (beam_.empty()) return;
    tree_.reroot(nodes, spikes_.settle(heads));
    std::size_t next_head = 0;
    for (std::int32_t i = 0; i < count(beam_); ++i) {
        Slot& slot = at(beam_, i);
        slot.node = at(nodes, i);
        for (BestPath* path : {&slot.best_blank, &slot.best_label}) {
            path->last_spike = path->log_prob > kLogZero ? heads[next_head++] : kNone;
        }
    }
    garbage_limit_ = std::max(options_.garbage_limit, 2 * (tree_.size() + spikes_.size()));
}

template void BeamSearch::push(const Frames<float>&);
template void BeamSearch::push(const Frames<double>&);

}  // namespace asr
