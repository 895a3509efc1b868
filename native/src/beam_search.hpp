// Prefix beam search over CTC log-probabilities, the alignments of each prefix summed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "alphabet.hpp"
#include "candidates.hpp"
#include "frames.hpp"
#include "hypothesis.hpp"
#include "language.hpp"
#include "log_math.hpp"
#include "prefix_tree.hpp"

namespace asr {

struct BeamOptions {
    std::int32_t beam_width;  // prefixes kept after each frame, >= 1
    std::int32_t n_best;      // hypotheses returned, >= 1
    double token_min_logp;    // tokens below it start no new prefix at a frame, but for the best
    double beam_prune_logp;   // prefixes further than this below the best are dropped, <= 0
    // Frames after which the best prefix's tokens are final: prefixes that differ are dropped. 0:
    // never. Looked at every max_delay / 4 frames of the utterance, however it is cut.
    std::int32_t max_delay = 0;
    // Frames with ln P(blank) >= this are taken to be surely blank; +inf: none is.
    double blank_skip_logp = -kLogZero;
    // Tokens that may start a new prefix at a frame, the most probable; 0: any number.
    std::int32_t token_top_n = 0;
    // Nodes and spikes after which those that nothing refers to any more are dropped.
    std::int32_t garbage_limit = 1 << 16;
};

// What a stream knows so far.
struct PartialResult {
    Hypothesis best;                // its last word may be incomplete
    std::int32_t num_stable_words;  // of the best's first words: no later frame changes them
};

// Searches one utterance, fed frame by frame:
//
//   score(W) = ln P_ctc(W | X) + lm_alpha * ln P_lm(W) + lm_beta * |W| + hotwords(W)
//
// Source: Graves & Jaitly 2014; Hannun et al. 2014 (arXiv:1408.2873), Algorithm 1.
class BeamSearch {
  public:
    BeamSearch(std::shared_ptr<const Language> language, const BeamOptions& options);

    void start();
    // Advances by all `frames`, the next of the utterance. Throws as checked_row_max.
    template <class Float>
    void push(const Frames<Float>& frames);
    std::int64_t num_frames() const { return frame_; }
    // Whether any labelling has a positive probability so far.
    bool is_alive() const { return !beam_.empty(); }

    PartialResult partial() const;
    // At most n_best hypotheses with different texts, best first. When no prefix in the beam is a
    // whole text, the best one without its open word, with score -inf and bound_hit set.
    std::vector<Hypothesis> hypotheses() const;

  private:
    // The best single path of a prefix that ends in blank, or in its last token.
    struct BestPath {
        double log_prob = kLogZero;
        std::int32_t last_spike = kNone;
        float spike_log_prob = 0.0F;  // of that spike
    };
    // A prefix in the beam: its masses (ln) over all paths that end in blank, in its last token,
    // in either; and the best paths, which place the tokens in time.
    struct Slot {
        double blank;
        double label;
        double total;
        double bonus;  // of the text, for ranking
        BestPath best_blank;
        BestPath best_label;
        std::int32_t node;
        std::int32_t token;
        // Slots of the parent and of children in the beam, the latter chained by
        // next_active_child; valid while is_linked_.
        std::int32_t parent_slot;
        std::int32_t first_active_child;
        std::int32_t next_active_child;
        bool is_whole;  // the text may end here, whatever lexicon and grammar say

        double rank() const { return total + bonus; }
        const BestPath& best() const {
            return best_label.log_prob > best_blank.log_prob ? best_label : best_blank;
        }
    };
    struct TokenScore {
        std::int32_t token_class;
        double log_prob;
    };

    // Column of a token in the network's output; kNone of kNone.
    std::int32_t class_of(std::int32_t token) const {
        return language_->alphabet().class_of(token);
    }
    void pass_blank(double log_blank);
    template <class Float>
    void advance(const Float* row, double row_max);
    template <class Float>
    void choose_tokens(const Float* row, double row_max);
    void keep_top_tokens();
    void set_closing_tokens_apart();
    void link_active_children();
    template <class Float>
    void stay(const Float* row);
    void repeat_token(Slot& slot, double log_token);
    void extend();
    void extend_and_close(std::int32_t slot_index);
    void extend_slot(std::int32_t slot_index, const TextState* text,
                     const std::vector<TokenScore>& tokens, std::int32_t shift);
    bool is_active_child(const Slot& slot, std::int32_t token) const;
    void keep_a_whole_text();
    bool is_whole(const Candidate& candidate);
    template <class Float>
    void rebuild(const Float* row);
    void drop_equal_futures();
    void erase_dropped();
    void fill_new_slot(Slot& slot, const Candidate& candidate, double log_token);
    void extend_path(BestPath& path, std::int32_t previous, std::int32_t token, double log_token);
    void drop_late_rivals();
    void collect_garbage();
    struct Ending {  // of a slot's text, as one of its last word's homophones
        double score;
        double lm_score;
        const Slot* slot;
        std::int32_t homophone;
    };
    std::vector<Ending> endings(const Slot& slot) const;
    std::vector<Hypothesis> whole_hypotheses() const;
    Hypothesis describe(const Slot& slot, std::int32_t last_homophone) const;
    Hypothesis cut_to_whole_words() const;
    const Slot& best_slot() const;

    std::shared_ptr<const Language> language_;
    BeamOptions options_;
    PrefixTree tree_;
    SpikeStore spikes_;
    std::vector<Slot> beam_;     // after the last frame
    std::vector<Slot> staying_;  // the same prefixes one frame on
    std::vector<Slot> next_;
    std::vector<std::int32_t> futures_;  // of drop_equal_futures
    std::vector<char> dropped_;          // slots of the beam
    Candidates candidates_;
    // That may start a prefix at this frame, best first; with a language those that close a word
    // stand apart.
    std::vector<TokenScore> tokens_;
    std::vector<TokenScore> closing_tokens_;
    std::vector<double> token_log_probs_;  // of keep_top_tokens
    bool is_linked_ = false;               // link_active_children has seen the beam as it stands
    std::int32_t frame_ = 0;
    std::int32_t garbage_limit_ = 0;
};

}  // namespace asr
