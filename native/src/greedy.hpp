// Best path decoding: the most probable class of each frame, repeats merged, blanks dropped.
#pragma once

#include "alphabet.hpp"
#include "frames.hpp"
#include "hypothesis.hpp"

namespace asr {

// The scores are those of the best path, a lower bound of its labelling's probability.
template <class Float>
Hypothesis decode_greedy(const Alphabet& alphabet, const Frames<Float>& frames);

}  // namespace asr
