// The prefixes of a beam search and the frames of their tokens: arenas of nodes with indices.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "hypothesis.hpp"
#include "language.hpp"

namespace asr {

constexpr std::int32_t kNone = -1;

// Invariants:
//   - node 0 is the root, the empty prefix or, after reroot, one that all others extend; a node's
//     parent has a smaller index;
//   - at most one node holds a given token sequence: a prefix that returns to the beam after it was
//     pruned finds its old node, so that its descendants in the beam still merge with it;
//   - a node's text is a function of its tokens and never changes;
//   - slot is the prefix's place in the beam, kNone while it is not in it.
class PrefixTree {
  public:
    struct Node {
        std::int32_t parent;
        std::int32_t token;
        std::int32_t slot;
        std::int32_t first_child;
        std::int32_t next_sibling;
        std::int32_t closed;  // index of the first text with the open word closed; see closed_text
    };

    void start(const Language& language);
    std::int32_t size() const { return static_cast<std::int32_t>(nodes_.size()); }
    Node& operator[](std::int32_t node) { return nodes_[static_cast<std::size_t>(node)]; }
    const Node& operator[](std::int32_t node) const {
        return nodes_[static_cast<std::size_t>(node)];
    }

    // The child for `token`, made when there is none; nothing when its text is forbidden.
    std::int32_t child(std::int32_t node, std::int32_t token);
    // Texts exist only with a language that is not empty.
    const TextState& text(std::int32_t node) const {
        return texts_[static_cast<std::size_t>(node)];
    }
    // The text with its open word closed as one of its homophones, computed once; nullptr when that
    // is forbidden or there are fewer homophones.
    const TextState* closed_text(std::int32_t node, std::int32_t homophone = 0);
    NGramMemo& memo() const { return memo_; }
    // The text one token on.
    std::optional<TextState> child_text(std::int32_t node, std::int32_t token);

    // The deepest node that is an ancestor of, or is, every one of `nodes`.
    std::int32_t common_ancestor(std::vector<std::int32_t> nodes) const;
    // Drops all but `nodes` and their ancestors up to the one `num_steps` below the root, which
    // becomes the root; updates `nodes` to the new indices.
    void reroot(std::vector<std::int32_t>& nodes, std::int32_t num_steps);
    std::vector<std::int32_t> tokens_of(std::int32_t node) const;

  private:
    static constexpr std::int32_t kUnknown = -1;
    static constexpr std::int32_t kForbidden = -2;

    std::int32_t close_as_each(const TextState& open);

    const Language* language_ = nullptr;
    mutable NGramMemo memo_;
    std::vector<Node> nodes_;
    std::vector<TextState> texts_;  // of each node
    // Of some nodes, each for all of its homophones.
    std::vector<std::optional<TextState>> closed_texts_;
};

// Emissions of best paths; paths share their beginnings. Those that all paths share and no path
// may still change move to a list, so that memory grows with the text and not with the search.
class SpikeStore {
  public:
    void start();
    std::int32_t size() const { return static_cast<std::int32_t>(spikes_.size()); }
    std::int32_t add(std::int32_t previous, const Emission& emission) {
        spikes_.push_back({previous, emission});
        return size() - 1;
    }
    std::int32_t previous(std::int32_t spike) const { return at(spike).previous; }
    std::int32_t frame(std::int32_t spike) const { return at(spike).emission.frame; }
    // All emissions of the path that ends in `spike`, in order.
    std::vector<Emission> path(std::int32_t spike) const;

    const std::vector<Emission>& settled() const { return settled_; }
    // Settles what it can and drops what no head reaches; updates `heads`. Returns how many
    // emissions were settled.
    std::int32_t settle(std::vector<std::int32_t>& heads);

  private:
    struct Spike {
        std::int32_t previous;
        Emission emission;
    };

    const Spike& at(std::int32_t spike) const { return spikes_[static_cast<std::size_t>(spike)]; }

    std::vector<Spike> spikes_;
    std::vector<Emission> settled_;
};

}  // namespace asr
