// Back-off n-gram model: immutable, shared by threads; callers own the small state.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "array_view.hpp"
#include "word_table.hpp"

namespace asr {

using NodeId = std::uint32_t;

// The n-grams are a tree: node 0 is the empty context, the children of a node are the words seen
// after it. Invariants:
//   - nodes are numbered by order, within an order by (parent, word): children are contiguous and
//     sorted by word;
//   - word w is node w + 1, so every word has a unigram and a walk down the suffixes always ends;
//   - suffix[n] is the node of the longest proper suffix of n that exists; suffix[n] < n.
// A state is the node of the longest suffix of the history that can still be extended.
template <template <class> class Array>
struct NGramArrays {
    Array<WordId> word;               // of each node
    Array<NodeId> suffix;             // of each node
    Array<float> log_prob;            // of each node, nats
    Array<float> log_backoff;         // of each node below the highest order, nats
    Array<NodeId> first_child;        // the same, and one more
    Array<std::uint64_t> text_begin;  // of each word in `texts`, and one more; word 0 is <unk>
    Array<char> texts;
    Array<WordTable::Slot> spellings;  // the words that can be said: not <s>, </s>, <unk>
};

template <class T>
using OwnedArray = std::vector<T>;
using NGramVectors = NGramArrays<OwnedArray>;
using NGramTables = NGramArrays<ArrayView>;

struct NGramShape {
    int order;
    WordId sentence_start;  // <s> and </s>; <unk>'s id when the model has none
    WordId sentence_end;
};

class NGramModel {
  public:
    static constexpr int kMaxOrder = 6;
    static constexpr WordId kUnknown = 0;

    NGramModel(const NGramShape& shape, NGramVectors vectors);
    // `owner` keeps the memory behind `tables`, whose contents may be damaged: whatever they hold,
    // nothing outside of them is read and every call ends.
    NGramModel(const NGramShape& shape, const NGramTables& tables,
               std::shared_ptr<const void> owner);

    int order() const { return shape_.order; }
    const NGramShape& shape() const { return shape_; }
    std::size_t num_words() const { return tables_.text_begin.size() - 1; }
    std::string_view text(WordId word) const;
    const NGramTables& tables() const { return tables_; }

    const WordTable& spellings() const { return spellings_; }
    // kUnknown when there is no such word.
    WordId find(std::string_view word) const;
    // ln P(word) whatever came before.
    float unigram(WordId word) const { return tables_.log_prob[node_of(word)]; }

    // The state before a sentence. Without <s> it is as before any word.
    NodeId sentence_start() const {
        const NodeId node = node_of(shape_.sentence_start);
        const bool usable = shape_.sentence_start != kUnknown && node < num_contexts();
        return usable ? node : no_context();
    }
    NodeId no_context() const { return 0; }

    // ln P(word | state) and the state after it.
    std::pair<double, NodeId> score(NodeId state, WordId word) const;
    // ln P(</s> | state)
    double score_end(NodeId state) const { return score(state, shape_.sentence_end).first; }

  private:
    NodeId node_of(WordId word) const { return word < num_words() ? word + 1 : 1; }
    NodeId find_child(NodeId node, WordId word) const;
    NodeId suffix_of(NodeId node) const {
        return tables_.suffix[node] < node ? tables_.suffix[node] : 0;
    }
    std::size_t num_contexts() const { return tables_.log_backoff.size(); }

    NGramShape shape_;
    NGramTables tables_;
    std::shared_ptr<const void> owner_;
    WordTable spellings_;
};

// What a model said last: a search asks for the same frame after frame, and each time the model
// would look through several of its tables.
class NGramMemo {
  public:
    std::pair<double, NodeId> score(const NGramModel& model, NodeId state, WordId word) {
        if (entries_.empty()) entries_.resize(std::size_t{1} << kLogSize);
        const std::uint64_t key = std::uint64_t{state} << 32 | word;
        Entry& entry = entries_[key * 0x9E3779B97F4A7C15ull >> (64 - kLogSize)];
        if (entry.key != key) {
            const auto [log_prob, next] = model.score(state, word);
            entry = {key, log_prob, next};
        }
        return {entry.log_prob, entry.next};
    }

  private:
    static constexpr int kLogSize = 10;
    struct Entry {
        std::uint64_t key = ~0ull;  // state and word; kNoWord is never asked for
        double log_prob = 0.0;
        NodeId next = 0;
    };
    std::vector<Entry> entries_;
};

// Reads the ARPA format. Text before the \data\ line is skipped. `name` is for messages.
// Throws std::invalid_argument "name:line: rule, got ..." on any departure from the format.
NGramModel read_arpa(std::string_view text, const std::string& name);

// The model as bytes that load_binary maps without reading them.
std::string to_binary(const NGramModel& model);

// Maps a file of to_binary's bytes. Throws std::invalid_argument when its header or size is wrong,
// std::runtime_error when it cannot be opened.
NGramModel load_binary(const std::string& path);

}  // namespace asr
