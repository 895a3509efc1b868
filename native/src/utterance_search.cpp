#include "utterance_search.hpp"

#include <algorithm>

namespace asr {

template <class Float>
std::vector<Hypothesis> search_utterance(BeamSearch& search,
                                         const std::shared_ptr<const Language>& language,
                                         const BeamOptions& options, const Frames<Float>& frames) {
    constexpr std::int32_t kWidening = 16;
    constexpr std::int32_t kWidest = 1 << 14;
    search.start();
    search.push(frames);
    std::vector<Hypothesis> best = search.whole_hypotheses();
    BeamOptions wider = options;
    wider.token_top_n = 0;
    wider.token_min_logp = wider.beam_prune_logp = kLogZero;
    wider.blank_skip_logp = -kLogZero;
    while (best.empty() && search.is_alive() && wider.beam_width < kWidest) {
        wider.beam_width = std::min(kWidest, kWidening * wider.beam_width);
        BeamSearch wider_search(language, wider);
        wider_search.push(frames);
        best = wider_search.whole_hypotheses();
    }
    return best.empty() ? search.hypotheses() : best;
}

template std::vector<Hypothesis> search_utterance(BeamSearch&,
                                                  const std::shared_ptr<const Language>&,
                                                  const BeamOptions&, const Frames<float>&);
template std::vector<Hypothesis> search_utterance(BeamSearch&,
                                                  const std::shared_ptr<const Language>&,
                                                  const BeamOptions&, const Frames<double>&);

}  // namespace asr
