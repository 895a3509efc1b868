// Beam search of one whole utterance.
#pragma once

#include <memory>
#include <vector>

#include "beam_search.hpp"

namespace asr {

// One utterance at once. When lexicon or grammar leave no whole text in the beam, tries again with
// wider beams before it gives in.
template <class Float>
std::vector<Hypothesis> search_utterance(BeamSearch& search,
                                         const std::shared_ptr<const Language>& language,
                                         const BeamOptions& options, const Frames<Float>& frames);

}  // namespace asr
