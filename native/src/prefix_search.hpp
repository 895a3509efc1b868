// Prefix search decoding: the most probable labelling, proven so unless a bound on the work is hit.
#pragma once

#include <cstdint>

#include "alphabet.hpp"
#include "frames.hpp"
#include "hypothesis.hpp"

namespace asr {

struct PrefixSearchOptions {
    std::int64_t max_expansions;  // of prefixes, over one utterance
    double section_log_blank;     // frames with ln P(blank) >= this split the search; > 0: never
};

// Best-first search of the tree of prefixes by the probability of all labellings that begin with a
// prefix; it ends when no open prefix can beat the best whole labelling, which starts as that of
// the best path, so that the result is never worse than greedy decoding.
//
// Source: Graves et al. 2006, "Connectionist temporal classification", section 3.2.
template <class Float>
Hypothesis search_prefixes(const Alphabet& alphabet, const PrefixSearchOptions& options,
                           const Frames<Float>& frames);

}  // namespace asr
