#include "prefix_tree.hpp"

#include <algorithm>
#include <utility>

namespace asr {

namespace {

std::size_t index_of(std::int32_t i) {
    return static_cast<std::size_t>(i);
}

}  // namespace

void PrefixTree::start(const Language& language) {
    language_ = &language;
    nodes_.clear();
    texts_.clear();
    closed_texts_.clear();
    nodes_.push_back({kNone, kNone, 0, kNone, kNone, kUnknown});
    if (!language.is_empty()) texts_.push_back(language.start());
}

const TextState* PrefixTree::closed_text(std::int32_t node, std::int32_t homophone) {
    const TextState& open = text(node);
    if (!open.word_open) return homophone == 0 ? &open : nullptr;
    std::int32_t& closed = nodes_[index_of(node)].closed;
    if (closed == kUnknown) closed = close_as_each(open);
    if (closed == kForbidden || homophone >= language_->num_homophones(open)) return nullptr;
    const std::optional<TextState>& text_then = closed_texts_[index_of(closed + homophone)];
    return text_then ? &*text_then : nullptr;
}

// Appends the closed texts of all homophones; kForbidden when there is none.
std::int32_t PrefixTree::close_as_each(const TextState& open) {
    const std::size_t first = closed_texts_.size();
    bool is_allowed = false;
    for (std::int32_t i = 0; i < language_->num_homophones(open); ++i) {
        closed_texts_.push_back(language_->close(open, memo_, i));
        is_allowed |= closed_texts_.back().has_value();
    }
    if (is_allowed) return static_cast<std::int32_t>(first);
    closed_texts_.resize(first);
    return kForbidden;
}

std::optional<TextState> PrefixTree::child_text(std::int32_t node, std::int32_t token) {
    const Token& added = language_->alphabet()[token];
    if (!added.closes_word) return language_->append(text(node), token, memo_);
    const TextState* closed = closed_text(node, added.homophone);
    if (closed == nullptr) return std::nullopt;
    return language_->append(*closed, token, memo_);
}

std::int32_t PrefixTree::child(std::int32_t node, std::int32_t token) {
    for (std::int32_t child = nodes_[index_of(node)].first_child; child != kNone;
         child = nodes_[index_of(child)].next_sibling) {
        if (nodes_[index_of(child)].token == token) return child;
    }
    if (!language_->is_empty()) {
        const std::optional<TextState> text = child_text(node, token);
        if (!text) return kNone;
        texts_.push_back(*text);
    }
    const std::int32_t child = size();
    nodes_.push_back({node, token, kNone, kNone, nodes_[index_of(node)].first_child, kUnknown});
    nodes_[index_of(node)].first_child = child;
    return child;
}

// A parent's index is smaller than its children's: the deepest of two nodes is never above the
// other, so the largest index can always step up.
std::int32_t PrefixTree::common_ancestor(std::vector<std::int32_t> nodes) const {
    std::make_heap(nodes.begin(), nodes.end());
    while (true) {
        std::pop_heap(nodes.begin(), nodes.end());
        const std::int32_t deepest = nodes.back();
        nodes.pop_back();
        while (!nodes.empty() && nodes.front() == deepest) {
            std::pop_heap(nodes.begin(), nodes.end());
            nodes.pop_back();
        }
        if (nodes.empty()) return deepest;
        nodes.push_back(nodes_[index_of(deepest)].parent);
        std::push_heap(nodes.begin(), nodes.end());
    }
}

void PrefixTree::reroot(std::vector<std::int32_t>& nodes, std::int32_t num_steps) {
    std::int32_t root = nodes.front();
    for (std::size_t extra = tokens_of(root).size() - index_of(num_steps); extra > 0; --extra) {
        root = nodes_[index_of(root)].parent;
    }
    std::vector<std::int32_t> moved(nodes_.size(), kNone);
    for (const std::int32_t kept : nodes) {
        for (std::int32_t node = kept; moved[index_of(node)] == kNone;) {
            moved[index_of(node)] = 0;  // numbered below
            if (node == root) break;
            node = nodes_[index_of(node)].parent;
        }
    }
    std::vector<std::optional<TextState>> closed_texts;
    std::int32_t count = 0;
    for (std::int32_t node = 0; node < size(); ++node) {
        if (moved[index_of(node)] == kNone) continue;
        Node kept = nodes_[index_of(node)];
        kept.parent = node == root ? kNone : moved[index_of(kept.parent)];
        kept.first_child = kept.next_sibling = kNone;
        if (kept.parent != kNone) {
            Node& parent = nodes_[index_of(kept.parent)];
            kept.next_sibling = parent.first_child;
            parent.first_child = count;
        }
        if (kept.closed >= 0) {
            const auto first = closed_texts_.begin() + kept.closed;
            kept.closed = static_cast<std::int32_t>(closed_texts.size());
            closed_texts.insert(closed_texts.end(), first,
                                first + language_->num_homophones(text(node)));
        }
        if (!texts_.empty()) texts_[index_of(count)] = texts_[index_of(node)];
        nodes_[index_of(count)] = kept;
        moved[index_of(node)] = count++;
    }
    nodes_.resize(index_of(count));
    if (!texts_.empty()) texts_.resize(index_of(count));
    closed_texts_ = std::move(closed_texts);
    for (std::int32_t& node : nodes) node = moved[index_of(node)];
}

std::vector<std::int32_t> PrefixTree::tokens_of(std::int32_t node) const {
    std::vector<std::int32_t> tokens;
    for (; nodes_[index_of(node)].parent != kNone; node = nodes_[index_of(node)].parent) {
        tokens.push_back(nodes_[index_of(node)].token);
    }
    std::reverse(tokens.begin(), tokens.end());
    return tokens;
}

void SpikeStore::start() {
    spikes_.clear();
    settled_.clear();
}

std::vector<Emission> SpikeStore::path(std::int32_t spike) const {
    std::vector<Emission> emissions;
    for (; spike != kNone; spike = previous(spike)) emissions.push_back(at(spike).emission);
    emissions.insert(emissions.end(), settled_.rbegin(), settled_.rend());
    std::reverse(emissions.begin(), emissions.end());
    return emissions;
}

// A head's own spike may still move to a better frame; those before it may not.
std::int32_t SpikeStore::settle(std::vector<std::int32_t>& heads) {
    std::vector<std::int32_t> num_followers(spikes_.size(), 0);
    std::vector<bool> reached(spikes_.size(), false);
    std::vector<bool> is_head(spikes_.size(), false);
    std::int32_t num_first = 0;  // paths' first spikes, a path with none counting as another
    for (const std::int32_t head : heads) {
        if (head == kNone) {
            num_first += 2;
            continue;
        }
        is_head[index_of(head)] = true;
        for (std::int32_t spike = head; spike != kNone && !reached[index_of(spike)];
             spike = previous(spike)) {
            reached[index_of(spike)] = true;
            if (previous(spike) == kNone) {
                ++num_first;
            } else {
                ++num_followers[index_of(previous(spike))];
            }
        }
    }
    std::vector<std::int32_t> moved(spikes_.size(), kNone);
    std::int32_t num_settled = 0;
    std::int32_t count = 0;
    bool shared = num_first == 1;  // all paths go through the spike at hand
    for (std::int32_t spike = 0; spike < size(); ++spike) {
        if (!reached[index_of(spike)]) continue;
        if (shared && !is_head[index_of(spike)]) {
            settled_.push_back(at(spike).emission);
            ++num_settled;
            shared = num_followers[index_of(spike)] == 1;
            continue;
        }
        shared = false;
        const std::int32_t before = previous(spike);
        spikes_[index_of(count)] = {before == kNone ? kNone : moved[index_of(before)],
                                    at(spike).emission};
        moved[index_of(spike)] = count++;
    }
    spikes_.resize(index_of(count));
    for (std::int32_t& head : heads) head = head == kNone ? kNone : moved[index_of(head)];
    return num_settled;
}

}  // namespace asr
