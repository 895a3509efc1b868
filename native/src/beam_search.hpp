// Prefix beam search over CTC log-probabilities, the alignments of each prefix summed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "alphabet.hpp"
#include "frames.hpp"
#include "hypothesis.hpp"
#include "language.hpp"
#include "log_math.hpp"

namespace asr {

struct BeamOptions {
    std::int32_t beam_width;  // prefixes kept after each frame, >= 1
    std::int32_t n_best;      // hypotheses returned, >= 1
    double token_min_logp;    // tokens below it start no new prefix at a frame, but for the best
    double beam_prune_logp;   // prefixes further than this below the best are dropped, <= 0
};

// Searches one utterance, fed frame by frame:
//
//   score(W) = ln P_ctc(W | X) + lm_alpha * ln P_lm(W) + lm_beta * |W|,   |W| in words
//
// The prefixes are a tree in an arena of nodes with indices. Invariants:
//   - node 0 is the empty prefix; a node's parent has a smaller index;
//   - at most one node holds a given token sequence: a prefix that returns to the beam after it was
//     pruned finds its old node, so that its descendants in the beam still merge with it;
//   - node.slot is the prefix's place in the beam, -1 while it is not in it.
//
// Source: Graves & Jaitly 2014; Hannun et al. 2014 (arXiv:1408.2873), Algorithm 1.
class BeamSearch {
  public:
    BeamSearch(std::shared_ptr<const Language> language, const BeamOptions& options);

    void start();
    // Advances by all `frames`, the next of the utterance. Throws as checked_row_max.
    template <class Float>
    void push(const Frames<Float>& frames);
    // At most n_best hypotheses with different texts, best first. More frames may follow.
    std::vector<Hypothesis> hypotheses() const;

  private:
    static constexpr std::int32_t kNone = -1;

    struct Node {
        std::int32_t parent;
        std::int32_t token;
        std::int32_t first_child;
        std::int32_t next_sibling;
        std::int32_t slot;
        TextState text;
    };
    // One emission of a best path; paths share their beginnings.
    struct Spike {
        std::int32_t previous;
        Emission emission;
    };
    // The best single path of a prefix that ends in blank, or in its last token.
    struct BestPath {
        double log_prob = kLogZero;
        std::int32_t last_spike = kNone;
    };
    // A prefix in the beam: its masses (ln) over all paths that end in blank, in its last token,
    // in either; and the best paths, which place the tokens in time.
    struct Slot {
        double blank;
        double label;
        double total;
        double bonus;  // of the text
        double rank;   // total + bonus
        BestPath best_blank;
        BestPath best_label;
        std::int32_t node;
        std::int32_t parent;  // node
        std::int32_t token;
        std::int32_t first_active_child;  // slot; chained by next_active_child
        std::int32_t next_active_child;

        const BestPath& best() const {
            return best_label.log_prob > best_blank.log_prob ? best_label : best_blank;
        }
    };
    struct Candidate {
        double rank;
        double label;
        std::int32_t from;  // slot; kNone: `token` is the slot of a prefix that stays
        std::int32_t token;
    };

    template <class Float>
    void advance(const Frames<Float>& frames, std::int32_t row_index);
    template <class Float>
    void choose_tokens(const Float* row, double row_max);
    void link_active_children();
    template <class Float>
    void stay(const Float* row);
    template <class Float>
    void enter_from_parent(Slot& slot, const Slot& before, const Float* row);
    template <class Float>
    void extend(const Float* row);
    void select();
    template <class Float>
    void rebuild(const Float* row);
    bool is_active_child(const Slot& slot, std::int32_t token) const;
    std::int32_t child_node(std::int32_t node, std::int32_t token);
    std::int32_t add_spike(std::int32_t previous, std::int32_t token, double log_prob);
    template <class Float>
    Slot new_slot(const Candidate& candidate, const Float* row);
    Hypothesis describe(const Slot& slot, const TextState& text, double score) const;

    std::shared_ptr<const Language> language_;
    BeamOptions options_;
    std::vector<Node> nodes_;
    std::vector<Spike> spikes_;
    std::vector<Slot> beam_;     // after the last frame
    std::vector<Slot> staying_;  // the same prefixes one frame on
    std::vector<Slot> next_;
    std::vector<Candidate> candidates_;
    std::vector<std::int32_t> tokens_;  // that may start a prefix at this frame, best first
    std::int32_t frame_ = 0;
};

}  // namespace asr
