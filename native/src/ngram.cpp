#include "ngram.hpp"

#include <algorithm>
#include <stdexcept>

namespace asr {

NGramModel::NGramModel(NGramTables tables) : tables_(std::move(tables)) {
    index_words();
    sentence_end_ = find("</s>");
    // Without <s> the sentence starts as after an unknown word: its context is empty.
    const WordId start = find("<s>");
    sentence_start_ = start == kUnknown ? no_context() : start + 1;
    if (order() == 1) sentence_start_ = no_context();
}

void NGramModel::index_words() {
    std::size_t num_slots = 16;
    while (num_slots < 2 * tables_.words.size()) num_slots *= 2;
    slots_.assign(num_slots, kUnknown);
    hashes_.reserve(tables_.words.size());
    for (const auto& word : tables_.words) hashes_.push_back(extend_hash(kEmptyWordHash, word));
    for (WordId id = 1; id < hashes_.size(); ++id) {
        std::size_t slot = (hashes_[id] ^ (hashes_[id] >> 32)) & (num_slots - 1);
        for (; slots_[slot] != kUnknown; slot = (slot + 1) & (num_slots - 1)) {
            if (hashes_[slots_[slot]] == hashes_[id]) {
                throw std::invalid_argument("the words '" + tables_.words[slots_[slot]] +
                                            "' and '" + tables_.words[id] + "' share one hash");
            }
        }
        slots_[slot] = id;
    }
}

WordId NGramModel::find(std::uint64_t hash) const {
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t slot = (hash ^ (hash >> 32)) & mask;; slot = (slot + 1) & mask) {
        if (slots_[slot] == kUnknown) return kUnknown;
        if (hashes_[slots_[slot]] == hash) return slots_[slot];
    }
}

NodeId NGramModel::find_child(NodeId node, WordId word) const {
    const auto begin = tables_.word.begin();
    const auto last = begin + tables_.first_child[node + 1];
    const auto child = std::lower_bound(begin + tables_.first_child[node], last, word);
    return child != last && *child == word ? static_cast<NodeId>(child - begin) : 0;
}

std::pair<double, NodeId> NGramModel::score(NodeId state, WordId word) const {
    double log_prob = 0.0;
    for (;; state = tables_.suffix[state]) {
        const NodeId child = state == 0 ? word + 1 : find_child(state, word);
        if (child != 0) {
            log_prob += tables_.log_prob[child];
            const bool extensible = child < tables_.log_backoff.size();
            return {log_prob, extensible ? child : tables_.suffix[child]};
        }
        log_prob += tables_.log_backoff[state];
    }
}

}  // namespace asr
