#include "ngram.hpp"

#include <algorithm>

namespace asr {

namespace {

NGramTables view(const NGramVectors& v) {
    return {ArrayView(v.word),        ArrayView(v.suffix),      ArrayView(v.log_prob),
            ArrayView(v.log_backoff), ArrayView(v.first_child), ArrayView(v.text_begin),
            ArrayView(v.texts),       ArrayView(v.spellings)};
}

}  // namespace

NGramModel::NGramModel(const NGramShape& shape, NGramVectors vectors) : shape_(shape) {
    const auto owner = std::make_shared<const NGramVectors>(std::move(vectors));
    tables_ = view(*owner);
    owner_ = owner;
    spellings_ = WordTable(tables_.spellings);
}

NGramModel::NGramModel(const NGramShape& shape, const NGramTables& tables,
                       std::shared_ptr<const void> owner)
    : shape_(shape), tables_(tables), owner_(std::move(owner)), spellings_(tables.spellings) {}

std::string_view NGramModel::text(WordId word) const {
    if (word >= num_words()) return {};
    const std::uint64_t end =
        std::min<std::uint64_t>(tables_.text_begin[word + 1], tables_.texts.size());
    const std::uint64_t begin = std::min(tables_.text_begin[word], end);
    return {tables_.texts.begin() + begin, static_cast<std::size_t>(end - begin)};
}

WordId NGramModel::find(std::string_view word) const {
    for (const WordId mark : {shape_.sentence_start, shape_.sentence_end}) {
        if (word == text(mark)) return mark;
    }
    const WordTable::Slot* slot = spellings_.find(extend_hash(kEmptyWordHash, word));
    return slot != nullptr && slot->word != kNoWord ? slot->word : kUnknown;
}

NodeId NGramModel::find_child(NodeId node, WordId word) const {
    const std::size_t begin = tables_.first_child[node];
    const std::size_t end =
        std::min<std::size_t>(tables_.first_child[node + 1], tables_.word.size());
    if (begin >= end) return 0;
    const WordId* last = tables_.word.begin() + end;
    const WordId* child = std::lower_bound(tables_.word.begin() + begin, last, word);
    if (child == last || *child != word) return 0;
    return static_cast<NodeId>(child - tables_.word.begin());
}

std::pair<double, NodeId> NGramModel::score(NodeId state, WordId word) const {
    double log_prob = 0.0;
    for (;; state = suffix_of(state)) {
        const NodeId child = state == 0 ? node_of(word) : find_child(state, word);
        if (child != 0) {
            log_prob += tables_.log_prob[child];
            const NodeId next = child < num_contexts() ? child : suffix_of(child);
            return {log_prob, next < num_contexts() ? next : no_context()};
        }
        log_prob += tables_.log_backoff[state];
    }
}

}  // namespace asr
