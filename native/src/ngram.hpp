// Back-off n-gram model: immutable, shared by threads; callers own the small state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace asr {

// FNV-1a, so that the hash of a word grows with its bytes.
constexpr std::uint64_t kEmptyWordHash = 14695981039346656037ull;
inline std::uint64_t extend_hash(std::uint64_t hash, std::string_view bytes) {
    for (const char byte : bytes)
        hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ull;
    return hash;
}

using NodeId = std::uint32_t;
using WordId = std::uint32_t;

// The n-grams are a tree: node 0 is the empty context, the children of a node are the words seen
// after it. Invariants:
//   - nodes are numbered by order, within an order by (parent, word): children are contiguous and
//     sorted by word;
//   - word w is node w + 1, so every word has a unigram and a walk down the suffixes always ends;
//   - suffix[n] is the node of the longest proper suffix of n that exists; suffix[n] < n.
// A state is the node of the longest suffix of the history that can still be extended.
struct NGramTables {
    int order = 0;
    std::vector<WordId> word;         // of each node
    std::vector<NodeId> suffix;       // of each node
    std::vector<float> log_prob;      // of each node, nats
    std::vector<float> log_backoff;   // of each node below the highest order, nats
    std::vector<NodeId> first_child;  // the same, and one more
    std::vector<std::string> words;   // by id; word 0 is <unk>
};

class NGramModel {
  public:
    static constexpr int kMaxOrder = 6;
    static constexpr WordId kUnknown = 0;

    explicit NGramModel(NGramTables tables);

    int order() const { return tables_.order; }
    std::size_t num_words() const { return tables_.words.size(); }
    const std::string& word(WordId id) const { return tables_.words[id]; }

    // Id of the word whose bytes hash to `hash`; kUnknown when there is none.
    WordId find(std::uint64_t hash) const;
    WordId find(std::string_view word) const { return find(extend_hash(kEmptyWordHash, word)); }

    NodeId sentence_start() const { return sentence_start_; }
    NodeId no_context() const { return 0; }

    // ln P(word | state) and the state after it.
    std::pair<double, NodeId> score(NodeId state, WordId word) const;
    // ln P(</s> | state)
    double score_end(NodeId state) const { return score(state, sentence_end_).first; }

  private:
    NodeId find_child(NodeId node, WordId word) const;
    void index_words();

    NGramTables tables_;
    std::vector<WordId> slots_;  // open addressing by hash; kUnknown marks a free slot
    std::vector<std::uint64_t> hashes_;
    NodeId sentence_start_ = 0;
    WordId sentence_end_ = kUnknown;
};

// Reads the ARPA format. Text before the \data\ line is skipped. `name` is for messages.
// Throws std::invalid_argument "name:line: rule, got ..." on any departure from the format.
NGramModel read_arpa(std::string_view text, const std::string& name);

}  // namespace asr
